"""What the cross-encoder learns from: one clue, one listing, and whether the two belong together. Half of them do.

The first lesson draws clues that a listing bears out, or does not, by the rule of :func:`prompts.listing.find`: so the
model finds out soon that words on one side are to be looked for on the other. The second takes the clues of
descriptions, each once with the tile where it was said and once with another of the area. A clue is as often with the
one as with the other, so the log-odds that are learned are what the clue is worth between the two: nothing where both
hold it, little where witnesses say it of places that the map shows otherwise. They need no base rate taken off, and can
be added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from finetune.crossencoder.pairs import Ground, Group
from prompts.listing import AXES, Entry, Listing, find
from prompts.pairing import clue_words, each_clue, listing_words
from retriever.types import Claim, Relation

BEARINGS = tuple(45.0 * n for n in range(8))
TRIES = 8
Rows = dict[str, list[object]]
"""Columns clue, listing, label."""


def by_rule(listings: Sequence[Listing], *, n: int, most: int, seed: int) -> Rows:
    """``n`` drawn clues, half of them true, each with at most ``most`` entries of a listing."""
    rng = Random(f"single clues {seed} {most}")
    full = [listing for listing in listings if len(listing.entries) >= 2]
    kinds = sorted({e.kind for listing in full for e in listing.entries})
    rows = []
    for turn in range(n):
        part = _part(rng.choice(full), most, rng)
        claim, label = _claim(part, kinds, wanted=turn % 2 == 0, rng=rng)
        rows.append((clue_words(claim), listing_words(part), float(label)))
    return _columns(rows)


def as_said(ground: Ground, found: Sequence[Group], *, seed: int) -> Rows:
    """Each clue of each description with its own tile and with one of the others, drawn anew for every clue."""
    rng = Random(f"said clues {seed}")
    words = [listing_words(listing) for listing in ground.listing]
    rows = []
    for group in found:
        for clue in each_clue(group.claims):
            rows += [(clue, words[group.tiles[0]], 1.0), (clue, words[rng.choice(group.tiles[1:])], 0.0)]
    return _columns(rows)


def _columns(rows: Sequence[tuple[object, object, object]]) -> Rows:
    said, shown, labels = (list(column) for column in zip(*rows, strict=True))
    return {"clue": said, "listing": shown, "label": labels}


def _part(whole: Listing, most: int, rng: Random) -> Listing:
    """Some entries of a listing, in its order; all of it where it has no more than ``most``."""
    count = rng.randint(1, most)
    if count >= len(whole.entries):
        return whole
    chosen = sorted(rng.sample(range(len(whole.entries)), count))
    entries = tuple(_thinned(whole.entries[i], rng) for i in chosen)
    return Listing(entries=entries, axes=whole.axes if rng.random() < 0.7 else ())


def _thinned(entry: Entry, rng: Random) -> Entry:
    parts = tuple(p for p in entry.parts if rng.random() < 0.7) or entry.parts[:1]
    return Entry(kind=entry.kind, parts=parts)


def _claim(listing: Listing, kinds: Sequence[str], *, wanted: bool, rng: Random) -> tuple[Claim, bool]:
    """A claim that the listing bears out, or does not, as wanted; after some tries the last one, whatever it is."""
    claim, label = _drawn(listing, kinds, wanted=wanted, rng=rng), not wanted
    for _ in range(TRIES):
        label = find(claim, listing).stance == "supports"
        if label == wanted:
            break
        claim = _drawn(listing, kinds, wanted=wanted, rng=rng)
        label = find(claim, listing).stance == "supports"
    return claim, label


def _drawn(listing: Listing, kinds: Sequence[str], *, wanted: bool, rng: Random) -> Claim:
    polarity = rng.random() > 0.12
    if listing.axes and rng.random() < 0.15:
        axis = rng.choice(listing.axes if wanted else AXES)
        return Claim(
            id="c1", span="", kind="road", value="runs", relation=Relation(bearing_deg=45.0 * AXES.index(axis))
        )
    held = [e.kind for e in listing.entries]
    # A kind that is there in the wrong direction teaches directions; one that is not there teaches kinds.
    kind = rng.choice(held if (wanted == polarity or rng.random() < 0.4) else list(kinds))
    bearing = rng.choice(BEARINGS) if rng.random() < 0.4 else None
    return Claim(id="c1", span="", kind="object", value=kind, polarity=polarity, relation=Relation(bearing_deg=bearing))
