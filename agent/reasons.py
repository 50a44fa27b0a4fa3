"""Answers about what was judged, from the ledger and nothing else: why this one, why not that one, what is open."""

from __future__ import annotations

from collections.abc import Sequence

from agent import phrasing
from agent.order_note import behind
from agent.phrasing import say
from agent.state import Json
from agent.turns import Sentence
from prompts.wording import claim_en, claim_zh
from retriever.geo import distance_m
from retriever.types import Claim, Evidence

APART_M = 150.0
"""Candidates nearer than this to the first show the same spot."""


def why(result: Json, rank: int) -> list[Sentence]:
    """The ledger of one candidate: what supports it, what speaks against it, what is open, and what each clue did."""
    listed = result["candidates"]
    if not 1 <= rank <= len(listed):
        return [phrasing.no_such(rank, len(listed))]
    candidate, claims = listed[rank - 1], phrasing.standing(result)
    said = [phrasing.head(candidate), *_by_stance(candidate, claims)]
    if not claims:
        en, zh = "The description holds no claim that could be checked.", "描述中没有可以核对的说法。"
        said.append(say(en, zh, f"judgement:{candidate['tile_id']}"))
    if candidate["error"]:
        said.append(_error(candidate))
    return [*said, *_written(candidate), *effects(result, candidate)]


def _by_stance(candidate: Json, claims: Sequence[Claim]) -> list[Sentence]:
    known, said = phrasing.stances(candidate), []
    for number, (stance, (en, zh)) in enumerate(phrasing.STANCES.items()):
        these = [c for c in claims if (known[c.id].stance if c.id in known else "unknown") == stance]
        if these:
            lines = [[phrasing.line(c, known.get(c.id), lang) for c in these] for lang in (0, 1)]
            cites = phrasing.evidence_cites(candidate, these)
            said.append(
                say(f"{en}: {'; '.join(lines[0])}", f"{zh}：{'；'.join(lines[1])}。", *cites, level=min(number, 1))
            )
    return said


def _error(candidate: Json) -> Sentence:
    return say(candidate["error"], f"（{candidate['error']}）", f"judgement:{candidate['tile_id']}", level=0)


def _written(candidate: Json) -> list[Sentence]:
    """The explanation that came with the verdict, in the longest reply."""
    words = candidate["explanation"]
    if not words:
        return []
    cites = [f"judgement:{candidate['tile_id']}"]
    cites += [f"evidence:{candidate['tile_id']}/{e['claim_id']}/{e['by']}" for e in candidate["evidence"]]
    return [say(words["en"], words["zh"], *cites, level=2)]


def effects(result: Json, candidate: Json) -> list[Sentence]:
    """What each clue did to the leader, the strongest first."""
    found = result.get("effects") or {}
    if found.get("leader") != candidate["tile_id"]:
        return []
    claims = {c.id: c for c in phrasing.standing(result)}
    order = sorted((i for i in found["clues"] if i in claims), key=lambda i: -abs(found["clues"][i]["log_odds"]))
    said = []
    for number, claim_id in enumerate(order):
        clue, claim = found["clues"][claim_id], claims[claim_id]
        rest, change = phrasing.percent(clue["without"]), clue["log_odds"]
        en = f"without the clue {claim_en(claim)!r} it would have {rest} ({change:+.1f} log-odds by this clue)"
        zh = f"若没有“{claim_zh(claim)}”这条线索，则为 {rest}（该线索的贡献为 {change:+.1f} 对数几率）。"
        said.append(say(en, zh, f"effect:{claim_id}", f"claim:{claim_id}", level=1 if number < 2 else 2))
    return said


def pair(result: Json, first: int, second: int) -> list[Sentence]:
    """Two candidates side by side: what tells them apart, from both ledgers."""
    listed = result["candidates"]
    for rank in (first, second):
        if not 1 <= rank <= len(listed):
            return [phrasing.no_such(rank, len(listed))]
    a, b = listed[first - 1], listed[second - 1]
    of_a, of_b = phrasing.stances(a), phrasing.stances(b)
    said = [phrasing.head(a), phrasing.head(b)]
    apart = [c for c in phrasing.standing(result) if _stance(of_a, c) != _stance(of_b, c)]
    for c in apart:
        en = f"{claim_en(c)}: {_how(of_a, c, first, 0)}, {_how(of_b, c, second, 0)}"
        zh = f"{claim_zh(c)}：{_how(of_a, c, first, 1)}，{_how(of_b, c, second, 1)}。"
        said.append(say(en, zh, *phrasing.evidence_cites(a, [c]), *phrasing.evidence_cites(b, [c])))
    both = (f"judgement:{a['tile_id']}", f"judgement:{b['tile_id']}")
    if not apart:
        en, zh = (
            "No claim tells them apart; the order comes from the scores alone.",
            "没有任何说法能区分二者，顺序只来自分数。",
        )
        said.append(say(en, zh, *both))
    said.append(say(_scores(a, b, 0), _scores(a, b, 1), *both))
    kept = behind(a, b, result.get("gate"))
    return [*said, *([kept] if kept else []), *(_error(c) for c in (a, b) if c["error"])]


def _how(known: dict[str, Evidence], claim: Claim, rank: int, lang: int) -> str:
    item = known.get(claim.id)
    word = phrasing.STANCES[item.stance if item else "unknown"][lang]
    where = f" ({phrasing.source(item, lang)})" if item and item.stance != "unknown" else ""
    return f"on number {rank} it {word}{where}" if lang == 0 else f"第 {rank} 个{word}{where}"


def _scores(a: Json, b: Json, lang: int) -> str:
    told = []
    for c in (a, b):
        p, rank = c["features"]["p_match"], c["rank"]
        judge = ("not judged", "未判断")[lang] if p is None else (f"judge {p:.2f}", f"模型 {p:.2f}")[lang]
        score = (f"retrieval rank {c['retrieval_rank']}", f"检索第 {c['retrieval_rank']} 位")[lang]
        told.append(f"number {rank}: {judge}, {score}" if lang == 0 else f"第 {rank} 个：{judge}，{score}")
    return ("; ".join(told) + ".") if lang == 0 else ("；".join(told) + "。")


def _stance(known: dict[str, Evidence], claim: Claim) -> str:
    return known[claim.id].stance if claim.id in known else "unknown"


def uncertain(result: Json) -> list[Sentence]:
    """The claims that the first candidate leaves open, and how sure the whole answer is."""
    best, claims = result["candidates"][0], phrasing.standing(result)
    known = phrasing.stances(best)
    still = [c for c in claims if _stance(known, c) == "unknown"]
    hedged = [c for c in claims if c.hedge]
    sure = phrasing.percent(best["confidence"])
    none = phrasing.percent(result["outside_probability"] + result["elsewhere_probability"])
    said = [
        say(
            f"The first candidate has {sure}; that none of those listed is right has {none}.",
            f"第一候选的置信度为 {sure}；所列候选都不对的概率为 {none}。",
            f"posterior:{best['tile_id']}", "posterior:outside", "posterior:elsewhere", level=0,
        )
    ]  # fmt: skip
    if still:
        en, zh = "; ".join(map(claim_en, still)), "；".join(map(claim_zh, still))
        said.append(say(f"Open on it: {en}.", f"它还不能确定的有：{zh}。", *phrasing.evidence_cites(best, still)))
    if hedged:
        en, zh = "; ".join(map(claim_en, hedged)), "；".join(map(claim_zh, hedged))
        cites = [f"claim:{c.id}" for c in hedged]
        said.append(say(f"The witness was not sure of: {en}.", f"目击者自己不确定的有：{zh}。", *cites))
    if not result["confidence"]["calibrated"]:
        en, zh = "These probabilities are not calibrated for the models in use.", "这些概率尚未针对当前模型校准。"
        said.append(say(en, zh, f"posterior:{best['tile_id']}"))
    return said


def apart(result: Json) -> list[int]:
    """Ranks of up to three candidates that do not overlap the first."""
    first, *rest = result["candidates"]
    return [c["rank"] for c in rest if distance_m(first["lat"], first["lon"], c["lat"], c["lon"]) > APART_M][:3]


def elsewhere(result: Json) -> list[Sentence]:
    """Other candidates that do not overlap the first."""
    first = result["candidates"][0]["tile_id"]
    found = [phrasing.head(result["candidates"][rank - 1]) for rank in apart(result)]
    if not found:
        en, zh = "No other candidate on the list lies elsewhere.", "名单上没有位于别处的候选。"
        return [say(en, zh, f"judgement:{first}")]
    return found
