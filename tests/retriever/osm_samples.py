"""Small map extracts for tests, written in metres about a point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

from retriever.geo import Frame

FRAME = Frame(lat=48.0, lon=11.0)

Point = tuple[float, float]


class Extract:
    """Collects objects and writes them as .osm XML. Coordinates are metres east and north of ``FRAME``."""

    def __init__(self, half_m: float | None = None) -> None:
        self.lines: list[str] = []
        self.last = 0
        if half_m is not None:
            south, west = FRAME.latlon(-half_m, -half_m)
            north, east = FRAME.latlon(half_m, half_m)
            self.lines.append(f'<bounds minlat="{south}" minlon="{west}" maxlat="{north}" maxlon="{east}"/>')

    def node(self, at: Point, **tags: str) -> int:
        self.last += 1
        lat, lon = FRAME.latlon(*at)
        self.lines.append(f'<node id="{self.last}" version="1" lat="{lat:.7f}" lon="{lon:.7f}">{_tags(tags)}</node>')
        return self.last

    def way(self, points: Iterable[Point], missing: Iterable[int] = (), **tags: str) -> int:
        """A way through new nodes; the numbers in ``missing`` are positions whose nodes are left out of the file."""
        points, gone = list(points), set(missing)
        refs: dict[Point, int] = {}
        for position, at in enumerate(points):
            if position in gone:
                self.last += 1
                refs[at] = self.last
            elif at not in refs:
                refs[at] = self.node(at)
        return self.way_of([refs[at] for at in points], **tags)

    def way_of(self, nodes: Iterable[int], **tags: str) -> int:
        self.last += 1
        refs = "".join(f'<nd ref="{ref}"/>' for ref in nodes)
        self.lines.append(f'<way id="{self.last}" version="1">{refs}{_tags(tags)}</way>')
        return self.last

    def multipolygon(self, outer: int, inner: int, **tags: str) -> int:
        self.last += 1
        members = f'<member type="way" ref="{outer}" role="outer"/><member type="way" ref="{inner}" role="inner"/>'
        all_tags = {"type": "multipolygon", **tags}
        self.lines.append(f'<relation id="{self.last}" version="1">{members}{_tags(all_tags)}</relation>')
        return self.last

    def xml(self) -> str:
        order = {"<boun": 0, "<node": 1, "<way ": 2, "<rela": 3}
        body = "\n".join(sorted(self.lines, key=lambda line: order[line[:5]]))
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<osm version="0.6">\n{body}\n</osm>\n'

    def write(self, path: Path) -> Path:
        path.write_text(self.xml(), encoding="utf-8")
        return path


def _tags(tags: Mapping[str, str]) -> str:
    return "".join(f"<tag k={quoteattr(k)} v={quoteattr(v)}/>" for k, v in tags.items())


def square(x: float, y: float, side: float) -> list[Point]:
    """A closed ring about a centre."""
    h = side / 2
    return [(x - h, y - h), (x + h, y - h), (x + h, y + h), (x - h, y + h), (x - h, y - h)]


def hamlet(half_m: float | None = 300.0) -> Extract:
    """Two crossing streets, houses along them, a cafe, a pond with an island and a tree."""
    extract = Extract(half_m)
    extract.way([(-290, 0), (0, 0), (290, 5)], highway="residential", name="Long Lane", oneway="yes")
    extract.way([(10, -280), (10, 250)], highway="footway")
    for number in range(8):
        house = square(-250 + 70 * number, 30, 20)
        extract.way(house, (), **{"building": "yes", "addr:housenumber": str(number)})
    extract.node((40, -25), amenity="cafe", name="咖啡", **{"name:en": "Cafe", "source": "survey"})
    outer, inner = extract.way(square(-100, -120, 100)), extract.way(square(-100, -120, 20))
    extract.multipolygon(outer, inner, natural="water", name="Pond")
    extract.node((-35, -60), natural="tree")
    return extract
