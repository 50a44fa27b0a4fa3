"""A listing: what lies where on one tile, in the few words that the judge writes and reads.

``look`` asks the judge for the listing of a tile once, whatever the query; every later question about the tile starts
from it, so the prompt's beginning is shared. It goes over the tile part by part, as the eye does::

    roads e-w; c street, cafe; n street, park; e pharmacy

Parts are ``c`` (within 25 m of the centre) and the eight compass points; ``roads`` has the axes that roads run along.
The same text can be made from map facts (then with named things in quotes at the end): so the judge is taught.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from retriever.geo import POINTS_SHORT, angle_between, bearing_deg, octant
from retriever.kinds import Kind, kinds
from retriever.oracle.generality import satisfying
from retriever.types import Box, Claim, Fact, Reason, Stance

CENTRE_M = 25.0
"""What lies nearer to the tile's centre is ``c``: the witness may stand on either side of it."""

PARTS = ("c", *POINTS_SHORT)
AXES = ("n-s", "ne-sw", "e-w", "nw-se")
_AXIS_DEG = (0.0, 45.0, 90.0, 135.0)
_UNLISTED = ("building", "bench", "footway", "alley", "post_box")
_SAMPLE_M = 6.0


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One kind of thing and the parts of the tile where it lies; with a name, one thing."""

    kind: str
    parts: tuple[str, ...]
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    entries: tuple[Entry, ...]
    axes: tuple[str, ...] = ()
    """The axes that roads run along."""

    def text(self) -> str:
        """The canonical text, ``nothing`` for an empty tile."""
        chunks = [" ".join(("roads", *self.axes))] if self.axes else []
        for part in PARTS:
            here = [e.kind.replace("_", " ") for e in self.entries if e.name is None and part in e.parts]
            if here:
                chunks.append(f"{part} {', '.join(here)}")
        chunks += [f'"{e.name}" {e.kind.replace("_", " ")} {" ".join(e.parts)}' for e in self.entries if e.name]
        return "; ".join(chunks) or "nothing"

    def of(self, kind_ids: Iterable[str]) -> list[Entry]:
        wanted = set(kind_ids)
        return [entry for entry in self.entries if entry.kind in wanted]


_CODES = "|".join(PARTS)
_NAMED = re.compile(rf'^"(?P<name>[^"]*)" (?P<kind>[a-z ]+?)(?P<parts>(?: (?:{_CODES}))+)$')


def parse_listing(text: str) -> Listing:
    """Read a listing back; what does not fit the form or names an unknown kind is dropped."""
    axes: list[str] = []
    parts: dict[str, set[str]] = {}
    named: list[Entry] = []
    for chunk in (c.strip() for c in text.split(";")):
        head, _, rest = chunk.partition(" ")
        if head == "roads":
            axes += rest.split()
        elif head in PARTS:
            for kind_id in (k.strip().replace(" ", "_") for k in rest.split(",")):
                parts.setdefault(kind_id, set()).add(head)
        elif match := _NAMED.match(chunk):
            kind_id = match["kind"].strip().replace(" ", "_")
            if kind_id in kinds():
                named.append(Entry(kind=kind_id, parts=_ordered(match["parts"].split()), name=match["name"]))
    entries = [Entry(kind=k, parts=_ordered(parts[k])) for k in listing_order() if k in parts]
    return Listing(entries=(*entries, *dict.fromkeys(named)), axes=tuple(a for a in AXES if a in axes))


def list_facts(
    facts: Sequence[Fact], *, size_m: float, visible: Sequence[bool] | None = None, names: bool = False
) -> Listing:
    """The true listing of a tile.

    ``visible`` (one flag per fact) leaves out what the picture does not show. With ``names``, named things get an
    entry of their own, as a judge that is given the map's facts would see them.
    """
    parts: dict[str, set[str]] = {}
    metres: dict[str, float] = {}
    named: list[Entry] = []
    for i, fact in enumerate(facts):
        if fact.kind in _UNLISTED or (visible is not None and not visible[i]):
            continue
        where, axes = _parts_of(fact, size_m)
        if not where:
            continue
        parts.setdefault(fact.kind, set()).update(where)
        for axis, length in axes.items():
            metres[axis] = metres.get(axis, 0.0) + length
        if names and fact.names:
            label = fact.names.get("") or next(iter(fact.names.values()))
            named.append(Entry(kind=fact.kind, parts=_ordered(where), name=label.replace('"', "").replace(";", ",")))
    entries = [Entry(kind=kind_id, parts=_ordered(parts[kind_id])) for kind_id in listing_order() if kind_id in parts]
    return Listing(entries=(*entries, *dict.fromkeys(named)), axes=_axes(metres, size_m))


def listing_order() -> list[str]:
    """Kinds in the order of a listing: the big shapes first, then what stands on them."""
    first = ("road", "rail", "water", "area", "barrier")
    table = [k for k in kinds().values() if k.id not in _UNLISTED]
    return [k.id for group in first for k in table if k.group == group] + [k.id for k in table if k.group not in first]


def _ordered(where: Iterable[str]) -> tuple[str, ...]:
    found = set(where)
    return tuple(p for p in PARTS if p in found)


def _axes(lengths: dict[str, float], size_m: float) -> tuple[str, ...]:
    return tuple(axis for axis in AXES if lengths.get(axis, 0.0) >= 0.2 * size_m)


def _parts_of(fact: Fact, size_m: float) -> tuple[set[str], dict[str, float]]:
    """Parts of the tile that a fact lies in, and metres that it runs along each axis (roads only)."""
    axes: dict[str, float] = {}
    points: list[tuple[float, float]] = []
    if fact.shape == "area":
        points = area_points(fact, size_m)
    else:
        for ring in fact.parts:
            line = [((x - 0.5) * size_m, (0.5 - y) * size_m) for x, y in ring]
            if fact.shape == "point":
                points += line
                continue
            for a, b in itertools.pairwise(line):
                points += _along(a, b)
                if kinds()[fact.kind].group == "road":
                    _add_axis(axes, a, b)
    half = size_m / 2
    inside = [p for p in points if abs(p[0]) <= half and abs(p[1]) <= half]
    return {part_of(x, y) for x, y in inside}, axes if inside else {}


def part_of(x_m: float, y_m: float) -> str:
    """The part of a tile that a point lies in; metres east and north of the tile's centre."""
    if math.hypot(x_m, y_m) < CENTRE_M:
        return "c"
    return POINTS_SHORT[octant(bearing_deg(x_m, y_m))]


def _along(a: tuple[float, float], b: tuple[float, float]) -> list[tuple[float, float]]:
    n = max(1, math.ceil(math.dist(a, b) / _SAMPLE_M))
    return [(a[0] + (b[0] - a[0]) * i / n, a[1] + (b[1] - a[1]) * i / n) for i in range(n + 1)]


def _add_axis(axes: dict[str, float], a: tuple[float, float], b: tuple[float, float]) -> None:
    length = math.dist(a, b)
    if length > 0:
        axis = AXES[round((bearing_deg(b[0] - a[0], b[1] - a[1]) % 180.0) / 45.0) % 4]
        axes[axis] = axes.get(axis, 0.0) + length


def area_points(fact: Fact, size_m: float) -> list[tuple[float, float]]:
    """A 10 m lattice inside the area; small areas count by one point inside them."""
    rings = [shapely.Polygon(r) for r in fact.parts if len(r) >= 4]
    if not rings:
        return []
    shape: BaseGeometry = rings[0]
    for ring in rings[1:]:
        shape = shape.symmetric_difference(ring)
    shape = shapely.make_valid(shape).intersection(shapely.box(0, 0, 1, 1))
    if shape.is_empty:
        return []
    step = 10.0 / size_m
    lattice = [((i + 0.5) * step, (j + 0.5) * step) for i in range(int(1 / step)) for j in range(int(1 / step))]
    held = shapely.contains_xy(shape, [p[0] for p in lattice], [p[1] for p in lattice])
    points = [p for p, h in zip(lattice, held, strict=True) if h]
    if len(points) < 2:
        inner = shape.representative_point()
        points.append((inner.x, inner.y))
    return [((x - 0.5) * size_m, (0.5 - y) * size_m) for x, y in points]


# --- what a listing says about a claim ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Finding:
    stance: Stance
    reason: Reason | None = None
    at: str | None = None
    """The part of the tile where it was found (the best fitting one)."""


def find(claim: Claim, listing: Listing) -> Finding:
    """What the listing says about one claim: the rule that the judge is taught."""
    if claim.kind == "name":
        return _find_name(claim, listing)
    if claim.kind == "road" and claim.value == "runs" and claim.relation.bearing_deg is not None:
        return _find_axis(claim.relation.bearing_deg, listing)
    if claim.value not in kinds() or claim.value in _UNLISTED:
        return Finding(stance="unknown", reason="not_visible")
    return _find_kind(claim, kinds()[claim.value], listing)


def _find_kind(claim: Claim, kind: Kind, listing: Listing) -> Finding:
    where = {p for entry in listing.of(satisfying(kind.id)) for p in entry.parts}
    at = _fitting(where, claim.relation.bearing_deg)
    if at is not None:
        return Finding(stance="supports" if claim.polarity else "contradicts", at=at)
    absent = not where and kind.complete and bool(listing.entries)
    if not claim.polarity:
        known = absent or bool(where)
        return Finding(stance="supports") if known else Finding(stance="unknown", reason="not_visible")
    if absent or where:
        return Finding(stance="contradicts")
    return Finding(stance="unknown", reason="not_visible")


def _fitting(where: set[str], bearing: float | None) -> str | None:
    if not where:
        return None
    if bearing is None:
        return "c" if "c" in where else _ordered(where)[0]
    ranked = sorted(
        (angle_between(45.0 * POINTS_SHORT.index(p), bearing), PARTS.index(p), p) for p in where if p != "c"
    )
    if ranked and ranked[0][0] <= 67.5:
        return ranked[0][2]
    return "c" if "c" in where else None


def _find_axis(bearing: float, listing: Listing) -> Finding:
    if not listing.axes:
        return Finding(stance="unknown", reason="not_visible")
    off = min(min(angle_between(d, bearing), angle_between(d + 180.0, bearing)) for d in map(_axis_deg, listing.axes))
    return Finding(stance="supports", at="c") if off <= 30.0 else Finding(stance="contradicts")


def _axis_deg(axis: str) -> float:
    return _AXIS_DEG[AXES.index(axis)]


def _find_name(claim: Claim, listing: Listing) -> Finding:
    named = [entry for entry in listing.entries if entry.name]
    wanted = claim.value.casefold()
    hits = [e for e in named if e.name and (wanted in e.name.casefold() or e.name.casefold() in wanted)]
    if not hits:
        return Finding(stance="unknown", reason="not_mapped" if named else "not_visible")
    at = _fitting({p for e in hits for p in e.parts}, claim.relation.bearing_deg)
    return Finding(stance="supports" if at else "contradicts", at=at)


def region_of(part: str | None) -> Box | None:
    """The box of a part of the tile, in tile coordinates."""
    if part not in PARTS:
        return None
    if part == "c":
        return (0.3, 0.3, 0.7, 0.7)
    x0, x1 = (0.66, 1.0) if "e" in part else (0.0, 0.34) if "w" in part else (0.3, 0.7)
    y0, y1 = (0.0, 0.34) if "n" in part else (0.66, 1.0) if "s" in part else (0.3, 0.7)
    return (x0, y0, x1, y1)
