"""Explanations whose worth is known beforehand: any score that does not put them in order is worth little.

From the best to the worst: the map's own words (it knows every fact), words from retrieval alone (it knows names and
one likeness), a text that never saw the tile (it believes the witness), the words for another place's tile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from agent.verdict import MAP_WEIGHT
from eval.explanations.cases import Case
from eval.explanations.schema import Explained, Key
from prompts.wording import template_explanation
from retriever.oracle.naming import best_rows
from retriever.types import Evidence, Stance, Verdict

ORACLE, RETRIEVAL, TEXT_ONLY, OTHER = "oracle template", "retrieval template", "text only", "another tile's"
ORDER = (ORACLE, RETRIEVAL, TEXT_ONLY, OTHER)
TOP_SHARE = 0.1
"""Retrieval calls the best tenth of an area a match; chosen, not fitted."""


def oracle_template(case: Case) -> Explained:
    """Every claim where the map puts it; the verdict is that of the product's rule with a judge that knows nothing."""
    stances = {claim_id: e.stance for claim_id, e in case.checked.items()}
    confidence = map_confidence(0.5, stances)
    verdict: Verdict = "match" if confidence > 0.5 else "no_match"
    return _worded(ORACLE, case, stances, verdict, confidence, tuple(case.checked.values()))


def retrieval_template(case: Case, standing: float) -> Explained:
    """Only what retrieval knows: the names that its index finds on the tile, and ``standing``, the share of the area's
    tiles that score lower for this text (0..1)."""
    stances: dict[str, Stance] = {
        c.id: "supports" if c.kind == "name" and c.polarity and best_rows(c.value, case.index.names) else "unknown"
        for c in case.claims
    }
    verdict: Verdict = "match" if standing >= 1 - TOP_SHARE else "no_match"
    return _worded(RETRIEVAL, case, stances, verdict, standing)


def text_only(case: Case) -> Explained:
    """Everything that was said is said to be there."""
    stances: dict[str, Stance] = {c.id: "supports" for c in case.claims}
    return _worded(TEXT_ONLY, case, stances, "match", 1.0)


def others_words(cases: Sequence[Case]) -> list[Explained]:
    """For each case the oracle template of the next case of another place; none where there is no other place."""
    found = []
    for row, case in enumerate(cases):
        order = [*cases[row + 1 :], *cases[:row]]
        other = next((c for c in order if c.location != case.location), None)
        if other is not None:
            said = oracle_template(other)
            found.append(_moved(said, case))
    return found


def _moved(said: Explained, case: Case) -> Explained:
    return Explained(
        system=OTHER,
        query_id=case.query_id,
        tile_id=case.tile_id,
        verdict=said.verdict,
        confidence=said.confidence,
        texts=said.texts,
        query=case.text,
        baseline=True,
    )


def all_baselines(cases: Sequence[Case], standing: Mapping[Key, float] | None = None) -> list[Explained]:
    """Every baseline on every case; retrieval only where its standing is known."""
    found = [oracle_template(c) for c in cases]
    found += [retrieval_template(c, standing[c.key]) for c in cases if standing and c.key in standing]
    found += [text_only(c) for c in cases]
    return [*found, *others_words(cases)]


def map_confidence(p: float, stances: Mapping[str, Stance]) -> float:
    """A match probability moved by the map's stances, as :func:`agent.verdict.verdict` moves it."""
    said = list(stances.values())
    if not set(said) - {"unknown"}:
        return p
    share = (said.count("supports") - said.count("contradicts")) / len(said)
    odds = math.log(min(max(p, 1e-6), 1 - 1e-6) / (1 - min(max(p, 1e-6), 1 - 1e-6)))
    return 1 / (1 + math.exp(-(odds + MAP_WEIGHT * (share - 0.5))))


def _worded(
    system: str,
    case: Case,
    stances: Mapping[str, Stance],
    verdict: Verdict,
    confidence: float,
    evidence: tuple[Evidence, ...] = (),
) -> Explained:
    match = {"match": True, "no_match": False}.get(verdict)
    words = template_explanation(case.claims, stances, match=match)
    return Explained(
        system=system,
        query_id=case.query_id,
        tile_id=case.tile_id,
        verdict=verdict,
        confidence=confidence,
        texts={"en": words.en, "zh": words.zh},
        evidence=evidence,
        claims=case.claims,
        query=case.text,
        baseline=True,
    )
