"""What people marked: rater files as the rating page exports them, and as somebody may have edited them by hand.

One JSON object per line: ``system, query_id, tile_id, lang, rater``; ``claims``, a list of ``{id or span, mark}`` with
mark ``right | wrong | cant_tell``; ``scales``, an object of ``correct, complete, clear, useful`` from 1 to 5.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from eval.explanations.reading import Assertion
from eval.explanations.schema import LANGS, Problem

Mark = Literal["right", "wrong", "cant_tell"]
SCALES = ("correct", "complete", "clear", "useful")
_SAME_MARK = {"can't tell": "cant_tell", "can't_tell": "cant_tell", "cannot_tell": "cant_tell", "unknown": "cant_tell"}

ItemKey = tuple[str, str, str, str]
"""System, query id, tile id, language."""


@dataclass(frozen=True, kw_only=True)
class Rating:
    """One rater on one explanation in one language."""

    item: ItemKey
    rater: str
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """By assertion id (``e1``) or by the marked words."""
    scales: Mapping[str, int] = field(default_factory=dict)


def read_ratings(paths: Sequence[Path]) -> tuple[list[Rating], list[Problem]]:
    """All ratings that hold; a line that does not is a problem and the rest stands.

    Two lines of one rater on one item: the later one stands, as an undone mark is marked again.
    """
    found: dict[tuple[ItemKey, str], Rating] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            lines = path.read_bytes().decode("utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(where=str(path), what=f"cannot be read ({error}); the other raters stand"))
            continue
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    rating = _rating(json.loads(line))
                    found[rating.item, rating.rater] = rating
                except (AttributeError, KeyError, TypeError, ValueError) as error:
                    why = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
                    problems.append(Problem(where=f"{path}:{number}", what=f"is no rating ({why}); the others stand"))
    return list(found.values()), problems


def _rating(row: Mapping[str, Any]) -> Rating:
    lang = row["lang"]
    if lang not in LANGS:
        raise ValueError(f"lang {lang!r} is none of {', '.join(LANGS)}")
    scales = {name: _scale(name, value) for name, value in (row.get("scales") or {}).items() if value is not None}
    marks = {str(_named(m)): _mark(m["mark"]) for m in row.get("claims") or () if m.get("mark") is not None}
    item = (str(row["system"]), str(row["query_id"]), str(row["tile_id"]), lang)
    return Rating(item=item, rater=str(row["rater"]), marks=marks, scales=scales)


def _named(mark: Mapping[str, Any]) -> Any:
    return mark["id"] if mark.get("id") is not None else mark["span"]


def _mark(value: Any) -> Mark:
    mark = _SAME_MARK.get(str(value).strip().lower(), str(value).strip().lower())
    if mark not in get_args(Mark):
        raise ValueError(f"mark {value!r} is none of {', '.join(get_args(Mark))}")
    return mark  # type: ignore[return-value]


def _scale(name: str, value: Any) -> int:
    if name not in SCALES:
        raise ValueError(f"scale {name!r} is none of {', '.join(SCALES)}")
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 5:
        raise ValueError(f"{name} {value!r} is no whole number from 1 to 5")
    return value


def marks_of(ratings: Sequence[Rating]) -> dict[ItemKey, dict[str, Mark]]:
    """The majority mark of each marked claim; a tie, or most saying so, is ``cant_tell``."""
    votes: dict[ItemKey, dict[str, Counter[Mark]]] = defaultdict(lambda: defaultdict(Counter))
    for rating in ratings:
        for name, mark in rating.marks.items():
            votes[rating.item][name][mark] += 1
    return {item: {name: _majority(count) for name, count in named.items()} for item, named in votes.items()}


def _majority(count: Counter[Mark]) -> Mark:
    right, wrong = count["right"], count["wrong"]
    if right == wrong or count["cant_tell"] > max(right, wrong):
        return "cant_tell"
    return "right" if right > wrong else "wrong"


def mark_for(assertion: Assertion, marks: Mapping[str, Mark]) -> Mark | None:
    """What people said of one assertion, found by its id or by its words."""
    return marks.get(assertion.id) or marks.get(assertion.span)


def scale_means(ratings: Sequence[Rating]) -> dict[ItemKey, dict[str, float]]:
    """Mean of each scale over the raters of an item."""
    sums: dict[ItemKey, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for rating in ratings:
        for name, value in rating.scales.items():
            sums[rating.item][name].append(value)
    return {item: {n: sum(v) / len(v) for n, v in named.items()} for item, named in sums.items()}
