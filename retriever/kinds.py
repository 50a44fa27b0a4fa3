"""The kinds of things a map shows and a witness names: one table, read from ``kinds.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

GROUPS = ("place", "transport", "street", "area", "water", "rail", "road", "building", "barrier")


@dataclass(frozen=True, kw_only=True)
class Kind:
    id: str
    group: str
    en: tuple[str, ...]
    """English words for it, the usual one first."""
    zh: tuple[str, ...]
    match: tuple[Mapping[str, tuple[str, ...]], ...]
    """Tag sets of which any one must hold; an empty tuple of values stands for any value."""
    complete: bool = False
    """True: where the map shows anything, its absence counts as evidence."""

    def fits(self, tags: Mapping[str, str]) -> bool:
        """Whether an object with these OSM tags is of this kind."""
        return any(all(_holds(tags.get(key), values) for key, values in option.items()) for option in self.match)


def _holds(value: str | None, allowed: tuple[str, ...]) -> bool:
    if value is None or value == "no":
        return False
    return not allowed or value in allowed or any(v.strip() in allowed for v in value.split(";"))


@cache
def kinds() -> Mapping[str, Kind]:
    """All kinds by id, in the file's order of preference."""
    rows = yaml.safe_load(Path(__file__).with_name("kinds.yaml").read_text(encoding="utf-8"))
    return MappingProxyType({row["id"]: _kind(row) for row in rows})


def _kind(row: Mapping[str, Any]) -> Kind:
    match = tuple({k: _values(v) for k, v in option.items()} for option in row["match"])
    return Kind(
        id=row["id"],
        group=row["group"],
        en=tuple(row["en"]),
        zh=tuple(row["zh"]),
        match=match,
        complete=row.get("complete", False),
    )


def _values(value: Any) -> tuple[str, ...]:
    if value == "*":
        return ()
    return tuple(value) if isinstance(value, list) else (str(value),)


@cache
def _by_key() -> Mapping[str, tuple[Kind, ...]]:
    keys: dict[str, list[Kind]] = {}
    for kind in kinds().values():
        for key in sorted({k for option in kind.match for k in option}):
            keys.setdefault(key, []).append(kind)
    return {key: tuple(found) for key, found in keys.items()}


def kinds_of(tags: Mapping[str, str]) -> list[Kind]:
    """The kinds of an object with these OSM tags: at most one of each group, in the table's order."""
    index = _by_key()
    candidates = {kind.id: kind for key in tags if key in index for kind in index[key]}
    found: dict[str, Kind] = {}
    for kind_id, kind in kinds().items():
        if kind_id in candidates and kind.group not in found and kind.fits(tags):
            found[kind.group] = kind
    return list(found.values())
