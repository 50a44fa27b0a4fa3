"""First-person descriptions with known truth: what a witness at a standing point would say, and its ledger.

Nothing but map facts goes in, and every claim comes out with the object it speaks of, its true bearing and distance,
and whether it is true. The same tile, point and seed give the same text.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from finetune.data import composing, planning
from finetune.data.sayings import Saying
from finetune.data.scene import Scene
from finetune.data.standpoints import Standpoint, standpoints
from finetune.data.wrong import falsify
from retriever.oracle import FactIndex
from retriever.types import Claim, Lang, Record, Tile

__all__ = ["Description", "Standpoint", "describe", "standpoints"]

Length = Literal["short", "medium", "long"]

WRONG_SHARE = 0.04
"""Share of details that are wrong: witnesses err, and a judge must learn to live with it."""

_UNPROVABLE = 0.5
"""Share of details of which no wrong version was found that the map would not bear out."""

PERSONAS = ("plain", "courier", "caller", "tourist", "analyst", "local")
_REGISTERS = {
    "plain": (0.6, 0.2, 0.2, 0.0),
    "courier": (0.3, 0.6, 0.1, 0.0),
    "caller": (0.4, 0.25, 0.35, 0.0),
    "tourist": (0.5, 0.05, 0.45, 0.0),
    "analyst": (0.2, 0.15, 0.0, 0.65),
    "local": (0.5, 0.2, 0.3, 0.0),
}
_CACHED = 64


@dataclass(frozen=True, kw_only=True)
class Description(Record):
    text: str
    lang: Lang
    claims: tuple[Claim, ...]
    truth: tuple[bool, ...]
    """By claim: whether it is so."""
    osm_ids: tuple[tuple[str, ...], ...]
    """By claim: the objects it speaks of; empty for what is not there."""
    bearings: tuple[float | None, ...]
    """By claim: the true bearing from the witness, in degrees."""
    distances: tuple[float | None, ...]
    """By claim: the true distance from the witness, in metres."""
    lat: float
    lon: float
    heading_deg: float | None
    """The heading that the text states, None if it states none."""
    persona: str = "plain"
    seed: int = 0


_indexes: OrderedDict[tuple[str, int, float], tuple[object, FactIndex]] = OrderedDict()


def fact_index(tile: Tile, size_m: float) -> FactIndex:
    """The tile's index; the last few are kept, since descriptions of one tile come in runs."""
    key = (tile.id, id(tile.facts), size_m)
    if key not in _indexes:
        _indexes[key] = (tile.facts, FactIndex(tile.facts, size_m=size_m))
        if len(_indexes) > _CACHED:
            _indexes.popitem(last=False)
    return _indexes[key][1]


def describe(
    tile: Tile,
    point: Standpoint,
    *,
    size_m: float,
    seed: int,
    lang: Lang = "en",
    named: bool = True,
    length: Length = "medium",
    visible: Sequence[bool] | None = None,
    wrong_share: float = WRONG_SHARE,
) -> Description:
    """What a witness at ``point`` says of what is around, in the style of a person drawn by ``seed``.

    ``point`` comes from :func:`standpoints` of the same tile. ``named=False`` leaves out every proper name. ``visible``
    says per fact whether it can be seen on the drawn tile; what cannot is not spoken of. ``length``: short is one to
    three sentences, medium about 97 tokens, long about 143 with a tail to 300 (words and punctuation marks in English,
    characters in Chinese); a bare place gives less.
    """
    rng = Random(f"{seed}/{tile.id}/{point.x:.1f}/{point.y:.1f}/{lang}/{named}/{length}")
    scene = Scene(fact_index(tile, size_m), point.x, point.y, visible)
    persona = rng.choice(PERSONAS)
    register = rng.choices(("plain", "terse", "rambling", "analyst"), _REGISTERS[persona])[0]
    terms = planning.choose_terms(scene, lang, named, rng)
    ordered = _order([saying for _, saying in planning.candidates(scene, terms, rng)])
    # Falsified only once it is said: among candidates a false one would be chosen for being the only one of its kind.
    sayings = (_maybe_wrong(saying, scene.index, rng, wrong_share) for saying in ordered)
    style = composing.Style(lang, persona, register, length)
    written = composing.compose(sayings, style, terms, rng)
    return _ledger(written, lang, persona, point, seed, terms.heading)


def _maybe_wrong(saying: Saying, index: FactIndex, rng: Random, share: float) -> Saying:
    if rng.random() >= share / (1.0 - _UNPROVABLE):
        return saying
    return falsify(saying, index, rng) or saying


def _order(sayings: list[Saying]) -> list[Saying]:
    """One saying of each kind and form first: nobody lists seven restaurants before the church."""
    first: list[Saying] = []
    rest: list[Saying] = []
    seen: set[tuple[str, str]] = set()
    for saying in sayings:
        key = (saying.form if saying.form not in ("object", "sign") else "object", saying.value)
        (rest if key in seen else first).append(saying)
        seen.add(key)
    return first + rest


def _ledger(
    written: composing.Written, lang: Lang, persona: str, point: Standpoint, seed: int, heading: float
) -> Description:
    claims: list[Claim] = []
    entries: list[Saying] = []
    for saying, span in written.said:
        found = saying.claims(span, len(claims) + 1)
        claims += found
        entries += [saying] * len(found)
    return Description(
        text=written.text,
        lang=lang,
        claims=tuple(claims),
        truth=tuple(s.truth for s in entries),
        osm_ids=tuple(s.osm_ids for s in entries),
        bearings=tuple(s.bearing for s in entries),
        distances=tuple(s.distance for s in entries),
        lat=point.lat,
        lon=point.lon,
        heading_deg=heading if written.heading_stated else None,
        persona=persona,
        seed=seed,
    )
