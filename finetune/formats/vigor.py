"""VIGOR (arXiv 2011.12172): panoramas and satellite tiles of four cities, beyond one-to-one.

``<City>/panorama/<id>,<lat>,<lon>,.jpg``, ``<City>/satellite/satellite_<lat>_<lon>.png`` and, under ``splits`` or
``splits__corrected`` (labels corrected by SliceMatch's authors), ``<City>/same_area_balanced_{train,test}.txt`` and
``pano_label_balanced.txt``. A line is a panorama and four times a tile with two offsets in pixels. The first tile is
the positive: *match*. The other three hold the place off their middle: *ambiguous*, never a label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from finetune.formats.foreign import SHARED, Asked, Foreign, Link, Picture, Report, pictures_in, published, read_file
from finetune.formats.store import DatasetError

CITIES = ("NewYork", "Seattle", "SanFrancisco", "Chicago")
_CROSS = {"NewYork": "train", "Seattle": "train", "SanFrancisco": "test", "Chicago": "test"}
_PANO = re.compile(r"[^,]+,(?P<lat>-?\d+(?:\.\d+)?),(?P<lon>-?\d+(?:\.\d+)?),?\.jpe?g", re.IGNORECASE)
_TILE = re.compile(r"satellite_(?P<lat>-?\d+(?:\.\d+)?)_(?P<lon>-?\d+(?:\.\d+)?)\.(?:png|jpe?g)", re.IGNORECASE)

Protocol = Literal["same", "cross"]
Line = tuple[str, list[tuple[str, float, float]]]


def load(path: Path, *, protocol: Protocol = "same") -> Foreign:
    """A copy of VIGOR. ``same``: both splits in all cities; ``cross``: trained in two cities, tested in two others.

    Raises ``DatasetError`` where no city or no label file is found.
    """
    report = Report()
    splits = next((path / name for name in ("splits__corrected", "splits") if (path / name).is_dir()), None)
    cities = [city for city in CITIES if (path / city / "satellite").is_dir()]
    if splits is None or not cities:
        raise DatasetError(
            f"{path} is no VIGOR: it needs <City>/satellite and splits or splits__corrected; give its top folder"
        )
    tiles, queries, links = [], [], []
    for city in cities:
        found = {p.place: p for p in _tiles(path, city, protocol, report)}
        tiles += list(found.values())
        for asked, said in _queries(path, splits, city, protocol, report):
            own = _links(asked.id, said, found, report)
            if own:
                queries.append(asked)
                links += own
    card = published(
        "VIGOR", "arXiv 2011.12172", f"Labels from {splits.name}, {protocol}-area; semi-positives are ambiguous.",
        ["Offsets are the label file's own two numbers, in its order.",
         "In the same-area protocol train and test share streets and tiles: a leak by place is part of it."],
    )  # fmt: skip
    return Foreign(name="VIGOR", card=card, tiles=tiles, queries=queries, links=links, report=report, read=read_file)


def _tiles(path: Path, city: str, protocol: Protocol, report: Report) -> Iterator[Picture]:
    for file in pictures_in(path / city / "satellite"):
        at = _TILE.fullmatch(file.name)
        if at is None:
            report.note("tiles whose file name does not parse, left out", f"{city}/{file.name}")
            continue
        yield Picture(
            id=f"{city}/{file.name}", view="satellite", source=file, place=file.name, area=city,
            split=_CROSS[city] if protocol == "cross" else SHARED, lat=float(at["lat"]), lon=float(at["lon"]),
        )  # fmt: skip


def _queries(path: Path, splits: Path, city: str, protocol: Protocol, report: Report) -> Iterator[tuple[Asked, Line]]:
    files = (
        {_CROSS[city]: "pano_label_balanced.txt"}
        if protocol == "cross"
        else {split: f"same_area_balanced_{split}.txt" for split in ("train", "test")}
    )
    for split, name in files.items():
        for said in _lines(splits / city / name, report):
            file, at = path / city / "panorama" / said[0], _PANO.fullmatch(said[0])
            if at is None:
                report.note("panoramas whose file name does not parse, left out", f"{city}/{said[0]}")
            elif not file.is_file():
                report.note("panoramas that are in the labels only, left out", f"{city}/{said[0]}")
            else:
                yield _asked(city, file, split, said, float(at["lat"]), float(at["lon"])), said


def _asked(city: str, file: Path, split: str, said: Line, lat: float, lon: float) -> Asked:
    name, place = f"{city}/{file.name}", said[1][0][0]
    picture = Picture(
        id=name, view="panorama", source=file, place=place, split=split, area=city, lat=lat, lon=lon, heading_deg=0.0
    )
    return Asked(id=name, split=split, area=city, place=place, picture=picture, lat=lat, lon=lon)


def _lines(path: Path, report: Report) -> Iterator[Line]:
    if not path.is_file():
        report.note("label files that are missing", f"{path.parent.name}/{path.name}")
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            tiles = [(words[i], float(words[i + 1]), float(words[i + 2])) for i in range(1, len(words), 3)]
        except (IndexError, ValueError):
            tiles = []
        if len(tiles) != 4:
            report.note("label lines that are not a panorama and four tiles, left out", f"{path.name}:{number}")
            continue
        yield words[0], tiles


def _links(query_id: str, said: Line, found: dict[str, Picture], report: Report) -> list[Link]:
    """The query's links; none where its positive is missing, since then nothing is right."""
    links = []
    for number, (name, dx, dy) in enumerate(said[1]):
        if name not in found:
            report.note("tiles that are in the labels only", name)
            if number == 0:
                report.note("panoramas without their positive tile, left out", query_id)
                return []
            continue
        label = "match" if number == 0 else "ambiguous"
        links.append(Link(query_id=query_id, tile_id=found[name].id, label=label, offset=(dx, dy)))  # type: ignore[arg-type]
    return links
