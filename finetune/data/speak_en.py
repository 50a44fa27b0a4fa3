"""Sayings in English."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from random import Random

from finetune.data.sayings import Place, Saying
from finetune.data.spin import bank
from retriever.geo import POINTS_EN, octant
from retriever.kinds import kinds

_SPELLINGS = (
    POINTS_EN,
    tuple(p.replace("-", "") for p in POINTS_EN),
    tuple(p.replace("-", " ") for p in POINTS_EN),
    ("N", "NE", "E", "SE", "S", "SW", "W", "NW"),
)
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_PLURAL = frozenset(
    {"traffic lights", "benches", "trees", "public toilets", "steps", "stairs", "woods", "tracks", "railway tracks"}
    | {"train tracks", "tram tracks", "bike stands"}
)
_MASS = frozenset({"grass", "water", "sand", "farmland", "bicycle parking"})
_THE = frozenset({"sea", "seafront", "shore", "coast"})
_UNITS = {"feet": 0.3048, "yards": 0.9144, "paces": 0.75}


@dataclass(frozen=True)
class Voice:
    """How one speaker talks all through one description."""

    register: str
    """``plain``, ``terse``, ``rambling`` or ``analyst``."""
    spelling: int
    unit: str
    quotes: tuple[str, str]


def voice(register: str, rng: Random) -> Voice:
    unit = rng.choices(("metres", "feet", "yards", "paces"), (0.78, 0.09, 0.05, 0.08))[0]
    quotes = rng.choice((("'", "'"), ('"', '"'), ("“", "”"), ("", "")))
    return Voice(register, rng.choices((0, 1, 2, 3), (0.35, 0.4, 0.1, 0.15))[0], unit, quotes)


def clause(saying: Saying, how: Voice, rng: Random) -> str:
    """The saying as a clause: no capital at the start, no stop at the end."""
    say = bank("en").say
    named = _named(saying, how)
    if saying.place.anchor:
        other = replace(saying, value=saying.place.anchor, name=None)
        return say("between", rng, np=noun(saying, how, rng)[0], other=noun(other, how, rng)[0])
    register = "hedged" if saying.hedge else how.register
    if saying.form in ("object", "sign", "storeys", "colour"):
        return say(f"frames.{_frame(register, rng)}", rng, **_thing(saying, how, rng))
    if saying.form == "street":
        kind = register if f"street.{register}" in bank("en") else "plain"
        return say(f"street.{kind}", rng, **named)
    if saying.form == "cross_street":
        return say("cross", rng, pos=position(saying.place, how, rng), **named)
    if saying.form == "axis":
        words = say(f"axis_words.{round((saying.place.bearing or 0.0) / 45.0) % 4}", rng)
        return say("axis", rng, axis=words)
    if saying.form == "road_form":
        return say(f"road_form.{saying.value}", rng)
    if saying.form == "road_kind":
        return say("road_kind", rng, a=article(_word(saying.value, rng)))
    if saying.form == "absent":
        return say("absent", rng, bare=_word(saying.value, rng))
    return _junction(saying, how, rng)


def _frame(register: str, rng: Random) -> str:
    if register in ("plain", "hedged"):
        return register
    return register if rng.random() < 0.7 else "plain"


def _named(saying: Saying, how: Voice) -> dict[str, str]:
    name = saying.name or ""
    return {"name": name, "q": f"{how.quotes[0]}{name}{how.quotes[1]}"}


def _junction(saying: Saying, how: Voice, rng: Random) -> str:
    say = bank("en").say
    np = say(f"junction.{saying.value}", rng)
    there = rng.choice(("there's", "there is"))
    frames = "junction.here" if saying.place.type == "here" else "junction.frames"
    return say(frames, rng, np=np, there=there, pos=position(saying.place, how, rng))


def _thing(saying: Saying, how: Voice, rng: Random) -> dict[str, str]:
    np, bare, many = noun(saying, how, rng)
    there = "there are" if many else rng.choice(("there's", "there is", "there's"))
    return {
        "np": np,
        "bare": bare,
        "there": there,
        "is": "are" if many else "is",
        "pos": position(saying.place, how, rng),
    }


def noun(saying: Saying, how: Voice, rng: Random) -> tuple[str, str, bool]:
    """(noun phrase, the same without an article, whether it is plural)."""
    say = bank("en").say
    if saying.form in ("storeys", "colour"):
        n = int(saying.value) if saying.form == "storeys" else 0
        number = str(n) if n > 12 or rng.random() < 0.5 else _NUMBERS[n]
        np = say(f"building.{saying.form}", rng, n=number, colour=saying.value)
        return np, np.removeprefix("a "), np.endswith("walls")
    if saying.form == "sign":
        np = say("np.sign", rng, **_named(saying, how))
        return np, np, False
    if saying.count and saying.count > 1:
        word = plural(_single_word(saying.value, rng))
        counted = f"{_NUMBERS[saying.count] if rng.random() < 0.75 else saying.count} {word}"
        return counted, counted, True
    word = saying.word or _word(saying.value, rng)
    if saying.name:
        np = say("np.named", rng, a=article(word), word=word, **_named(saying, how))
        return np, np, False
    return article(word), word, word in _PLURAL


@cache
def _words(kind: str) -> tuple[str, ...]:
    return kinds()[kind].en


def _word(kind: str, rng: Random) -> str:
    words = _words(kind)
    return words[0] if rng.random() < 0.45 else rng.choice(words)


def _single_word(kind: str, rng: Random) -> str:
    fit = [w for w in _words(kind) if w not in _PLURAL | _MASS and "'s" not in w and not w.startswith("row of")]
    return rng.choice(fit) if fit else _words(kind)[0]


def plural(word: str) -> str:
    """The plural of a word of the kinds table."""
    if word in _PLURAL:
        return word
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "sh", "ch", "x")) else "s")


def article(word: str) -> str:
    """The word with the article it takes after "there is"."""
    if word in _PLURAL or word in _MASS:
        return f"some {word}"
    if word in _THE:
        return f"the {word}"
    vowel = word[0].lower() in "aeiou" and not word.startswith(("uni", "eu", "one"))
    return f"{'an' if vowel else 'a'} {word}"


def direction(bearing: float, how: Voice) -> str:
    return _SPELLINGS[how.spelling][octant(bearing)]


def position(place: Place, how: Voice, rng: Random) -> str:
    """Where it is, as an adverbial."""
    say = bank("en").say
    key, slots = place.type, {}
    if place.said == "compass":
        key, slots = "compass", {"dir": direction(place.bearing or 0.0, how)}  # type: ignore[assignment]
    elif place.said == "clock":
        key, slots = "clock", {"hour": str(place.hour) if rng.random() < 0.5 else _NUMBERS[place.hour or 12]}  # type: ignore[assignment]
    pos = say(f"pos.{key}", rng, **slots)
    if place.distance is not None:
        dist = distance(place.distance, how, rng)
        if place.said == "compass" and rng.random() < 0.5:
            return say("pos.far_compass", rng, dist=dist, **slots)
        return say("pos.far", rng, pos=pos, dist=dist)
    return say("pos.vague", rng, pos=pos) if place.vague and place.type not in ("near", "here") else pos


def _in_unit(metres: int, how: Voice) -> int:
    if how.unit == "metres":
        return metres
    number = metres / _UNITS[how.unit]
    step = 10 if number > 30 else 5
    return max(step, round(number / step) * step)


def said_metres(metres: int, how: Voice) -> int:
    """What this speaker's wording of a distance amounts to: 30 m become "30 yards", which are 27 m."""
    return metres if how.unit == "metres" else round(_in_unit(metres, how) * _UNITS[how.unit])


def distance(metres: int, how: Voice, rng: Random) -> str:
    return bank("en").say(f"dist.{how.unit}", rng, n=str(_in_unit(metres, how)))


def heading(bearing: float, how: Voice, rng: Random) -> str:
    """The clause that states which way the speaker faces."""
    analyst = how.register == "analyst" and rng.random() < 0.6
    return bank("en").say(
        "heading_analyst" if analyst else "heading",
        rng,
        dir=direction(bearing, how),
        opp=direction(bearing + 180.0, how),
    )
