"""What a reader is told where a gate kept a candidate behind another that has the lower confidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from agent.phrasing import percent, say
from agent.state import Json
from agent.turns import Sentence

UNTOLD = 14.0
"""Nats; a factor of over a million tells nobody anything."""


def order_note(candidates: Sequence[Json], gate: Json | None) -> Sentence | None:
    """One sentence that names every candidate with a higher confidence than the one before it; None where the order is
    that of the confidence, as far as the percentages that are shown tell.

    Where two neighbours stand so, the later one's lead is within the margin and the retrieval score prefers the
    earlier one, whatever else was moved (:func:`retriever.gate.gated`). Tiles that were not judged keep their places
    for another reason, so they are passed over.
    """
    judged = [c for c in candidates if c["features"]["p_match"] is not None]
    kept = [(a, b) for a, b in pairwise(judged) if _surer(b, a)]
    if not gate or not kept:
        return None
    ranks = [str(b["rank"]) for _, b in kept]
    one = len(ranks) == 1
    named = f"Number {ranks[0]} has" if one else f"Numbers {', '.join(ranks[:-1])} and {ranks[-1]} have"
    en = (
        f"{named} a higher confidence than the candidate listed just before, but too small a lead for a change of order"
        f"{_factor(gate, 0)}, so the order of the retrieval scores was kept there{_duels(gate, 0)}"
    )
    zh = (
        f"第 {'、'.join(ranks)} 个的置信度高于紧排在前面的候选，但领先幅度不足以改变次序{_factor(gate, 1)}，"
        f"因此此处保留检索得分的次序{_duels(gate, 1)}。"
    )
    return say(en, zh, *(cite for a, b in kept for cite in _cites(a, b)), level=0)


def behind(first: Json, second: Json, gate: Json | None) -> Sentence | None:
    """Why the later of two candidates comes later although it has the higher confidence; None where it has not."""
    before, after = sorted((first, second), key=lambda c: int(c["rank"]))
    if not gate or None in (before["features"]["p_match"], after["features"]["p_match"]) or not _surer(after, before):
        return None
    a, b = before["rank"], after["rank"]
    # Further up the list the lead over this one can be large enough: what held it back then stands between the two.
    near = int(b) - int(a) == 1
    factor = (_factor(gate, 0), _factor(gate, 1)) if near else ("", "")
    en = (
        f"Number {b} has the higher confidence, but no candidate passes another on too small a lead"
        f"{factor[0]}, so number {a} keeps its place by the retrieval scores{_duels(gate, 0)}"
    )
    zh = (
        f"第 {b} 个的置信度更高，但领先幅度不够时不改变次序{factor[1]}，"
        f"因此第 {a} 个按检索得分保持其位置{_duels(gate, 1)}。"
    )
    return say(en, zh, *_cites(before, after), level=0)


def _surer(after: Json, before: Json) -> bool:
    """By more than rounding hides: a difference that nobody is shown needs no words."""
    p, q = after["confidence"] or 0.0, before["confidence"] or 0.0
    return bool(p > q) and percent(p) != percent(q)


def _cites(a: Json, b: Json) -> list[str]:
    return [f"{what}:{c['tile_id']}" for c in (a, b) for what in ("judgement", "posterior")]


def _factor(gate: Json, lang: int) -> str:
    """How many times as probable a tile must be as one that it passes; nothing where no lead is enough."""
    if gate["margin"] is None or gate["margin"] > UNTOLD:
        return ""
    times = f"{math.exp(gate['margin']):.3g}"
    return (f" (it must be more than {times} times as probable)", f"（概率须高于其 {times} 倍）")[lang]


def _duels(gate: Json, lang: int) -> str:
    """Where near-ties are compared side by side, that can be the reason as well."""
    if not gate["duel_weight"]:
        return ""
    return (", or the judge preferred the other when shown both", "，或并排比较时模型更倾向另一个")[lang]


__all__ = ["behind", "order_note"]
