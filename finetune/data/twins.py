"""Short texts come out alike now and then: one that a held-out split also has is taken out of the others."""

from __future__ import annotations

import os
from pathlib import Path

from finetune.formats.store import read_rows, tables
from finetune.leaks import normalise_text

_KEEPS = ("test", "validation", "train")
"""Who keeps a text that several splits have."""
_TEXT = {"descriptions": "text", "pairs": "query_text"}


def drop_twins(folder: Path) -> int:
    """Removes rows whose text, normalised, an earlier split of ``test, validation, train`` has; returns how many.

    Each file is replaced whole, so a second run after a kill finds nothing more to do. Descriptions and pairs share
    their texts' splits: a pair's text counts for both.
    """
    there = tables(folder)
    taken: set[str] = set()
    dropped = 0
    for split in _KEEPS:
        own: set[str] = set()
        for table, column in _TEXT.items():
            for path in there.get(table, {}).get(split, ()):
                texts = [normalise_text(row[column] or "") for row in read_rows([path], [column])]
                keep = [not text or text not in taken for text in texts]
                dropped += keep.count(False)
                if not all(keep):
                    _keep(path, keep)
                own |= {text for text, kept in zip(texts, keep, strict=True) if kept and text}
        taken |= own
    return dropped


def _keep(path: Path, keep: list[bool]) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(path).filter(keep)
    if not table.num_rows:
        path.unlink()
        return
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(table, unfinished)
    os.replace(unfinished, path)
