"""Everything that was paid for, in one SQLite file: cache of the replies and ledger of their costs are one table.

A call is written down before it is sent (``open``) and its reply in the moment it has arrived, byte for byte, before
anybody reads it. So a killed run loses at most the replies that were still on the wire, and says how many.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from retriever.errors import SightlineError, SourceError

Outcome = Literal["answered", "refused", "lost"]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL,               -- of model, prompt and pictures
  stage TEXT NOT NULL,
  model TEXT NOT NULL,
  outcome TEXT NOT NULL,           -- open | answered | refused | lost
  asked REAL NOT NULL,             -- seconds since 1970
  seconds REAL,
  estimated_prompt INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,  -- until answered: what is expected at most
  completion_tokens INTEGER NOT NULL,
  money REAL NOT NULL,
  counted INTEGER NOT NULL,        -- 1: the tokens are the server's own count
  body BLOB
);
CREATE UNIQUE INDEX IF NOT EXISTS answered ON calls(key) WHERE outcome = 'answered';
"""
_LEDGER = """
SELECT stage, model, SUM(outcome = 'answered'), TOTAL(prompt_tokens * (outcome = 'answered')),
  TOTAL(completion_tokens * (outcome = 'answered')), TOTAL(money * (outcome = 'answered')),
  SUM(outcome = 'answered' AND NOT counted), SUM(outcome IN ('lost', 'open')),
  TOTAL(money * (outcome IN ('lost', 'open'))), SUM(outcome = 'refused')
FROM calls GROUP BY stage, model ORDER BY MIN(id)
"""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    prompt: int
    completion: int
    counted: bool = False


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One row of the ledger."""

    stage: str
    model: str
    answered: int
    prompt_tokens: int
    completion_tokens: int
    money: float
    uncounted: int
    """Answers whose tokens the server did not count; they stand with the estimate."""
    lost: int
    """Calls that were sent and whose reply never came: the server may have charged for them."""
    lost_money: float
    """At most, for the lost ones."""
    refused: int
    """Calls that the server turned away; nothing is charged for those."""


class PaidStore:
    """One process at a time; raises ``SightlineError`` while another one works on the same file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise SightlineError(f"another run is working on {path.parent}; wait for it or stop it") from None
        try:
            self._db = _opened(path)
        except sqlite3.DatabaseError as error:
            os.close(self._lock)
            raise SourceError(f"{path} is not a record of paid calls ({error}); move it away to begin anew") from None
        # Whatever was open belongs to a process that is gone.
        self._db.execute("UPDATE calls SET outcome = 'lost' WHERE outcome = 'open'")
        self._read_ratios()

    def body(self, key: str) -> bytes | None:
        """The reply to this request, as it arrived; None if there is none."""
        row = self._db.execute("SELECT body FROM calls WHERE key = ? AND outcome = 'answered'", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def ask(self, key: str, *, stage: str, model: str, estimated: int, at_most: Tokens, money: float) -> int:
        """Write down that a call is about to be sent; the number by which :meth:`settle` knows it."""
        cursor = self._db.execute(
            "INSERT INTO calls (key, stage, model, outcome, asked, estimated_prompt, prompt_tokens, completion_tokens,"
            " money, counted) VALUES (?, ?, ?, 'open', ?, ?, ?, ?, ?, 0)",
            (key, stage, model, time.time(), estimated, at_most.prompt, at_most.completion, money),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def answered(self, call: int, body: bytes, tokens: Tokens, money: float) -> None:
        """Keep the reply and what it cost; on the disk when this returns."""
        self._db.execute(
            "UPDATE calls SET outcome = 'answered', body = ?, prompt_tokens = ?, completion_tokens = ?, money = ?,"
            " counted = ?, seconds = ? - asked WHERE id = ?",
            (body, tokens.prompt, tokens.completion, money, tokens.counted, time.time(), call),
        )
        if tokens.counted:
            self._learn(call)

    def settle(self, call: int, outcome: Outcome) -> None:
        """Close a call without a reply: ``refused`` costs nothing, ``lost`` may have cost what was expected at most."""
        self._db.execute("UPDATE calls SET outcome = ? WHERE id = ?", (outcome, call))

    def spent(self) -> float:
        """Money for answered calls, and at most for lost and open ones."""
        (money,) = self._db.execute("SELECT TOTAL(money) FROM calls WHERE outcome <> 'refused'").fetchone()
        return float(money)

    def worst_ratio(self, model: str) -> float:
        """The largest ratio of counted to estimated prompt tokens so far, at least 1."""
        return self._ratios.get(model, 1.0)

    def _read_ratios(self) -> None:
        rows = self._db.execute(
            "SELECT model, MAX(1.0 * prompt_tokens / MAX(estimated_prompt, 1)) FROM calls"
            " WHERE outcome = 'answered' AND counted GROUP BY model"
        )
        self._ratios: dict[str, float] = {model: max(1.0, ratio) for model, ratio in rows}

    def _learn(self, call: int) -> None:
        model, estimated, counted = self._db.execute(
            "SELECT model, estimated_prompt, prompt_tokens FROM calls WHERE id = ?", (call,)
        ).fetchone()
        self._ratios[model] = max(self.worst_ratio(model), counted / max(estimated, 1))

    def costs(self) -> list[Cost]:
        """The ledger, by stage and model."""
        return [_cost(row) for row in self._db.execute(_LEDGER)]

    def close(self) -> None:
        self._db.close()
        os.close(self._lock)


@contextmanager
def opened(path: Path) -> Iterator[PaidStore]:
    """The store, closed at the end."""
    store = PaidStore(path)
    try:
        yield store
    finally:
        store.close()


def ledger(path: Path) -> list[Cost]:
    """The ledger of a run that may be under way; its open calls count as lost until they are answered."""
    if not path.exists():
        raise SourceError(f"{path} is not there: nothing was paid for in this folder")
    db = sqlite3.connect(path)
    try:
        return [_cost(row) for row in db.execute(_LEDGER)]
    except sqlite3.DatabaseError as error:
        raise SourceError(f"{path} is not a record of paid calls ({error}); name the run's folder") from None
    finally:
        db.close()


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    # A reply that was paid for must outlive a power cut, too.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.executescript(_SCHEMA)
    return db


def _cost(row: tuple[str, str, int, float, float, float, int, int, float, int]) -> Cost:
    return Cost(
        stage=row[0],
        model=row[1],
        answered=row[2],
        prompt_tokens=int(row[3]),
        completion_tokens=int(row[4]),
        money=row[5],
        uncounted=row[6],
        lost=row[7],
        lost_money=row[8],
        refused=row[9],
    )
