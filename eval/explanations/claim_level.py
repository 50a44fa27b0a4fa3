"""Level 1: each assertion of an explanation against the description, the map and, where given, people's marks.

An assertion is *right* or *wrong* where that can be decided and *open* elsewhere; what the map does not say is not
false. It is wrong where the map contradicts it, and where it says that description and tile agree or differ on
something that was never said: that is invented. Precision is over what is decided, recall over the description's claims
that the tile can decide (both directions), so silence and "cannot be told" cost recall and never precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from eval.explanations.cases import Case
from eval.explanations.humans import Mark, mark_for
from eval.explanations.reading import Assertion, Read
from retriever.geo import angle_between
from retriever.oracle import check
from retriever.oracle.generality import satisfying
from retriever.oracle.naming import THRESHOLD, normalise, similarity
from retriever.types import Claim, Stance, Verdict

Outcome = Literal["right", "contradicted", "invented", "open"]
_AGAINST: dict[Stance, Stance] = {"supports": "contradicts", "contradicts": "supports"}
"""Who says both of one claim has not placed it."""
BEARING_OFF = 46.0
"""Degrees that an explanation's direction may be off the description's: it has eight points."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One assertion and what became of it."""

    assertion: Assertion
    outcome: Outcome
    claim_id: str | None
    """The description's claim that it speaks of; None: none."""
    by: Literal["map", "people", "description"]


@dataclass(frozen=True, kw_only=True)
class ClaimScore:
    """One explanation in one language at claim level. Shares are None where nothing could be decided."""

    checked: tuple[Checked, ...]
    decidable: tuple[int, int]
    """Claims of the description that the tile bears out, and that it contradicts."""
    reached: tuple[int, int]
    """Of these, how many the explanation puts where the tile puts them."""

    def count(self, *outcomes: Outcome) -> int:
        return sum(c.outcome in outcomes for c in self.checked)

    @property
    def precision(self) -> float | None:
        decided = self.count("right", "contradicted", "invented")
        return self.count("right") / decided if decided else None

    @property
    def borne_out(self) -> float | None:
        """Of everything said firmly, the share that is right: what cannot be checked does not count for it.

        A lower bound, since the map does not know everything; but saying yes to all that was said gains nothing here.
        """
        firm = [c for c in self.checked if c.assertion.stance != "unknown"]
        return sum(c.outcome == "right" for c in firm) / len(firm) if firm else None

    @property
    def recall(self) -> float | None:
        return sum(self.reached) / sum(self.decidable) if any(self.decidable) else None

    @property
    def recall_against(self) -> float | None:
        """Of the description's claims that the tile contradicts, the share that the explanation says it contradicts."""
        return self.reached[1] / self.decidable[1] if self.decidable[1] else None

    @property
    def f1(self) -> float | None:
        """Of precision and recall; 0 where the tile decides something and the explanation nothing."""
        if self.recall is None:
            return None
        p = self.precision or 0.0
        return 2 * p * self.recall / (p + self.recall) if p + self.recall else 0.0

    def wrong_reason(self, verdict: Verdict | None, label: Verdict | None) -> bool | None:
        """Whether a right verdict rests on as much that is wrong as right, or more; None where the verdict is wrong."""
        if label is None or verdict != label:
            return None
        wrong = self.count("contradicted", "invented")
        return wrong > 0 and wrong >= self.count("right")

    def any_wrong(self, verdict: Verdict | None, label: Verdict | None) -> bool | None:
        """Whether a right verdict is given with anything wrong at all; None where the verdict is wrong."""
        return None if label is None or verdict != label else self.count("contradicted", "invented") > 0


def score_claims(case: Case, read: Read, marks: Mapping[str, Mark] | None = None) -> ClaimScore:
    """Check everything that was read from one text."""
    pairs = pair_up(case, read.assertions)
    checked = tuple(_check(case, a, pairs.get(a.id), (marks or {})) for a in read.assertions)
    stances = {claim_id: e.stance for claim_id, e in case.checked.items() if e.stance != "unknown"}
    placed = {(c.claim_id, _stance_for(c.assertion, case, c.claim_id)) for c in checked if c.claim_id is not None}
    unsure = {i for i, stance in placed if stance != "unknown" and (i, _AGAINST[stance]) in placed}
    hit = [stance for claim_id, stance in stances.items() if (claim_id, stance) in placed and claim_id not in unsure]
    sides = list(stances.values())
    return ClaimScore(
        checked=checked,
        decidable=(sides.count("supports"), sides.count("contradicts")),
        reached=(hit.count("supports"), hit.count("contradicts")),
    )


def _check(case: Case, assertion: Assertion, claim_id: str | None, marks: Mapping[str, Mark]) -> Checked:
    mark = mark_for(assertion, marks)
    if mark is not None:
        outcome: Outcome = {"right": "right", "wrong": "contradicted", "cant_tell": "open"}[mark]  # type: ignore[assignment]
        return Checked(assertion=assertion, outcome=outcome, claim_id=claim_id, by="people")
    if assertion.stance == "unknown":
        return Checked(assertion=assertion, outcome="open", claim_id=claim_id, by="map")
    if claim_id is None and assertion.frame in ("agree", "differ"):
        return Checked(assertion=assertion, outcome="invented", claim_id=None, by="description")
    if claim_id is None:
        true: Stance = check(assertion.claim, case.index).stance
        said: Stance = assertion.stance
    else:
        true, said = case.checked[claim_id].stance, _stance_for(assertion, case, claim_id)
    outcome = "open" if true == "unknown" else "right" if true == said else "contradicted"
    return Checked(assertion=assertion, outcome=outcome, claim_id=claim_id, by="map")


def _stance_for(assertion: Assertion, case: Case, claim_id: str | None) -> Stance:
    """Where the assertion puts the description's claim: "no park there" speaks against a claimed park."""
    claim = next(c for c in case.claims if c.id == claim_id)
    if assertion.stance == "unknown" or assertion.claim.polarity == claim.polarity:
        return assertion.stance
    return "contradicts" if assertion.stance == "supports" else "supports"


def pair_up(case: Case, assertions: Sequence[Assertion]) -> dict[str, str]:
    """Assertion id -> claim id; among equals the pairing that speaks for the explanation.

    Within one frame ("agree on a, b and a") each claim is used once as far as they go; saying it again elsewhere, or
    once more, is no invention.
    """
    options: list[tuple[int, int, int, str, str]] = []
    for row, assertion in enumerate(assertions):
        for column, claim in enumerate(case.claims):
            if same_thing(assertion.claim, claim, polarity=assertion.frame != "tile"):
                agrees = _stance_for(assertion, case, claim.id) == case.checked[claim.id].stance
                exact = assertion.claim.relation.bearing_deg == claim.relation.bearing_deg
                options.append((-2 * agrees - exact, row, column, assertion.id, claim.id))
    found: dict[str, str] = {}
    used: set[tuple[str, str]] = set()
    frames = {a.id: a.frame for a in assertions}
    for repeats in (False, True):
        for *_, assertion_id, claim_id in sorted(options):
            if assertion_id not in found and (repeats or (frames[assertion_id], claim_id) not in used):
                found[assertion_id] = claim_id
                used.add((frames[assertion_id], claim_id))
    return found


def same_thing(said: Claim, claim: Claim, *, polarity: bool = True) -> bool:
    """Whether ``said`` is the claim, or less specific than it: kind, value, direction and, if asked, polarity."""
    if polarity and said.polarity != claim.polarity:
        return False
    if said.kind != claim.kind and {said.kind, claim.kind} != {"road", "object"}:
        return False
    return _same_value(said, claim) and _same_direction(said, claim)


def _same_value(said: Claim, claim: Claim) -> bool:
    if said.value == claim.value:
        return True
    if said.kind == "name":
        return similarity(normalise(said.value), normalise(claim.value)) >= THRESHOLD
    return said.kind == "object" and claim.value in satisfying(said.value)


def _same_direction(said: Claim, claim: Claim) -> bool:
    a, b = said.relation.bearing_deg, claim.relation.bearing_deg
    if a is None:
        return True
    if b is None:
        return False
    if claim.value == "runs":
        return min(angle_between(a, b), angle_between(a + 180, b)) <= BEARING_OFF
    return angle_between(a, b) <= BEARING_OFF
