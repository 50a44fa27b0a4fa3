"""A file of things that can be had again, at a price: rows in SQLite, the first of each kept."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path


class KeptFile:
    """One table in SQLite, safe for several threads and processes.

    A damaged file is set aside and begun anew, since everything in it can be asked again. ``table`` is the SQL that
    makes the table where it is missing.
    """

    def __init__(self, path: Path, table: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._table = path, table
        self._lock = threading.Lock()
        try:
            self._db = self._open()
        except sqlite3.DatabaseError:
            path.replace(path.with_suffix(".damaged"))
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, check_same_thread=False, timeout=30)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(self._table)
        db.commit()
        return db

    def _text(self, query: str, *keys: str) -> str | None:
        """The first column of the row that a query finds, or None."""
        with self._lock:
            row = self._db.execute(query, keys).fetchone()
        return None if row is None else str(row[0])

    def _keep(self, insert: str, *values: str) -> None:
        """Run an insert; what it wrote is on the disk when this returns."""
        with self._lock:
            self._db.execute(insert, values)
            self._db.commit()

    def close(self) -> None:
        with self._lock:
            self._db.close()
