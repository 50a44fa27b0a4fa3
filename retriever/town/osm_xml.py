"""Writes OSM XML: objects are collected with coordinates in metres and numbered in the order they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from shapely.geometry import Polygon

from retriever.geo import Frame

Point = tuple[float, float]
Tags = Mapping[str, str]


class OsmXml:
    """Nodes with equal coordinates (to a centimetre) are one node, so that streets meet where they cross."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._ids: dict[tuple[int, int], int] = {}
        self._places: list[Point] = []
        self._node_tags: dict[int, dict[str, str]] = {}
        self._ways: list[tuple[list[int], dict[str, str]]] = []
        self._relations: list[tuple[list[tuple[int, str]], dict[str, str]]] = []

    def node(self, at: Point, tags: Tags | None = None) -> int:
        """The node at this place, made if there is none; its number. Tags are added to it."""
        key = (round(at[0] * 100), round(at[1] * 100))
        number = self._ids.get(key)
        if number is None:
            number = self._ids[key] = len(self._places) + 1
            self._places.append((key[0] / 100, key[1] / 100))
        if tags:
            self._node_tags.setdefault(number, {}).update(tags)
        return number

    def has_tags(self, at: Point) -> bool:
        """Whether there is a node here that already stands for something."""
        number = self._ids.get((round(at[0] * 100), round(at[1] * 100)))
        return number is not None and number in self._node_tags

    def way(self, points: Sequence[Point], tags: Tags) -> int:
        nodes = [self.node(p) for p in points]
        kept = [n for i, n in enumerate(nodes) if i == 0 or n != nodes[i - 1]]
        self._ways.append((kept, dict(tags)))
        return len(self._ways)

    def area(self, shape: Polygon, tags: Tags) -> None:
        """A closed way, or a multipolygon where the shape has holes."""
        if not shape.interiors:
            self.way([(x, y) for x, y in shape.exterior.coords], tags)
            return
        members = [(self.way([(x, y) for x, y in shape.exterior.coords], {}), "outer")]
        members += [(self.way([(x, y) for x, y in ring.coords], {}), "inner") for ring in shape.interiors]
        self._relations.append((members, {"type": "multipolygon", **tags}))

    def write(self, path: Path, box: tuple[float, float, float, float]) -> None:
        """Write the file; ``box`` (west, south, east, north in metres) becomes its header box."""
        south, west = self.frame.latlon(box[0], box[1])
        north, east = self.frame.latlon(box[2], box[3])
        with path.open("w", encoding="utf-8", newline="\n") as out:
            out.write("<?xml version='1.0' encoding='UTF-8'?>\n<osm version=\"0.6\" generator=\"sightline town\">\n")
            out.write(f' <bounds minlat="{south:.7f}" minlon="{west:.7f}" maxlat="{north:.7f}" maxlon="{east:.7f}"/>\n')
            for number, (x, y) in enumerate(self._places, 1):
                lat, lon = self.frame.latlon(x, y)
                head = f' <node id="{number}" version="1" lat="{lat:.7f}" lon="{lon:.7f}"'
                out.write(_element(head, "node", [], self._node_tags.get(number, {})))
            for number, (nodes, tags) in enumerate(self._ways, 1):
                rows = [f'<nd ref="{n}"/>' for n in nodes]
                out.write(_element(f' <way id="{number}" version="1"', "way", rows, tags))
            for number, (members, tags) in enumerate(self._relations, 1):
                rows = [f'<member type="way" ref="{way}" role="{role}"/>' for way, role in members]
                out.write(_element(f' <relation id="{number}" version="1"', "relation", rows, tags))
            out.write("</osm>\n")


def _element(head: str, name: str, rows: Sequence[str], tags: Tags) -> str:
    inside = [*rows, *(f"<tag k={quoteattr(k)} v={quoteattr(v)}/>" for k, v in sorted(tags.items()))]
    if not inside:
        return f"{head}/>\n"
    return f"{head}>\n" + "".join(f"  {row}\n" for row in inside) + f" </{name}>\n"
