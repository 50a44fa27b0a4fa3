"""Small parts of replies, in English and Chinese, and what each rests on.

What a sentence cites (:mod:`agent.cites` finds them): ``evidence:TILE/CLAIM/BY``, ``claim:ID``, ``judgement:TILE``
(verdict, score or error), ``posterior:TILE`` (also ``outside``, ``elsewhere``), ``before:TILE``, ``limit:N``,
``effect:CLAIM``, ``question:KEY``, ``image:SHA256``, ``map`` (what the gallery's map holds or lacks by name) and
``desk`` (the desk itself: what it can do, did not understand, or has just done).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.ledger import active, decisive
from agent.state import Json
from agent.turns import Sentence
from prompts.wording import claim_en, claim_zh
from retriever.types import Claim, Evidence

VERDICTS = {
    "match": ("match", "吻合"),
    "no_match": ("no match", "不吻合"),
    "cannot_tell": ("cannot tell", "无法判断"),
    None: ("not judged", "未判断"),
}
STANCES = {
    "supports": ("speaks for it", "支持"),
    "contradicts": ("speaks against it", "反对"),
    "unknown": ("cannot be told", "无法判断"),
}
_BY = {"map": ("map", "地图"), "model": ("tile", "图块")}


def say(en: str, zh: str, *cites: str, level: int = 1) -> Sentence:
    """One sentence; without cites it is about the desk itself."""
    return Sentence(en=sentence(en), zh=zh, cites=tuple(dict.fromkeys(cites)) or ("desk",), level=level)


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "。", "!", "?", "？")) else ".")


def percent(p: float | None) -> str:
    if p is None:
        return "?"
    return "<1 %" if 0 < p < 0.01 else ">99 %" if 0.99 < p < 1 else f"{100 * p:.0f} %"


def stances(candidate: Json) -> dict[str, Evidence]:
    """The decisive piece of evidence for every claim."""
    return decisive(Evidence.from_json(e) for e in candidate["evidence"])


def standing(result: Json) -> list[Claim]:
    return active(Claim.from_json(c) for c in result["claims"])


def evidence_cites(candidate: Json, claims: Iterable[Claim]) -> list[str]:
    """What a sentence about these claims on this candidate rests on; a claim without evidence stands for itself."""
    found = stances(candidate)
    return [
        f"evidence:{candidate['tile_id']}/{c.id}/{found[c.id].by}" if c.id in found else f"claim:{c.id}" for c in claims
    ]


def head(candidate: Json) -> Sentence:
    """Rank, tile, verdict and confidence."""
    (word_en, word_zh), sure = VERDICTS[candidate["verdict"]], percent(candidate["confidence"])
    rank, tile = candidate["rank"], candidate["tile_id"]
    return say(
        f"Number {rank} ({tile}): {word_en}, confidence {sure}.",
        f"第 {rank} 个（{tile}）：{word_zh}，置信度 {sure}。",
        f"judgement:{tile}",
        f"posterior:{tile}",
        level=0,
    )


def line(claim: Claim, item: Evidence | None, lang: int) -> str:
    """A claim with where its evidence comes from."""
    words = (claim_en, claim_zh)[lang](claim)
    if item is None or item.stance == "unknown":
        return words
    return f"{words} ({source(item, lang)})"


def source(item: Evidence, lang: int) -> str:
    where = _BY[item.by][lang]
    return f"{where} {', '.join(item.osm_ids[:2])}" if item.osm_ids else where


def no_such(rank: int, n: int) -> Sentence:
    return say(f"There is no number {rank}: {n} candidates are listed.", f"没有第 {rank} 个：只列出了 {n} 个候选。")


def finished(sentences: Sequence[Sentence], length: str) -> Json:
    """The reply in the wanted length: all its sentences, and those that are said as text in both languages."""
    most = {"short": 0, "usual": 1, "long": 2}[length]
    sentences = list({s.en: s for s in reversed(sentences)}.values())[::-1]
    said = [s for s in sentences if s.level <= most] or sentences[:1]
    return {
        "en": " ".join(s.en for s in said),
        "zh": "".join(s.zh for s in said),
        "sentences": [s.to_json() for s in said],
        "whole": [s.to_json() for s in sentences],
    }
