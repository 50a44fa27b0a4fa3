"""What the desk says back, in English and Chinese, written from the result's ledger and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from agent.ledger import active, decisive
from agent.state import Json
from prompts.wording import claim_en, claim_zh
from retriever.geo import distance_m
from retriever.types import Claim, Evidence

_VERDICTS = {
    "match": ("match", "吻合"),
    "no_match": ("no match", "不吻合"),
    "cannot_tell": ("cannot tell", "无法判断"),
    None: ("not judged", "未判断"),
}
_STANCES = {
    "supports": ("speaks for it", "支持"),
    "contradicts": ("speaks against it", "反对"),
    "unknown": ("cannot be told", "无法判断"),
}
_BY = {"map": ("map", "地图"), "model": ("tile", "图块")}

_FIXED = {
    "unknown": (
        "I found nothing in that which I can search for or check; the candidates stay as they are.",
        "这句话里没有可以搜索或核对的内容，候选保持不变。",
    ),
    "emptied": (
        "With that nothing would be left to search for; the candidates stay as they are. Say something else first.",
        "这样就没有可搜索的内容了，候选保持不变。请先补充别的线索。",
    ),
    "restart": (
        "What was said before is set aside. Describe the new place: what can be seen from it?",
        "之前说的内容已清除。请描述新的地点：从那里能看到什么？",
    ),
    "help": (
        "Add a clue, correct one or take one back; ask why this one, why not another, what tells two apart or what is "
        "uncertain; limit the search to within a distance of a named place or a candidate; switch language.",
        "可以补充、更正或撤回线索；可以问为什么是这个、为什么不是另一个、两者有何区别、哪些还不确定；"
        "可以把搜索限定在某个有名称的地点或候选附近；可以切换语言。",
    ),
}
APART_M = 150.0
"""Candidates nearer than this to the first show the same spot."""

Said = dict[str, str]


def compose(act: Json, result: Json, last: Json | None, before: Json | None) -> Said:
    """The reply to one turn as ``{"en": ..., "zh": ...}``."""
    kind, ranks = act["kind"], act.get("ranks", [])
    if kind in _FIXED:
        return _both(*_FIXED[kind])
    if kind == "search":
        return found(result, before)
    if kind == "switch_language" and last:
        return {"en": last["en"], "zh": last["zh"]}
    if kind == "no_area":
        return _both(_sentence(act["reason"]), f"无法限定范围：{act['reason']}。")
    if kind == "beyond":
        return _no_such(act["rank"], len(result["candidates"]))
    if kind == "why_not":
        return _pair(result, 1, ranks[0] if ranks else 2)
    if kind == "compare":
        return _pair(result, *(ranks if len(ranks) == 2 else (1, 2)))
    if kind == "uncertain":
        return uncertain(result)
    if kind == "more_elsewhere":
        return elsewhere(result)
    if kind == "shorter":
        return found(result, None)
    return _one(result, ranks[0] if ranks else 1)


def found(result: Json, before: Json | None) -> Said:
    """The outcome of a search, and what it moved."""
    best = result["candidates"][0]
    en = (
        f"First is {best['tile_id']} at {best['lat']:.5f}, {best['lon']:.5f}: {_VERDICTS[best['verdict']][0]}, "
        f"confidence {_percent(best['confidence'])}."
    )
    zh = (
        f"第一位是 {best['tile_id']}（{best['lat']:.5f}, {best['lon']:.5f}）：{_VERDICTS[best['verdict']][1]}，"
        f"置信度 {_percent(best['confidence'])}。"
    )
    moved = _moved(best, before)
    outside = _percent(result["outside_probability"])
    en += f"{moved['en']} Outside this gallery: {outside}."
    zh += f"{moved['zh']}不在本图库内：{outside}。"
    if best["error"]:
        en, zh = f"{en} {_sentence(best['error'])}", f"{zh}（{best['error']}）"
    return _both(en, zh)


def _moved(best: Json, before: Json | None) -> Said:
    if not before:
        return _both("", "")
    was = before["confidence"].get(best["tile_id"])
    if before["first"] != best["tile_id"]:
        return _both(f" Before this turn the first was {before['first']}.", f"此前第一位是 {before['first']}。")
    if was is None:
        return _both("", "")
    return _both(f" Before this turn it had {_percent(was)}.", f"此前为 {_percent(was)}。")


def why(candidate: Json, claims: Sequence[Claim]) -> Said:
    """The ledger of one candidate."""
    stances = _stances(candidate)
    parts: dict[str, list[Claim]] = {"supports": [], "contradicts": [], "unknown": []}
    for claim in claims:
        parts[stances[claim.id].stance if claim.id in stances else "unknown"].append(claim)
    en, zh = [_head(candidate, 0)], [_head(candidate, 1)]
    for stance, (label_en, label_zh) in _STANCES.items():
        if parts[stance]:
            en.append(f"{label_en}: " + "; ".join(_line(c, stances.get(c.id), 0) for c in parts[stance]) + ".")
            zh.append(f"{label_zh}：" + "；".join(_line(c, stances.get(c.id), 1) for c in parts[stance]) + "。")
    if not claims:
        en.append("the description holds no claim that could be checked.")
        zh.append("描述中没有可以核对的说法。")
    return _both(" ".join(_sentence(e) for e in en), "".join(zh))


def uncertain(result: Json) -> Said:
    """The claims that the first candidate leaves open, and how sure the whole answer is."""
    best, claims = result["candidates"][0], _claims(result)
    stances = _stances(best)
    still = [c for c in claims if c.id not in stances or stances[c.id].stance == "unknown"]
    hedged = [c for c in claims if c.hedge]
    rest = result["outside_probability"] + result["elsewhere_probability"]
    sure, none = _percent(best["confidence"]), _percent(rest)
    en = f"The first candidate has {sure}; that none of those listed is right has {none}."
    zh = f"第一候选的置信度为 {sure}；所列候选都不对的概率为 {none}。"
    if still:
        en += f" Open on it: {'; '.join(map(claim_en, still))}."
        zh += f"它还不能确定的有：{'；'.join(map(claim_zh, still))}。"
    if hedged:
        en += f" The witness was not sure of: {'; '.join(map(claim_en, hedged))}."
        zh += f"目击者自己不确定的有：{'；'.join(map(claim_zh, hedged))}。"
    if not result["confidence"]["calibrated"]:
        en += " These probabilities are not calibrated for the models in use."
        zh += "这些概率尚未针对当前模型校准。"
    return _both(en, zh)


def elsewhere(result: Json) -> Said:
    """Other candidates that do not overlap the first."""
    first, *rest = result["candidates"]
    apart = [c for c in rest if distance_m(first["lat"], first["lon"], c["lat"], c["lon"]) > APART_M][:3]
    if not apart:
        return _both("No other candidate on the list lies elsewhere.", "名单上没有位于别处的候选。")
    return _both(" ".join(_head(c, 0) for c in apart), "".join(_head(c, 1) for c in apart))


def _pair(result: Json, first: int, second: int) -> Said:
    """Two candidates side by side: what tells them apart, from both ledgers."""
    listed = result["candidates"]
    for rank in (first, second):
        if not 1 <= rank <= len(listed):
            return _no_such(rank, len(listed))
    a, b = listed[first - 1], listed[second - 1]
    of_a, of_b = _stances(a), _stances(b)
    en = [f"{_head(a, 0)} {_head(b, 0)}"]
    zh = [f"{_head(a, 1)}{_head(b, 1)}"]
    apart = [c for c in _claims(result) if _stance(of_a, c) != _stance(of_b, c)]
    for c in apart:
        en.append(f"{claim_en(c)}: {_how(of_a, c, first, 0)}, {_how(of_b, c, second, 0)}.")
        zh.append(f"{claim_zh(c)}：{_how(of_a, c, first, 1)}，{_how(of_b, c, second, 1)}。")
    if not apart:
        en.append("No claim tells them apart; the order comes from the scores alone.")
        zh.append("没有任何说法能区分二者，顺序只来自分数。")
    en.append(_scores(a, b, first, second, 0))
    zh.append(_scores(a, b, first, second, 1))
    return _both(" ".join(_sentence(e) for e in en), "".join(zh))


def _how(stances: dict[str, Evidence], claim: Claim, rank: int, lang: int) -> str:
    item = stances.get(claim.id)
    word = _STANCES[item.stance if item else "unknown"][lang]
    source = f" ({_source(item, lang)})" if item and item.stance != "unknown" else ""
    return f"on number {rank} it {word}{source}" if lang == 0 else f"第 {rank} 个{word}{source}"


def _scores(a: Json, b: Json, first: int, second: int, lang: int) -> str:
    told = []
    for c, rank in ((a, first), (b, second)):
        p = c["features"]["p_match"]
        judge = ("not judged", "未判断")[lang] if p is None else (f"judge {p:.2f}", f"模型 {p:.2f}")[lang]
        score = (f"retrieval rank {c['retrieval_rank']}", f"检索第 {c['retrieval_rank']} 位")[lang]
        told.append(f"number {rank}: {judge}, {score}" if lang == 0 else f"第 {rank} 个：{judge}，{score}")
    return ("; ".join(told) + ".") if lang == 0 else ("；".join(told) + "。")


def _one(result: Json, rank: int) -> Said:
    listed = result["candidates"]
    if not 1 <= rank <= len(listed):
        return _no_such(rank, len(listed))
    return why(listed[rank - 1], _claims(result))


def _no_such(rank: int, n: int) -> Said:
    return _both(f"There is no number {rank}: {n} candidates are listed.", f"没有第 {rank} 个：只列出了 {n} 个候选。")


def _head(candidate: Json, lang: int) -> str:
    word, confidence = _VERDICTS[candidate["verdict"]][lang], _percent(candidate["confidence"])
    rank, tile = candidate["rank"], candidate["tile_id"]
    if lang == 0:
        return f"Number {rank} ({tile}): {word}, confidence {confidence}."
    return f"第 {rank} 个（{tile}）：{word}，置信度 {confidence}。"


def _line(claim: Claim, item: Evidence | None, lang: int) -> str:
    words = (claim_en, claim_zh)[lang](claim)
    if item is None or item.stance == "unknown":
        return words
    return f"{words} ({_source(item, lang)})"


def _source(item: Evidence, lang: int) -> str:
    where = _BY[item.by][lang]
    return f"{where} {', '.join(item.osm_ids[:2])}" if item.osm_ids else where


def _stances(candidate: Json) -> dict[str, Evidence]:
    return decisive(Evidence.from_json(e) for e in candidate["evidence"])


def _stance(stances: dict[str, Evidence], claim: Claim) -> str:
    return stances[claim.id].stance if claim.id in stances else "unknown"


def _claims(result: Json) -> list[Claim]:
    return active(Claim.from_json(c) for c in result["claims"])


def _percent(p: float | None) -> str:
    if p is None:
        return "?"
    return "<1 %" if 0 < p < 0.01 else ">99 %" if 0.99 < p < 1 else f"{100 * p:.0f} %"


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "。", "!", "?")) else ".")


def _both(en: str, zh: str) -> Said:
    return {"en": en, "zh": zh}
