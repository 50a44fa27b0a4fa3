"""Failure cases: the wrong verdicts that a system was surest of, by what was asked and what should have been said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from eval.testset.predictions import Prediction
from retriever.pairs import Pair

EACH = 3
"""Cases shown of each kind of mistake."""
MOST = 4
"""Claims named of each case."""
_QUOTED = 160


@dataclass(frozen=True, kw_only=True)
class Failure:
    mistake: str
    """``match refused``, ``neighbour taken for a match`` ..., or ``no answer``, and what was asked with."""
    pair_id: str
    score: float | None
    query: str
    """The text, cut short; of a picture what it is."""
    stances: tuple[str, ...]
    """Claims that it sees otherwise than the map, at most ``MOST``: ``cafe: supports, map unknown``."""
    error: str | None


def worst(pairs: Sequence[Pair], found: Mapping[str, Prediction], *, each: int = EACH) -> list[Failure]:
    """At most ``each`` cases of every kind of mistake, the surest first, each from another place."""
    kinds: dict[str, list[tuple[float, Pair, Prediction]]] = {}
    for pair in pairs:
        said = found[pair.id]
        if said.verdict != pair.label:
            sure = (said.rank or 0.0) * (1.0 if pair.label == "no_match" else -1.0)
            kinds.setdefault(_mistake(pair, said), []).append((sure, pair, said))
    return [case for name in sorted(kinds) for case in _surest(name, kinds[name], each)]


def _surest(name: str, cases: list[tuple[float, Pair, Prediction]], each: int) -> Iterator[Failure]:
    places: set[str] = set()
    for _, pair, said in sorted(cases, key=lambda case: (-case[0], case[1].id)):
        if len(places) == each:
            return
        if pair.place not in places:
            places.add(pair.place)
            yield Failure(
                mistake=name,
                pair_id=pair.id,
                score=said.score,
                query=_query(pair),
                stances=_stances(pair, said),
                error=said.error,
            )


def _mistake(pair: Pair, said: Prediction) -> str:
    asked = "text" if pair.query.view == "text" else f"{pair.query.view} picture"
    if said.verdict is None:
        return f"no answer, {asked}"
    what = f"{pair.negative} " if pair.negative else ""
    how = {"match": "taken for a match", "no_match": "match refused", "cannot_tell": "cannot tell"}[said.verdict]
    return f"{what}{how}, {asked}"


def _query(pair: Pair) -> str:
    if pair.query.view != "text":
        return f"a {pair.query.view} picture at {pair.lat:.5f}, {pair.lon:.5f}"
    text = " ".join(pair.query.text.split())
    return text if len(text) <= _QUOTED else text[:_QUOTED] + " ..."


def _stances(pair: Pair, said: Prediction) -> tuple[str, ...]:
    values = {c.id: c.value for c in pair.claims}
    other = [(e, said.stances[e.claim_id]) for e in pair.evidence if said.stances.get(e.claim_id, e.stance) != e.stance]
    # A claim that it could not tell is missed; one that it saw the other way is a mistake, and comes first.
    other.sort(key=lambda item: item[1] == "unknown")
    told = [f"{values[e.claim_id]}: {stance}, map {e.stance}" for e, stance in other[:MOST]]
    return (*told, f"{len(other) - MOST} more") if len(other) > MOST else tuple(told)


def failure_table(name: str, cases: Sequence[Failure]) -> list[str]:
    """Markdown lines."""
    lines = [
        f"**Failure cases of {name}**: of each kind of mistake the {EACH} it was surest of, at different places",
        "",
        "| mistake | pair | score | query | stances other than the map's |",
        "| --- | --- | ---: | --- | --- |",
    ]
    for case in cases:
        score = "-" if case.score is None else f"{case.score:.2f}"
        told = case.error or "; ".join(case.stances) or "-"
        row = (case.mistake, case.pair_id, score, case.query, told)
        lines.append("| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in row) + " |")
    return lines
