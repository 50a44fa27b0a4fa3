"""Listings kept in a file: a tile is looked at once by each model, whoever asks and whenever."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path


class FileListings:
    """SQLite, safe for several threads and processes; a damaged file is set aside, since everything in it can be
    asked again."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.Lock()
        try:
            self._db = self._open()
        except sqlite3.DatabaseError:
            path.replace(path.with_suffix(".damaged"))
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, check_same_thread=False, timeout=30)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(
            "CREATE TABLE IF NOT EXISTS listings (model TEXT, image TEXT, listing TEXT NOT NULL, "
            "PRIMARY KEY (model, image))"
        )
        db.commit()
        return db

    def get(self, model: str, image_sha256: str) -> str | None:
        """The kept listing, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT listing FROM listings WHERE model = ? AND image = ?", (model, image_sha256)
            ).fetchone()
        return None if row is None else str(row[0])

    def put(self, model: str, image_sha256: str, listing: str) -> None:
        """Keep a listing; the first one stays."""
        with self._lock:
            self._db.execute("INSERT OR IGNORE INTO listings VALUES (?, ?, ?)", (model, image_sha256, listing))
            self._db.commit()

    def close(self) -> None:
        with self._lock:
            self._db.close()
