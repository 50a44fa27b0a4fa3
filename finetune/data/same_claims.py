"""Does a rewritten text still claim what its ledger says? Read back by the same rules that read witnesses.

The rules do not understand every phrase. So two things are asked of each claim of the ledger: if the rules read it in
the original, they must read it in the new text, with the same relation and details; if they did not, its own words must
stand in the new text unchanged. And what is read in the new text must be in the ledger, or have been read before.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from prompts.claims import extract_claims
from retriever.geo import octant
from retriever.types import Claim

_PLACELESS = ("near", "here")
_DISTANCE_SLACK = 0.1
_DENIAL = re.compile(r"(?:\b(?:no|not|never|without|nor)\b|n't\b|没有?|不是?|无|非)[\w\s]{0,16}$", re.IGNORECASE)

Key = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Check:
    """What the new text does to the ledger; all three empty: the ledger holds."""

    changed: tuple[str, ...] = ()
    """Still there, but with another relation, number or polarity."""
    dropped: tuple[str, ...] = ()
    invented: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    """The ledger with its spans in the new text; only where it holds."""

    @property
    def holds(self) -> bool:
        return not (self.changed or self.dropped or self.invented)


def key(claim: Claim) -> Key:
    """Kind, name, relation, number and polarity, as far as two wordings of one claim share them.

    "Here" and "near" are one; a road's own line has only its axis; a bearing counts by its octant where it was said as
    a bearing, while left and right keep their word (the bearing behind them is compared apart).
    """
    relation = claim.relation
    what = (claim.kind, claim.value.casefold(), claim.polarity, claim.count)
    if claim.kind == "road" and claim.value == "runs":
        return (*what, None if relation.bearing_deg is None else octant(relation.bearing_deg) % 4)
    if relation.type in _PLACELESS or (claim.kind == "road" and relation.type == "along"):
        return (*what, "near")
    if relation.type == "bearing" and relation.bearing_deg is not None:
        return (*what, "bearing", octant(relation.bearing_deg))
    return (*what, relation.type, (relation.anchor or "").casefold())


def check(original: str, ledger: Sequence[Claim], rewritten: str) -> Check:
    """Compare; ``ledger`` holds the claims of ``original`` with their spans."""
    before, after = extract_claims(original), extract_claims(rewritten)
    changed: list[str] = []
    dropped: list[str] = []
    spans: list[Claim] = []
    for claim in ledger:
        found = _found(claim, before, after, rewritten)
        if isinstance(found, Claim):
            spans.append(found)
        else:
            (changed if found == "changed" else dropped).append(_say(claim))
    known = {key(c) for c in (*ledger, *before)}
    things = {(c.kind, c.value.casefold()) for c in ledger}
    new = [c for c in after if key(c) not in known]
    # A ledger's thing elsewhere is that thing changed, not another one: said once is enough.
    invented = [_say(c) for c in new if (c.kind, c.value.casefold()) not in things or not changed]
    holds = not (changed or dropped or invented)
    return Check(
        changed=tuple(changed), dropped=tuple(dropped), invented=tuple(invented), claims=tuple(spans) if holds else ()
    )


def _found(claim: Claim, before: Sequence[Claim], after: Sequence[Claim], text: str) -> Claim | str:
    """The claim with its new span, or ``changed``, or ``dropped``."""
    was = [c for c in before if key(c) == key(claim)]
    same = [c for c in after if key(c) == key(claim)]
    kept = [c for c in same if not was or any(_details(o, c) for o in was)]
    if kept:
        return dataclasses.replace(claim, span=kept[0].span)
    if not was and not same and _stands(claim.span, text):
        return claim
    elsewhere = same or any((c.kind, c.value.casefold()) == (claim.kind, claim.value.casefold()) for c in after)
    return "changed" if elsewhere else "dropped"


def _details(before: Claim, after: Claim) -> bool:
    """Whether bearing and distance that were read before are still the same."""
    old, new = before.relation, after.relation
    if old.bearing_deg is not None and (new.bearing_deg is None or octant(old.bearing_deg) != octant(new.bearing_deg)):
        return False
    if old.distance_m is None:
        return True
    return new.distance_m is not None and abs(new.distance_m - old.distance_m) <= _DISTANCE_SLACK * old.distance_m


def _stands(span: str, text: str) -> bool:
    """Whether the words stand in the text as they are, and nothing before them denies them."""
    plain, words = " ".join(text.split()).casefold(), " ".join(span.split()).casefold().strip(" .,;!?。，；！？")
    at = plain.find(words) if words else -1
    return at >= 0 and (bool(_DENIAL.search(words[:4])) or not _DENIAL.search(plain[max(0, at - 24) : at]))


def unread(original: str, ledger: Sequence[Claim]) -> list[str]:
    """Spans of claims that the rules do not read in the original: these must stay word for word."""
    before = {key(c) for c in extract_claims(original)}
    return list(dict.fromkeys(c.span for c in ledger if key(c) not in before))


def _say(claim: Claim) -> str:
    relation = claim.relation
    bearing = "" if relation.bearing_deg is None else f" {relation.bearing_deg:.0f}°"
    return f"{'' if claim.polarity else 'no '}{claim.kind} {claim.value} ({relation.type}{bearing})"
