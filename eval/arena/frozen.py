"""Candidates, frozen: made once, hashed, and given to every method alike."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.protocol import EvaluationError, Floats, LocatedQuery, Truth, truth
from retriever.posterior import Prior
from retriever.types import Candidate, Claim, Query, sha256_text

if TYPE_CHECKING:
    pass

FILE, PLACES, CONTROL = "candidates.jsonl", "places.npz", "controls.npz"
REMOVED_M = 120.0
"""As in the fitting of the confidence: what lies nearer to the true place shows part of it."""
GONE = "~gone"
"""Ends the id of a query whose true place was taken out."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """The tiles' geometry, as the truth needs it, without the gallery."""

    id: str
    ids: Sequence[str]
    lat: Floats
    lon: Floats
    bounds: Floats


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One query with its candidates."""

    located: LocatedQuery
    removed: bool
    claims: tuple[Claim, ...]
    prior: Prior
    candidates: tuple[Candidate, ...]

    @property
    def query(self) -> Query:
        return self.located.query


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """One set's candidates as they lie on the disk."""

    name: str
    group: str
    header: Mapping[str, Any]
    asked: tuple[Asked, ...]
    places: Places
    controls: Mapping[str, Floats]
    """Control -> scores [Q, N] of the queries that were not taken out, over all tiles."""
    sha256: str

    @property
    def located(self) -> list[LocatedQuery]:
        """The queries whose place is in the gallery, in the order of every matrix."""
        return [a.located for a in self.asked if not a.removed]

    @property
    def truth(self) -> Truth:
        """What is right, over the full gallery."""
        return truth(self.places, self.located)

    def order(self) -> list[Asked]:
        """The queries in the order of a hash, so that the first ones are a sample of all."""
        return sorted(self.asked, key=lambda a: sha256_text(f"{self.header['seed']}/{a.query.id}"))


def load(folder: Path) -> Frozen:
    """What was frozen in a folder. Raises ``EvaluationError`` where it is missing or damaged."""
    path = folder / FILE
    try:
        raw = path.read_bytes()
        header, *lines = (json.loads(line) for line in raw.decode().split("\n") if line.strip())
        with np.load(folder / PLACES) as f:
            tiles = Places(id=header["gallery"]["id"], ids=f["ids"].tolist(), lat=f["lat"], lon=f["lon"], bounds=f["b"])
        with np.load(folder / CONTROL) as f:
            controls = {name: f[name].astype(np.float64) for name in f.files}
        asked = tuple(_read(line) for line in lines)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"the frozen candidates in {folder} cannot be read ({error}); run the arena again"
        ) from None
    return Frozen(
        name=header["set"],
        group=header["group"],
        header=header,
        asked=asked,
        places=tiles,
        controls=controls,
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def _read(row: Mapping[str, Any]) -> Asked:
    if not all(math.isfinite(c["score"]) for c in row["candidates"]):
        raise ValueError(f"query {row['id']!r} has a candidate without a score")
    return Asked(
        located=LocatedQuery(
            query=Query(id=row["id"], text=row["text"], lang=row["lang"]),
            lat=row["lat"],
            lon=row["lon"],
            named=row["named"],
            source=row["source"],
            location=row["location"],
            area=row["area"],
            tile_id=row.get("tile_id"),
        ),
        removed=row["removed"],
        claims=tuple(Claim.from_json(c) for c in row["claims"]),
        prior=Prior.from_json(row["prior"]),
        candidates=tuple(Candidate.from_json(c) for c in row["candidates"]),
    )


def frozen_sets(run: Path) -> Iterator[Frozen]:
    """Every set of a run folder, by name."""
    for path in sorted((run / "sets").glob(f"*/{FILE}")):
        yield load(path.parent)
