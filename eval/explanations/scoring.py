"""All judgements of all systems scored, level by level, and laid out as values by score, system and judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from eval.bootstrap import Interval, bootstrap_mean
from eval.explanations.cases import Case
from eval.explanations.claim_level import ClaimScore, score_claims
from eval.explanations.humans import ItemKey, Mark
from eval.explanations.localise import BoxScore, score_boxes
from eval.explanations.overlap import TextEncoder, overlap
from eval.explanations.reading import Read, read_explanation
from eval.explanations.schema import LANGS, Explained, Key
from eval.explanations.twins import TwinScore, score_twins

Values = dict[str, dict[str, dict[Key, float]]]
"""Score -> system -> judgement -> value. The name of a score by language ends in ``, en`` or ``, zh``."""

TESTED = ("claim precision", "borne out", "claim recall", "claim F1", "wrong reason", "verdict right", "twins alike")
"""Scores that systems are compared by; the rest stand for themselves."""
LOWER_IS_BETTER = ("wrong reason", "any wrong reason", "box area")


@dataclass(frozen=True, kw_only=True)
class ScoredItem:
    """One judgement with everything that was found out about it."""

    item: Explained
    case: Case
    reads: Mapping[str, Read]
    claims: Mapping[str, ClaimScore]
    boxes: BoxScore
    twins: TwinScore | None

    def wrong(self) -> int:
        """Assertions that are wrong, in both languages together."""
        return sum(c.count("contradicted", "invented") for c in self.claims.values())

    def right(self) -> int:
        return sum(c.count("right") for c in self.claims.values())


@dataclass(frozen=True, kw_only=True)
class Table:
    """One level's scores: per score and system an interval, or None where nothing could be scored."""

    title: str
    note: str
    rows: Mapping[str, Mapping[str, Interval | None]] = field(default_factory=dict)


def score_items(
    items: Sequence[Explained],
    cases: Mapping[Key, Case],
    marks: Mapping[ItemKey, Mapping[str, Mark]] | None = None,
    reads: Mapping[str, Read] | None = None,
) -> list[ScoredItem]:
    """Levels 1 and 3 of every judgement that has a case. ``reads`` by text: what another reader made of it."""
    return [_score(item, cases[item.key], marks or {}, reads or {}) for item in items if item.key in cases]


def _score(
    item: Explained, case: Case, marks: Mapping[ItemKey, Mapping[str, Mark]], known: Mapping[str, Read]
) -> ScoredItem:
    reads = {lang: known.get(text) or read_explanation(text) for lang, text in item.texts.items()}
    both = len(item.texts) == len(LANGS)
    return ScoredItem(
        item=item,
        case=case,
        reads=reads,
        claims={
            lang: score_claims(case, read, marks.get((item.system, *item.key, lang))) for lang, read in reads.items()
        },
        boxes=score_boxes(case, item),
        twins=score_twins(item.texts["en"], item.texts["zh"]) if both else None,
    )


def claim_values(scored: Sequence[ScoredItem]) -> Values:
    """Level 1."""
    found: Values = {}
    for s in scored:
        for lang, claims in s.claims.items():
            wrong = claims.wrong_reason(s.item.verdict, s.case.label)
            any_wrong = claims.any_wrong(s.item.verdict, s.case.label)
            _put(found, s, f"claim precision, {lang}", claims.precision)
            _put(found, s, f"borne out, {lang}", claims.borne_out)
            _put(found, s, f"claim recall, {lang}", claims.recall)
            _put(found, s, f"claim recall against, {lang}", claims.recall_against)
            _put(found, s, f"claim F1, {lang}", claims.f1)
            _put(found, s, f"wrong reason, {lang}", None if wrong is None else float(wrong))
            _put(found, s, f"any wrong reason, {lang}", None if any_wrong is None else float(any_wrong))
        right = None if s.case.label is None else float(s.item.verdict == s.case.label)
        _put(found, s, "verdict right", right)
        _put(found, s, "box hit", s.boxes.mean("hits"))
        _put(found, s, "box IoU", s.boxes.mean("ious"))
        _put(found, s, "box area", s.boxes.mean("areas"))
    return found


def twin_values(scored: Sequence[ScoredItem]) -> Values:
    """Level 3."""
    found: Values = {}
    for s in scored:
        if s.twins is not None:
            _put(found, s, "twins alike", float(s.twins.same))
            _put(found, s, "twin claims", s.twins.claims)
            _put(found, s, "twin stances and polarity", s.twins.stance)
            for name in ("names", "numbers", "verdict"):
                _put(found, s, f"twin {name}", float(getattr(s.twins, name)))
    return found


def overlap_values(scored: Sequence[ScoredItem], encoder: TextEncoder | None = None) -> Values:
    """Level 5, for judgements with a reference. Document frequencies (CIDEr) are those of each system's own set."""
    found: Values = {}
    for system in dict.fromkeys(s.item.system for s in scored):
        for lang in LANGS:
            mine = [s for s in scored if s.item.system == system and lang in s.item.texts and lang in s.case.references]
            texts, wanted = [s.item.texts[lang] for s in mine], [s.case.references[lang] for s in mine]
            for name, scores in (overlap(texts, wanted, lang, encoder) if mine else {}).items():
                for s, value in zip(mine, scores, strict=True):
                    _put(found, s, f"{name}, {lang}", value)
    return found


def _put(found: Values, s: ScoredItem, score: str, value: float | None) -> None:
    if value is not None:
        found.setdefault(score, {}).setdefault(s.item.system, {})[s.item.key] = float(value)


def table(title: str, note: str, values: Values, systems: Sequence[str], places: Mapping[Key, str]) -> Table:
    """Means with intervals by location."""
    order = sorted(values, key=lambda score: (score.partition(",")[2], list(values).index(score)))
    rows = {score: {system: _interval(values[score].get(system, {}), places) for system in systems} for score in order}
    return Table(title=title, note=note, rows=rows)


def _interval(values: Mapping[Key, float], places: Mapping[Key, str]) -> Interval | None:
    keys = sorted(values)
    return bootstrap_mean(np.array([values[k] for k in keys]), [places[k] for k in keys]) if keys else None


def tested(values: Values) -> Values:
    """The scores that systems are compared by."""
    return {score: by for score, by in values.items() if score.partition(",")[0] in TESTED}


def worst(scored: Sequence[ScoredItem], n: int = 10) -> list[ScoredItem]:
    """The explanations with most that is wrong beyond what is right; among equals right verdicts for wrong reasons and
    high confidence first. Only those with something wrong."""
    bad = [s for s in scored if s.wrong()]
    return sorted(bad, key=lambda s: (s.right() - s.wrong(), not _fooled(s), -(s.item.confidence or 0.0), s.item.key))[
        :n
    ]


def _fooled(s: ScoredItem) -> bool:
    return any(c.wrong_reason(s.item.verdict, s.case.label) for c in s.claims.values())
