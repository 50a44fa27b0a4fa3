"""Level 2: does the judge's answer follow when what it rests on is changed?

Needs the judge itself: any function from a scene to an answer (:data:`Judging`), ours through its server or another's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from eval.bootstrap import Interval, bootstrap_mean
from eval.explanations.cases import Case
from eval.explanations.claim_level import same_thing
from eval.explanations.edits import KINDS, Edit, Scene, edits
from eval.explanations.reading import read_explanation
from eval.explanations.schema import LANGS, Problem
from retriever.draw import Fonts
from retriever.errors import ReplyError, SightlineError
from retriever.types import Claim, Stance, Verdict

CONTROL = "remove other"
STEADY = 1e-6
"""Confidence that moves less than this has not moved."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a judge says of one scene."""

    verdict: Verdict | None
    confidence: float
    """0..1, that the tile is the place."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Explanation by language."""


Judging = Callable[[Scene], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One edit of one case, before and after."""

    case: Case
    edit: Edit
    before: Answer
    after: Answer

    @property
    def fall(self) -> float:
        """How far confidence fell."""
        return self.before.confidence - self.after.confidence

    def reason_follows(self, lang: str) -> bool | None:
        """Whether the claim, said before to hold, is no longer said to. None where it was not said to hold before."""
        claim = self.edit.claim
        if claim is None or said_of(self.before.texts.get(lang, ""), claim) != "supports":
            return None
        return said_of(self.after.texts.get(lang, ""), claim) != "supports"


@dataclass(frozen=True, kw_only=True)
class Faithful:
    """One kind of edit over all cases."""

    kind: str
    what: str
    fall: Interval
    """Mean fall of confidence."""
    falls: Interval
    """Share of cases in which confidence fell at all."""
    verdict: Interval | None
    """Of the verdicts ``match`` before, the share that are something else after."""
    reason: Mapping[str, Interval]
    """By language: of the texts that said the claim holds, the share that no longer do."""


def said_of(text: str, claim: Claim) -> Stance | None:
    """Where a text puts one claim of the description; None where it does not mention it."""
    for assertion in read_explanation(text).assertions:
        if same_thing(assertion.claim, claim, polarity=assertion.frame != "tile"):
            return assertion.stance
    return None


async def run_trials(
    judging: Judging, cases: Sequence[Case], *, seed: int = 0, parallel: int = 8, fonts: Fonts | None = None
) -> tuple[list[Trial], list[Problem]]:
    """Every edit of every case, with the next case of another place as the swapped tile.

    A scene that cannot be answered costs its case, not the run.
    """
    gate = asyncio.Semaphore(parallel)
    fonts = fonts or Fonts.find()

    async def one(row: int) -> list[Trial] | Problem:
        async with gate:
            try:
                return await _trials(judging, cases[row], _elsewhere(cases, row), fonts, seed)
            except (ReplyError, SightlineError) as error:
                return Problem(where=" on ".join(cases[row].key), what=f"no counterfactuals: {error}")

    done = await asyncio.gather(*(one(row) for row in range(len(cases))))
    trials = [t for found in done if not isinstance(found, Problem) for t in found]
    return trials, [found for found in done if isinstance(found, Problem)]


async def _trials(judging: Judging, case: Case, other: Case | None, fonts: Fonts, seed: int) -> list[Trial]:
    changed = edits(case, other, fonts=fonts, seed=seed)
    if not changed:
        return []
    before = await judging(changed[0].scene)
    found = []
    for edit in changed[1:]:
        # Most of an answer's cost is its words, and they can only follow where they said before that the claim holds.
        scene = replace(edit.scene, words=_held(before, edit.claim))
        found.append(Trial(case=case, edit=edit, before=before, after=await judging(scene)))
    return found


def _held(before: Answer, claim: Claim | None) -> bool:
    """Whether a text of this answer says that the claim holds."""
    return claim is not None and any(said_of(text, claim) == "supports" for text in before.texts.values())


def _elsewhere(cases: Sequence[Case], row: int) -> Case | None:
    """The next case of another place, round the end."""
    order = [*cases[row + 1 :], *cases[:row]]
    return next((c for c in order if c.location != cases[row].location and c.tile_id != cases[row].tile_id), None)


def summarise(trials: Sequence[Trial], *, seed: int = 0) -> list[Faithful]:
    """One row per kind of edit that occurs, in the order of :data:`eval.explanations.edits.KINDS`.

    ``strike`` is only meant for verdicts that the struck claim spoke for; there as everywhere a fall is expected.
    """
    kinds = [k for k in KINDS if any(t.edit.kind == k for t in trials)]
    rows = [_row(kind, [t for t in trials if t.edit.kind == kind], seed) for kind in kinds]
    over = [_over_control(kind, trials, seed) for kind in ("remove", "move")]
    return [*rows, *(row for row in over if row is not None)]


def _over_control(kind: str, trials: Sequence[Trial], seed: int) -> Faithful | None:
    """How much further confidence falls than when as much is taken off that no claim rests on, case by case."""
    control = {t.case.key: t.fall for t in trials if t.edit.kind == CONTROL}
    mine = [t for t in trials if t.edit.kind == kind and t.case.key in control]
    if not mine:
        return None
    more = np.array([t.fall - control[t.case.key] for t in mine])
    places = [t.case.location for t in mine]
    return Faithful(
        kind=f"{kind} over control",
        what=f"the fall of '{kind}' less that of '{CONTROL}' on the same tile",
        fall=bootstrap_mean(more, places, seed=seed),
        falls=bootstrap_mean((more > STEADY).astype(np.float64), places, seed=seed),
        verdict=None,
        reason={},
    )


def _row(kind: str, trials: Sequence[Trial], seed: int) -> Faithful:
    places = [t.case.location for t in trials]
    falls = np.array([t.fall for t in trials])
    matched = [t for t in trials if t.before.verdict == "match"]
    left = np.array([float(t.after.verdict != "match") for t in matched])
    reason = {}
    for lang in LANGS:
        told = [(t, t.reason_follows(lang)) for t in trials]
        known = [(float(f), t.case.location) for t, f in told if f is not None]
        if known:
            reason[lang] = bootstrap_mean(np.array([k for k, _ in known]), [p for _, p in known], seed=seed)
    return Faithful(
        kind=kind,
        what=KINDS[kind],
        fall=bootstrap_mean(falls, places, seed=seed),
        falls=bootstrap_mean((falls > STEADY).astype(np.float64), places, seed=seed),
        verdict=bootstrap_mean(left, [t.case.location for t in matched], seed=seed) if matched else None,
        reason=reason,
    )
