"""Training pairs: the clues of a generated description with the listing of its tile and with those of tiles like it.

Everything comes from a folder that ``sightline train tiles`` and ``sightline train texts`` filled. Pairs never leave an
area, no negative is within 150 m of the description's tile (such a tile may hold the place as well), and the hard ones
are those that share most with the true tile.
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
from prompts.listing import Listing, list_facts
from prompts.pairing import clues
from retriever.errors import SourceError
from retriever.types import Fact

SIZE_M = 120.0
AWAY_M = 150.0
POOL = 12
"""Tiles drawn for each hard negative, of which the most alike is taken."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The tiles of one split: who they are, what lies on them, and what was said of them."""

    area: list[str]
    xy: np.ndarray
    """float64 [N, 2], metres in the area's own frame."""
    listing: list[str]
    holds: list[frozenset[str]]
    """Kinds with their parts, for likeness."""
    members: dict[str, list[int]]
    texts: list[tuple[int, str]]
    """Tile and description."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """A description with its true tile first and others after it."""

    text: str
    """Its clues, as they are read out of it without a model."""
    tiles: tuple[int, ...]


def load(folder: Path, split: str) -> Ground:
    """Raises ``SourceError`` where the folder lacks tiles or texts of this split."""
    files = sorted((folder / "texts").glob(f"{split}-*.parquet"))
    if not files or not (folder / "tiles.parquet").exists():
        raise SourceError(f"{folder} holds no tiles with {split} texts: run `sightline train tiles` and `train texts`")
    table = pd.read_parquet(
        folder / "tiles.parquet", columns=["area", "tile_id", "split", "x", "y", "facts", "visible"]
    )
    table = table[table["split"] == split].reset_index(drop=True)
    listings = [_listing(f, v) for f, v in zip(table["facts"], table["visible"], strict=True)]
    place = {tile: row for row, tile in enumerate(table["tile_id"])}
    said = pd.concat([pd.read_parquet(f, columns=["tile_id", "text"]) for f in files])
    members: dict[str, list[int]] = {}
    for row, area in enumerate(table["area"]):
        members.setdefault(str(area), []).append(row)
    return Ground(
        area=[str(a) for a in table["area"]],
        xy=table[["x", "y"]].to_numpy(float),
        listing=[found.text() for found in listings],
        holds=[frozenset(f"{e.kind} {p}" for e in found.entries for p in e.parts) for found in listings],
        members=members,
        texts=[(place[t], str(x)) for t, x in zip(said["tile_id"], said["text"], strict=True) if t in place],
    )


def _listing(facts: str, visible: str) -> Listing:
    shown = [bool(v) for v in json.loads(visible)]
    return list_facts([Fact.from_json(f) for f in json.loads(facts)], size_m=SIZE_M, visible=shown)


def groups(ground: Ground, *, n: int, negatives: int, seed: int, longest: int | None = None) -> list[Group]:
    """``n`` descriptions with a clue, each with its tile and so many others of the area, every second one hard.

    ``longest`` leaves out those whose clues and longest listing together have more characters.
    """
    rng = Random(f"cross-encoder {seed}")
    order = list(range(len(ground.texts)))
    rng.shuffle(order)
    made: list[Group] = []
    for true, text in (ground.texts[at] for at in order):
        if len(made) == n:
            break
        said = clues(extract_claims(text))
        others = _others(ground, true, negatives, rng) if said else []
        tiles = (true, *others)
        long = len(said) + max(len(ground.listing[t]) for t in tiles)
        if said and len(others) == negatives and (longest is None or long <= longest):
            made.append(Group(text=said, tiles=tiles))
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


def data_hash(found: Sequence[Group], ground: Ground) -> str:
    """sha256 over every text and listing of the groups, in their order."""
    digest = hashlib.sha256()
    for group in found:
        digest.update("\n".join((group.text, *(ground.listing[t] for t in group.tiles))).encode())
    return digest.hexdigest()
