"""What a case's report says, in both languages, before it becomes a page or a PDF."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agent.casefile.case import Case
from agent.casefile.words import Pair, attribution, plain_all, say
from agent.graph import STEPS
from agent.order_note import behind, order_note
from agent.phrasing import STANCES, VERDICTS, percent, source, stances
from prompts.wording import claim_en, claim_zh
from retriever.geo import distance_m
from retriever.types import Claim

Json = dict[str, Any]
_LISTED = 5
"""Clues and errors that one sentence names."""
_CLIPPED = 110


def view_of(case: Case) -> Json:
    """Everything the report shows. Texts are plain; pairs are English and Chinese."""
    whole = {
        "title": case.case["thread"].get("title") or case.case["thread"]["id"],
        "thread": case.case["thread"],
        "attribution": attribution(case.case["gallery"]),
        "facts": _facts(case),
        "answer": _answer(case),
        "said": _said(case),
        "claims": [_claim(c, case) for c in case.claims],
        "heads": [c["rank"] for c in _leading(case)],
        "candidates": [_candidate(c, case) for c in _leading(case)],
        "others": [_other(c, case) for c in case.candidates[1:]],
        "unchecked": list(_unchecked(case)),
        "meaning": _meaning(case),
        "limits": [say(key) for key in ("lim_witness", "lim_data", "lim_model", "lim_use")],
        "versions": _versions(case),
        "turns": [_turn(t) for t in case.trace["turns"]],
        "usage": _usage(case),
    }
    found: Json = plain_all(whole)
    return found


def _leading(case: Case) -> list[Json]:
    """The candidates that are shown large: those that were shown to the analyst, and the first in any case."""
    return case.candidates[: max(1, case.case["shown"])]


def _clue(claim: Claim) -> Pair:
    return claim_en(claim), claim_zh(claim)


def _clues(claims: Sequence[Claim]) -> Pair:
    named = claims[:_LISTED]
    more = len(claims) - len(named)
    en = "; ".join(map(claim_en, named)) + (f" and {more} more" if more else "")
    return en, "；".join(map(claim_zh, named)) + (f"等 {len(claims)} 条" if more else "")


def _facts(case: Case) -> list[tuple[Pair, Any]]:
    gallery, query = case.case["gallery"], case.query
    limits = [(str(n.get("en")), str(n.get("zh"))) for n in query["limits"]]
    drawn = "" if not query["within"] else _shape(query["within"])
    said: Pair = ("; ".join(p[0] for p in limits) or drawn, "；".join(p[1] for p in limits) or drawn)
    area = said if query["within"] else say("no_area")
    return [
        (say("thread"), case.case["thread"]["id"]),
        (say("last_changed"), case.case["thread"].get("changed") or "-"),
        (say("gallery"), f"{gallery['id']}, {gallery['tiles']} x {gallery['size_m']:g} m, {gallery['view']}"),
        (say("area"), area),
        (say("asked_of"), f"{case.case['judge']['model']} ({case.case['judge']['backend']})"),
        (say("data_of"), attribution(gallery)),
    ]  # fmt: skip


def _shape(area: Json) -> str:
    if area["type"] == "Circle":
        return f"{area['radius_m']:g} m, {area['lat']:.5f}, {area['lon']:.5f}"
    return str(area["type"])


def _answer(case: Case) -> Json:
    best, outside, elsewhere = case.candidates[0], case.posterior["outside"], case.posterior["elsewhere"]
    parts: Json = {
        "tile": best["tile_id"],
        "verdict": VERDICTS[best["verdict"]],
        "sure": percent(best["confidence"]),
        "n": len(case.candidates),
        "none": percent(outside + elsewhere),
    }
    surest = max(c["confidence"] for c in case.candidates)
    key = "one_line" if surest >= outside + elsewhere else "unlikely"
    note = order_note(case.candidates, case.case.get("gate"))
    return {
        **parts,
        "note": (note.en, note.zh) if note else None,
        # Behind a gate the first need not be the likeliest; what nobody can see in the percentages needs no words.
        "line": say(key if percent(best["confidence"]) == percent(surest) else f"first_{key}", **parts),
        "class": best["verdict"] or "not_judged",
        "p": best["confidence"],
        "p_none": outside + elsewhere,
        "split": say("split", elsewhere=percent(elsewhere), outside=percent(outside)),
        "lat": best["lat"],
        "lon": best["lon"],
    }


def _said(case: Case) -> list[Json]:
    """The words that were searched for, and the pictures that came with them."""
    said: list[Json] = [{"text": text} for text in case.query["words"]]
    return said + [{"view": i["view"], "entry": i["entry"], "sha256": i["sha256"]} for i in case.query["images"]]


def _claim(claim: Claim, case: Case) -> Json:
    status = "hedged" if claim.hedge else "asked" if claim.asked else "active"
    return {
        "id": claim.id,
        "words": _clue(claim),
        "span": claim.span,
        "status": say(f"st_{status if claim.status == 'active' else claim.status}"),
        "counts": claim.status == "active",
        "marks": [_mark(claim, candidate) for candidate in _leading(case)],
    }


def _mark(claim: Claim, candidate: Json) -> Json:
    """What was found of one clue on one candidate: ``{"stance", "words", "by"}``."""
    item = stances(candidate).get(claim.id)
    if item is None or claim.status != "active":
        return {"stance": "none", "words": ("", ""), "by": ("", "")}
    if item.stance == "unknown":
        return {"stance": "unknown", "words": say(item.reason or "not_told"), "by": ("", "")}
    return {"stance": item.stance, "words": STANCES[item.stance], "by": (source(item, 0), source(item, 1))}


def _candidate(candidate: Json, case: Case) -> Json:
    written = candidate["explanation"]
    author = say(f"author_{written['author']}") if written else say("not_explained")
    if candidate["explanation_error"]:
        why = say("no_reasons", why=_clipped(candidate["explanation_error"]))
        author = (f"{author[0]}; {why[0]}", f"{author[1]}；{why[1]}")
    p = candidate["features"]["p_match"]
    return {
        **{key: candidate[key] for key in ("rank", "tile_id", "lat", "lon", "retrieval_rank", "error")},
        "verdict": VERDICTS[candidate["verdict"]],
        "class": candidate["verdict"] or "not_judged",
        "sure": percent(candidate["confidence"]),
        "p": candidate["confidence"],
        "judge": "-" if p is None else f"{p:.2f}",
        "picture": candidate["evidence_picture"] or candidate["picture"],
        "boxed": candidate["evidence_picture"] is not None,
        "words": (written["en"], written["zh"]) if written else ("", ""),
        "author": author,
        "lines": [
            {"id": c.id, "clue": _clue(c), **_mark(c, candidate)} for c in case.standing
        ],
    }  # fmt: skip


def _clipped(why: str) -> str:
    """An error as a report can carry it; trace.json has all of it."""
    return why if len(why) <= _CLIPPED else why[: _CLIPPED - 1] + "…"


def _other(candidate: Json, case: Case) -> Json:
    return {
        **{key: candidate[key] for key in ("rank", "tile_id", "lat", "lon")},
        "verdict": VERDICTS[candidate["verdict"]],
        "class": candidate["verdict"] or "not_judged",
        "sure": percent(candidate["confidence"]),
        "picture": candidate["picture"],
        "reasons": reasons(candidate, case),
    }


def reasons(candidate: Json, case: Case) -> list[Pair]:
    """Why this candidate is not the first, from the ledger and the numbers alone."""
    first, here = case.candidates[0], stances(candidate)
    there, said, lacks = stances(first), list[Pair](), list[Claim]()
    for claim in case.standing:
        item, lead = here.get(claim.id), there.get(claim.id)
        if item is not None and item.stance == "contradicts":
            said.append(say("why_against", clue=_clue(claim), by=(source(item, 0), source(item, 1))))
        elif lead is not None and lead.stance == "supports" and (item is None or item.stance == "unknown"):
            lacks.append(claim)
    if lacks:
        said.append(say("why_lacks", clues=_clues(lacks)))
    if not said:
        said.append(say("not_excluded"))
    apart = float(distance_m(first["lat"], first["lon"], candidate["lat"], candidate["lon"]))
    if 0 < apart < case.case["gallery"]["size_m"]:
        said.insert(0, say("why_overlaps", apart=round(apart)))
    kept = behind(first, candidate, case.case.get("gate"))
    return [*said, *_numbers(candidate, first), *([(kept.en, kept.zh)] if kept else [])]


def _numbers(candidate: Json, first: Json) -> list[Pair]:
    """The scores that put it behind the first."""
    said = []
    p, q = candidate["features"]["p_match"], first["features"]["p_match"]
    if candidate["error"]:
        said.append(say("why_error", why=candidate["error"]))
    elif p is not None and q is not None and p < q:
        said.append(say("why_judge", p=f"{p:.2f}", q=f"{q:.2f}"))
    if candidate["retrieval_rank"] > first["retrieval_rank"]:
        ranks = {"rank": candidate["retrieval_rank"], "first": first["retrieval_rank"]}
        said.append(say("why_retrieval", **ranks))
    said.append(say("why_confidence", sure=percent(candidate["confidence"]), best=percent(first["confidence"])))
    return said


def _unchecked(case: Case) -> Any:
    n, first = len(case.candidates), stances(case.candidates[0])
    yield say("un_tiles", tiles=case.case["gallery"]["tiles"], n=n)
    still = [c for c in case.standing if c.id not in first or first[c.id].stance == "unknown"]
    if still:
        yield say("un_open", clues=_clues(still))
    hedged = [c for c in case.standing if c.hedge]
    if hedged:
        yield say("un_hedged", clues=_clues(hedged))
    errors = [c["error"] for c in case.candidates if c["error"]]
    for why in list(dict.fromkeys(errors))[:_LISTED]:
        yield say("un_failed", n=errors.count(why), all=n, why=why)
    bare = sum(tile.facts is None for tile in case.tiles.values())
    if bare:
        yield say("un_nofacts", n=bare)
    for image in case.query["images"]:
        if image["entry"] is None:
            yield say("un_picture", sha=image["sha256"][:12])
    yield from ((note, note) for note in case.case["notes"])
    area = next((value for head, value in _facts(case) if head == say("area")), "")
    yield say("un_within", area=area) if case.query["within"] else say("un_outside")
    yield say("un_human")


def _meaning(case: Case) -> list[Pair]:
    stride, n, note = f"{case.case['gallery']['stride_m']:g}", len(case.candidates), case.posterior["note"]
    fitted = say("mean_yes" if case.posterior["calibrated"] else "mean_no", note=note)
    return [say("mean_what", stride=stride, n=n), fitted, say("mean_verdict")]


def _versions(case: Case) -> list[tuple[Pair, str]]:
    found, models = case.versions, case.versions["models"]
    bundle = models["judge"]["bundle"]
    hashes = f"; base {bundle['base_sha256'][:16]}, adapter {bundle['adapter_sha256'][:16]}" if bundle else ""
    return [
        (say("asked_of"), f"{models['judge']['model']}{hashes}"),
        (say("prompt"), case.case["prompt"] or "-"),
        (say("encoder"), models["encoder"]["id"]),
        (say("method"), case.case["method"]),
        (say("gallery"), f"{found['gallery']['id']}, sha256 {found['gallery']['sha256']}"),
        (say("platform"), f"Python {found['python']}, {found['platform']}"),
        (say("packages"), ", ".join(f"{name} {version}" for name, version in sorted(found["packages"].items()))),
    ]


def _turn(turn: Json) -> Json:
    asked: Any = turn["asked"]
    if turn["order"]:
        what = json.dumps(turn["order"], ensure_ascii=False, sort_keys=True)
        clicked = say("by_click", what=what if len(what) <= 200 else what[:199] + "…")
        asked = clicked if not asked else (f"{asked} ({clicked[0]})", f"{asked}（{clicked[1]}）")
    return {"head": say("turn", n=turn["number"]), "asked": asked, "en": turn["en"], "zh": turn["zh"]}


def _usage(case: Case) -> Pair:
    usage = case.trace["usage"]
    seconds = usage.get("seconds") or {}
    whole = sum(s for stage, s in seconds.items() if stage in STEPS)
    return say(
        "usage_line", calls=usage.get("calls", 0), prompt=usage.get("prompt_tokens", 0),
        completion=usage.get("completion_tokens", 0), seconds=f"{whole:.1f}",
    )  # fmt: skip
