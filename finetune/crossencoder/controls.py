"""How a cross-encoder is measured, and what it has to beat: rows without any weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.crossencoder.pairs import Ground, Group
from prompts.listing import AXES, PARTS, Listing, find, parse_listing
from prompts.pairing import clues, each_clue, listing_words

Floats = NDArray[np.float64]
RESAMPLES = 1000


def shared_words(text: str, listing: str) -> float:
    """How many clues have their kind, or their axis, in the listing, less those that have it not.

    A twentieth of a point goes for each kind of the listing that no clue names, so that a long listing is no merit.
    """
    parsed = parse_listing(listing)
    held = {entry.kind.replace("_", " ") for entry in parsed.entries} | {f"road {axis}" for axis in parsed.axes}
    found, named = 0, set()
    for clue in text.split("; "):
        denied, plain = clue.startswith("no "), clue.removeprefix("no ")
        if plain not in held and plain.rpartition(" ")[2] in PARTS and not plain.startswith(tuple(AXES)):
            plain = plain.rpartition(" ")[0]
        named.add(plain)
        found += 1 if (plain in held) != denied else -1
    return found - 0.05 * len(held - named)


def rule(group: Group, listing: Listing) -> float:
    """Clues that the listing bears out less those that it contradicts, by the rule that the judge is taught."""
    sign = {"supports": 1.0, "contradicts": -1.0, "unknown": 0.0}
    return sum(sign[find(claim, listing).stance] for claim in each_clue(group.claims).values())


def added_up(model: Any, found: Sequence[Group], ground: Ground) -> Floats:
    """[Q, K]: the model's log-odds of each group's clues, added up for each of its tiles."""
    import torch

    words = [listing_words(listing) for listing in ground.listing]
    said = [tuple(each_clue(group.claims)) for group in found]
    pairs = {(clue, words[t]): 0.0 for g, some in zip(found, said, strict=True) for t in g.tiles for clue in some}
    odds = model.predict(list(pairs), batch_size=128, show_progress_bar=False, activation_fn=torch.nn.Identity())
    worth = dict(zip(pairs, map(float, odds), strict=True))
    return np.array(
        [[sum(worth[c, words[t]] for c in some) for t in g.tiles] for g, some in zip(found, said, strict=True)]
    )


def evaluate(
    scores: Floats, found: Sequence[Group], ground: Ground, *, beside: Mapping[str, Floats] | None = None, seed: int = 0
) -> dict[str, Any]:
    """The true tile among others of its area: recall@1 (ties against it), reciprocal rank and AUROC, each with its
    95 % interval by tile.

    For the model's ``scores`` [Q, K], for rows without weights and for those in ``beside``, [Q, K] too.
    """
    texts = [clues(g.claims) for g in found]
    shown = [listing.text() for listing in ground.listing]
    rows = {
        "model": scores,
        "shared words": np.array(
            [[shared_words(x, shown[t]) for t in g.tiles] for x, g in zip(texts, found, strict=True)]
        ),
        "rule": np.array([[rule(g, ground.listing[t]) for t in g.tiles] for g in found]),
        "random": np.random.default_rng(seed).random((len(found), len(found[0].tiles))),
        "constant": np.zeros((len(found), len(found[0].tiles))),
        **(beside or {}),
    }
    return measured(rows, [g.tiles[0] for g in found])


def measured(rows: Mapping[str, Floats], places: Sequence[int]) -> dict[str, Any]:
    """Recall@1, reciprocal rank and AUROC of each row's scores [Q, K], and what the model's leads the others by."""
    told: dict[str, Any] = {"queries": len(places), "tiles": rows["model"].shape[1], "places": len(set(places))}
    each: dict[tuple[str, str], Floats] = {}
    for name, table in rows.items():
        ranks = _ranks(table)
        each |= {(name, "r@1"): (ranks == 1).astype(float), (name, "mrr"): 1 / ranks, (name, "auroc"): beaten(table)}
    told |= {f"{name} {metric}": _rounded(values, places) for (name, metric), values in each.items()}
    for name in (n for n in rows if n not in ("model", "random", "constant")):
        for metric in ("r@1", "mrr", "auroc"):
            told[f"model - {name} {metric}"] = _rounded(each["model", metric] - each[name, metric], places)
    return told


def beaten(scores: Floats) -> Floats:
    """[Q]: the share of a row's other columns [Q, K] that the first one beats, ties counting half: its AUROC."""
    wins = (scores[:, :1] > scores[:, 1:]) + 0.5 * (scores[:, :1] == scores[:, 1:])
    shares: Floats = wins.mean(axis=1)
    return shares


def by_place(values: Floats, places: Sequence[int], *, seed: int = 0) -> tuple[float, float, float]:
    """Mean with its 95 % interval, whole places resampled."""
    names, code = np.unique(np.asarray(places), return_inverse=True)
    total, count = np.bincount(code, values), np.bincount(code)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    low, high = np.quantile(drawn @ total / (drawn @ count), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def _rounded(values: Floats, places: Sequence[int]) -> list[float]:
    return [round(v, 4) for v in by_place(values, places)]


def _ranks(scores: Floats) -> NDArray[np.int64]:
    """Rank of the first column among all of its row, ties against it."""
    ranks: NDArray[np.int64] = (scores[:, 1:] >= scores[:, :1]).sum(1) + 1
    return ranks
