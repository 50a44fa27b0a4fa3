"""Fictional towns: the same bytes for the same seed, well-formed, plausible."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import osmium
import pytest
import shapely
from shapely.geometry import LineString, Point, Polygon

from retriever.geo import Frame
from retriever.kinds import kinds, kinds_of
from retriever.town import write_town

WIDTHS = {
    "trunk": 12,
    "primary": 12,
    "secondary": 12,
    "residential": 8,
    "tertiary": 8,
    "unclassified": 8,
    "living_street": 8,
}


@dataclass
class Town:
    bounds: dict[str, float]
    nodes: list[tuple[Point, dict[str, str]]] = field(default_factory=list)
    ways: list[tuple[list[tuple[float, float]], dict[str, str]]] = field(default_factory=list)
    relations: list[dict[str, str]] = field(default_factory=list)

    @property
    def tag_sets(self) -> list[dict[str, str]]:
        return [t for _, t in self.nodes] + [t for _, t in self.ways] + self.relations

    @property
    def buildings(self) -> list[Polygon]:
        return [Polygon(points) for points, tags in self.ways if "building" in tags]


def read(path: Path) -> Town:
    root = ElementTree.parse(path).getroot()
    bounds = {k: float(v) for k, v in next(root.iter("bounds")).attrib.items()}
    frame = Frame(lat=(bounds["minlat"] + bounds["maxlat"]) / 2, lon=(bounds["minlon"] + bounds["maxlon"]) / 2)
    town, places = Town(bounds), {}
    for node in root.iter("node"):
        at = places[node.attrib["id"]] = frame.xy(float(node.attrib["lat"]), float(node.attrib["lon"]))
        town.nodes.append((Point(at), tags_of(node)))
    for way in root.iter("way"):
        town.ways.append(([places[nd.attrib["ref"]] for nd in way.iter("nd")], tags_of(way)))
    town.relations = [tags_of(relation) for relation in root.iter("relation")]
    return town


def tags_of(element: ElementTree.Element) -> dict[str, str]:
    return {tag.attrib["k"]: tag.attrib["v"] for tag in element.iter("tag")}


@pytest.fixture(scope="module")
def towns(tmp_path_factory: pytest.TempPathFactory) -> list[Town]:
    """One small town of each layout."""
    folder = tmp_path_factory.mktemp("towns")
    return [read(write_town(folder / f"{seed}.osm", seed=seed, blocks=4)) for seed in (100, 101, 102, 103)]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    a, b, c = (write_town(tmp_path / f"{i}.osm", seed=s, blocks=3).read_bytes() for i, s in enumerate((7, 7, 11)))
    assert a == b
    assert a != c


def test_a_town_of_one_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        write_town(tmp_path / "x.osm", seed=1, blocks=1)


def test_osmium_reads_it_and_assembles_its_areas(tmp_path: Path) -> None:
    path = write_town(tmp_path / "town.osm", seed=2, blocks=3)
    areas = sum(1 for obj in osmium.FileProcessor(str(path)).with_areas() if obj.is_area())
    assert areas > 50
    header = osmium.io.Reader(str(path)).header().box()
    assert header.valid()
    assert abs(header.bottom_left.lat) < 60


def test_its_size_grows_with_the_number_of_blocks(towns: list[Town], tmp_path: Path) -> None:
    half = towns[0].bounds["maxlat"] - towns[0].bounds["minlat"]
    small = read(write_town(tmp_path / "small.osm", seed=100, blocks=2)).bounds
    assert half == pytest.approx(2 * (small["maxlat"] - small["minlat"]), rel=1e-3)
    assert half * 111_195 == pytest.approx(4 * 140, rel=1e-3)


def test_buildings_are_simple_and_apart(towns: list[Town]) -> None:
    for town in towns:
        buildings = town.buildings
        assert len(buildings) > 80
        assert all(b.is_valid and b.area > 20 for b in buildings)
        tree = shapely.STRtree(buildings)
        first, second = tree.query(buildings, predicate="intersects")
        overlap = [buildings[i].intersection(buildings[j]).area for i, j in zip(first, second, strict=True) if i < j]
        assert max(overlap, default=0.0) < 0.5


def roads(town: Town) -> Iterator[tuple[LineString, dict[str, str]]]:
    for points, tags in town.ways:
        if "highway" in tags and tags.get("area") != "yes":
            yield LineString(points), tags


def test_no_road_runs_through_a_building(towns: list[Town]) -> None:
    for town in towns:
        buildings = town.buildings
        tree = shapely.STRtree(buildings)
        for line, tags in roads(town):
            strip = line.buffer(WIDTHS.get(tags["highway"], 0.4) / 2, cap_style="flat")
            for i in tree.query(strip):
                assert strip.intersection(buildings[i]).area < 0.5, f"a {tags['highway']} runs through a building"


def test_shops_stand_at_building_fronts(towns: list[Town]) -> None:
    for town in towns:
        buildings = town.buildings
        tree = shapely.STRtree(buildings)
        shops = [at for at, tags in town.nodes if "shop" in tags or tags.get("amenity") in ("cafe", "restaurant")]
        assert len(shops) > 15
        near = [at.distance(buildings[int(tree.nearest(at))].exterior) < 3.0 for at in shops]
        assert sum(near) > 0.95 * len(near)


def test_names_are_bilingual_and_places_not_named_alike(towns: list[Town]) -> None:
    for town in towns:
        named = [t for t in town.tag_sets if "name" in t]
        assert len(named) > 60
        assert all(t["name"] in (t.get("name:en"), t.get("name:zh")) for t in named)
        assert all(any("一" <= c <= "鿿" for c in t["name:zh"]) for t in named)
        places = Counter(
            t["name:en"] for _, t in town.nodes if "name" in t and ("shop" in t or "amenity" in t) and "brand" not in t
        )
        assert max(places.values()) == 1


def test_the_sea_is_only_at_the_waterfront(towns: list[Town]) -> None:
    coasts = [sum(t.get("natural") == "coastline" for t in town.tag_sets) for town in towns]
    assert [bool(n) for n in coasts] == [False, False, False, True]


def test_layouts_differ(towns: list[Town]) -> None:
    """Grid towns have two street directions, radial and organic ones many."""

    def spread(town: Town) -> int:
        turns: Counter[int] = Counter()
        for line, tags in roads(town):
            (ax, ay), (bx, by) = line.coords[0], line.coords[-1]
            if tags["highway"] in WIDTHS and line.length > 40:
                turns[round(math.degrees(math.atan2(by - ay, bx - ax)) % 90 / 10) % 9] += 1
        return sum(n >= 0.05 * sum(turns.values()) for n in turns.values())

    assert spread(towns[0]) < spread(towns[1])
    assert spread(towns[0]) < spread(towns[2])


@pytest.mark.slow
def test_all_kinds_occur_over_a_few_seeds(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for seed in (200, 202, 203, 206):
        town = read(write_town(tmp_path / f"{seed}.osm", seed=seed, blocks=6))
        seen.update(kind.id for tags in town.tag_sets if tags for kind in kinds_of(tags))
    assert set(kinds()) - set(seen) == set()
