"""Where two annotators of a pair disagree, found by reading their texts back into claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from prompts.annotate import PairAnswer
from prompts.claims import extract_claims
from retriever.types import Claim

Thing = tuple[str, str]
"""Kind and value of a claim, as far as two people would call it the same thing."""


def read_back(text: str) -> tuple[Claim, ...]:
    return tuple(extract_claims(text))


def sides(answer: PairAnswer) -> dict[Thing, str]:
    """By thing: ``agree`` or ``differ``, as the annotator lists it; things on both lists are left out."""
    agree, differ = (_things([en for en, _ in points]) for points in (answer.agree, answer.differ))
    return {**dict.fromkeys(agree - differ, "agree"), **dict.fromkeys(differ - agree, "differ")}


def _things(points: Sequence[str]) -> set[Thing]:
    return {(c.kind, c.value.casefold()) for point in points for c in read_back(point)}


def opposed(a: PairAnswer, b: PairAnswer) -> list[str]:
    """Things that one puts under what agrees and the other under what differs, or that one denies and one affirms."""
    first, second = sides(a), sides(b)
    found = {thing for thing, side in first.items() if thing in second and second[thing] != side}
    said, also = _polarities(a.en), _polarities(b.en)
    found |= {thing for thing, values in said.items() if thing in also and not values & also[thing]}
    return sorted(f"{kind} {value}" for kind, value in found)


def _polarities(text: str) -> dict[Thing, set[bool]]:
    found: dict[Thing, set[bool]] = {}
    for claim in read_back(text):
        found.setdefault((claim.kind, claim.value.casefold()), set()).add(claim.polarity)
    return found


def languages_differ(answer: PairAnswer) -> list[str]:
    """Things that only one of the two languages claims. Names are left out: they may be written in another script."""
    en, zh = (
        {(c.kind, c.value, c.polarity) for c in read_back(text) if c.kind != "name"} for text in (answer.en, answer.zh)
    )
    return [*_only("English", en - zh), *_only("Chinese", zh - en)]


def _only(language: str, things: Set[tuple[str, str, bool]]) -> Iterator[str]:
    for kind, value, polarity in sorted(things):
        yield f"only in {language}: {'' if polarity else 'no '}{kind} {value}"
