"""The ground of a cross-encoder: tiles with their listings, what was said at them, and tiles that could be mistaken.

Everything comes from a folder that ``sightline train tiles`` and ``sightline train texts`` filled. Pairs never leave an
area, no negative is within 150 m of the description's tile (such a tile may hold the place as well), and every second
one is the most alike of a dozen. A listing has everything that the map has, as it does when the model is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd

from prompts.claims import extract_claims
from prompts.listing import Listing, list_facts, parse_listing
from prompts.pairing import each_clue
from retriever.errors import SourceError
from retriever.types import Claim, Fact

SIZE_M = 120.0
AWAY_M = 150.0
POOL = 12
"""Tiles drawn for each hard negative, of which the most alike is taken."""

Said = tuple[int, tuple[Claim, ...]]
"""A tile's row and the claims of a description given there."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The tiles of one split: who they are and what lies on them."""

    row: list[int]
    """Row of the folder's table of tiles."""
    area: list[str]
    xy: np.ndarray
    """float64 [N, 2], metres in the area's own frame."""
    listing: list[Listing]
    holds: list[frozenset[str]]
    """Kinds with their parts, for likeness."""
    members: dict[str, list[int]]


@dataclass(frozen=True, kw_only=True)
class Group:
    """A description with its true tile first and others after it."""

    claims: tuple[Claim, ...]
    tiles: tuple[int, ...]


def ground_of(area: Sequence[str], xy: np.ndarray, listings: Sequence[str], row: Sequence[int] | None = None) -> Ground:
    """The ground of tiles in that order, from the texts of their listings."""
    members: dict[str, list[int]] = {}
    for at, name in enumerate(area):
        members.setdefault(name, []).append(at)
    parsed = {text: parse_listing(text) for text in dict.fromkeys(listings)}
    return Ground(
        row=list(row if row is not None else range(len(area))),
        area=list(area),
        xy=xy,
        listing=[parsed[text] for text in listings],
        holds=[frozenset(f"{e.kind} {p}" for e in parsed[text].entries for p in e.parts) for text in listings],
        members=members,
    )


def load(folder: Path, split: str, kept: Path, *, most: int | None = None, seed: int = 1) -> Ground:
    """The tiles of a split, or ``most`` of them; their listings are made once and kept in the folder ``kept``.

    Raises ``SourceError`` where the folder lacks tiles of this split.
    """
    source = folder / "tiles.parquet"
    if not source.exists():
        raise SourceError(f"{folder} holds no tiles: run `sightline train tiles` and `sightline train texts` first")
    table = pd.read_parquet(source, columns=["area", "split", "x", "y", "facts"])
    table = table[table["split"] == split]
    if table.empty:
        raise SourceError(f"{source} holds no tiles of the split {split}; name areas for it in `sightline train tiles`")
    if most is not None and most < len(table):
        table = table.iloc[np.sort(np.random.default_rng(seed).permutation(len(table))[:most])]
    listings = _listings(table["facts"].tolist(), kept)
    return ground_of([str(a) for a in table["area"]], table[["x", "y"]].to_numpy(float), listings, table.index.tolist())


def _listings(facts: Sequence[str], kept: Path) -> list[str]:
    """The listings' texts, from a file named after the facts where there is one: they take longest of everything."""
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    file = kept / f"listings-{digest}.json"
    if file.exists():
        found: list[str] = json.loads(file.read_text(encoding="utf-8"))
        return found
    made = [list_facts([Fact.from_json(f) for f in json.loads(one)], size_m=SIZE_M).text() for one in facts]
    kept.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(made), encoding="utf-8")
    part.rename(file)
    return made


def witnesses(folder: Path, ground: Ground, kept: Path, *, seed: int) -> list[Said]:
    """Descriptions of the tiles as claims: most of them read back out of the text, the rest the generator's own.

    Those of the folder's ``witnesses.jsonl`` where it is there, else made for every tile and kept in ``kept``.
    """
    from finetune.judge.witnesses import build_witnesses

    file = folder / "witnesses.jsonl"
    if not file.exists():
        file = kept / f"witnesses-{seed}.jsonl"
    if not file.exists():
        build_witnesses(folder, ground.row, file, per_tile=1, seed=seed)
    at = {row: place for place, row in enumerate(ground.row)}
    with file.open(encoding="utf-8") as lines:
        found = [data for data in map(json.loads, lines) if data["row"] in at]
    return [(at[data["row"]], tuple(Claim.from_json(c) for c in data["claims"])) for data in found]


def read_texts(folder: Path, split: str, ground: Ground, *, n: int, seed: int) -> list[Said]:
    """``n`` of the split's texts that hold a clue, read as a question is read. Raises ``SourceError`` without texts."""
    files = sorted((folder / "texts").glob(f"{split}-*.parquet"))
    if not files:
        raise SourceError(f"{folder} holds no texts of the split {split}: run `sightline train texts` first")
    names = pd.read_parquet(folder / "tiles.parquet", columns=["tile_id"])["tile_id"]
    place = {names[row]: at for at, row in enumerate(ground.row)}
    said = pd.concat([pd.read_parquet(f, columns=["tile_id", "text"]) for f in files])
    rows = [(place[t], str(x)) for t, x in zip(said["tile_id"], said["text"], strict=True) if t in place]
    Random(f"texts {seed}").shuffle(rows)
    found: list[Said] = []
    for at, text in rows:
        if len(found) == n:
            break
        claims = tuple(extract_claims(text))
        if each_clue(claims):
            found.append((at, claims))
    return found


def groups(ground: Ground, said: Sequence[Said], *, negatives: int, seed: int) -> list[Group]:
    """Each description that has a clue with its tile and so many others of the area, every second one hard."""
    rng = Random(f"cross-encoder {seed}")
    made: list[Group] = []
    for true, claims in said:
        others = _others(ground, true, negatives, rng) if each_clue(claims) else []
        if len(others) == negatives:
            made.append(Group(claims=claims, tiles=(true, *others)))
    return made


def _others(ground: Ground, true: int, n: int, rng: Random) -> list[int]:
    area, found = ground.members[ground.area[true]], [true]
    for turn in range(n):
        pool = [t for t in rng.sample(area, min(len(area), POOL + n)) if t not in found and _away(ground, true, t)]
        if not pool:
            return []
        found.append(max(pool, key=lambda t: (alike(ground, true, t), t)) if turn % 2 == 0 else pool[0])
    return found[1:]


def _away(ground: Ground, a: int, b: int) -> bool:
    return float(np.hypot(*(ground.xy[a] - ground.xy[b]))) >= AWAY_M


def alike(ground: Ground, a: int, b: int) -> float:
    """What two tiles hold in the same parts, as a share of what either holds."""
    return len(ground.holds[a] & ground.holds[b]) / max(len(ground.holds[a] | ground.holds[b]), 1)
