"""Playing a case again: everything that needs no model is recomputed, the models at hand are asked, where they are,
and what comes out differently is named.

The tiles' pictures and map facts are those of the archive, so a verdict is reproduced from what it was founded on; a
gallery, where one is given, is compared with them and searched again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agent.answer import Told, explain_shown
from agent.casefile import again
from agent.casefile.case import ArchiveGallery, ArchiveJudge, Case, candidates_then, open_case
from agent.casefile.errors import CaseError
from agent.casefile.order import ranked
from agent.confidence import Confidence, Posterior
from agent.context import Context
from agent.judged import Reasons
from agent.ledger import map_evidence, net_support
from agent.rerankers import Kit, create
from retriever.posterior import Features, Prior, Weights
from retriever.types import Evidence, Judgement, Ranking, Record

Json = dict[str, Any]
CLOSE = 0.01
"""A confidence or probability that moves less than this with the model asked again counts as the same: a server sums in
another order with every batch."""
EXACT = 1e-6


@dataclass(frozen=True, kw_only=True)
class Step(Record):
    """One thing that was recomputed, or could not be."""

    name: str
    state: Literal["same", "differs", "not_done"]
    told: str
    """What was compared, what differs, or why it was not done."""


@dataclass(frozen=True, kw_only=True)
class Change(Record):
    what: str
    """``package torch``, ``model judge``, ``prompt``, ``gallery`` ..."""
    then: str
    now: str
    """Empty where it is absent."""


@dataclass(frozen=True, kw_only=True)
class Tile(Record):
    """One candidate then and now."""

    tile_id: str
    rank: tuple[int, int]
    verdict: tuple[str, str]
    """``not_judged`` where there is none."""
    confidence: tuple[float, float]
    p_match: tuple[float | None, float | None]
    stances: tuple[str, ...] = ()
    """Claims whose evidence differs: ``c2 (map): supports, now unknown``."""
    reason: str = ""
    """Why the tile was not judged now, if it was then."""

    @property
    def same_verdict(self) -> bool:
        return self.verdict[0] == self.verdict[1]


@dataclass(frozen=True, kw_only=True)
class Replay(Record):
    """What a replay found."""

    path: str
    digest: str
    signature: str
    reproduced: bool
    """Every verdict and the order are the same, and no confidence moved by more than was allowed."""
    judge: str
    """Whether the model was asked again, and which; or why not."""
    steps: tuple[Step, ...]
    changed: tuple[Change, ...]
    """What answers here and now is another version than what answered then."""
    tiles: tuple[Tile, ...]
    largest: float
    """The largest change of a confidence, over candidates, elsewhere and outside."""


async def replay_case(
    path: Path | str,
    *,
    kit: Kit | None = None,
    model: str = "none",
    context: Context | None = None,
    key: Path | None = None,
    digest: str | None = None,
) -> Replay:
    """Play the case at ``path`` again.

    ``kit`` holds the judge to ask and ``model`` is its name; without one, the archive's own answers stand in and all
    the rest is recomputed. ``context``, a desk's, stands for both and brings its gallery and retriever, with which the
    search is done again. Raises ``CaseError``, ``Tampered`` for a file that was changed.
    """
    case = open_case(path, key=key, digest=digest)
    if context is not None:
        kit, model = context.kit, context.model
    try:
        return await _replayed(case, kit or Kit(), model, context)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        # Whole, and yet written by somebody else than export_case.
        raise CaseError(f"{path} is whole, but holds what no case file does ({error!r:.120})") from error


async def _replayed(case: Case, kit: Kit, model: str, context: Context | None) -> Replay:
    kit = dataclasses.replace(kit, judge=again.forgetful(kit.judge))
    gallery, live = ArchiveGallery(case), kit.judge is not None and again.was_judged(case)
    weights = Weights.from_json(case.posterior["weights"])
    confidence = Confidence(weights=weights)
    used = dataclasses.replace(kit, judge=kit.judge if live else ArchiveJudge(case), confidence=confidence)
    checks = {t: map_evidence(gallery, t, case.claims) or () for t in case.tiles}  # type: ignore[arg-type]
    ranking, order_told = await ranked(case, used, gallery, live)
    posterior = _posterior(case, ranking, checks, confidence)
    judged = [dataclasses.replace(j, confidence=posterior.cells[j.tile_id]) for j in ranking.judgements]
    told = await _explained(case, used, gallery, judged, checks, _how(case, context))
    tiles = _tiles(case, told)
    largest = _largest(case, posterior)
    steps = [
        again.claims(case),
        await again.retrieval(case, context),
        again.pictures(case, gallery, context),
        again.checks(case, checks),
        _judged(tiles, live, kit, case),
        _verdicts(tiles),
        _confidences(largest, live),
        Step(name="order", state="not_done", told=order_told) if order_told else _order(tiles),
        again.explanations(case, told, live),
    ]
    return Replay(
        path=case.verified.path,
        digest=case.verified.digest,
        signature=case.verified.signature,
        reproduced=all(step.state != "differs" for step in steps),
        judge=_asked(live, kit, model, case),
        steps=tuple(steps),
        changed=tuple(Change.from_json(c) for c in again.changes(case, kit, model, context)),
        tiles=tiles,
        largest=largest,
    )


def _posterior(
    case: Case, ranking: Ranking, checks: dict[str, tuple[Evidence, ...]], confidence: Confidence
) -> Posterior:
    then = {c["tile_id"]: c["features"]["retrieval"] for c in case.candidates}
    judged, found = {j.tile_id: j for j in ranking.judgements}, {}
    for candidate in candidates_then(case):
        tile = candidate.tile_id
        p = judged[tile].score if judged[tile].score_kind == "p_match" else None
        ledger, names = net_support(case.claims, checks[tile])
        found[tile] = Features(retrieval=then[tile], p_match=p, ledger=ledger, names=names)
    return confidence.posterior(found, Prior.from_json(case.posterior["prior"]))


def _how(case: Case, context: Context | None) -> Reasons:
    """As then; but a judge that nobody taught to be read writes, as it does at the desk that asks it."""
    untaught = context is not None and context.reasons == "written"
    return "written" if untaught and case.reasons == "auto" else case.reasons


async def _explained(
    case: Case,
    kit: Kit,
    gallery: Any,
    judged: Sequence[Judgement],
    checks: dict[str, tuple[Evidence, ...]],
    how: Reasons,
) -> list[Told]:
    """Reasons for exactly those candidates that had them."""
    then = {c["tile_id"]: c for c in case.candidates}
    context = Context(gallery=gallery, retriever=None, kit=kit, reranker=create("identity", kit), reasons=how)
    found = []
    for judgement in judged:
        had = then[judgement.tile_id]["explanation"] is not None
        one = dataclasses.replace(context, top=1 if had else 0)
        found += await explain_shown(one, case.claims, [judgement], checks)
    return found


def _tiles(case: Case, told: Sequence[Told]) -> tuple[Tile, ...]:
    then, found = {c["tile_id"]: c for c in case.candidates}, []
    for rank, now in enumerate((t.judgement for t in told), 1):
        old = then[now.tile_id]
        p = now.score if now.score_kind == "p_match" else None
        found.append(
            Tile(
                tile_id=now.tile_id,
                rank=(old["rank"], rank),
                verdict=(old["verdict"] or "not_judged", now.verdict or "not_judged"),
                confidence=(old["confidence"], now.confidence or 0.0),
                p_match=(old["features"]["p_match"], p),
                stances=tuple(again.stances(old["evidence"], now.evidence)),
                reason=(now.error or "") if not old["error"] else "",
            )
        )
    return tuple(sorted(found, key=lambda t: t.rank[0]))


def _largest(case: Case, posterior: Posterior) -> float:
    moved = [abs(c["confidence"] - posterior.cells[c["tile_id"]]) for c in case.candidates]
    moved += [
        abs(case.posterior["elsewhere"] - posterior.elsewhere),
        abs(case.posterior["outside"] - posterior.outside),
    ]
    return float(max(moved))


def _judged(tiles: Sequence[Tile], live: bool, kit: Kit, case: Case) -> Step:
    if not live:
        why = kit.why_no_judge if again.was_judged(case) else "no tile was judged by a model then"
        return Step(
            name="judge", state="not_done", told=f"the model was not asked again ({why}); the archive's answers"
        )
    failed = [t for t in tiles if t.reason]
    if failed:
        told = f"{len(failed)} tiles could not be judged now, the first is {failed[0].tile_id}: {failed[0].reason}"
        return Step(name="judge", state="differs", told=told)
    moved = max((abs(a - b) for a, b in (t.p_match for t in tiles) if a is not None and b is not None), default=0.0)
    saw = [f"{t.tile_id} {told}" for t in tiles for told in t.stances if "(model)" in told]
    state: Literal["same", "differs"] = "same" if moved <= CLOSE and not saw else "differs"
    told = f"asked again; its probabilities moved by at most {moved:.4f}"
    if saw:
        told += f", and it sees {len(saw)} clues otherwise: {'; '.join(saw[:3])}"
    return Step(name="judge", state=state, told=told)


def _verdicts(tiles: Sequence[Tile]) -> Step:
    moved = [t for t in tiles if not t.same_verdict]
    if not moved:
        return Step(name="verdicts", state="same", told=f"all {len(tiles)} verdicts come out again")
    named = "; ".join(f"{t.tile_id}: {t.verdict[0]}, now {t.verdict[1]}" for t in moved[:5])
    return Step(name="verdicts", state="differs", told=f"{len(moved)} of {len(tiles)} verdicts differ: {named}")


def _confidences(largest: float, live: bool) -> Step:
    limit = CLOSE if live else EXACT
    told = f"the largest change of a confidence is {largest:.2g} (allowed {limit:g})"
    return Step(name="confidence", state="same" if largest <= limit else "differs", told=told)


def _order(tiles: Sequence[Tile]) -> Step:
    moved = [t for t in tiles if t.rank[0] != t.rank[1]]
    if not moved:
        return Step(name="order", state="same", told=f"the {len(tiles)} candidates come in the same order")
    named = "; ".join(f"{t.tile_id}: {t.rank[0]}, now {t.rank[1]}" for t in moved[:5])
    return Step(name="order", state="differs", told=f"{len(moved)} candidates changed places: {named}")


def _asked(live: bool, kit: Kit, model: str, case: Case) -> str:
    if live:
        return f"asked again: {model}"
    if not again.was_judged(case):
        return "not asked: no tile was judged by a model then"
    return f"not asked: {kit.why_no_judge}; the archive's answers stand in, and all the rest was recomputed"


__all__ = ["CLOSE", "Change", "Replay", "Step", "Tile", "replay_case"]
