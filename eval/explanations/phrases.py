"""One noun phrase of an explanation back to a claim: the inverse of :mod:`prompts.wording`, then the free reader."""

from __future__ import annotations

import re
from functools import cache

from prompts.claims import extract_claims
from prompts.wording import claim_en, claim_zh
from retriever.geo import POINTS_EN, POINTS_ZH
from retriever.kinds import kinds
from retriever.types import Claim, Relation

_FORM_VALUES = {
    "road": ("straight", "curved", "dead_end", "one_way", "wide", "narrow"),
    "junction": ("crossroads", "t_junction", "roundabout"),
}
_AXES = (0.0, 45.0, 90.0, 135.0)
_COLOURS = ("red", "white", "yellow", "brown", "grey", "black", "blue", "green", "beige", "orange", "pink")
_EN_POINTS = "|".join(sorted(POINTS_EN, key=len, reverse=True))
_ZH_POINTS = "|".join(sorted(POINTS_ZH, key=len, reverse=True))
_EN_WHERE = re.compile(rf"^(?P<thing>.+?) to the (?P<point>{_EN_POINTS})$", re.IGNORECASE)
_EN_ABSENT = re.compile(r"^(?:the absence of (?:an? )?|no )(?P<thing>.+)$", re.IGNORECASE)
_ASIDE = re.compile(r"（[^）]*）")
"""A remark on the item before it."""
_EDGES = " .。,，;；:："
_EN_NAME = re.compile(r'^(?:the )?name "(?P<name>.+)"$', re.IGNORECASE)
_EN_FLOORS = re.compile(r"^(?:the )?building of (?P<n>\d{1,3}) storeys$", re.IGNORECASE)
_ZH_WHERE = re.compile(rf"^(?P<point>{_ZH_POINTS})侧(?:的)?(?P<thing>.+)$")
_ZH_NAME = re.compile(r"^(?:没有)?名称“(?P<name>.+)”$")
_ZH_FLOORS = re.compile(r"^(?P<n>\d{1,3})层的楼$")


@cache
def _things() -> dict[str, tuple[str, str, float | None]]:
    """Words of :mod:`prompts.wording` (lower case, no article) -> ``(kind, value, axis)``; the first keeps a word."""
    rows: list[tuple[str, str, float | None]] = [("object", kind, None) for kind in kinds()]
    rows += [(kind, value, None) for kind, values in _FORM_VALUES.items() for value in values]
    rows += [("road", "runs", axis) for axis in (*_AXES, None)]
    rows += [("building", f"colour:{colour}", None) for colour in _COLOURS]
    found: dict[str, tuple[str, str, float | None]] = {}
    for kind, value, axis in rows:
        claim = Claim(id="c", span="", kind=kind, value=value, relation=Relation(bearing_deg=axis))  # type: ignore[arg-type]
        for words in (claim_en(claim).removeprefix("the "), claim_zh(claim)):
            found.setdefault(words.lower(), (kind, value, axis))
    return found


def read_phrase(text: str, *, first_id: int = 1) -> list[Claim]:
    """The claims of one noun phrase, English or Chinese; empty where it is about nothing that can be checked.

    What :mod:`prompts.wording` writes is read exactly, with name, number and compass point; anything else goes to
    :func:`prompts.claims.extract_claims`.
    """
    phrase = _ASIDE.sub("", text).strip(_EDGES)
    claim = exact_phrase(phrase, f"c{first_id}")
    return [claim] if claim is not None else extract_claims(phrase, first_id=first_id)


def exact_phrase(text: str, claim_id: str = "c1") -> Claim | None:
    """The claim of a phrase that :mod:`prompts.wording` could have written; None for any other."""
    phrase = _ASIDE.sub("", text).strip(_EDGES)
    rest, polarity, bearing = phrase, True, None
    if found := _EN_WHERE.match(rest):
        rest, bearing = found["thing"], 45.0 * POINTS_EN.index(found["point"].lower())
    elif found := _ZH_WHERE.match(rest):
        rest, bearing = found["thing"], 45.0 * POINTS_ZH.index(found["point"])
    if found := _EN_ABSENT.match(rest):
        rest, polarity = found["thing"], False
    elif rest.startswith("没有"):
        rest, polarity = rest.removeprefix("没有"), False
    thing = _thing(rest)
    if thing is None:
        return None
    kind, value, axis = thing
    if axis is not None:
        bearing = axis
    relation = Relation(type="near" if bearing is None else "bearing", bearing_deg=bearing)
    return Claim(id=claim_id, span=phrase, kind=kind, value=value, relation=relation, polarity=polarity)  # type: ignore[arg-type]


def _thing(words: str) -> tuple[str, str, float | None] | None:
    if found := _EN_NAME.match(words) or _ZH_NAME.match(words):
        return "name", found["name"], None
    if found := _EN_FLOORS.match(words) or _ZH_FLOORS.match(words):
        return "building", f"storeys:{int(found['n'])}", None
    bare = re.sub(r"^(?:the|an?) ", "", words.strip(), flags=re.IGNORECASE)
    return _things().get(bare.lower())


_JOINT = re.compile(r", and |, | and |、|和(?=[^“”]*(?:“[^”]*”[^“”]*)*$)|以及")


def split_list(body: str) -> list[str]:
    """The items of a list such as ``a, b and c`` or ``甲、乙和丙``; joints inside quoted names do not split."""
    kept: list[str] = []

    def hide(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"\x01{len(kept) - 1}\x02"

    hidden = re.sub(r'"[^"]*"|“[^”]*”', hide, body.replace("\x01", "").replace("\x02", ""))
    parts = [p.strip() for p in _JOINT.split(hidden)]
    return [re.sub(r"\x01(\d+)\x02", lambda m: kept[int(m[1])], p) for p in parts if p]
