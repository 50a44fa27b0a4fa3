"""Sayings in Chinese: said as Chinese, with measure words and Chinese order, not translated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from finetune.data.sayings import Place, Saying
from finetune.data.spin import bank
from retriever.geo import POINTS_ZH, octant
from retriever.kinds import kinds

_DIGITS = "零一二三四五六七八九"
_COLOURS = {
    "white": "白色", "grey": "灰色", "black": "黑色", "red": "红色", "pink": "粉色", "orange": "橙色", "yellow": "黄色",
    "beige": "米色", "brown": "棕色", "green": "绿色", "blue": "蓝色", "purple": "紫色",
}  # fmt: skip
_PACES = 0.75


@dataclass(frozen=True)
class Voice:
    """How one speaker talks all through one description."""

    register: str
    numerals: bool
    """Chinese numerals instead of digits."""
    unit: str
    quotes: tuple[str, str]
    english: float = 0.0
    """Share of the kinds called by their English word (mixed language)."""


def voice(register: str, rng: Random, *, english: float = 0.0) -> Voice:
    quotes = rng.choice((("“", "”"), ("「", "」"), ("", ""), ("“", "”")))
    return Voice(register, rng.random() < 0.5, "paces" if rng.random() < 0.08 else "metres", quotes, english)


def clause(saying: Saying, how: Voice, rng: Random) -> str:
    """The saying as a clause without a stop at the end."""
    say = bank("zh").say
    named = _named(saying, how)
    if saying.place.anchor:
        other = replace(saying, value=saying.place.anchor, name=None)
        return say("between", rng, np=noun(saying, how, rng)[0], other=noun(other, how, rng)[0])
    register = "hedged" if saying.hedge else how.register
    if saying.form in ("object", "sign", "storeys", "colour"):
        np, bare = noun(saying, how, rng)
        frame = register if register == "hedged" or rng.random() < 0.7 else "plain"
        return say(f"frames.{frame}", rng, np=np, bare=bare, pos=position(saying.place, how, rng))
    if saying.form == "street":
        kind = register if f"street.{register}" in bank("zh") else "plain"
        return say(f"street.{kind}", rng, **named)
    if saying.form == "cross_street":
        return say("cross", rng, pos=position(saying.place, how, rng), **named)
    if saying.form == "axis":
        return say("axis", rng, axis=say(f"axis_words.{round((saying.place.bearing or 0.0) / 45.0) % 4}", rng))
    if saying.form == "road_form":
        return say(f"road_form.{saying.value}", rng)
    if saying.form == "road_kind":
        return say("road_kind", rng, m=_one(saying.value), word=_word(saying.value, how, rng))
    if saying.form == "absent":
        return say("absent", rng, bare=_word(saying.value, how, rng))
    frames = "junction.here" if saying.place.type == "here" else "junction.frames"
    return say(frames, rng, np=say(f"junction.{saying.value}", rng), pos=position(saying.place, how, rng))


def _named(saying: Saying, how: Voice) -> dict[str, str]:
    name = saying.name or ""
    return {"name": name, "q": f"{how.quotes[0]}{name}{how.quotes[1]}"}


def noun(saying: Saying, how: Voice, rng: Random) -> tuple[str, str]:
    """(noun phrase with its measure word, the noun alone)."""
    say = bank("zh").say
    if saying.form == "storeys":
        np = say("building.storeys", rng, n=number(int(saying.value), how.numerals))
        return np, np
    if saying.form == "colour":
        np = say("building.colour", rng, colour=_COLOURS[saying.value])
        return np, np
    if saying.form == "sign":
        np = say("np.sign", rng, **_named(saying, how))
        return np, np
    word = _word(saying.value, how, rng)
    if saying.count and saying.count > 1:
        n = "两" if saying.count == 2 else number(saying.count, True)
        return f"{n}{measure(saying.value)}{word}", f"{n}{measure(saying.value)}{word}"
    if saying.name:
        np = say("np.named", rng, m=_one(saying.value), word=word, **_named(saying, how))
        return np, np
    return f"{_one(saying.value)}{word}", word


def measure(kind: str) -> str:
    """The measure word of a kind."""
    table = bank("zh").words["measure"]
    return str(table.get(kind) or table.get(f"group {kinds()[kind].group}") or table["default"])


def _one(kind: str) -> str:
    return "" if kind == "coastline" else f"一{measure(kind)}"


def _word(kind: str, how: Voice, rng: Random) -> str:
    if how.english and rng.random() < how.english:
        return f" {kinds()[kind].en[0]} "
    words = [w for w in kinds()[kind].zh if not w.startswith("一")]
    return words[0] if rng.random() < 0.45 else rng.choice(words)


def number(n: int, numerals: bool) -> str:
    """0..99 in Chinese numerals, or as digits."""
    if not numerals or n >= 100:
        return str(n)
    tens, ones = divmod(n, 10)
    if tens == 0:
        return _DIGITS[ones]
    return ("" if tens == 1 else _DIGITS[tens]) + "十" + (_DIGITS[ones] if ones else "")


def position(place: Place, how: Voice, rng: Random) -> str:
    """Where it is, in the words that go before 有 or after 在."""
    say = bank("zh").say
    key, slots = place.type, {}
    if place.said == "compass":
        key, slots = "compass", {"dir": POINTS_ZH[octant(place.bearing or 0.0)]}  # type: ignore[assignment]
    elif place.said == "clock":
        key, slots = "clock", {"hour": number(place.hour or 12, how.numerals)}  # type: ignore[assignment]
    pos = say(f"pos.{key}", rng, **slots)
    if place.distance is not None:
        dist = distance(place.distance, how, rng)
        if place.said == "compass" and rng.random() < 0.4:
            return say("pos.far_compass", rng, dist=dist, **slots)
        return say("pos.far", rng, pos=pos, dist=dist)
    return say("pos.vague", rng, pos=pos) if place.vague and place.type not in ("near", "here") else pos


def _in_unit(metres: int, how: Voice) -> int:
    return metres if how.unit == "metres" else max(5, round(metres / _PACES / 5) * 5)


def said_metres(metres: int, how: Voice) -> int:
    """What this speaker's wording of a distance amounts to."""
    return metres if how.unit == "metres" else round(_in_unit(metres, how) * _PACES)


def distance(metres: int, how: Voice, rng: Random) -> str:
    n = _in_unit(metres, how)
    text = bank("zh").say(f"dist.{how.unit}", rng, n=number(n, how.numerals))
    return text if n % 10 == 0 else text.replace("来米", "米").replace("来步", "步")


def heading(bearing: float, how: Voice, rng: Random) -> str:
    """The clause that states which way the speaker faces."""
    key = "heading_analyst" if how.register == "analyst" and rng.random() < 0.6 else "heading"
    return bank("zh").say(key, rng, dir=POINTS_ZH[octant(bearing)], opp=POINTS_ZH[octant(bearing + 180.0)])
