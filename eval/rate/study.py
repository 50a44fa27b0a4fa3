"""A study in one SQLite file: items, pictures, raters, assignments, and everything that was marked."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from eval.explanations.humans import Rating
from eval.protocol import EvaluationError
from eval.rate.items import GRADES, MARKS, SCALES, Pictures, RateItem
from eval.rate.plan import Plan, Rater
from retriever.pages.log import Entry, Log
from retriever.types import canonical_json

KIND = "a study of explanations"
IDLE_S = 120.0
"""A longer break between two marks is no work on the item."""

_TABLES = """
CREATE TABLE IF NOT EXISTS items (id TEXT PRIMARY KEY, shared INTEGER NOT NULL, json TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pictures (sha256 TEXT PRIMARY KEY, png BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS raters (name TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE, langs TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS assignments (rater TEXT NOT NULL, place INTEGER NOT NULL, item TEXT NOT NULL,
                                        role TEXT NOT NULL, PRIMARY KEY (rater, item));
"""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    rater: str
    place: int
    item: str
    role: str
    """``rater``; ``third``: decides between others without seeing them; ``adjudicator``: sees what the others said."""


@dataclass(frozen=True, kw_only=True)
class Marked:
    """What one rater has said of one item so far."""

    item: str
    rater: str
    role: str
    claims: Mapping[str, str]
    scales: Mapping[str, int]
    finished: bool
    """Every claim and every scale is marked."""
    seconds: float
    """At work on it: breaks over two minutes are left out."""
    at: str
    """Of the last mark, UTC; empty where there is none."""


class Study:
    """Use :meth:`make` or :meth:`open`."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.db: sqlite3.Connection = log.db
        self.db.executescript(_TABLES)

    @classmethod
    def make(
        cls,
        path: Path,
        items: Sequence[RateItem],
        pictures: Pictures,
        raters: Sequence[Rater],
        plan: Plan,
        spec: Mapping[str, Any],
    ) -> Study:
        """A new study. Raises ``EvaluationError`` where the file holds another one (made from another ``spec``)."""
        study = cls(Log(path, KIND, make=True))
        if study.log.about("spec") is not None:
            study.same(spec)
            return study
        if study.items:
            raise EvaluationError(f"{path} was not finished when it was made; delete it, or name another --out")
        everything = [*items, *plan.checks]
        used = {sha for item in everything for sha in (item.picture, item.boxed)}
        rows = [(r, n, i, "rater") for r, ids in plan.assignments.items() for n, i in enumerate(ids)]
        db = study.db
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "INSERT INTO items VALUES (?,?,?)", [(i.id, i.id in plan.shared, canonical_json(i)) for i in everything]
        )
        db.executemany("INSERT INTO pictures VALUES (?,?)", [(sha, pictures[sha]) for sha in sorted(used)])
        codes = [(r.name, f"{r.name}-{secrets.token_hex(4)}", "+".join(r.langs)) for r in raters]
        db.executemany("INSERT INTO raters VALUES (?,?,?)", codes)
        db.executemany("INSERT INTO assignments VALUES (?,?,?,?)", rows)
        db.execute("COMMIT")
        del study.items
        # The chain starts with what is rated, so that a changed item is found as a changed mark is.
        study.log.append("", "", "made", {"items": study.fingerprint(), "spec": dict(spec)})
        study.log.set_about(spec=dict(spec))
        return study

    @classmethod
    def open(cls, path: Path) -> Study:
        """Raises ``SightlineError`` where the file is missing or holds no finished study."""
        study = cls(Log(path, KIND))
        if study.log.about("spec") is None:
            raise EvaluationError(f"{path} was not finished when it was made; delete it and make the study again")
        return study

    def same(self, spec: Mapping[str, Any]) -> None:
        """Raises ``EvaluationError`` where the study was made from something else."""
        held = self.log.about("spec")
        differing = [k for k in sorted({*held, *spec}) if held.get(k) != spec.get(k)]
        if differing:
            raise EvaluationError(
                f"{self.log.path} is a study with another {', '.join(differing)}; name another --out, or resume it "
                "with --out alone"
            )

    def fingerprint(self) -> str:
        """sha256 over all items as they stand in the file."""
        digest = hashlib.sha256()
        for (text,) in self.db.execute("SELECT json FROM items ORDER BY id"):
            digest.update(text.encode())
        return digest.hexdigest()

    def tampered(self) -> str | None:
        """What was changed behind the page's back, in a sentence; None where all holds."""
        first = next(iter(self.log.entries()), None)
        if first is None or first.field != "made" or first.value["items"] != self.fingerprint():
            return f"the items of {self.log.path} are not those that the study was made with"
        return self.log.verify()

    @cached_property
    def items(self) -> dict[str, RateItem]:
        rows = self.db.execute("SELECT id, json FROM items ORDER BY id").fetchall()
        return {i: RateItem.from_json(json.loads(text)) for i, text in rows}

    @cached_property
    def shared(self) -> frozenset[str]:
        return frozenset(i for (i,) in self.db.execute("SELECT id FROM items WHERE shared"))

    @property
    def codes(self) -> dict[str, str]:
        """Rater's name -> code."""
        return dict(self.db.execute("SELECT name, code FROM raters ORDER BY name").fetchall())

    def rater(self, code: str) -> str | None:
        """Whose code this is."""
        row = self.db.execute("SELECT name FROM raters WHERE code = ?", (code,)).fetchone()
        return None if row is None else str(row[0])

    def add_rater(self, rater: Rater) -> None:
        """Someone new, without assignments; no change where the name is known."""
        code = f"{rater.name}-{secrets.token_hex(4)}"
        self.db.execute("INSERT OR IGNORE INTO raters VALUES (?,?,?)", (rater.name, code, "+".join(rater.langs)))

    def langs(self, rater: str) -> tuple[str, ...]:
        row = self.db.execute("SELECT langs FROM raters WHERE name = ?", (rater,)).fetchone()
        return tuple(row[0].split("+"))

    def picture(self, sha256: str) -> bytes:
        row = self.db.execute("SELECT png FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
        if row is None:
            raise EvaluationError(f"{self.log.path} lacks a picture; make the study again")
        return bytes(row[0])

    def assignments(self, rater: str | None = None) -> list[Assignment]:
        sql = "SELECT rater, place, item, role FROM assignments WHERE :r IS NULL OR rater = :r ORDER BY rater, place"
        found = self.db.execute(sql, {"r": rater}).fetchall()
        return [Assignment(rater=r, place=p, item=i, role=role) for r, p, i, role in found]

    def assign(self, rater: str, item: str, role: str) -> None:
        """Add an item at the end of somebody's list; nothing where it is on it."""
        with self.db:
            self.db.execute(
                "INSERT OR IGNORE INTO assignments SELECT ?, COALESCE(MAX(place), -1) + 1, ?, ? FROM assignments "
                "WHERE rater = ?",
                (rater, item, role, rater),
            )

    def mark(self, rater: str, item: str, field: str, value: Any, *, at: str | None = None) -> Entry:
        """``claim:e1`` right|wrong|cant_tell, ``scale:clear`` 1..5, ``shown`` true.

        On the disk when this returns. Raises ``EvaluationError`` on anything else, or an item that is not the rater's.
        """
        return self.mark_all(rater, item, [(field, value)], at=at)[0]

    def mark_all(
        self, rater: str, item: str, fields: Sequence[tuple[str, Any]], *, at: str | None = None
    ) -> list[Entry]:
        """Several marks of one item as :meth:`mark` writes one: all of them or none."""
        if self.db.execute("SELECT 1 FROM assignments WHERE rater = ? AND item = ?", (rater, item)).fetchone() is None:
            raise EvaluationError(f"item {item} was not given to {rater}; rate only what is on your list")
        for field, value in fields:
            self._check(item, field, value)
        return self.log.append_all([(rater, item, field, value) for field, value in fields], at=at)

    def _check(self, item: str, field: str, value: Any) -> None:
        what, _, name = field.partition(":")
        if what == "claim":
            fits = name in {c.id for c in self.items[item].claims} and value in MARKS
        elif what == "scale":
            fits = name in SCALES and type(value) is int and value in GRADES
        else:
            fits = field == "shown" and value is True
        if not fits:
            raise EvaluationError(f"{field} = {value!r} is no mark of item {item}; nothing was written")

    def missing(self, rater: str, item: str) -> list[str]:
        """Fields that still have no mark, in the page's order."""
        got = self.marked(rater, item)
        claims = [f"claim:{c.id}" for c in self.items[item].claims if c.id not in got.claims]
        return claims + [f"scale:{s}" for s in SCALES if s not in got.scales]

    def marked(self, rater: str, item: str) -> Marked:
        """What the rater has said of the item so far."""
        return _marked(rater, self.items[item], "", list(self.log.entries(item=item, who=rater)))

    def all_marked(self, *, rater: str | None = None, item: str | None = None) -> list[Marked]:
        """Of every assignment (or those of one rater or item), whether begun or not."""
        by_pair: dict[tuple[str, str], list[Entry]] = {}
        for entry in self.log.entries(who=rater, item=item):
            by_pair.setdefault((entry.who, entry.item), []).append(entry)
        return [
            _marked(a.rater, self.items[a.item], a.role, by_pair.get((a.rater, a.item), []))
            for a in self.assignments(rater)
            if item is None or a.item == item
        ]

    def rating(self, marked: Marked) -> Rating:
        """In the terms of :mod:`eval.explanations.humans`."""
        item = self.items[marked.item]
        key = (item.system, item.query_id, item.tile_id, item.lang)
        return Rating(item=key, rater=marked.rater, marks=marked.claims, scales=marked.scales)  # type: ignore[arg-type]


def _marked(rater: str, item: RateItem, role: str, entries: Sequence[Entry]) -> Marked:
    claims: dict[str, str] = {}
    scales: dict[str, int] = {}
    seconds, last = 0.0, None
    for entry in entries:
        what, _, name = entry.field.partition(":")
        if what == "claim":
            claims[name] = entry.value
        elif what == "scale":
            scales[name] = entry.value
        # Looking at an item again starts a new stretch; the time in between was spent elsewhere.
        if last is not None and entry.field != "shown" and entry.seconds - last <= IDLE_S:
            seconds += entry.seconds - last
        last = entry.seconds
    return Marked(
        item=item.id,
        rater=rater,
        role=role,
        claims=claims,
        scales=scales,
        finished=len(claims) == len(item.claims) and len(scales) == len(SCALES),
        seconds=seconds,
        at=entries[-1].at if entries else "",
    )
