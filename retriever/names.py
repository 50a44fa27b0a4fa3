"""The names index: every name of every fact in all languages, found by parts, misspelt, in any script.

Candidates come from SQLite's FTS5 trigrams (LIKE where a term has fewer than three characters, as many Chinese names
do); rapidfuzz then says how like they are.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz

from retriever.errors import IndexMismatch
from retriever.kinds import kinds
from retriever.types import Claim, Fact

Floats = NDArray[np.float32]
FILE = "names.sqlite"
CANDIDATES = 300
ALIKE = 0.72
"""Below this likeness two names are different names."""

_QUOTED = re.compile(r"[\"“”„«»「『《‘]([^\"“”„«»」』》’「『《]{2,60})[\"“”«»」』》’]|(?<!\w)'([^']{2,60})'(?!\w)")
_WORD = r"[^\W\d_a-z](?:[\w'’&-]|\.(?=\w))*"
_LINK = "(?:of|the|and|de|la|du|des|di|da|do|van|von|der|am|&)"
_CAPITALS = re.compile(rf"(?<![\w'’]){_WORD}(?: (?:{_LINK} )*{_WORD})*")
_HAN = re.compile(r"[㐀-鿿豈-﫿]")


@cache
def _simplifier() -> Any:
    from opencc import OpenCC

    return OpenCC("t2s")


def normal(text: str) -> str:
    """What two spellings of a name have in common: case, accents, width, Han variants and spacing are gone."""
    text = unicodedata.normalize("NFKD", text.casefold())
    text = unicodedata.normalize("NFC", "".join(c for c in text if not unicodedata.combining(c)))
    text = _simplifier().convert(text) if _HAN.search(text) else text
    return " ".join(re.findall(r"\w+", text))


@cache
def _plain_words() -> frozenset[str]:
    """Words for kinds, which are no names."""
    return frozenset(normal(w) for kind in kinds().values() for w in (*kind.en, *kind.zh, kind.id))


@dataclass(frozen=True)
class Term:
    text: str
    """Normalised."""
    weight: float = 1.0


def terms_of(text: str, claims: Sequence[Claim]) -> list[Term]:
    """Names that a query speaks of: its name claims, what stands in quotes, capitalised words inside a sentence."""
    found: dict[str, float] = {}
    for claim in claims:
        if claim.kind == "name" and claim.polarity and claim.status != "struck":
            found[normal(claim.value)] = 0.6 if claim.hedge else 1.0
    for spans in _QUOTED.findall(text):
        found.setdefault(normal(spans[0] or spans[1]), 1.0)
    for span in _capitalised(text):
        if not any(normal(span) in known or known in normal(span) for known in found if known):
            found.setdefault(normal(span), 0.7)
    return [Term(t, w) for t, w in found.items() if len(t) > 1 and t not in _plain_words()]


def _capitalised(text: str) -> Iterator[str]:
    for match in _CAPITALS.finditer(text):
        words, before = match[0].split(), text[: match.start()].rstrip()
        if not before or before[-1] in ".!?:;。！？\n":
            words = words[1:]  # the first word of a sentence is capitalised anyway
        while words and words[0].islower():
            words = words[1:]
        span = " ".join(words).strip(".-'’")
        if len(span) > 2 and span not in ("I", "I'm", "I’m") and not re.fullmatch(r"[NSEW]{1,2}", span):
            yield span


class NameIndex:
    """Names of a gallery's facts, by the row of the tile that they are on. Safe to use from several threads."""

    def __init__(self, path: Path, tiles: int) -> None:
        self.path, self.tiles = path, tiles

    @classmethod
    def build(cls, path: Path, facts: Iterable[Sequence[Fact]], *, gallery: str) -> NameIndex:
        """Write the index of the facts of tiles 0, 1, ... to ``path``; ``gallery`` is its sha256."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.unlink(missing_ok=True)
        where: dict[str, set[int]] = {}
        tiles = 0
        for row, on_tile in enumerate(facts):
            tiles = row + 1
            for name in {normal(n) for fact in on_tile for n in fact.names.values()}:
                if name and name not in _plain_words():
                    where.setdefault(name, set()).add(row)
        with closing(sqlite3.connect(part)) as db, db:
            db.execute("CREATE VIRTUAL TABLE name USING fts5(text, tokenize='trigram')")
            db.execute("CREATE TABLE place (name INTEGER PRIMARY KEY, text TEXT UNIQUE, rows TEXT)")
            db.execute("CREATE TABLE meta (gallery TEXT, tiles INTEGER)")
            db.execute("INSERT INTO meta VALUES (?, ?)", (gallery, tiles))
            for number, name in enumerate(sorted(where), start=1):
                db.execute("INSERT INTO name (rowid, text) VALUES (?, ?)", (number, name))
                db.execute("INSERT INTO place VALUES (?, ?, ?)", (number, name, json.dumps(sorted(where[name]))))
        part.replace(path)
        return cls(path, tiles)

    @classmethod
    def load(cls, path: Path, *, gallery: str) -> NameIndex:
        """Raises ``IndexMismatch`` where the index is missing, damaged or another gallery's."""
        if not path.is_file():
            raise IndexMismatch(f"there is no names index at {path}: run `sightline index` on its gallery")
        try:
            with closing(_reading(path)) as db:
                owner, tiles = db.execute("SELECT gallery, tiles FROM meta").fetchone()
        except (sqlite3.Error, TypeError) as error:
            raise _damaged(path, error) from error
        if owner != gallery:
            raise IndexMismatch(f"{path} belongs to another gallery: run `sightline index` again")
        return cls(path, tiles)

    def scores(self, text: str, claims: Sequence[Claim] = ()) -> Floats:
        """float32 [N], 0 where nothing named is on the tile: likeness times rarity, summed over what is named.

        Raises ``IndexMismatch`` where the file has gone or been damaged since it was opened.
        """
        total = np.zeros(self.tiles, np.float32)
        try:
            with closing(_reading(self.path)) as db:
                for term in self._terms(db, text, claims):
                    total += term.weight * self._term_scores(db, term.text)
        except sqlite3.Error as error:
            raise _damaged(self.path, error) from error
        return total

    def _terms(self, db: sqlite3.Connection, text: str, claims: Sequence[Claim]) -> list[Term]:
        terms = terms_of(text, claims)
        known = " ".join(t.text for t in terms)
        return [*terms, *(Term(name, 0.7) for name in self._written_out(db, normal(text)) if name not in known)]

    def _written_out(self, db: sqlite3.Connection, text: str) -> list[str]:
        """The longest Han names of the gallery that stand in the text as they are: Chinese marks no names."""
        if not _HAN.search(text):
            return []
        runs = {text[i : i + n] for n in range(2, 13) for i in range(len(text) - n + 1) if _HAN.match(text[i])}
        marks = ",".join("?" * min(len(runs), 30000))
        rows = db.execute(f"SELECT text FROM place WHERE text IN ({marks})", sorted(runs)[:30000]).fetchall()
        found = sorted((r[0] for r in rows if len(r[0]) > 2), key=len, reverse=True)
        return [name for i, name in enumerate(found) if not any(name in longer for longer in found[:i])]

    def _term_scores(self, db: sqlite3.Connection, term: str) -> Floats:
        out = np.zeros(self.tiles, np.float32)
        for name, rows in self._candidates(db, term):
            like = likeness(term, name)
            if like >= ALIKE:
                where = np.asarray(rows)
                out[where] = np.maximum(out[where], like)
        # One object lies on about four overlapping tiles, so four tiles are as rare as a name can be.
        objects = max(1.0, float((out > 0).sum()) / 4.0)
        rarity = 1.0 - math.log(objects) / math.log(self.tiles + 2)
        return out * np.float32(max(0.1, rarity))

    def _candidates(self, db: sqlite3.Connection, term: str) -> Iterator[tuple[str, list[int]]]:
        if len(term) < 3:
            pattern = f"%{term}%"
            query = "SELECT name, text FROM place WHERE text LIKE ? ORDER BY length(text), name LIMIT ?"
        else:
            grams = sorted({term[i : i + 3] for i in range(len(term) - 2)})
            pattern = " OR ".join('"' + gram.replace('"', '""') + '"' for gram in grams)
            query = "SELECT rowid, text FROM name WHERE text MATCH ? ORDER BY rank, rowid LIMIT ?"
        for number, name in db.execute(query, (pattern, CANDIDATES)).fetchall():
            rows = db.execute("SELECT rows FROM place WHERE name = ?", (number,)).fetchone()
            yield name, self._on_tiles(name, rows[0] if rows else "null")

    def _on_tiles(self, name: str, rows: str) -> list[int]:
        try:
            found = json.loads(rows)
            if all(0 <= row < self.tiles for row in found):
                return list(found)
        except (TypeError, ValueError) as error:
            raise _damaged(self.path, error) from error
        raise _damaged(self.path, f"{name!r} is on tiles that the gallery has not")


def _reading(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing and makes no new file; the path is quoted, for ``?``, ``#`` and ``%`` in it."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def _damaged(path: Path, why: object) -> IndexMismatch:
    return IndexMismatch(f"{path} is damaged ({why}): run `sightline index` again")


def likeness(term: str, name: str) -> float:
    """0..1 for two normalised names: the whole, or a part that is long enough to mean something."""
    whole = fuzz.ratio(term, name) / 100.0
    shorter, longer = sorted((term, name), key=len)
    least = 2 if _HAN.search(shorter) else 4
    if len(shorter) < least:
        return whole
    part = fuzz.partial_ratio(shorter, longer) / 100.0
    inside = part * (0.75 + 0.2 * len(shorter) / len(longer))
    return max(whole, inside)
