"""Listings kept, for a process or in a file: a tile is looked at once by each model, whoever asks and whenever."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from agent.kept_file import KeptFile

_TABLE = (
    "CREATE TABLE IF NOT EXISTS listings (model TEXT, image TEXT, listing TEXT NOT NULL, PRIMARY KEY (model, image))"
)


class ListingStore(Protocol):
    """Keeps listings by model and picture."""

    def get(self, model: str, image_sha256: str) -> str | None: ...

    def put(self, model: str, image_sha256: str, listing: str) -> None: ...


class MemoryListings:
    """Listings for the life of the process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], str] = {}

    def get(self, model: str, image_sha256: str) -> str | None:
        return self._kept.get((model, image_sha256))

    def put(self, model: str, image_sha256: str, listing: str) -> None:
        self._kept[(model, image_sha256)] = listing


class FileListings(KeptFile):
    """Listings by model and picture; the first one stays."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _TABLE)

    def get(self, model: str, image_sha256: str) -> str | None:
        """The kept listing, or None."""
        return self._text("SELECT listing FROM listings WHERE model = ? AND image = ?", model, image_sha256)

    def put(self, model: str, image_sha256: str, listing: str) -> None:
        """Keep a listing."""
        self._keep("INSERT OR IGNORE INTO listings VALUES (?, ?, ?)", model, image_sha256, listing)
