"""The one question whose answer is expected to tell most about which candidate is right.

Over the candidates with their posterior, a question "is there a tram line?" has a three-valued truth at each: the map
shows one near, shows that there is none, or cannot tell. A witness answers yes, no or "don't know", and errs at known
rates. The expected information gain is the mutual information between answer and place, in bits::

    gain = H(place) - sum over answers a of P(a) H(place | a),      P(a) = sum over places i of p_i P(a | truth at i)

(Lindley 1956; in dialogue: twenty questions with noisy answers.) Tiles next to the shortlist share what the posterior
leaves for the rest of the gallery; places outside answer as the average candidate does, so no question is credited
with telling them apart.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agent.ledger import map_evidence
from agent.state import Json
from retriever.kinds import kinds
from retriever.types import Claim, Relation, Stance

if TYPE_CHECKING:
    from retriever.gallery import Gallery

ANSWERS = ("yes", "no", "unknown")
SURE = 0.8
"""From this probability of the likeliest candidate on, the desk asks nothing unless it is asked to."""
LEAST_GAIN = 0.05
"""Bits below which a question is not worth the witness's time."""
_VAGUE = frozenset(
    "building street office shop footway grass tree bench post_box wall crossing bicycle_parking alley farmland".split()  # noqa: SIM905
)
"""Kinds that are nearly everywhere, seldom mapped or seldom noticed: what is answered about them tells little."""
_JUNCTIONS = {
    "crossroads": ("Is it at a crossroads", "是在十字路口吗"),
    "roundabout": ("Is it at a roundabout", "是在环岛旁吗"),
}
_PLURAL = frozenset({"traffic_signals", "steps"})


@dataclass(frozen=True, kw_only=True)
class Witness:
    """How likely each answer (yes, no, don't know) is, by what the map says of the place where the witness stood.

    ``plain``: mapped so near that no witness of the tile could miss it, so that the map would contradict a "no" as
    well. The figures are assumptions about people, not measurements: most of what is there is noticed, some forgotten.
    """

    rates: Mapping[str, tuple[float, float, float]] = field(
        default_factory=lambda: {
            "plain": (0.85, 0.05, 0.10),
            "supports": (0.65, 0.25, 0.10),
            "contradicts": (0.05, 0.85, 0.10),
            "unknown": (0.20, 0.65, 0.15),
        }
    )


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A question with its worth."""

    claim: Claim
    """What "yes" would say."""
    gain_bits: float
    stances: Mapping[str, Stance]
    """Truth by tile id."""

    @property
    def key(self) -> str:
        return f"{self.claim.kind}:{self.claim.value}"


def scored(
    gallery: Gallery,
    belief: Mapping[str, float],
    rest: float,
    said: Sequence[Claim],
    asked: Iterable[str],
    witness: Witness | None = None,
) -> list[Scored]:
    """Every question that may be put, the most telling first; ties by key.

    ``belief`` is the probability of each tile, ``rest`` that of every other place. What the witness has already spoken
    of, and ``asked`` keys, are left out.
    """
    model = witness or Witness()
    claims = _open_claims(gallery, belief, said, set(asked))
    both = [*claims, *(dataclasses.replace(c, polarity=False) for c in claims)]
    truths = {tile: map_evidence(gallery, tile, both) for tile in belief}
    tiles = [tile for tile in belief if truths[tile] is not None]
    if not tiles or not claims:
        return []
    p = np.array([belief[tile] for tile in tiles] + [rest])
    p = p / p.sum()
    found = []
    for number, claim in enumerate(claims):
        stances: dict[str, Stance] = {tile: truths[tile][number].stance for tile in tiles}  # type: ignore[index]
        denied = {tile: truths[tile][number + len(claims)].stance for tile in tiles}  # type: ignore[index]
        likely = np.array([model.rates[_truth(stances[tile], denied[tile])] for tile in tiles])
        average = (p[:-1, None] * likely).sum(axis=0) / max(p[:-1].sum(), 1e-12)
        gain = information(p, np.vstack([likely, average]))
        found.append(Scored(claim=claim, gain_bits=round(gain, 6), stances=stances))
    return sorted(found, key=lambda q: (-q.gain_bits, q.key))


def _truth(stance: Stance, denied: Stance) -> str:
    return "plain" if stance == "supports" and denied == "contradicts" else stance


def information(p: NDArray[np.float64], likely: NDArray[np.float64]) -> float:
    """Bits of mutual information between place and answer.

    ``p`` [I] sums to one, ``likely`` [I, A] is P(answer | place).
    """
    joint = p[:, None] * likely
    answers = joint.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(joint > 0, joint * np.log2(likely / answers), 0.0)
    return float(terms.sum())


def entropy(p: Iterable[float]) -> float:
    return -sum(v * math.log2(v) for v in p if v > 0)


def belief_of(posterior: Json, pool: Sequence[Any]) -> tuple[dict[str, float], float]:
    """The posterior's cells, what it leaves for elsewhere shared among the pool by utility, and the mass outside."""
    belief = dict(posterior["cells"])
    if not pool:
        return belief, posterior["elsewhere"] + posterior["outside"]
    utilities = np.array([u for _, u in pool])
    shares = np.exp(utilities - utilities.max())
    for (tile, _), share in zip(pool, shares / shares.sum(), strict=True):
        belief[tile] = posterior["elsewhere"] * float(share)
    return belief, posterior["outside"]


def question_json(best: Scored, listed: Sequence[str], doubt_bits: float) -> Json:
    """A question as the state keeps it, with its words and why it is asked."""
    split: dict[str, list[str]] = {stance: [] for stance in ("supports", "contradicts", "unknown")}
    for tile in listed:
        if tile in best.stances:
            split[best.stances[tile]].append(tile)
    en, zh = _words(best.claim)
    why = _why(split, len(listed), best.gain_bits, doubt_bits)
    return {
        "key": best.key,
        "claim": best.claim.to_json(),
        "en": f"{en}?",
        "zh": f"{zh}？",
        "why": {"en": why[0], "zh": why[1]},
        "gain_bits": best.gain_bits,
        "splits": split,
        "said": {"yes": f"{_said(best.claim, True)}.", "no": f"{_said(best.claim, False)}."},
    }


def _open_claims(gallery: Gallery, belief: Mapping[str, float], said: Sequence[Claim], asked: set[str]) -> list[Claim]:
    spoken = {f"{c.kind}:{c.value}" for c in said}
    there = {fact.kind for tile in belief for fact in gallery.facts(tile) or ()} & set(kinds())
    wanted = [("object", kind) for kind in sorted(there - _VAGUE)] + [("junction", form) for form in _JUNCTIONS]
    return [
        Claim(id="q", span="", kind=kind, value=value, relation=Relation())  # type: ignore[arg-type]
        for kind, value in wanted
        if f"{kind}:{value}" not in spoken | asked
    ]


def _words(claim: Claim) -> tuple[str, str]:
    if claim.kind == "junction":
        return _JUNCTIONS[claim.value]
    kind = kinds()[claim.value]
    verb, noun = ("Are there", kind.en[0]) if claim.value in _PLURAL else ("Is there", _article(kind.en[0]))
    return f"{verb} {noun} nearby", f"附近有{kind.zh[0]}吗"


def _said(claim: Claim, there: bool) -> str:
    if claim.kind == "junction":
        return f"It is {'' if there else 'not '}at a {claim.value}"
    noun = kinds()[claim.value].en[0]
    if claim.value in _PLURAL:
        return f"There are {'' if there else 'no '}{noun}"
    return f"There is {_article(noun) if there else f'no {noun}'}"


def _why(split: Mapping[str, Sequence[str]], listed: int, gain: float, doubt: float) -> tuple[str, str]:
    yes, no, open_ = (len(split[s]) for s in ("supports", "contradicts", "unknown"))
    en = f"of the {listed} candidates the map shows it at {yes}, rules it out at {no} and cannot tell at {open_}"
    zh = f"在 {listed} 个候选中，地图显示 {yes} 处有，{no} 处没有，{open_} 处无法判断"
    return (
        f"I ask because {en}; the answer is expected to settle {gain:.2f} of {doubt:.2f} bits of doubt.",
        f"之所以问这个：{zh}；预计回答可消除 {doubt:.2f} 比特疑问中的 {gain:.2f} 比特。",
    )


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"
