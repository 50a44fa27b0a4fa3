"""The first lesson: one clue and a few entries of a listing, and whether the listing bears the clue out.

From whole descriptions alone a small model learns nothing for a long time: it has to find out that words on one side
are to be looked for on the other. With one clue and a short listing it finds out soon. The truth is that of
:func:`prompts.listing.find`.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from prompts.listing import AXES, Entry, Listing, find, parse_listing
from prompts.render import claim_words
from retriever.types import Claim, Relation

BEARINGS = tuple(45.0 * n for n in range(8))
TRIES = 8


def single_clues(listings: Sequence[str], *, n: int, most: int, seed: int) -> dict[str, list[object]]:
    """Columns text, listing, label: ``n`` pairs, half of them true, with at most ``most`` entries to a listing."""
    rng = Random(f"single clues {seed} {most}")
    parsed = [p for p in map(parse_listing, dict.fromkeys(listings)) if len(p.entries) >= 2]
    kinds = sorted({e.kind for p in parsed for e in p.entries})
    rows = []
    for turn in range(n):
        part = _part(rng.choice(parsed), most, rng)
        claim, label = _claim(part, kinds, wanted=turn % 2 == 0, rng=rng)
        rows.append((claim_words(claim), part.text(), float(label)))
    texts, shown, labels = (list(column) for column in zip(*rows, strict=True))
    return {"text": texts, "listing": shown, "label": labels}


def _part(whole: Listing, most: int, rng: Random) -> Listing:
    """Some entries of a listing, in its order."""
    count = rng.randint(1, min(most, len(whole.entries)))
    chosen = sorted(rng.sample(range(len(whole.entries)), count))
    entries = []
    for entry in (whole.entries[i] for i in chosen):
        parts = tuple(p for p in entry.parts if rng.random() < 0.7) or entry.parts[:1]
        entries.append(Entry(kind=entry.kind, parts=parts))
    return Listing(entries=tuple(entries), axes=whole.axes if rng.random() < 0.7 else ())


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
