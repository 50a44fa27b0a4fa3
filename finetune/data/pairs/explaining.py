"""The published form of an explanation, worded from evidence: what the first shows, what the second, so or not so.

Templates over the oracle's evidence, no model: every sentence can be traced to a claim and its stance. The words are
drawn by seed, so that a model taught on them does not learn one phrase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import yaml

from finetune.data.spin import Bank
from prompts.wording import claim_en, claim_zh
from retriever.geo import POINTS_EN, POINTS_ZH, bearing_deg, octant
from retriever.pairs import Label, PairView, WrongReason
from retriever.types import Claim, Evidence, Explanation, Relation, Stance

LANGS = ("en", "zh")
SHOWN, AGREED, OPEN = 4, 6, 4
"""Most things named of what the first shows, of what agrees and of what stays open; the rest is counted."""
RIGHT_VERDICT = 0.75
"""Share of wrong reasons that come with the right verdict."""


@cache
def bank(lang: str) -> Bank:
    """The explanations' phrases of ``en`` or ``zh``."""
    path = Path(__file__).with_name(f"explanations_{lang}.yaml")
    return Bank(yaml.safe_load(path.read_text(encoding="utf-8")))


def explain_pair(
    claims: Sequence[Claim], evidence: Sequence[Evidence], *, label: Label, view: PairView, seed: str
) -> Explanation:
    """English and Chinese from the same evidence (one item per claim, in order)."""
    said = [_write(lang, claims, evidence, label, view, Random(f"{seed}/{lang}")) for lang in LANGS]
    return Explanation(en=said[0], zh=said[1], author="template")


def wrong_reason(
    claims: Sequence[Claim], evidence: Sequence[Evidence], *, label: Label, view: PairView, seed: str
) -> WrongReason | None:
    """The same explanation with one stance turned around, mostly under the right verdict.

    None where no claim is decided.
    """
    rng = Random(f"{seed}/wrong")
    decided = [e for e in evidence if e.stance != "unknown"]
    if not decided:
        return None
    chosen = rng.choice(decided)
    said: Stance = "contradicts" if chosen.stance == "supports" else "supports"
    told = [replace(e, stance=said, region=None, osm_ids=()) if e is chosen else e for e in evidence]
    verdict: Label = label if rng.random() < RIGHT_VERDICT else "no_match" if label == "match" else "match"
    text = explain_pair(claims, told, label=verdict, view=view, seed=f"{seed}/wrong")
    return WrongReason(claim_id=chosen.claim_id, said=said, true=chosen.stance, verdict=verdict, en=text.en, zh=text.zh)


def phrase(claim: Claim, lang: str) -> str:
    """The claim as a noun phrase."""
    return claim_zh(claim) if lang == "zh" else claim_en(claim)


def _bare(claim: Claim) -> Claim:
    """The thing itself, wherever it is and whether or not."""
    return replace(claim, relation=Relation(), polarity=True)


def seen(item: Evidence) -> int | None:
    """The compass octant of the evidence's box from the tile's centre; None without a box or in the middle."""
    if item.region is None:
        return None
    x, y = (item.region[0] + item.region[2]) / 2 - 0.5, 0.5 - (item.region[1] + item.region[3]) / 2
    return None if (x * x + y * y) ** 0.5 < 0.06 else octant(bearing_deg(x, y))


def _write(
    lang: str, claims: Sequence[Claim], evidence: Sequence[Evidence], label: Label, view: PairView, rng: Random
) -> str:
    say = bank(lang).say
    groups: dict[Stance, list[tuple[Claim, Evidence]]] = {"supports": [], "contradicts": [], "unknown": []}
    for claim, item in zip(claims, evidence, strict=True):
        groups[item.stance].append((claim, item))
    decided = [c for c, _ in groups["contradicts"] + groups["supports"]]
    first = (decided + [c for c, _ in groups["unknown"]])[:SHOWN]
    order = [c for c in claims if any(c is f for f in first)]
    second = [_on_tile(c, e, lang) for c, e in (groups["contradicts"] + groups["supports"])[:SHOWN]]
    second = list(dict.fromkeys(text for text in second if text))
    parts = [say(f"first.{view}", rng, a=_list([phrase(c, lang) for c in order], lang, SHOWN, rng))]
    parts.append(say("second.some", rng, b=_list(second, lang, SHOWN, rng)) if second else say("second.none", rng))
    parts += _compared(groups, label, lang, rng)
    parts.append(say(f"verdict.{label}", rng))
    return _joined(parts, lang)


def _compared(
    groups: Mapping[Stance, Sequence[tuple[Claim, Evidence]]], label: Label, lang: str, rng: Random
) -> list[str]:
    say, parts = bank(lang).say, []
    agree = [phrase(c, lang) for c, _ in groups["supports"]]
    differ = [_difference(c, e, lang, rng) for c, e in groups["contradicts"]]
    left = [phrase(c, lang) for c, _ in groups["unknown"]]
    if agree:
        parts.append(say("agree", rng, x=_list(agree, lang, AGREED, rng)))
    if differ:
        parts.append(say("differ", rng, x=_list(differ, lang, len(differ), rng)))
    elif label == "match" and agree and rng.random() < 0.5:
        parts.append(say("most", rng))
    if left:
        key = "missing" if label == "no_match" and not differ else "open"
        parts.append(say(key, rng, x=_list(left, lang, OPEN, rng)))
    return parts


def _on_tile(claim: Claim, item: Evidence, lang: str) -> str:
    """What the tile has of this claim's thing; empty where it has nothing to name."""
    if claim.kind == "road" and claim.value == "runs":
        return "" if item.stance == "contradicts" else phrase(claim, lang)
    if item.region is None:
        nothing = claim.kind == "object" and (item.stance == "contradicts") == claim.polarity
        return _none_of(claim, lang) if nothing else ""
    where = seen(item)
    thing = _bare(claim)
    if where is None or claim.kind == "road":
        return phrase(thing, lang)
    return phrase(replace(thing, relation=Relation(type="bearing", bearing_deg=where * 45.0)), lang)


def _none_of(claim: Claim, lang: str) -> str:
    thing = phrase(_bare(claim), lang)
    # In Chinese "has no river" cannot stand in a list of what there is; the differences say it.
    return "" if lang == "zh" else f"no {thing.removeprefix('the ')}"


def _difference(claim: Claim, item: Evidence, lang: str, rng: Random) -> str:
    say, np, where = bank(lang).say, phrase(claim, lang), seen(item)
    points = POINTS_ZH if lang == "zh" else POINTS_EN
    said = None if claim.relation.bearing_deg is None else octant(claim.relation.bearing_deg)
    if claim.kind == "road" and claim.value == "runs":
        return say("item.other_axis", rng, np=np)
    if claim.kind in ("road", "junction", "building"):
        return say("item.not_so", rng, np=np)
    if not claim.polarity:
        here = where is not None
        return say("item.present" if here else "item.not_so", rng, np=np, dir=points[where or 0])
    if item.region is None:
        return say("item.nowhere" if claim.kind == "object" and claim.polarity else "item.not_so", rng, np=np)
    if where is None or where == said:
        return say("item.misplaced", rng, np=np)
    return say("item.elsewhere", rng, np=np, dir=points[where])


def _list(items: Sequence[str], lang: str, most: int, rng: Random) -> str:
    words, different = bank(lang).words, list(dict.fromkeys(items))
    kept = different[:most]
    if len(different) > most:
        kept.append(bank(lang).say("more", rng, n=str(len(different) - most)))
    if len(kept) < 2:
        return "".join(kept)
    return str(words["comma"]).join(kept[:-1]) + str(words["and"]) + kept[-1]


def _joined(parts: Sequence[str], lang: str) -> str:
    gap = "" if lang == "zh" else " "
    return parts[0] + parts[1] + "".join(gap + p for p in parts[2:])
