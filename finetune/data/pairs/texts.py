"""Counterfactual texts: one detail of a description changed in its own words, so that the map speaks against it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from finetune.data.speak_zh import measure
from retriever.kinds import kinds
from retriever.oracle import FactIndex, check
from retriever.oracle.generality import akin
from retriever.pairs import Change, What
from retriever.types import Claim, RelationType

PLACES_FIRST = 0.6
"""Share of texts in which another direction is tried before another thing."""
_GROUNDS = frozenset({"park", "cemetery", "forest", "water", "river", "tram", "railway"})
_ROADS = frozenset({"main_road", "pedestrian_street", "street"})
"""Kinds whose absence from a map counts, as far as a witness would speak of them."""

_TURN_EN = {
    "north": "south", "south": "north", "east": "west", "west": "east", "left": "right", "right": "left",
    "northern": "southern", "southern": "northern", "eastern": "western", "western": "eastern",
}  # fmt: skip
_TURN_ZH = {"北": "南", "南": "北", "东": "西", "西": "东", "左": "右", "右": "左"}
_AHEAD_EN = (
    (re.compile(r"\b(?:(?:straight|right|directly|dead) )?(?:ahead|in front)(?: of me)?\b", re.I), "behind me"),
    (re.compile(r"\b(?:directly |right |just )?behind me\b|\bat my back\b", re.I), "in front of me"),
)
_AHEAD_ZH = (
    (re.compile(r"正前方|我前面|前面|前方|前边"), "身后"),
    (re.compile(r"我?身后|我?背后|我?后面|我?后边|后方"), "前方"),
)
_QUARTER_EN = {"north": "east", "south": "west", "east": "south", "west": "north"}
_QUARTER_ZH = {"北": "东", "南": "西", "东": "南", "西": "北"}
# Along the points themselves a mirror keeps the usual order: east-west for north-south, 东西 for 南北.
_MIRROR_EN = {"north": "east", "south": "west", "east": "north", "west": "south"}
_MIRROR_ZH = {"东": "南", "西": "北", "南": "东", "北": "西"}
_HALF_POINT = re.compile(r"[东西][南北]|(?:north|south)[- ]?(?:east|west)", re.I)
_ACROSS: Mapping[RelationType, RelationType] = {"left": "right", "right": "left", "front": "behind", "behind": "front"}
_COUNTER = re.compile("(?<=[一这那])[个座条片棵家处块所间栋幢]$")
_ARTICLE = re.compile(r"\b(an?)(?= $)", re.I)

Edited = tuple[str, dict[str, Claim], What]
"""The new words of a span, the claims that they make by id, and what was changed."""


def counterfactual_text(
    text: str, lang: str, claims: Sequence[Claim], index: FactIndex, rng: Random, *, heading: bool
) -> tuple[str, tuple[Claim, ...], Change] | None:
    """The text with one detail changed, its claims, and the change; None where no change makes the map object.

    Only what a drawn tile can show is changed (where a thing lies, which way the street runs, which thing it is), and
    only claims that the map of the true tile bears out: the edited one must be contradicted there. ``heading``: the
    text states which way the witness looks, so that left and right can be checked.
    """
    supported = [c for c in claims if c.polarity and not c.count and check(c, index).stance == "supports"]
    options = [(claim, edit) for claim in supported for edit in (_turned, _quartered, _other_kind)]
    rng.shuffle(options)
    if rng.random() < PLACES_FIRST:
        # Another thing can be found for nearly every text, another direction that the map excludes for few.
        options.sort(key=lambda option: option[1] is _other_kind)
    for claim, edit in options:
        if text.count(claim.span) != 1:
            continue
        sharing = [c for c in claims if c.span == claim.span]
        edited = edit(claim, sharing, lang, index, rng, heading)
        if edited is None or check(edited[1][claim.id], index).stance != "contradicts":
            continue
        span, new, what = edited
        changed = tuple(new.get(c.id, c) for c in claims)
        return (
            text.replace(claim.span, span),
            changed,
            Change(what=what, claim_id=claim.id, before=claim.span, after=span),
        )
    return None


def _swap(words: Mapping[str, str], text: str) -> str:
    """Every word for its counterpart at once, capitals kept; English words also as halves of "northeast"."""
    options = "|".join(sorted(words, key=len, reverse=True))
    if options.isascii():
        options = rf"(?:(?<![a-z])|(?<=north)|(?<=south))(?:{options})(?=east|west|[^a-z]|$)"

    def other(found: re.Match[str]) -> str:
        word = words[found[0].lower()]
        return word.capitalize() if found[0][0].isupper() else word

    return re.sub(options, other, text, flags=re.I)


def _turned(
    claim: Claim, sharing: Sequence[Claim], lang: str, index: FactIndex, rng: Random, heading: bool
) -> Edited | None:
    """The thing on the opposite side."""
    bearing = claim.relation.bearing_deg
    relative = claim.relation.type in _ACROSS
    if bearing is None or claim.kind == "road" or (relative and not heading) or any(c.kind == "name" for c in sharing):
        return None
    if claim.relation.type in ("front", "behind"):
        span = _faced_about(claim.span, lang)
    else:
        span = _swap(_TURN_ZH if lang == "zh" else _TURN_EN, claim.span)
    if span == claim.span:
        return None
    return span, {c.id: _opposite(c) for c in sharing}, "direction"


def _faced_about(span: str, lang: str) -> str:
    """Ahead for behind and the other way; "right behind me" keeps its right."""
    for pattern, other in _AHEAD_ZH if lang == "zh" else _AHEAD_EN:
        if found := pattern.search(span):
            word = other.capitalize() if found[0][0].isupper() else other
            return span[: found.start()] + word + span[found.end() :]
    return span


def _opposite(claim: Claim) -> Claim:
    relation = claim.relation
    bearing = None if relation.bearing_deg is None else (relation.bearing_deg + 180.0) % 360.0
    return replace(
        claim, relation=replace(relation, bearing_deg=bearing, type=_ACROSS.get(relation.type, relation.type))
    )


def _quartered(
    claim: Claim, sharing: Sequence[Claim], lang: str, index: FactIndex, rng: Random, heading: bool
) -> Edited | None:
    """The street's direction turned by a right angle."""
    axis = claim.relation.bearing_deg
    if claim.value != "runs" or axis is None or len(sharing) > 1:
        return None
    half = bool(_HALF_POINT.search(claim.span))
    turn, mirror = (_QUARTER_ZH, _MIRROR_ZH) if lang == "zh" else (_QUARTER_EN, _MIRROR_EN)
    span = _swap(turn if half else mirror, claim.span)
    # Half points are said with north or south first in English, with east or west first in Chinese.
    span = re.sub("([南北])([东西])", r"\2\1", span)
    span = re.sub(r"\b(east|west)([- ]?)(north|south)\b", r"\3\2\1", span, flags=re.I)
    if span == claim.span or span.lower().count("north") + span.lower().count("south") == 1:
        return None
    relation = replace(claim.relation, bearing_deg=(axis + 90.0) % 180.0)
    return span, {claim.id: replace(claim, relation=relation)}, "axis"


def _other_kind(
    claim: Claim, sharing: Sequence[Claim], lang: str, index: FactIndex, rng: Random, heading: bool
) -> Edited | None:
    """Another thing, of a kind whose absence from the map counts."""
    kind = kinds().get(claim.value)
    if claim.kind not in ("object", "road") or kind is None or len(sharing) > 1 or claim.relation.anchor:
        return None
    here = set(index.kinds)
    # From and to the same few kinds: a river that only ever stands in changed texts would give them away.
    group = next((g for g in (_ROADS, _GROUNDS) if claim.value in g), frozenset())
    others = [k for k in kinds().values() if k.id in group - {claim.value} and not akin(k.id) & here]
    words = kind.zh if lang == "zh" else kind.en
    word = max((w for w in words if w in claim.span), key=len, default=None)
    if word is None or not others:
        return None
    other = rng.choice(others)
    if lang == "zh":
        span = _named_anew_zh(claim.span, word, other.zh[0], measure(other.id))
    else:
        span = _named_anew(claim.span, word, other.en[0])
    return span, {claim.id: replace(claim, value=other.id)}, "kind"


def _named_anew_zh(span: str, word: str, other: str, counter: str) -> str:
    before, after = span.split(word, 1)
    return _COUNTER.sub(counter, before) + other + after


def _named_anew(span: str, word: str, other: str) -> str:
    before, after = span.split(word, 1)
    if after.startswith("s") and not other.endswith("s"):
        after = after[1:]
    article = "an" if other[0] in "aeiou" else "a"
    return _ARTICLE.sub(lambda m: article.capitalize() if m[1][0] == "A" else article, before) + other + after
