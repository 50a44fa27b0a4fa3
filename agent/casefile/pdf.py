"""The report as a PDF, with fpdf2: the same words as the page, on A4."""

from __future__ import annotations

import io
import logging
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from agent.casefile.case import Case
from agent.casefile.locator import WIDTH, Locator, locator_of
from agent.casefile.pictures import jpeg_bytes
from agent.casefile.words import Pair, words
from retriever.draw.fonts import Fonts, is_cjk

Json = dict[str, Any]
_COLOUR = {"match": (11, 107, 42), "supports": (11, 107, 42), "no_match": (179, 23, 28), "contradicts": (179, 23, 28)}
_GREY, _INK = (90, 95, 102), (27, 29, 32)
_SIGN = {"supports": "✓", "contradicts": "✗", "unknown": "?", "none": "-"}
_LARGE, _SMALL = 620, 150
_EPOCH = datetime(1980, 1, 1, tzinfo=UTC)


def pdf_report(view: Json, case: Case) -> bytes:
    """The same case gives the same bytes on one machine. Without a Chinese font it is English and says so."""
    paper = _Paper(chinese_font(), view["title"], _made(view), view["attribution"])
    paper.header(view)
    paper.answer(view["answer"])
    paper.locator(locator_of(case))
    paper.said(view["said"])
    paper.clues(view["claims"])
    paper.candidates(view["candidates"], case, view["attribution"])
    paper.others(view["others"])
    for key, points in (
        ("unchecked", view["unchecked"]),
        ("meaning", view["meaning"]),
        ("limits_head", view["limits"]),
    ):
        paper.points(key, points)
    paper.turns(view["turns"])
    paper.versions(view)
    return paper.bytes()


def _made(view: Json) -> datetime:
    """When the thread last changed: the paper has no time of its own."""
    try:
        return datetime.fromisoformat(view["thread"].get("changed") or "").astimezone(UTC)
    except ValueError:
        return _EPOCH


@cache
def chinese_font() -> Path | None:
    """A font with Chinese on this machine, or None."""
    found = Fonts.find().cjk
    if found is not None:
        return found
    tool = shutil.which("fc-list")
    if tool is None:
        return None
    try:
        told = subprocess.run([tool, ":lang=zh-cn", "file"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    files = sorted({line.strip().removesuffix(":").strip() for line in told.stdout.splitlines()})
    usable = [Path(f) for f in files if f.lower().endswith((".ttf", ".ttc", ".otf"))]
    return next((f for f in usable if "regular" in f.name.lower()), usable[0] if usable else None)


def _sheets(foot: str) -> Any:
    """A4 with attribution and page number at the foot of every page."""
    from fpdf import FPDF

    class Sheets(FPDF):
        def footer(self) -> None:
            self.set_y(-12)
            self.set_font("latin", "", 7)
            self.set_text_color(*_GREY)
            self.cell(0, 4, f"Sightline  ·  {foot[:150]}  ·  {self.page_no()} / {{nb}}", align="C")

    return Sheets(format="A4")


class _Paper:
    """Headings, paragraphs in both languages, tables and pictures."""

    def __init__(self, chinese: Path | None, title: str, made: datetime, foot: str) -> None:
        # It reports every glyph that a font lacks, in a loop.
        logging.getLogger("fpdf").setLevel(logging.ERROR)
        logging.getLogger("fontTools").setLevel(logging.ERROR)
        self.pdf = _sheets(foot)
        self.pdf.set_creation_date(made)
        self.pdf.set_title(f"{words()['title'][0]}: {title}")
        self.pdf.set_margins(15, 14, 15)
        self.pdf.set_auto_page_break(True, margin=16)
        latin = Fonts.find().latin
        self.pdf.add_font("latin", "", latin)
        self.pdf.add_font("latin", "B", latin.with_name("DejaVuSans-Bold.ttf"))
        self.chinese = self._add(chinese)
        self.pdf.add_page()

    def _add(self, font: Path | None) -> bool:
        """Whether Chinese can be set. A collection's third font is the one for simplified Chinese, where it has it."""
        if font is None:
            return False
        for number in (2, 0) if font.suffix.lower() == ".ttc" else (0,):
            try:
                self.pdf.add_font("chinese", "", font, collection_font_number=number)
            except Exception as error:
                # Whatever is wrong with a font of this machine, the report is written without it.
                logging.getLogger(__name__).info("%s cannot be used: %s", font, error)
                continue
            self.pdf.set_fallback_fonts(["chinese"], exact_match=False)
            return True
        return False

    def bytes(self) -> bytes:
        return bytes(self.pdf.output())

    # --- parts ------------------------------------------------------------------------------------------------------

    def header(self, view: Json) -> None:
        self._text(self._joined(words()["title"], "   "), 15, bold=True)
        self._text(view["title"], 11)
        for name, value in view["facts"]:
            self._row(name, value)
        if not self.chinese:
            self._text(words()["font_missing"][0], 8.5, colour=(179, 23, 28))

    def answer(self, answer: Json) -> None:
        self._head("answer")
        self._pair(answer["line"], 11, bold=True)
        if answer["note"]:
            self._pair(answer["note"], 8.5)
        self._pair(answer["split"], 8.5, colour=_GREY)
        where = f"{self._joined(words()['position'], ' ')}: {answer['lat']:.6f}, {answer['lon']:.6f} (WGS 84)"
        self._text(where, 8.5, colour=_GREY)

    def locator(self, drawn: Locator) -> None:
        self._head("map_head", 75)
        pdf, unit = self.pdf, 110 / WIDTH
        x0, y0 = pdf.l_margin, pdf.get_y() + 1
        pdf.set_draw_color(210, 212, 216)
        pdf.rect(x0, y0, WIDTH * unit, drawn.height * unit)
        with pdf.rect_clip(x0, y0, WIDTH * unit, drawn.height * unit):
            pdf.set_draw_color(24, 87, 182)
            for ring in drawn.limits:
                pdf.polygon([(x0 + x * unit, y0 + y * unit) for x, y in ring], style="D")
            for foot in drawn.feet:
                self._foot(foot, x0, y0, unit)
        y = y0 + (drawn.height - 14) * unit
        pdf.set_draw_color(*_INK)
        pdf.line(x0 + 4, y, x0 + 4 + drawn.scale * unit, y)
        pdf.set_font("latin", "", 7)
        pdf.text(x0 + 6 + drawn.scale * unit, y + 1, f"{drawn.scale_m} m")
        pdf.text(x0 + WIDTH * unit - 6, y0 + 5, "N ↑")
        pdf.set_y(y0 + drawn.height * unit + 2)

    def _foot(self, foot: Any, x0: float, y0: float, unit: float) -> None:
        left, top, right, bottom = (v * unit for v in foot.box)
        colour = _COLOUR.get(foot.verdict, _GREY)
        self.pdf.set_draw_color(*colour)
        self.pdf.set_line_width(0.6 if foot.rank == 1 else 0.2)
        self.pdf.rect(x0 + left, y0 + top, right - left, bottom - top)
        self.pdf.set_line_width(0.2)
        self.pdf.set_font("latin", "B" if foot.rank == 1 else "", 7)
        self.pdf.text(x0 + left + 1, y0 + top + 3, str(foot.rank))

    def said(self, said: Sequence[Json]) -> None:
        self._head("described")
        for item in said:
            self._text(item["text"] if "text" in item else f"[{item['view']}] sha256 {item['sha256']}", 9.5)

    def clues(self, claims: Sequence[Json]) -> None:
        self._head("clues")
        for claim in claims:
            marks = "  ".join(f"#{n} {_SIGN[m['stance']]}" for n, m in enumerate(claim["marks"], 1))
            self._pair((f"{claim['id']}  {claim['words'][0]}  ({claim['status'][0]})   {marks}",
                        f"{claim['words'][1]}（{claim['status'][1]}）  “{claim['span']}”"), 8.5)  # fmt: skip

    def candidates(self, candidates: Sequence[Json], case: Case, attribution: str) -> None:
        self._head("candidates")
        self._pair(words()["shown_as"], 8.5, colour=_GREY)
        for c in candidates:
            self.pdf.ln(1.5)
            self._picture(c, case, attribution)
            title = f"{c['rank']}. {c['tile_id']}: {self._joined(c['verdict'], ' ')}, {c['sure']}"
            self._text(title, 10.5, bold=True, colour=_COLOUR.get(c["class"], _INK))
            head = f"{self._joined(words()['judge_p'], ' ')} {c['judge']}, {self._joined(words()['retrieval'], ' ')} "
            self._text(f"{head}{c['retrieval_rank']}, {c['lat']:.6f}, {c['lon']:.6f}", 8.5, colour=_GREY)
            self._pair(c["words"], 9.5)
            self._pair(c["author"], 8, colour=_GREY)
            for line in c["lines"]:
                by = f"  ({line['by'][0]})" if line["by"][0] else ""
                self._text(f"{_SIGN[line['stance']]} {line['id']} {self._joined(line['clue'], '  ')}{by}", 8.5,
                           colour=_COLOUR.get(line["stance"], _GREY))  # fmt: skip
            self.pdf.ln(3)

    def _picture(self, candidate: Json, case: Case, attribution: str) -> None:
        side = 78
        if self.pdf.get_y() + side + 24 > self.pdf.h - self.pdf.b_margin:
            self.pdf.add_page()
        entry = candidate["picture"]
        if entry is None:
            self._pair(words()["no_pictures"], 9)
            return
        self.pdf.image(io.BytesIO(jpeg_bytes(case.entries[entry], _LARGE)), w=side, h=side)
        self._text(attribution, 7.5, colour=_GREY)

    def others(self, others: Sequence[Json]) -> None:
        if not others:
            return
        self._head("excluded")
        for c in others:
            title = f"{c['rank']}. {c['tile_id']}: {self._joined(c['verdict'], ' ')}, {c['sure']}"
            self._text(title, 9, bold=True)
            for reason in c["reasons"]:
                self._pair(reason, 8.5)
            self.pdf.ln(1)

    def points(self, key: str, points: Sequence[Pair]) -> None:
        self._head(key)
        for point in points:
            self._pair((f"• {point[0]}", point[1] if point[1] != point[0] else ""), 9)

    def turns(self, turns: Sequence[Json]) -> None:
        self._head("trace_head")
        for turn in turns:
            asked = turn["asked"] if isinstance(turn["asked"], str) else self._joined(turn["asked"], " / ")
            self._text(f"{self._joined(turn['head'], ' ')}: {asked}", 9, bold=True)
            self._pair((turn["en"], turn["zh"]), 9)

    def versions(self, view: Json) -> None:
        self._head("made_with")
        self._row(words()["usage"], view["usage"])
        for name, value in view["versions"]:
            self._row(name, value)
        self.pdf.ln(2)
        self._text(view["attribution"], 9, bold=True)
        self._pair(words()["check_it"], 8.5)

    # --- lines ------------------------------------------------------------------------------------------------------

    def _head(self, key: str, room: float = 22) -> None:
        if self.pdf.get_y() + room > self.pdf.h - self.pdf.b_margin:
            self.pdf.add_page()
        self.pdf.ln(3)
        self._text(self._joined(words()[key], "   "), 11.5, bold=True)
        self.pdf.set_draw_color(*_INK)
        self.pdf.line(self.pdf.l_margin, self.pdf.get_y(), self.pdf.w - self.pdf.r_margin, self.pdf.get_y())
        self.pdf.ln(1.5)

    def _row(self, name: Pair, value: Any) -> None:
        text = value if isinstance(value, str) else self._joined(tuple(value), " / ")
        self._text(f"{self._joined(name, ' ')}: {text}", 8.5, colour=_GREY)

    def _joined(self, pair: Any, between: str) -> str:
        return between.join(dict.fromkeys(pair)) if self.chinese else str(pair[0])

    def _pair(self, pair: Any, size: float, **how: Any) -> None:
        for text in dict.fromkeys(pair if self.chinese else pair[:1]):
            self._text(text, size, **how)

    def _text(self, text: str, size: float, *, bold: bool = False, colour: tuple[int, int, int] = _INK) -> None:
        if not text:
            return
        from fpdf.enums import WrapMode

        self.pdf.set_font("latin", "B" if bold else "", size)
        self.pdf.set_text_color(*colour)
        wrap = WrapMode.CHAR if any(is_cjk(c) for c in text) or _long(text) else WrapMode.WORD
        self.pdf.multi_cell(0, size * 0.52, text, align="L", new_x="LMARGIN", new_y="NEXT", wrapmode=wrap)


def _long(text: str) -> bool:
    """Whether a word is too long for a line."""
    return any(len(word) > 60 for word in text.split())
