"""Records that the API gives beside the desk's own; the client reads them back."""

from __future__ import annotations

from dataclasses import dataclass

from retriever.types import Box, QueryView, Record


@dataclass(frozen=True, kw_only=True)
class Upload(Record):
    """A picture that can be attached to a thread of the user who uploaded it."""

    id: str
    view: QueryView
    sha256: str
    """Of the re-encoded picture, which is all that is kept."""
    width: int
    height: int
    made: str
    """UTC, ISO 8601."""


@dataclass(frozen=True, kw_only=True)
class GalleryInfo(Record):
    """A gallery that is served."""

    id: str
    sha256: str
    view: str
    tiles: int
    size_m: float
    stride_m: float
    bounds: Box
    """Of the tiles' centres: west, south, east, north in degrees."""
    attribution: str
    judge: str
    """Which model answers; ``none`` where no judge runs."""
    encoder: str
