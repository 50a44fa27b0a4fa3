"""A data set's folder as the things that a leak check compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finetune.formats.foreign import SHARED
from finetune.formats.store import DATA, DatasetError, read_rows, tables
from finetune.leaks import Item, Look

_COLUMNS = {
    "tiles": ["id", "lat", "lon", "image"],
    "descriptions": ["id", "lat", "lon", "text"],
    "queries": ["id", "lat", "lon", "text", "image"],
    "pairs": ["id", "lat", "lon", "query_text"],
    "view_sets": ["id", "lat", "lon", "views"],
}


def items_of(folder: Path) -> list[Item]:
    """Places, pictures and texts of every split, without the tiles that all splits are asked among.

    Raises ``DatasetError`` for a folder without any table: nothing compared is not nothing found.
    """
    found: list[Item] = []
    there = tables(folder)
    if not there:
        raise DatasetError(f"{folder} holds no data set (no {DATA}/*/*.parquet): give the folder that holds its card")
    for table, splits in there.items():
        for split, paths in splits.items():
            if table in _COLUMNS and split != SHARED:
                for row in read_rows(paths, _COLUMNS[table]):
                    found += _items(table, split, row)
    return found


def _items(table: str, split: str, row: Mapping[str, Any]) -> Iterator[Item]:
    text = row.get("text") or row.get("query_text")
    image = row.get("image")
    name = f"{table}/{row['id']}"
    yield Item(
        id=name, split=split, lat=row["lat"], lon=row["lon"], text=text or None,
        look=Look.of(image["bytes"]) if image else None,
    )  # fmt: skip
    for view in row.get("views") or ():
        if view["image"]:
            yield Item(id=f"{name}/{view['id']}", split=split, look=Look.of(view["image"]["bytes"]))
