"""What people did, in SQLite: appended before it is acknowledged, never changed, chained by hash.

Each row's hash covers the row and the hash before it, so a row that was changed, taken out or put in between is found
by :meth:`Log.verify`. A chain cannot show that its *end* was cut off, nor that all of it was written anew: for that its
head (count and last hash) must be kept elsewhere, which is why every export carries it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from retriever.errors import SightlineError

START = "0" * 64
"""What the first row counts as the hash before it."""

_TABLES = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS drafts (who TEXT, item TEXT, field TEXT, value TEXT NOT NULL,
                                   PRIMARY KEY (who, item, field));
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL, item TEXT NOT NULL, field TEXT NOT NULL,
    value TEXT NOT NULL, before TEXT NOT NULL, hash TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS log_by_item ON log (item, who);
CREATE TRIGGER IF NOT EXISTS log_is_never_changed BEFORE UPDATE ON log
BEGIN SELECT RAISE(ABORT, 'the log is only appended to'); END;
CREATE TRIGGER IF NOT EXISTS log_is_never_shortened BEFORE DELETE ON log
BEGIN SELECT RAISE(ABORT, 'the log is only appended to'); END;
"""


class LogError(SightlineError):
    """A file that is no such log, belongs to other work, or was tampered with."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that one person did."""

    seq: int
    """From 1, without gaps."""
    at: str
    """UTC, ISO 8601 with microseconds."""
    who: str
    item: str
    field: str
    value: Any
    """JSON."""
    hash: str

    @property
    def seconds(self) -> float:
        return datetime.fromisoformat(self.at).timestamp()


class Log:
    """One file. Any number of processes may have it open; each append waits for its turn and for the disk."""

    def __init__(self, path: Path, kind: str, *, make: bool = False) -> None:
        """Raises ``LogError`` where the file is missing (unless ``make``) or holds another kind of work."""
        if not make and not path.is_file():
            raise LogError(f"there is no {path}; name the file that the page wrote to")
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Handlers of one page run in one thread, tests and reports in others.
            self.db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            self.db.execute("PRAGMA journal_mode=WAL")
            # FULL: a commit is on the disk when it returns, also in WAL mode.
            self.db.execute("PRAGMA synchronous=FULL")
            self.db.executescript(_TABLES)
            held = self.about("kind")
        except sqlite3.DatabaseError as error:
            raise LogError(f"{path} is no file of this page ({error}); name another") from error
        if held is None:
            self.set_about(kind=kind)
        elif held != kind:
            self.close()
            raise LogError(f"{path} holds {held}, not {kind}; name another file")

    def close(self) -> None:
        self.db.close()

    def about(self, key: str) -> Any:
        """A fact about the whole work, as JSON; None where it was never set."""
        row = self.db.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set_about(self, **facts: Any) -> None:
        self.db.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", [(k, _json(v)) for k, v in facts.items()])

    def append(self, who: str, item: str, field: str, value: Any, *, at: str | None = None) -> Entry:
        """Write one thing; it is on the disk when this returns."""
        return self.append_all([(who, item, field, value)], at=at)[0]

    def append_all(self, rows: Sequence[tuple[str, str, str, Any]], *, at: str | None = None) -> list[Entry]:
        """Write several in one transaction: all of them or none. ``at`` is for simulations; else it is now."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            last = self.db.execute("SELECT seq, hash FROM log ORDER BY seq DESC LIMIT 1").fetchone()
            seq, before = last or (0, START)
            entries = []
            for who, item, field, value in rows:
                seq += 1
                when = at or datetime.now(UTC).isoformat(timespec="microseconds")
                text = _json(value)
                chained = chain(before, seq, when, who, item, field, text)
                self.db.execute(
                    "INSERT INTO log VALUES (?,?,?,?,?,?,?,?)", (seq, when, who, item, field, text, before, chained)
                )
                entries.append(
                    Entry(seq=seq, at=when, who=who, item=item, field=field, value=json.loads(text), hash=chained)
                )
                before = chained
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        return entries

    def entries(self, *, item: str | None = None, who: str | None = None) -> Iterator[Entry]:
        """In the order in which they were written."""
        wanted = {"item": item, "who": who}
        given = {k: v for k, v in wanted.items() if v is not None}
        where = " AND ".join(f"{k} = :{k}" for k in given) or "1"
        sql = f"SELECT seq, at, who, item, field, value, hash FROM log WHERE {where} ORDER BY seq"
        for seq, at, name, thing, field, value, chained in self.db.execute(sql, given):
            yield Entry(seq=seq, at=at, who=name, item=thing, field=field, value=json.loads(value), hash=chained)

    def head(self) -> tuple[int, str]:
        """How many entries there are, and the last one's hash."""
        row = self.db.execute("SELECT seq, hash FROM log ORDER BY seq DESC LIMIT 1").fetchone()
        return (row[0], row[1]) if row else (0, START)

    def verify(self, head: tuple[int, str] | None = None) -> str | None:
        """What was tampered with, in a sentence; None where the chain holds.

        ``head``: what an export said at its time; the log must still hold that entry with that hash.
        """
        before = START
        rows = self.db.execute("SELECT seq, at, who, item, field, value, before, hash FROM log ORDER BY seq")
        for number, (seq, at, who, item, field, value, said, chained) in enumerate(rows, 1):
            if seq != number:
                return f"entry {number} of {self.path} is missing"
            if said != before or chained != chain(before, seq, at, who, item, field, value):
                return f"entry {seq} of {self.path} ({field} of {item} by {who}) was changed after it was written"
            before = chained
        if head is not None and head[0] > 0:
            row = self.db.execute("SELECT hash FROM log WHERE seq = ?", (head[0],)).fetchone()
            if row is None or row[0] != head[1]:
                return f"{self.path} no longer holds the entry {head[0]} that an export of it ended with"
        return None

    def draft(self, who: str, item: str, field: str) -> str | None:
        """Text that somebody is still typing, or a preference: kept, but no decision and not in the log."""
        sql = "SELECT value FROM drafts WHERE who = ? AND item = ? AND field = ?"
        row = self.db.execute(sql, (who, item, field)).fetchone()
        return None if row is None else str(row[0])

    def drafted(self, who: str) -> list[str]:
        """Items on which somebody has unfinished text."""
        sql = "SELECT DISTINCT item FROM drafts WHERE who = ? AND item != '' ORDER BY rowid"
        return [item for (item,) in self.db.execute(sql, (who,))]

    def keep_draft(self, who: str, item: str, field: str, value: str | None) -> None:
        """None forgets it."""
        if value is None:
            self.db.execute("DELETE FROM drafts WHERE who = ? AND item = ? AND field = ?", (who, item, field))
        else:
            self.db.execute("INSERT OR REPLACE INTO drafts VALUES (?,?,?,?)", (who, item, field, value))


def chain(before: str, seq: int, at: str, who: str, item: str, field: str, value: str) -> str:
    """The hash of an entry: sha256 of the hash before it and the entry as a JSON list."""
    row = json.dumps([before, seq, at, who, item, field, value], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(row.encode("utf-8", "surrogatepass")).hexdigest()


def latest(entries: Iterator[Entry]) -> Mapping[tuple[str, str, str], Entry]:
    """The last entry by (who, item, field): what stands now."""
    return {(e.who, e.item, e.field): e for e in entries}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
