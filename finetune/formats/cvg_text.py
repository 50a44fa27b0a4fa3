"""CVG-Text in and out: its folders or hub archives as tables, and Sightline's texts and tiles in its layout."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.formats.foreign import SHARED, Asked, Foreign, Link, Picture, Report, published
from finetune.formats.store import DatasetError
from retriever.sources.cvg_text import SPLITS, CvgText, Name, Part, Source
from retriever.workfolder import write_whole

_VIEWS: dict[str, Part] = {"satellite": "satellite", "map": "OSM"}
_LIMITS = (
    "Captions are written by a large model from the street picture; sign texts are as its OCR read them.",
    "One tile is right for each query, the one with its file name; neighbours that show the same place count as wrong.",
    "The published train and test queries come from the same streets: tiles of one may overlap tiles of the other.",
)


def load(path: Path, city: str) -> Foreign:
    """One set (``NewYork``, ``Tokyo-photos`` ...) of a copy of CVG-Text, unpacked or as on the hub.

    The report counts byte-identical tiles, captions and street pictures without a tile, captions without a street
    picture, street pictures without a caption, and file names that do not parse.

    Raises:
        SourceError: no copy of CVG-Text, a damaged archive, no such set.
    """
    data = CvgText.open(path)
    report = Report()
    tiles: list[Picture] = []
    for view, part in _VIEWS.items():
        found = data.of(city, part)
        tiles += [_picture(name, source, view, city, split=SHARED) for name, source in found.items()]
        _identical(data, found, part, report)
    if not tiles:
        data.tiles(city, "satellite")
    there = {name for part in _VIEWS.values() for name in data.of(city, part)}
    queries = list(_queries(data, city, there, report))
    links = [Link(query_id=q.id, tile_id=t, label="match") for q in queries for t in _tiles_of(q.id, data, city)]
    for problem, n in data.problems.items():
        report.counts[problem] += n
        report.examples[problem] = data.examples[problem]
    card = published(
        f"CVG-Text {city}", "arXiv 2412.17007", "File names were parsed and captions joined to them by name.", _LIMITS
    )
    return Foreign(
        name=f"CVG-Text {city}", card=card, tiles=tiles, queries=queries, links=links, report=report, read=data.read
    )


def _picture(name: str, source: Source, view: str, city: str, split: str) -> Picture:
    at = Name.parse(name)
    if at is None:
        raise DatasetError(f"{name} is no file name of CVG-Text: index the folder again")
    return Picture(
        id=f"{view}/{name}" if view in _VIEWS else name,
        view=view, source=source, place=name, split=split, area=city, lat=at.lat, lon=at.lon, heading_deg=at.yaw_deg,
    )  # fmt: skip


def _tiles_of(name: str, data: CvgText, city: str) -> list[str]:
    return [f"{view}/{name}" for view, part in _VIEWS.items() if name in data.of(city, part)]


def _queries(data: CvgText, city: str, there: set[str], report: Report) -> Iterator[Asked]:
    street = data.of(city, "ground")
    seen: set[str] = set()
    for split in SPLITS:
        for name, text in data.captions(city, split).items():
            if name in seen:
                report.note("captions that are in train and test both, kept in train", name)
                continue
            seen.add(name)
            for part in _VIEWS.values():
                if data.of(city, part) and name not in data.of(city, part):
                    report.note(f"captions without a {part} tile", name)
            if name not in there:
                report.note("captions without any tile, left out", name)
                continue
            if name not in street:
                report.note("captions without a street picture, kept as text", name)
            yield _asked(name, text, street.get(name), city, split)
    for name in sorted(set(street) - seen):
        report.note(
            "street pictures without a caption, left out" if name in there else "street pictures without a tile", name
        )


def _asked(name: str, text: str, source: Source | None, city: str, split: str) -> Asked:
    at = Name.parse(name)
    # A panorama's file has the panorama's own direction in it, a single view the camera's.
    view = "ground" if city.endswith("-photos") else "panorama"
    picture = None if source is None else _picture(name, source, view, city, split)
    lat, lon = (at.lat, at.lon) if at else (None, None)
    return Asked(id=name, split=split, area=city, place=name, picture=picture, text=text, lat=lat, lon=lon)


def _identical(data: CvgText, found: Mapping[str, Source], part: str, report: Report) -> None:
    """Files of one size are compared by hash: two with the same bytes are one tile under two names."""
    sizes: defaultdict[int, list[str]] = defaultdict(list)
    for name, source in found.items():
        sizes[source.stat().st_size if isinstance(source, Path) else data.entry(source).file_size].append(name)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in (n for names in sizes.values() if len(names) > 1 for n in names):
        groups[hashlib.sha256(data.read(found[name])).hexdigest()].append(name)
    for names in groups.values():
        if len(names) > 1:
            report.note(f"groups of byte-identical {part} tiles", " = ".join(sorted(names)))


def queries_jsonl(loaded: Foreign, names: Mapping[str, str], split: str) -> Iterator[str]:
    """Lines of a query file for a gallery built from the same copy; ``names`` is file name to tile id.

    A query whose tile the gallery lacks is left out, and counted in the report.
    """
    for asked in (q for q in loaded.queries if q.split == split):
        tile = names.get(asked.id)
        if tile is None or asked.text is None:
            loaded.report.note("queries whose tile is not in the gallery, left out", asked.id)
            continue
        row = {"id": asked.id, "text": asked.text, "lang": asked.lang, "lat": asked.lat, "lon": asked.lon}
        said = {"named": names_anything(asked.text), "source": "cvg-text", "location": asked.id, "tile_id": tile}
        yield json.dumps({**row, **said, "area": asked.area}, ensure_ascii=False) + "\n"


def names_anything(text: str) -> bool:
    """Whether a caption reads a sign or names a place, as the claims taken out of it say."""
    from prompts.claims import extract_claims

    return any(claim.kind == "name" for claim in extract_claims(text))


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One point of an export."""

    file: str
    """The file name, as :class:`Name` parses it."""
    caption: str | None = None
    """None: a tile that no query asks for."""
    split: str = "test"
    satellite: bytes | None = None
    map: bytes | None = None
    ground: bytes | None = None


def export(out: Path, city: str, points: Iterable[Exported]) -> dict[str, int]:
    """Writes points in CVG-Text's unpacked layout; returns how many files there are of each folder.

    Raises ``DatasetError`` for a folder that is not empty, or two points of one name.
    """
    if out.exists() and any(out.iterdir()):
        raise DatasetError(f"{out} is not empty: choose another folder")
    captions: dict[str, dict[str, str]] = {split: {} for split in SPLITS}
    written: dict[str, int] = {}
    seen: set[str] = set()
    for point in points:
        file = point.file
        if Name.parse(file) is None:
            raise DatasetError(f"{file!r} is no file name of CVG-Text: make it with str(Name(...))")
        if file in seen:
            raise DatasetError(f"two points have the file name {file}: give them different panorama ids")
        seen.add(file)
        for folder, data in _files(city, point).items():
            (out / folder).mkdir(parents=True, exist_ok=True)
            (out / folder / file).write_bytes(data)
            written[folder] = written.get(folder, 0) + 1
        if point.caption:
            captions[point.split][file] = point.caption
    for split, said in captions.items():
        path = out / "annotation" / city / f"{split}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(said, ensure_ascii=False, indent=1) + "\n")
        written[f"annotation/{city}/{split}.json"] = len(said)
    return written


def points_of(loaded: Foreign) -> Iterator[Exported]:
    """A loaded set as points again, so that loading and exporting leaves everything as it was."""
    pictures = {(tile.view, tile.place): tile.source for tile in loaded.tiles}
    asked = {query.id: query for query in loaded.queries}
    for file in sorted({tile.place for tile in loaded.tiles} | set(asked)):
        query = asked.get(file)
        street = query.picture.source if query and query.picture else None
        yield Exported(
            file=file,
            caption=query.text if query else None,
            split=query.split if query else "test",
            satellite=_bytes(loaded, pictures.get(("satellite", file))),
            map=_bytes(loaded, pictures.get(("map", file))),
            ground=_bytes(loaded, street),
        )


def _bytes(loaded: Foreign, source: Source | None) -> bytes | None:
    return None if source is None else loaded.read(source)


def _files(city: str, point: Exported) -> dict[str, Any]:
    folders = {
        f"reference/{city}-satellite": point.satellite,
        f"reference/{city}-OSM": point.map,
        f"data/query/{city}-ground": point.ground,
    }
    return {folder: data for folder, data in folders.items() if data is not None}
