"""Level 3: whether the English and the Chinese of one explanation assert the same, claim by claim."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from eval.explanations.claim_level import same_thing
from eval.explanations.reading import Assertion, Read, read_explanation

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, kw_only=True)
class TwinScore:
    """Agreement of two texts; every share is 0..1."""

    claims: float | None
    """Assertions with a twin of the same thing in the other language, of all in both; None where neither asserts."""
    stance: float | None
    """Of those with a twin, the share that both texts put on the same side, with the same polarity."""
    names: bool
    numbers: bool
    verdict: bool
    """Whether both conclude alike, or neither concludes."""

    @property
    def same(self) -> bool:
        """Whether the two say the same in every respect."""
        return (
            self.claims in (None, 1.0) and self.stance in (None, 1.0) and self.names and self.numbers and self.verdict
        )


def score_twins(en: str, zh: str) -> TwinScore:
    """Compare the two texts of one explanation."""
    a, b = read_explanation(en), read_explanation(zh)
    pairs = _pairs(a, b)
    total = len(a.assertions) + len(b.assertions)
    alike = sum(_side(x) == _side(y) for x, y in pairs)
    return TwinScore(
        claims=2 * len(pairs) / total if total else None,
        stance=alike / len(pairs) if pairs else None,
        names=_names(a) == _names(b),
        numbers=_numbers(en, a) == _numbers(zh, b),
        verdict=a.concludes == b.concludes,
    )


def _side(assertion: Assertion) -> tuple[str, bool]:
    return assertion.stance, assertion.claim.polarity


def _pairs(a: Read, b: Read) -> list[tuple[Assertion, Assertion]]:
    left: list[Assertion] = list(b.assertions)
    found: list[tuple[Assertion, Assertion]] = []
    for strict in (True, False):
        taken = {x.id for x, _ in found}
        for x in (x for x in a.assertions if x.id not in taken):
            twin = next((y for y in left if _twin(x, y) and (not strict or _side(x) == _side(y))), None)
            if twin is not None:
                left.remove(twin)
                found.append((x, twin))
    return found


def _twin(x: Assertion, y: Assertion) -> bool:
    """The same thing in the same direction; both ways, so that neither is vaguer than the other."""
    return same_thing(x.claim, y.claim, polarity=False) and same_thing(y.claim, x.claim, polarity=False)


def _names(read: Read) -> Counter[str]:
    return Counter(a.claim.value.casefold() for a in read.assertions if a.claim.kind == "name")


def _numbers(text: str, read: Read) -> Counter[str]:
    """Figures outside names, which may hold some of their own."""
    for assertion in read.assertions:
        if assertion.claim.kind == "name":
            text = text.replace(assertion.claim.value, " ")
    return Counter(_NUMBER.findall(text))
