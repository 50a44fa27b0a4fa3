"""Who rates what, and in which order: overlap by design, systems of one case together, order by rater and seed.

A *case* is one description, tile and language; all systems' explanations of it go to the same raters, so that a strict
rater is strict with every system and comparisons stay paired. A share of the cases goes to everybody who reads the
language (that is what agreement is measured on); each of the rest goes to one rater, in turn.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.explanations.cases import Case
from eval.protocol import EvaluationError
from eval.rate.items import Pictures, RateItem, known_wrong

TRIES = 20
"""Other explanations that are tried for a check."""


@dataclass(frozen=True, kw_only=True)
class Rater:
    name: str
    langs: tuple[str, ...] = ("en", "zh")


@dataclass(frozen=True, kw_only=True)
class Plan:
    assignments: Mapping[str, tuple[str, ...]]
    """Item ids by rater's name, in the order in which they are shown."""
    shared: frozenset[str]
    """Items that go to everybody who reads their language."""
    checks: tuple[RateItem, ...]
    notes: tuple[str, ...]


def read_raters(text: str) -> list[Rater]:
    """``anna,ben:en,cho:zh`` -> raters; without a language a rater reads both.

    >>> [r.langs for r in read_raters("anna,ben:en")]
    [('en', 'zh'), ('en',)]
    """
    raters = []
    for part in (p.strip() for p in text.split(",")):
        if not part:
            continue
        name, _, langs = part.partition(":")
        chosen = tuple(langs.split("+")) if langs else ("en", "zh")
        if not name.replace("-", "").replace("_", "").isalnum() or set(chosen) - {"en", "zh"}:
            raise EvaluationError(f"--raters has {part!r}; write names of letters and digits, as in anna,ben:en,cho:zh")
        raters.append(Rater(name=name, langs=chosen))
    if not raters or len({r.name for r in raters}) != len(raters):
        raise EvaluationError("--raters needs at least one name, and no name twice")
    return raters


def make_plan(
    items: Sequence[RateItem],
    raters: Sequence[Rater],
    cases: Mapping[str, Case],
    pictures: Pictures,
    *,
    overlap: float,
    checks: float,
    seed: int,
) -> Plan:
    """``pictures`` gains those of the checks.

    Raises ``EvaluationError`` where a share is no share or nobody reads a language.
    """
    if not 0 <= overlap <= 1 or not 0 <= checks <= 0.5:
        raise EvaluationError("--overlap is a share from 0 to 1, --checks one from 0 to 0.5")
    given: dict[str, list[str]] = {r.name: [] for r in raters}
    shared: set[str] = set()
    for lang in sorted({i.lang for i in items}):
        readers = [r.name for r in raters if lang in r.langs]
        if not readers:
            raise EvaluationError(f"nobody of --raters reads {lang}; add one, or leave the language out with --langs")
        shared |= _share_out([i for i in items if i.lang == lang], readers, given, overlap, f"{seed}/{lang}")
    made, notes = _checks(items, given, cases, pictures, checks, seed)
    for name, ids in given.items():
        random.Random(f"order/{seed}/{name}").shuffle(ids)
    return Plan(
        assignments={name: tuple(ids) for name, ids in given.items()},
        shared=frozenset(shared),
        checks=tuple(made.values()),
        notes=tuple(notes),
    )


def _share_out(
    items: Sequence[RateItem], readers: Sequence[str], given: dict[str, list[str]], overlap: float, seed: str
) -> set[str]:
    by_case: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for item in items:
        by_case[item.case].append(item.id)
    order = sorted(by_case)
    random.Random(f"cases/{seed}").shuffle(order)
    common = round(overlap * len(order))
    if overlap and not common:
        common = 1
    shared: set[str] = set()
    for place, case in enumerate(order):
        to = readers if place < common else [readers[(place - common) % len(readers)]]
        for name in to:
            given[name] += by_case[case]
        if len(to) > 1:
            shared.update(by_case[case])
    return shared


def _checks(
    items: Sequence[RateItem],
    given: dict[str, list[str]],
    cases: Mapping[str, Case],
    pictures: Pictures,
    share: float,
    seed: int,
) -> tuple[dict[str, RateItem], list[str]]:
    """Attention checks, added to each rater's list; at least one each where ``share`` is not 0 and one can be made."""
    by_id = {item.id: item for item in items}
    made: dict[str, RateItem] = {}
    notes = []
    for name, ids in given.items():
        wanted = max(1, round(share * len(ids))) if share and ids else 0
        rng = random.Random(f"checks/{seed}/{name}")
        got: list[str] = []
        for base in rng.sample(ids, len(ids)):
            if len(got) == wanted:
                break
            others = [i for i in items if i.location != by_id[base].location]
            check = known_wrong(by_id[base], rng.sample(others, min(TRIES, len(others))), cases, pictures)
            if check is not None and check.id not in got:
                made[check.id] = check
                got.append(check.id)
        if len(got) < wanted:
            notes.append(
                f"{name} gets {len(got)} of {wanted} attention checks: the map contradicts no more explanations of "
                "other places here"
            )
        ids += got
    return made, notes
