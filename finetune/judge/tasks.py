"""What each stage of the judge's training shows: draws of samples from the tile store."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from finetune.judge.claims import practice_claims
from finetune.judge.encode import Encoded, Encoder, Sample
from finetune.judge.heat import BLANKS, Heated
from finetune.judge.store import TileStore, Witness, perturbed
from finetune.judge.teacher import Drawn, Teacher
from finetune.judge.train import Draw
from finetune.judge.turns import draw_turn, turn_listing
from prompts.listing import Listing, find, parse_listing
from prompts.schema import MAX_CLAIMS
from retriever.geo import M_PER_DEG
from retriever.types import Claim

NEGATIVE_M = 150.0
"""Centres at least this far apart: the point is then outside the other tile by 30 m and more."""
_LOOKALIKES = 10
_BLANK_SHARE = 0.03
TEACHER_SHARE = 0.7
"""How much of a verdict's target is the teacher's probability; the rest is what really was the case."""


def text_draw(encoder: Encoder, store: TileStore, rows: np.ndarray, *, explained: float = 0.15) -> Draw:
    """True listings without pictures: claims to look up, some with names, some explained."""

    def draw(rng: random.Random) -> Encoded:
        row = int(rows[rng.randrange(len(rows))])
        listing = perturbed(store.listing(row, names=rng.random() < 0.2), rng)
        return encoder.encode(_practice(listing, rng, image=None, explained=rng.random() < explained, most=12))

    return draw


def look_draw(encoder: Encoder, store: TileStore, rows: np.ndarray) -> Draw:
    """Pictures with nothing but their true listing, among text-only claims and explanations.

    The listing is what a picture teaches, and it is short; claims are taught as well from text, at half the cost.
    Some pictures come with claims all the same: without them the claims go unread once a picture stands before them.
    """
    lookup = text_draw(encoder, store, rows, explained=0.35)
    both = joint_draw(encoder, store, rows)

    def draw(rng: random.Random) -> Encoded:
        roll = rng.random()
        if roll < 0.45:
            return lookup(rng) if roll < 0.25 else both(rng)
        if rng.random() < 0.02:
            return encoder.encode(Sample(listing="nothing", learn_listing=True, image=rng.choice(list(BLANKS))))
        row, turn = int(rows[rng.randrange(len(rows))]), draw_turn(rng)
        listing = turn_listing(store.listing(row), turn)
        return encoder.encode(Sample(listing=listing.text(), learn_listing=True, image=row, turn=turn))

    return draw


def joint_draw(encoder: Encoder, store: TileStore, rows: np.ndarray) -> Draw:
    """Pictures with their true listing to learn, and claims on top."""

    def draw(rng: random.Random) -> Encoded:
        if rng.random() < 0.02:
            return encoder.encode(Sample(listing="nothing", learn_listing=True, image=rng.choice(list(BLANKS))))
        row, turn = int(rows[rng.randrange(len(rows))]), draw_turn(rng)
        listing = turn_listing(store.listing(row), turn)
        sample = _practice(listing, rng, image=row, explained=rng.random() < 0.2, most=9)
        return encoder.encode(replace(sample, turn=turn))

    return draw


def _practice(listing: Listing, rng: random.Random, *, image: int | None, explained: bool, most: int) -> Sample:
    claims = tuple(practice_claims(listing, rng, n=rng.randint(3, most)))
    findings = tuple(find(c, listing) for c in claims)
    balance = sum((f.stance == "supports") - (f.stance == "contradicts") for f in findings)
    return Sample(
        listing=listing.text(),
        learn_listing=image is not None,
        claims=claims,
        findings=findings,
        match=balance > 0 if explained else None,
        explained=explained,
        image=image,
    )


class Pairs:
    """Match and no-match pairs from witnesses, two places at a time.

    Of two witnesses and their two tiles four pairs can be made, two of them true. Each is drawn equally often, so
    neither a text nor a tile by itself tells a match: a rich tile chosen only as a look-alike would soon mean "no".
    """

    def __init__(self, store: TileStore, witnesses: Sequence[Witness], own: Mapping[int, str]) -> None:
        """``own``: listings that the base model wrote, by row; only rows with one can be drawn."""
        self.store, self.own = store, own
        self.witnesses = [w for w in witnesses if w.row in own]
        table = store.table
        self.lat, self.lon = table["lat"].to_numpy(), table["lon"].to_numpy()
        self.area = table["area"].to_numpy()
        self.by_area: dict[str, list[Witness]] = defaultdict(list)
        for witness in self.witnesses:
            self.by_area[self.area[witness.row]].append(witness)
        self.read = {row: parse_listing(text) for row, text in own.items()}

    def draw(self, rng: random.Random) -> tuple[Witness, int, bool]:
        """A witness, a row and whether the row is the witness's tile (row < 0: a blank picture)."""
        one = rng.choice(self.witnesses)
        other = None if rng.random() < _BLANK_SHARE else self._partner(one, rng)
        if other is None:
            return one, rng.choice(list(BLANKS)), False
        text, place = rng.choice((one, other)), rng.choice((one, other))
        return text, place.row, text is place

    def _partner(self, one: Witness, rng: random.Random) -> Witness | None:
        """A witness of another place in the same area: any, a near one, or the one that is hardest to tell apart."""
        pool = self.by_area[self.area[one.row]]
        far = [w for w in rng.sample(pool, min(len(pool), _LOOKALIKES)) if self.apart(w.row, one.row) >= NEGATIVE_M]
        if not far:
            far = [w for w in pool if self.apart(w.row, one.row) >= NEGATIVE_M]
        if not far:
            return None
        roll = rng.random()
        if roll < 0.3:
            return rng.choice(far)
        if roll < 0.5:
            return min(far, key=lambda w: self.apart(w.row, one.row))
        return max(far, key=lambda w: self.support(one.claims, w.row) + self.support(w.claims, one.row))

    def listing(self, row: int, true: bool, *, named: bool) -> Listing:
        """What stands in the conversation about a row: the model's own listing, or the map's, with names or without."""
        if row < 0:
            return parse_listing("")
        return self.store.listing(row, names=named) if true else self.read[row]

    def apart(self, a: int, b: int) -> float:
        dy = (self.lat[a] - self.lat[b]) * M_PER_DEG
        dx = (self.lon[a] - self.lon[b]) * M_PER_DEG * math.cos(math.radians(self.lat[a]))
        return float(max(abs(dx), abs(dy)))

    def support(self, claims: Sequence[Claim], row: int) -> int:
        stances = [find(c, self.read[row]).stance for c in claims]
        return stances.count("supports") - stances.count("contradicts")


def verdict_draw(
    encoder: Encoder,
    pairs: Pairs,
    *,
    true_listing: float = 0.3,
    teachers: Teachers | None = None,
    heat: Heated | None = None,
) -> Draw:
    """Verdicts and explanations on listings of the model's own, now and then on true ones.

    A true listing without names is learned as well: an adapter that is never asked to look forgets how to.
    ``heat`` names the second picture of a tile for some claims; what is drawn is the same with it and without.
    """

    def draw(rng: random.Random) -> Encoded:
        true, named = rng.random() < true_listing, rng.random() < 0.5
        witness, row, match = pairs.draw(rng)
        listing = pairs.listing(row, true, named=named)
        claims = _thinned(witness.claims, rng)
        doubt = 0.0
        if teachers is not None and row >= 0:
            p = (teachers.true if true else teachers.own)(claims, listing)
            doubt = TEACHER_SHARE * (1.0 - p if match else p)
        sample = Sample(
            listing=listing.text(),
            learn_listing=true and not named and row >= 0,
            claims=claims,
            findings=tuple(find(c, listing) for c in claims),
            match=match,
            doubt=doubt,
            explained=rng.random() < 0.3,
            image=row,
            heat=None if heat is None else heat(claims, row),
        )
        return encoder.encode(sample)

    return draw


@dataclass(frozen=True, kw_only=True)
class Teachers:
    """One for listings of the model's own, which err, and one for true ones."""

    own: Teacher
    true: Teacher

    @classmethod
    def fit(cls, pairs: Pairs, *, seed: int) -> Teachers:
        return cls(own=Teacher(_taught(pairs, False), seed=seed), true=Teacher(_taught(pairs, True), seed=seed))


def _taught(pairs: Pairs, true: bool) -> Callable[[random.Random], Drawn]:
    def draw(rng: random.Random) -> Drawn:
        while True:
            witness, row, match = pairs.draw(rng)
            if row >= 0:
                return _thinned(witness.claims, rng), pairs.listing(row, true, named=rng.random() < 0.5), match

    return draw


def _thinned(claims: Sequence[Claim], rng: random.Random) -> tuple[Claim, ...]:
    """Sometimes fewer claims, so that short descriptions are met too; renumbered from c1."""
    keep = list(claims[:MAX_CLAIMS])
    if len(keep) > 3 and rng.random() < 0.3:
        keep = rng.sample(keep, rng.randint(2, len(keep)))
    return tuple(keep)
