"""The card of a data set: what the hub reads (YAML) and what people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from finetune.formats.features import TABLES
from finetune.formats.store import tables
from retriever.workfolder import write_whole

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_HUB_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Card:
    """What must be said of a data set before anyone uses it."""

    title: str
    summary: str
    licence: str
    """The hub's identifier, ``odbl`` or ``other``."""
    attribution: str
    made: str
    """How it was made, in a few sentences."""
    limits: Sequence[str]
    languages: Sequence[str] = ("en", "zh")
    splits: str = ""
    """How the splits were drawn."""
    tags: Sequence[str] = ("geo-localization", "cross-view", "text-to-image-retrieval", "openstreetmap")
    tasks: Sequence[str] = ("visual-question-answering", "text-retrieval")
    sections: Mapping[str, str] = field(default_factory=dict)
    """Further headings with their text."""


def write_card(folder: Path, card: Card, counts: Mapping[str, Mapping[str, int]]) -> Path:
    """Writes ``README.md`` for what lies in ``folder``; ``counts`` are rows by table and split."""
    total = sum(sum(splits.values()) for splits in counts.values())
    front: dict[str, Any] = {
        "pretty_name": card.title,
        "license": card.licence,
        "language": list(card.languages),
        "task_categories": list(card.tasks),
        "tags": list(card.tags),
        "size_categories": [next((name for limit, name in _SIZES if total < limit), "n>1M")],
        "configs": _configs(folder),
    }
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    path = folder / "README.md"
    write_whole(path, f"---\n{head}---\n\n{_body(card, counts)}")
    return path


def _configs(folder: Path) -> list[dict[str, Any]]:
    """What ``load_dataset`` needs: for each table, the files of each split."""
    return [
        {
            "config_name": table,
            "data_files": [{"split": split, "path": f"data/{table}/{split}-*.parquet"} for split in _order(splits)],
            **({"default": True} if number == 0 else {}),
        }
        for number, (table, splits) in enumerate(_listed(folder))
    ]


def _listed(folder: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Tables with their splits, the one that people open first at the head."""
    there = tables(folder)
    return [(table, there[table]) for table in TABLES if table in there]


def _order(splits: Mapping[str, Any]) -> list[str]:
    return sorted(splits, key=lambda s: (_HUB_SPLITS.index(s) if s in _HUB_SPLITS else 9, s))


def _body(card: Card, counts: Mapping[str, Mapping[str, int]]) -> str:
    names = _order({split for splits in counts.values() for split in splits})  # type: ignore[arg-type]
    rows = [
        f"| {table} | " + " | ".join(f"{splits.get(s, 0):,}" for s in names) + " |" for table, splits in counts.items()
    ]
    table = "\n".join([f"| table | {' | '.join(names)} |", "| --- |" + " --- |" * len(names), *rows])
    first = next(iter(counts), "tiles")
    parts = [
        f"# {card.title}\n\n{card.summary}",
        f'```python\nfrom datasets import load_dataset\n\ndata = load_dataset("path/to/this/folder", "{first}")\n```',
        f"## What is in it\n\n{table}",
        f"## How it was made\n\n{card.made}",
        *([f"## Splits\n\n{card.splits}"] if card.splits else []),
        *(f"## {title}\n\n{text}" for title, text in card.sections.items()),
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in card.limits),
        f"## Licence and attribution\n\nLicence: {card.licence}. {card.attribution}",
    ]
    return "\n\n".join(parts) + "\n"
