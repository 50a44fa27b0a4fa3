"""The drawing style, read once from ``style.yaml``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class Icon(NamedTuple):
    shape: str
    fill: str
    rim: str
    """Colour of the badge's edge; white unless the badge itself is white."""
    size: int
    """Pixels of a 448 px tile."""
    ink: str
    glyph: str
    rank: int
    """The lower wins where two icons collide."""


@cache
def style() -> dict[str, Any]:
    """The whole table as it is in the file."""
    table: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("style.yaml").read_text(encoding="utf-8"))
    return table


@cache
def icons() -> dict[str, Icon]:
    """Icon by kind."""
    return {kind: _icon(row, rank) for rank, (kind, row) in enumerate(style()["icons"].items())}


def _icon(row: list[Any], rank: int) -> Icon:
    shape, colours, size, ink, glyph = row
    fill, _, rim = str(colours).partition(":")
    return Icon(shape, fill, rim or "#ffffff", int(size), ink, glyph, rank)
