"""Level 4: chat models that grade explanations, each with the controls that say whether its grades mean anything.

A sound explanation (the map's own words, or the data set's) is graded beside its tile, beside another tile, beside a
blank one, and against wrong reasons for the same verdict. A judge whose grades do not fall, each time in clearly more
than half of the cases, is unfit: its grades are shown and never averaged in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from eval.bootstrap import Interval, bootstrap_mean
from eval.explanations.schema import Key
from prompts.clients.base import ChatClient, ImagePart
from prompts.rubric import Order, Rubric, grade_request, read_grade
from retriever.errors import ReplyError, ServerUnavailable
from retriever.types import Verdict

ControlKind = Literal["sound", "wrong tile", "blank tile", "wrong reason"]
CONTROLS: tuple[ControlKind, ...] = ("wrong tile", "blank tile", "wrong reason")
CONTROL_SCALE = "correct"
ORDERS: tuple[Order, ...] = ("up", "down")
MIN_LOCATIONS = 5
"""Controls at fewer places than this show nothing, whatever their outcome."""
GIVE_UP = 5
"""So many failures of the endpoint one after another end its round."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One explanation to be graded in one language, or one control."""

    system: str
    key: Key
    lang: str
    location: str
    description: str
    verdict: Verdict | None
    explanation: str
    tile: ImagePart
    control: ControlKind | None = None
    family: str | None = None


@dataclass(frozen=True, kw_only=True)
class Grade:
    item: Item
    scale: str
    up: float | None
    """1..5 in the order ``up``; None: the judge gave no grade."""
    down: float | None

    @property
    def value(self) -> float | None:
        """Mean of both orders; None unless both were given."""
        return None if self.up is None or self.down is None else (self.up + self.down) / 2


@dataclass(frozen=True, kw_only=True)
class Member:
    """One judge of the panel."""

    name: str
    client: ChatClient
    family: str | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What one judge did."""

    member: Member
    grades: tuple[Grade, ...]
    controls: Mapping[tuple[str, ControlKind], Interval | None]
    """By language and control: share of cases, ties half, in which the sound explanation got the better grade."""
    unfit: Mapping[str, str]
    """By language, why its grades count for nothing there; a language without an entry is fit."""
    failed: int
    problem: str = ""
    """Why it broke off; empty otherwise."""
    usage: Mapping[str, float] = field(default_factory=dict)

    def own_family(self, item: Item) -> bool:
        """Whether judge and writer are of one family: judges favour their own."""
        return self.member.family is not None and self.member.family == item.family

    def order_effect(self, lang: str) -> Interval | None:
        """Mean grade in the order ``up`` less that in ``down``: 0 for a judge whom order does not move."""
        mine = [g for g in self.grades if g.item.lang == lang]
        both = [(g.up - g.down, g.item.location) for g in mine if g.up is not None and g.down is not None]
        return bootstrap_mean(np.array([v for v, _ in both]), [place for _, place in both]) if both else None


Ask = Callable[[Item, str, Order], Awaitable[float]]


async def grade_all(member: Member, items: Sequence[Item], scales: Sequence[str], rubric: Rubric) -> Bench:
    """Every item on every scale in both orders; controls on :data:`CONTROL_SCALE` alone.

    An endpoint that fails ends the judge's round, with what it has; asked again with the same cache it goes on there.
    """
    counter = _Counter()
    asker = _Asker(member.client, rubric, counter)
    work = [(i, s) for i in items for s in ((CONTROL_SCALE,) if i.control else scales)]
    gate = asyncio.Semaphore(8)

    async def one(item: Item, scale: str) -> Grade:
        async with gate:
            up, down = [await asker.ask(item, scale, order) for order in ORDERS]
        return Grade(item=item, scale=scale, up=up, down=down)

    grades = tuple(await asyncio.gather(*(one(i, s) for i, s in work)))
    controls, unfit = fitness(grades)
    return Bench(
        member=member,
        grades=grades,
        controls=controls,
        unfit=unfit,
        failed=sum(g.value is None for g in grades),
        problem=asker.problem,
        usage=counter.totals,
    )


class _Counter:
    def __init__(self) -> None:
        self.totals = {"calls": 0.0, "prompt_tokens": 0.0, "completion_tokens": 0.0, "seconds": 0.0}


class _Asker:
    """One grade at a time; stops for good once the endpoint is clearly gone."""

    def __init__(self, client: ChatClient, rubric: Rubric, counter: _Counter) -> None:
        self._client, self._rubric, self._totals = client, rubric, counter.totals
        self._probabilities = True
        self._down = 0
        self.problem = ""

    async def ask(self, item: Item, scale: str, order: Order) -> float | None:
        if self._down >= GIVE_UP:
            return None
        try:
            grade = await self._grade(item, scale, order)
        except ServerUnavailable as error:
            self._down += 1
            self.problem = f"{error}; run again to go on where it broke off"
            return None
        except ReplyError as error:
            self.problem = self.problem or str(error)
            return None
        self._down = 0
        return grade

    async def _grade(self, item: Item, scale: str, order: Order) -> float:
        if self._probabilities:
            try:
                return await self._once(item, scale, order, True)
            except ReplyError:
                # Not every API gives probabilities, nor has every tokenizer one token for a number.
                grade = await self._once(item, scale, order, False)
                self._probabilities = False
                return grade
        return await self._once(item, scale, order, False)

    async def _once(self, item: Item, scale: str, order: Order, probabilities: bool) -> float:
        request = grade_request(
            self._rubric,
            scale=scale,
            order=order,
            description=item.description,
            verdict=item.verdict,
            explanation=item.explanation,
            tile=item.tile,
            probabilities=probabilities,
        )
        reply = await self._client.complete(request)
        self._totals["calls"] += 1
        self._totals["prompt_tokens"] += reply.prompt_tokens
        self._totals["completion_tokens"] += reply.completion_tokens
        self._totals["seconds"] += reply.seconds
        return read_grade(reply)


def fitness(
    grades: Sequence[Grade],
) -> tuple[dict[tuple[str, ControlKind], Interval | None], dict[str, str]]:
    """Per language: the share of cases in which each control is graded below the sound one, and why it is unfit."""
    shares: dict[tuple[str, ControlKind], Interval | None] = {}
    unfit: dict[str, str] = {}
    for lang in sorted({g.item.lang for g in grades}):
        for kind in CONTROLS:
            shares[lang, kind] = _share([g for g in grades if g.item.lang == lang], kind)
        why = [_why(kind, shares[lang, kind]) for kind in CONTROLS]
        if any(why):
            unfit[lang] = "; ".join(w for w in why if w)
    return shares, unfit


def _share(grades: Sequence[Grade], kind: ControlKind) -> Interval | None:
    sound = {g.item.key: g.value for g in grades if g.item.control == "sound"}
    wins, places = [], []
    for grade in grades:
        base = sound.get(grade.item.key)
        if grade.item.control == kind and grade.value is not None and base is not None:
            wins.append(float(base > grade.value) + 0.5 * float(base == grade.value))
            places.append(grade.item.location)
    return bootstrap_mean(np.array(wins), places) if wins else None


def _why(kind: ControlKind, share: Interval | None) -> str:
    if share is None or share.locations < MIN_LOCATIONS:
        return f"{kind}: too few answers"
    if share.low <= 0.5:
        return f"{kind}: graded lower in only {100 * share.value:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]"
    return ""


def panel_mean(benches: Sequence[Bench], scale: str, lang: str) -> dict[tuple[str, Key], float]:
    """Mean grade by system and judgement over the judges that are fit in this language, each without its own family.

    Empty with fewer than two fit judges left for an item: one opinion is no panel.
    """
    found: dict[tuple[str, Key], list[float]] = {}
    for bench in benches:
        if lang in bench.unfit:
            continue
        for g in bench.grades:
            wanted = g.item.control is None and g.scale == scale and g.item.lang == lang
            if wanted and g.value is not None and not bench.own_family(g.item):
                found.setdefault((g.item.system, g.item.key), []).append(g.value)
    return {key: float(np.mean(values)) for key, values in found.items() if len(values) >= 2}
