"""Names on the tile: along roads, under icons, inside areas. A label that finds no room is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw

from retriever.draw import geometry
from retriever.draw.fonts import Fonts, is_cjk
from retriever.draw.ground import levels_of
from retriever.draw.layout import REFERENCE_PX, Layout, Placed, dots
from retriever.draw.style import style
from retriever.kinds import kinds
from retriever.types import Box, Fact

_WRAP = 17
"""Characters after which a horizontal label is broken (a Chinese one counts twice)."""


class Labels:
    """Writes the names of a tile's facts onto its picture."""

    def __init__(self, image: Image.Image, facts: Sequence[Fact], layout: Layout, fonts: Fonts) -> None:
        self.image, self.facts, self.layout, self.fonts = image, facts, layout, fonts
        self.size = max(7, round(style()["label"]["size"] * image.width / REFERENCE_PX))
        self.scale = image.width / REFERENCE_PX
        self.taken: list[Box] = [self._scaled(icon.box) for icon in layout.icons]
        self.taken += [self._scaled(box) for box in _crossings(facts, layout)]
        self.written: set[int] = set()

    def draw(self) -> None:
        """Roads first, then places by rank, then areas and numbers of storeys."""
        self._roads()
        for icon in self.layout.icons:
            self._under(icon)
        self._areas()
        self._storeys()

    def _scaled(self, box: Box) -> Box:
        return box[0] * self.scale, box[1] * self.scale, box[2] * self.scale, box[3] * self.scale

    def _lines(self, fact: Fact) -> list[str]:
        """The plain name and, below it, one in the other script, as far as fonts cover them."""
        names = fact.names
        plain = names.get("", "") or names.get("en", "") or names.get("zh", "")
        other = names.get("en", "") if any(is_cjk(c) for c in plain) else names.get("zh", "") or names.get("en", "")
        lines = [text for text in (plain, other) if text and self.fonts.covers(text)]
        return lines[:1] if len(lines) == 2 and lines[0] == lines[1] else lines

    def _free(self, boxes: Sequence[Box]) -> bool:
        side = self.image.width
        for a in boxes:
            if a[0] < 1 or a[1] < 1 or a[2] > side - 1 or a[3] > side - 1:
                return False
            if any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in self.taken):
                return False
        return True

    def _put(self, picture: Image.Image, x: float, y: float, boxes: Sequence[Box]) -> None:
        self.image.paste(picture, (round(x - picture.width / 2), round(y - picture.height / 2)), picture)
        self.taken.extend(boxes)

    def _block(self, lines: Sequence[str], ink: str) -> Image.Image:
        return _text("\n".join(row for line in lines for row in _wrap(line)), self.size, ink, self.fonts)

    def _try_at(self, index: int, picture: Image.Image, spots: Sequence[tuple[float, float]]) -> bool:
        for x, y in spots:
            half = (picture.width / 2 - 1, picture.height / 2 - 1)
            box = (x - half[0], y - half[1], x + half[0], y + half[1])
            if self._free([box]):
                self._put(picture, x, y, [box])
                self.written.add(index)
                return True
        return False

    def _under(self, icon: Placed) -> None:
        fact = self.facts[icon.fact]
        if kinds()[fact.kind].group == "street" and fact.kind not in ("memorial", "tower", "fountain"):
            return
        lines = self._lines(fact)
        x, y, reach = icon.x * self.scale, icon.y * self.scale, icon.size * self.scale / 2
        for count in range(len(lines), 0, -1):
            picture = self._block(lines[:count], style()["label"]["place_ink"])
            down, side = reach + picture.height / 2, reach + picture.width / 2
            if self._try_at(icon.fact, picture, [(x, y + down), (x, y - down), (x + side, y), (x - side, y)]):
                return

    def _areas(self) -> None:
        inks = style()["label"]
        with_icon = {self.facts[icon.fact].osm_id for icon in self.layout.icons}
        for index, fact in enumerate(self.facts):
            group = kinds()[fact.kind].group
            if fact.shape != "area" or not self.layout.shown[index] or not fact.names or fact.osm_id in with_icon:
                continue
            if group not in ("area", "water", "building"):
                continue
            found = geometry.area_anchor(fact.parts)
            lines = self._lines(fact)
            if found is None or not lines or found[1] < 0.004:
                continue
            ink = {"area": inks["area_ink"], "water": inks["water_ink"]}.get(group, inks["ink"])
            spot = (found[0][0] * self.image.width, found[0][1] * self.image.width)
            if not self._try_at(index, self._block(lines, ink), [spot]):
                self._try_at(index, self._block(lines[:1], ink), [spot])

    def _storeys(self) -> None:
        size = max(6, round(10 * self.scale))
        for index, fact in enumerate(self.facts):
            storeys = levels_of(fact) if fact.kind == "building" and fact.shape == "area" else None
            if storeys is None or not self.layout.shown[index]:
                continue
            found = geometry.area_anchor(fact.parts)
            if found is not None and found[1] * REFERENCE_PX**2 > 350:
                picture = _text(f"{storeys:g}", size, style()["building"]["levels_ink"], Fonts.none_cjk(), halo=0)
                x, y = found[0][0] * self.image.width, found[0][1] * self.image.width
                half = (picture.width / 2, picture.height / 2)
                box = (x - half[0], y - half[1], x + half[0], y + half[1])
                if self._free([box]):
                    self._put(picture, x, y, [box])

    def _roads(self) -> None:
        ink = {
            "road": style()["label"]["road_ink"],
            "water": style()["label"]["water_ink"],
            "rail": style()["label"]["ink"],
        }
        done: set[str] = set()
        order = sorted(
            (
                i
                for i, f in enumerate(self.facts)
                if self.layout.shown[i] and f.shape == "line" and kinds()[f.kind].group in ink
            ),
            key=lambda i: (-_inside(self.facts[i]), self.facts[i].osm_id),
        )
        for index in order:
            fact = self.facts[index]
            lines = self._lines(fact)
            if not lines or lines[0] in done:
                continue
            if self._along(index, lines, ink[kinds()[fact.kind].group]):
                done.add(lines[0])
                self.written.add(index)

    def _along(self, index: int, lines: Sequence[str], ink: str) -> bool:
        side = self.image.width
        runs = [
            stretch
            for part in self.facts[index].parts
            for run in geometry.runs_inside([(x * side, y * side) for x, y in part], 2.0, side - 2.0)
            for stretch in _straight(run)
        ]
        runs.sort(key=lambda run: -math.dist(run[0], run[1]))
        for text in ("  ".join(lines), lines[0]) if len(lines) > 1 else (lines[0],):
            picture = _text(text, self.size, ink, self.fonts)
            for start, end in runs[:3]:
                if self._on_run(picture, start, end):
                    return True
        if runs and math.dist(*runs[0]) > 45 * self.scale:
            (x0, y0), (x1, y1) = runs[0]
            picture = self._block(lines[:1], ink)
            return self._try_at(index, picture, [((x0 + x1) / 2, (y0 + y1) / 2)])
        return False

    def _on_run(self, picture: Image.Image, start: tuple[float, float], end: tuple[float, float]) -> bool:
        length = math.dist(start, end)
        if length < picture.width + 4:
            return False
        ux, uy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        angle = math.degrees(math.atan2(-uy, ux))
        angle = angle - 180 if angle > 90 else angle + 180 if angle <= -90 else angle
        room = (length - picture.width) / 2
        for shift in (0.0, 0.5, -0.5, 0.95, -0.95):
            x, y = ((start[0] + end[0]) / 2 + ux * room * shift, (start[1] + end[1]) / 2 + uy * room * shift)
            boxes = _chain((x, y), (ux, uy), picture.width, picture.height)
            if self._free(boxes):
                turned = picture.rotate(angle, Image.Resampling.BICUBIC, expand=True) if abs(angle) > 0.5 else picture
                self._put(turned, x, y, boxes)
                return True
        return False


def _crossings(facts: Sequence[Fact], layout: Layout) -> list[Box]:
    points = [p for fact in facts if fact.kind == "crossing" for p in dots(fact, layout.icons)]
    centres = [(x * REFERENCE_PX, y * REFERENCE_PX) for x, y in points]
    return [(x - 12.0, y - 12.0, x + 12.0, y + 12.0) for x, y in centres]


def _inside(fact: Fact) -> float:
    return sum(geometry.length_inside(part) for part in fact.parts)


def _chain(at: tuple[float, float], unit: tuple[float, float], length: float, height: float) -> list[Box]:
    """Small boxes along a slanted label: what it really covers."""
    count = max(1, math.ceil(length / height))
    half = height * 0.42
    reach = [(-0.5 + (i + 0.5) / count) * (length - 2 * half) for i in range(count)]
    centres = [(at[0] + unit[0] * r, at[1] + unit[1] * r) for r in reach]
    return [(x - half, y - half, x + half, y + half) for x, y in centres]


def _straight(run: Sequence[tuple[float, float]]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The chords of a polyline's nearly straight stretches."""
    out, start = [], 0
    while start < len(run) - 1:
        end = start + 1
        while end + 1 < len(run) and _bend(run[start], run[start + 1], run[end], run[end + 1]) < 15.0:
            end += 1
        out.append((run[start], run[end]))
        start = end
    return out


def _bend(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float]) -> float:
    turn = math.atan2(b[1] - a[1], b[0] - a[0]) - math.atan2(d[1] - c[1], d[0] - c[0])
    return abs(math.degrees(math.atan2(math.sin(turn), math.cos(turn))))


def _wrap(text: str) -> list[str]:
    """At most two rows, broken at a space near the middle."""
    wide = sum(2 if is_cjk(c) else 1 for c in text)
    spaces = [i for i, c in enumerate(text) if c == " "]
    if wide <= _WRAP or not spaces:
        return [text]
    cut = min(spaces, key=lambda i: abs(i - len(text) / 2))
    return [text[:cut], text[cut + 1 :]]


@lru_cache(maxsize=4096)
def _text(text: str, size: int, ink: str, fonts: Fonts, halo: int = 2) -> Image.Image:
    """RGBA picture of a text of one or more rows, centred, with a halo."""
    rows = [(row, fonts.face(row, size)) for row in text.split("\n")]
    step = round(size * 1.2)
    width = math.ceil(max(font.getlength(row) for row, font in rows)) + 2 * halo + 2
    image = Image.new("RGBA", (width, step * len(rows) + 2 * halo), style()["label"]["halo"] + "00")
    draw = ImageDraw.Draw(image)
    for i, (row, font) in enumerate(rows):
        at = (width / 2, halo + step * (i + 0.5))
        if halo:
            draw.text(
                at,
                row,
                font=font,
                anchor="mm",
                fill=style()["label"]["halo"],
                stroke_width=halo,
                stroke_fill=style()["label"]["halo"] + "d8",
            )
        draw.text(at, row, font=font, anchor="mm", fill=ink)
    return image
