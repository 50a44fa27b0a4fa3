"""The single comparisons of a replay; each gives one :class:`agent.casefile.replay.Step`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from agent.answer import Told, in_template
from agent.casefile import versions
from agent.casefile.areas import area_of
from agent.casefile.case import ArchiveGallery, Case, candidates_then
from agent.confidence import load
from agent.context import Context
from agent.judge import Judge
from agent.kept import KeptJudge
from agent.rerankers import Kit, gate
from agent.rerankers.base import JudgeLike, picture
from agent.shortlist import shortlist
from retriever.errors import SightlineError
from retriever.posterior import Weights
from retriever.types import Claim, Evidence, Query

if TYPE_CHECKING:
    from agent.casefile.replay import Step

Json = dict[str, Any]
_SCORE = 1e-3
"""Standardised retrieval scores that differ less than this are the same."""


def _step(name: str, problems: Sequence[str], good: str) -> Step:
    from agent.casefile.replay import Step

    if not problems:
        return Step(name=name, state="same", told=good)
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return Step(name=name, state="differs", told="; ".join(problems[:3]) + more)


def _skipped(name: str, why: str) -> Step:
    from agent.casefile.replay import Step

    return Step(name=name, state="not_done", told=why)


def forgetful(judge: JudgeLike | None) -> JudgeLike | None:
    """The judge without what it remembers, so that asking again is asking again."""
    if isinstance(judge, KeptJudge):
        judge = judge._judge
    if not isinstance(judge, Judge):
        return judge
    fresh = Judge(judge.client)
    fresh.template = judge.template
    return fresh


def was_judged(case: Case) -> bool:
    """Whether a model gave a probability for any tile."""
    return any(c["features"]["p_match"] is not None for c in case.candidates)


def of_model(candidate: Mapping[str, Any]) -> tuple[Evidence, ...]:
    return tuple(e for e in map(Evidence.from_json, candidate["evidence"]) if e.by == "model")


def claims(case: Case) -> Step:
    """The claims of the first description, read from its words again; later turns are read in their context."""
    from agent.conversation import extract
    from agent.language import language
    from prompts.claims_model import BY_MODEL

    turns = {t["number"]: t for t in case.trace["turns"]}
    first = min((c.turn for c in case.claims), default=0)
    text = turns.get(first, {}).get("asked", "")
    then = [c for c in case.claims if c.turn == first and not c.asked]
    if not then or turns[first]["order"] or not text:
        return _skipped("claims", "there is no description in words to read again")
    if any(str(note).startswith(BY_MODEL) for note in turns[first].get("notes") or []):
        return _skipped("claims", "they were read by a chat model, which is not asked again")
    now = extract(text, case.query["lang"] or language(text), first, int(then[0].id[1:] or 1))
    if [_said(c) for c in now] == [_said(c) for c in then]:
        return _step("claims", [], f"the {len(now)} claims of turn {first} are read from its words again")
    lost = [f"{c.id} ({c.value}) is no longer read" for c in then if _said(c) not in {_said(n) for n in now}]
    new = [f"{c.value} is read now" for c in now if _said(c) not in {_said(t) for t in then}]
    return _step("claims", [*lost, *new] or ["the claims come in another order"], "")


def _said(claim: Claim) -> str:
    """What the claim says, whatever became of it."""
    return repr((claim.span, claim.kind, claim.value, claim.relation, claim.count, claim.polarity, claim.hedge))


async def retrieval(case: Case, context: Context | None) -> Step:
    """The shortlist searched for again, where gallery and encoder are there."""
    if context is None or context.retriever is None:
        return _skipped("retrieval", "not searched again: no gallery with its index was given (--gallery)")
    if context.gallery.sha256 != case.case["gallery"]["sha256"]:
        return _skipped("retrieval", "not searched again: the gallery given is not the one that was searched")
    try:
        return await asyncio.to_thread(_searched, case, context)
    except SightlineError as error:
        return _skipped("retrieval", f"not searched again: {error}")


def _searched(case: Case, context: Context) -> Step:
    then = candidates_then(case)
    images = tuple((i["view"], i["sha256"]) for i in case.query["images"])
    query = Query(id=case.query["id"], text=case.query["text"], images=images)
    pool = getattr(context.reranker, "pool", 0) if context.reranker.name == case.case["method"] else _pool(case)
    with TemporaryDirectory() as folder:
        found = shortlist(
            context.retriever, context.gallery, query, case.claims, k=len(then), within=area_of(case.query["within"]),
            images=_images(case, Path(folder)), pool=pool, weights=Weights.from_json(case.posterior["weights"]),
        )  # fmt: skip
    now = {c.tile_id: c for c in found.candidates}
    problems = [f"{c.tile_id} is no longer on the shortlist" for c in then if c.tile_id not in now]
    for old in then:
        new = now.get(old.tile_id)
        if new is not None and (new.rank != old.rank or abs(new.score - old.score) > _SCORE):
            problems.append(f"{old.tile_id} was {old.rank} ({old.score:.3f}), now {new.rank} ({new.score:.3f})")
    return _step("retrieval", problems, f"the gallery was searched again and gives the same {len(then)} candidates")


def _pool(case: Case) -> int:
    from agent.rerankers import create

    try:
        return int(getattr(create(case.case["method"], Kit()), "pool", 0))
    except SightlineError:
        return 0


def _images(case: Case, folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for image in case.query["images"]:
        if image["entry"] is not None:
            path = folder / f"{len(found)}.png"
            path.write_bytes(case.entries[image["entry"]])
            found[image["sha256"]] = path
    return found


def pictures(case: Case, gallery: ArchiveGallery, context: Context | None) -> Step:
    """Pictures and facts of the archive against those of the gallery at hand."""
    if context is None:
        return _skipped("tiles", "not compared with a gallery: none was given (--gallery); the archive's are used")
    problems = []
    for candidate in case.candidates:
        tile = candidate["tile_id"]
        try:
            png, now = picture(context.gallery, tile), context.gallery.tile(tile)
        except SightlineError as error:
            problems.append(str(error))
            continue
        then = gallery.png(tile)
        if then is None or hashlib.sha256(png).digest() != hashlib.sha256(then).digest():
            problems.append(f"the picture of {tile} is another")
        if now.to_json()["facts"] != case.tiles[tile].to_json()["facts"]:
            problems.append(f"the map facts of {tile} are others")
    return _step("tiles", problems, f"pictures and map facts of all {len(case.candidates)} tiles are the gallery's")


def checks(case: Case, found: Mapping[str, Sequence[Evidence]]) -> Step:
    """The map's evidence, computed again from the archived facts."""
    problems = []
    if all(tile.facts is None for tile in case.tiles.values()):
        return _skipped("map", "the gallery had no map facts, so the map said nothing")
    for candidate in case.candidates:
        then = [e for e in map(Evidence.from_json, candidate["evidence"]) if e.by == "map"]
        problems += [
            f"{candidate['tile_id']} {told}"
            for told in stances([e.to_json() for e in then], found[candidate["tile_id"]])
        ]
    n = sum(len(items) for items in found.values())
    return _step("map", problems, f"all {n} checks against the map come out again")  # fmt: skip


def stances(then: Sequence[Mapping[str, Any]], now: Sequence[Evidence]) -> Iterator[str]:
    """What differs between two lists of evidence, claim by claim and source by source."""
    old = {(e["claim_id"], e["by"]): e["stance"] for e in then}
    new = {(e.claim_id, e.by): e.stance for e in now}
    for claim, by in sorted({*old, *new}):
        was, is_ = old.get((claim, by)), new.get((claim, by))
        if was != is_:
            yield f"{claim} ({by}): {was or 'absent'}, now {is_ or 'absent'}"


def explanations(case: Case, told: Sequence[Told], live: bool) -> Step:
    """Texts of the template must come out word for word; the model's own where it was asked again."""
    then = {c["tile_id"]: c["explanation"] for c in case.candidates if c["explanation"]}
    problems, said = [], 0
    for judgement in (t.judgement for t in told):
        old = then.get(judgement.tile_id)
        if old is None or judgement.explanation is None:
            continue
        said += 1
        # Asked again, the model may write where the template had to, and the other way round.
        own = old["author"] == "template" and not live
        now = in_template(case.standing, judgement.evidence, judgement.verdict) if own else judgement.explanation
        if (now.en, now.zh) != (old["en"], old["zh"]):
            problems.append(f"{judgement.tile_id}: the {old['author']} wrote it, now the {now.author}, in other words")
    good = f"{said} explanations come out word for word" if live else f"{said} explanations fit their evidence"
    return _step("explanations", problems, good)


def changes(case: Case, kit: Kit, model: str, context: Context | None) -> list[Json]:
    """Every version that differs from the one that answered then."""
    then, now = case.versions, versions.at_hand()
    found = versions.changes(then, now)
    if kit.judge is not None:
        found.append(_change("model judge", case.case["judge"]["model"], model))
    found.append(_change("prompt", case.case["prompt"], versions.prompt_at_hand(case.case["prompt"])))
    if context is not None:
        found.append(_change("model encoder", case.case["encoder"], context.encoder))
        found.append(_change("gallery", case.case["gallery"]["sha256"], context.gallery.sha256))
    weights = _weights(case, context)
    found.append(_change("weights of the confidence", versions.weights_sha(case.posterior["weights"]), weights))
    found += _gate(case, context)
    return [c for c in found if c["then"] != c["now"] and not (c["what"] == "prompt" and not c["then"])]


def _weights(case: Case, context: Context | None) -> str:
    same = context is not None and context.model == case.case["judge"]["model"]
    now = context.kit.confidence if same and context else load(case.case["judge"]["model"], case.case["encoder"])
    return versions.weights_sha(now.weights.to_json())


def _gate(case: Case, context: Context | None) -> list[Json]:
    """The gate of the order, for a method that has one; a file that is older than such notes does not say which."""
    if case.case["method"] != "cascade":
        return []
    judge, encoder = case.case["judge"]["model"], case.case["encoder"]
    same = context is not None and context.model == judge and context.reranker.name == case.case["method"]
    now = gate.gate_of(context.reranker) if same and context else gate.load(judge, encoder)
    return [_change("gate", case.gate.told if case.gate else "not recorded", now.told if now else "")]


def _change(what: str, then: str, now: str) -> Json:
    return {"what": what, "then": then, "now": now}
