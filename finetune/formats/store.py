"""A data set as a folder that the hub takes as it is: ``data/<table>/<split>-*.parquet`` and a card.

One parquet file is written whole or not at all, so a folder can be filled bit by bit and a killed build goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from finetune.formats.features import TABLES
from retriever.errors import SightlineError

DATA = "data"


class DatasetError(SightlineError):
    """A data set that cannot be written, read or trusted."""


def shard_path(folder: Path, table: str, split: str, name: str) -> Path:
    """Where one shard lies."""
    return folder / DATA / table / f"{split}-{name}.parquet"


def write_shard(path: Path, table: str, rows: Sequence[dict[str, Any]]) -> int:
    """Writes rows as one parquet file of a table's features; returns their number. No rows: no file.

    Pictures are given as ``{"bytes": ..., "path": name}`` and travel inside the file.

    Raises:
        DatasetError: a row that does not fit the table.
    """
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    if not rows:
        return 0
    try:
        made = Dataset.from_list(list(rows), features=TABLES[table])
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"a row of {path.name} does not fit the table {table} ({error}): correct its maker"
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    made.to_parquet(unfinished)
    os.replace(unfinished, path)
    return len(made)


def write_table(
    folder: Path, table: str, split: str, rows: Iterable[dict[str, Any]], *, size: int = 500, prefix: str = ""
) -> int:
    """Writes rows in shards of ``size``, named by ``prefix`` and a number; returns their number."""
    total, number = 0, 0
    batch: list[dict[str, Any]] = []

    def flush() -> int:
        return write_shard(shard_path(folder, table, split, f"{prefix}{number:05d}"), table, batch)

    for row in rows:
        batch.append(row)
        if len(batch) == size:
            total, batch, number = total + flush(), [], number + 1
    return total + flush()


def tables(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """Table to split to its files, as they lie in a folder."""
    found: dict[str, dict[str, list[Path]]] = {}
    for path in sorted((folder / DATA).glob("*/*.parquet")):
        found.setdefault(path.parent.name, {}).setdefault(path.name.split("-")[0], []).append(path)
    return found


def read_rows(paths: Iterable[Path], columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Rows of shards as plain Python, a row group at a time; class labels as their numbers, pictures as bytes."""
    import pyarrow.parquet as pq

    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=list(columns) if columns else None, batch_size=200):
                yield from batch.to_pylist()


def load(folder: Path, table: str, *, cache: Path | None = None) -> Any:
    """One table of a folder as a ``DatasetDict``, through ``load_dataset`` and the folder's card.

    Raises ``DatasetError`` where the folder has no such table.
    """
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    there = tables(folder)
    if table not in there:
        raise DatasetError(f"{folder} has no table {table!r}; it has: {', '.join(there) or 'none'}")
    return load_dataset(str(folder), table, cache_dir=str(cache) if cache else None)


def save_to_disk(folder: Path, out: Path) -> list[str]:
    """The same data set in the library's own Arrow form, one ``DatasetDict`` for each table; returns the tables."""
    names = list(tables(folder))
    for table in names:
        load(folder, table).save_to_disk(str(out / table))
    return names
