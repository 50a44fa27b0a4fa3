"""SetVL-480K (arXiv 2412.18852): many ground pictures for each satellite cell.

Its authors publish no pictures, only the ids of street views and the coordinates and zoom level of cells, to be fetched
under their providers' terms; the layout that a fetched copy then has is nowhere described. Assumed here, and said so
in ``docs/data.md``: ``<split>/satellite/<lat>_<lon>_<zoom>.{jpg,png}`` and
``<split>/ground/<lat>_<lon>_<zoom>/<image id>.{jpg,png}``, the split being ``train``, ``val`` or ``test``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from finetune.formats.foreign import Asked, Foreign, Link, Picture, Report, pictures_in, published, read_file
from finetune.formats.store import DatasetError

_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_CELL = re.compile(r"(?P<lat>-?\d+(?:\.\d+)?)_(?P<lon>-?\d+(?:\.\d+)?)_(?P<zoom>\d{1,2})")


def load(path: Path) -> Foreign:
    """A fetched copy of SetVL-480K in the assumed layout. Raises ``DatasetError`` where no cell is found."""
    report = Report()
    tiles = {p.id: p for folder, split in _SPLITS.items() for p in _cells(path / folder / "satellite", split, report)}
    if not tiles:
        raise DatasetError(
            f"{path} is no copy of SetVL-480K as assumed: it has no <split>/satellite/<lat>_<lon>_<zoom>.jpg (split: "
            "train, val or test); see docs/data.md"
        )
    queries: list[Asked] = []
    for folder, split in _SPLITS.items():
        for cell in sorted(p for p in (path / folder / "ground").glob("*") if p.is_dir()):
            tile = tiles.get(f"{split}/{cell.name}")
            found = pictures_in(cell)
            if tile is None:
                report.note("cells with ground pictures but no satellite picture, left out", f"{folder}/{cell.name}")
            elif not found:
                report.note("cells without a ground picture", f"{folder}/{cell.name}")
            else:
                queries += [_asked(file, tile) for file in found]
    links = [Link(query_id=q.id, tile_id=f"{q.split}/{q.place}", label="match") for q in queries]
    card = published(
        "SetVL-480K", "arXiv 2412.18852", "Ground pictures of one cell share the cell's satellite picture.",
        ["The folder layout is assumed: the authors publish ids and coordinates, not pictures.",
         "A ground picture's own position is not known here, only its cell's."],
    )  # fmt: skip
    return Foreign(
        name="SetVL-480K", card=card, tiles=list(tiles.values()), queries=queries, links=links, report=report,
        read=read_file,
    )  # fmt: skip


def _cells(folder: Path, split: str, report: Report) -> Iterator[Picture]:
    for file in pictures_in(folder):
        at = _CELL.fullmatch(file.stem)
        if at is None or not (abs(float(at["lat"])) <= 90 and abs(float(at["lon"])) <= 180):
            report.note("satellite pictures whose file name does not parse, left out", f"{split}/{file.name}")
            continue
        yield Picture(
            id=f"{split}/{file.stem}", view="satellite", source=file, place=file.stem, split=split, area="setvl-480k",
            lat=float(at["lat"]), lon=float(at["lon"]),
        )  # fmt: skip


def _asked(file: Path, tile: Picture) -> Asked:
    name = f"{tile.split}/{tile.place}/{file.name}"
    picture = Picture(id=name, view="ground", source=file, place=tile.place, split=tile.split, area=tile.area)
    return Asked(id=name, split=tile.split, area=tile.area, place=tile.place, picture=picture)
