"""Names as people pass them on: on the sign's own script or translated, in part, misspelt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random

from retriever.oracle.naming import THRESHOLD, is_telling, normalise, similarity

_CJK = re.compile(r"[\u3400-\u9fff]")
_LETTERS = "abcdefghilmnoprstu"


def choose(names: Mapping[str, str], lang: str, rng: Random) -> str | None:
    """A name in a language this speaker might read it in; the sign's own script (``""``) is always possible."""
    own = names.get("")
    wanted = names.get(lang) or (names.get("zh-Hans") or names.get("zh-Hant") if lang == "zh" else None)
    if wanted and (own is None or rng.random() < 0.65):
        return wanted
    return own or wanted or next(iter(names.values()), None)


def as_read(name: str, rng: Random, *, exact: float = 0.7) -> str:
    """The name as it is passed on: mostly whole, now and then in part or misspelt, but still to be recognised."""
    if rng.random() < exact:
        return name
    read = _part(name, rng) if rng.random() < 0.55 else _misspell(name, rng)
    kept = normalise(read)
    return read if is_telling(kept) and similarity(kept, normalise(name)) >= THRESHOLD else name


def _part(name: str, rng: Random) -> str:
    if _CJK.search(name) and " " not in name:
        if len(name) < 5:
            return name
        cut = rng.randint(3, len(name) - 1)
        return name[:cut]
    words = name.split()
    if len(words) < 2:
        return name
    keep = rng.randint(1, len(words) - 1)
    return " ".join(words[:keep] if rng.random() < 0.75 else words[-keep:])


def _misspell(name: str, rng: Random) -> str:
    spots = [i for i, c in enumerate(name) if c.isascii() and c.isalpha() and 0 < i < len(name) - 1]
    if len(name) < 6 or len(spots) < 4:
        return name
    at = rng.choice(spots)
    how = rng.random()
    if how < 0.3:
        return name[:at] + name[at + 1 :]
    if how < 0.55:
        return name[:at] + name[at] + name[at:]
    if how < 0.8:
        return name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    return name[:at] + rng.choice(_LETTERS) + name[at + 1 :]
