"""Claims as a chat model has to write them: the JSON schema, and the reading that holds an answer to the description.

Nothing is mended: a kind that is not in the table, words or a name that the description does not hold, more claims than
it can hold, or a thing both claimed and denied make the whole answer unusable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, get_args

from prompts.claims_.groups import ROAD_FORMS
from prompts.claims_.lexicon import lexicon
from prompts.claims_.text import normalise
from prompts.clients.base import clip, closed_object
from retriever.errors import ReplyError
from retriever.kinds import kinds
from retriever.types import Claim, Relation, RelationType

MAX_CLAIMS = 150
MAX_SPAN = 300
"""Characters that one claim may quote: a clause, not the description."""
MAX_METRES = 50_000
_JUNCTIONS = ("crossroads", "roundabout", "t_junction")


def most_claims(text: str) -> int:
    """More claims than this no text of that length holds."""
    return min(MAX_CLAIMS, 4 + len(text) // 4)


@cache
def colours() -> tuple[str, ...]:
    """The colours that a building may have."""
    return tuple(sorted(set(lexicon().colours.values())))


@cache
def schema() -> dict[str, Any]:
    """The answer's JSON schema: a list of claims with the fields of :class:`retriever.types.Claim`.

    In the subset that servers which enforce a schema understand: every field required, no bounds on strings.
    """
    roads = sorted(ROAD_FORMS) + [k.id for k in kinds().values() if k.group == "road"]
    values: dict[str, dict[str, Any]] = {
        "object": {"type": "string", "enum": list(kinds())},
        "name": {"type": "string"},
        "road": {"type": "string", "enum": roads},
        "junction": {"type": "string", "enum": list(_JUNCTIONS)},
        "building": {"type": "string", "pattern": rf"^(storeys:[1-9][0-9]{{0,2}}|colour:({'|'.join(colours())}))$"},
    }
    entries = [_entry(kind, value) for kind, value in values.items()]
    return closed_object({"claims": {"type": "array", "maxItems": MAX_CLAIMS, "items": {"anyOf": entries}}})


def _entry(kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    number = {"type": ["number", "null"]}
    relation = {
        "type": {"type": "string", "enum": list(get_args(RelationType))},
        "bearing_deg": number,
        "distance_m": number,
        "anchor": {"type": ["string", "null"]},
    }
    return closed_object(
        {
            "span": {"type": "string"},
            "kind": {"type": "string", "enum": [kind]},
            "value": value,
            "relation": closed_object(relation),
            "count": {"type": ["integer", "null"]},
            "polarity": {"type": "boolean"},
            "hedge": {"type": "boolean"},
        }
    )


def read_claims(data: Mapping[str, Any], text: str, *, turn: int = 0, first_id: int = 1) -> list[Claim]:
    """The claims in an answer that holds to :func:`schema`, held to ``text``. Raises ``ReplyError``."""
    rows: Sequence[Mapping[str, Any]] = data["claims"]
    if len(rows) > most_claims(text):
        raise ReplyError(f"{len(rows)} claims are more than a description of {len(text)} characters can hold")
    source = _Source(text)
    placed = [_claim(row, source, turn) for row in rows]
    kept: dict[tuple[str, str, Relation], Claim] = {}
    for _, claim in sorted(placed, key=lambda pair: pair[0]):
        key = (claim.kind, claim.value.casefold(), claim.relation)
        if kept.setdefault(key, claim).polarity != claim.polarity:
            raise ReplyError(f"{claim.value!r} is both claimed and denied; only what holds in the end is wanted")
    return [replace(claim, id=f"c{first_id + i}") for i, claim in enumerate(kept.values())]


class _Source:
    """A description in which quotations are found again, whatever became of spaces, quotes and traditional forms."""

    def __init__(self, text: str) -> None:
        self.text = text
        folded = normalise(text)
        self._at = [i for i, char in enumerate(folded) if not char.isspace()]
        self._dense = "".join(folded[i] for i in self._at)
        self._letters = letters(text)

    def quoted(self, span: str) -> tuple[int, str]:
        """Where the words stand, and the words as they stand there."""
        dense = "".join(normalise(span).split())
        found = self._dense.find(dense) if letters(span) else -1
        if found < 0:
            raise ReplyError(f"the words {clip(span, 80)!r} are not in the description")
        start, end = self._at[found], self._at[found + len(dense) - 1] + 1
        if end - start > MAX_SPAN:
            raise ReplyError(f"the span {clip(span, 60)!r} quotes {end - start} characters; quote one clause")
        return start, self.text[start:end]

    def names(self, value: str) -> bool:
        """Whether the description holds the name."""
        wanted = letters(value)
        return bool(wanted) and wanted in self._letters


def letters(text: str) -> str:
    """Letters and digits alone, folded: what two ways of writing a name share."""
    return re.sub(r"[\W_]+", "", normalise(text)).casefold()


def _claim(row: Mapping[str, Any], source: _Source, turn: int) -> tuple[int, Claim]:
    start, span = source.quoted(row["span"])
    kind, value, count = row["kind"], row["value"].strip(), row["count"]
    if kind == "name" and not source.names(value):
        raise ReplyError(f"the name {clip(value, 80)!r} is not in the description")
    if count is not None and not 1 <= count <= 1000:
        raise ReplyError(f"{count} of {value!r} is no count")
    relation = _relation(row["relation"], value, source)
    if kind == "road" and value == "runs" and relation.bearing_deg is None:
        raise ReplyError("a road that runs along an axis needs its bearing_deg")
    said = Claim(
        id="",
        span=span,
        kind=kind,
        value=value,
        relation=relation,
        count=None if count is None else int(count),
        polarity=row["polarity"],
        hedge=row["hedge"],
        turn=turn,
    )
    return start, said


def _relation(row: Mapping[str, Any], value: str, source: _Source) -> Relation:
    kind, bearing, distance, anchor = row["type"], row["bearing_deg"], row["distance_m"], row["anchor"]
    if bearing is not None and not 0 <= bearing <= 360:
        raise ReplyError(f"the bearing {bearing:g} of {value!r} is not within 0 to 360 degrees")
    if kind == "bearing" and bearing is None:
        raise ReplyError(f"{value!r} lies in a compass direction without its bearing_deg")
    if distance is not None and not 0 < distance <= MAX_METRES:
        raise ReplyError(f"the distance {distance:g} m of {value!r} is not within 0 to {MAX_METRES} m")
    if anchor is not None and anchor not in kinds() and not source.names(anchor):
        raise ReplyError(f"the anchor {clip(anchor, 80)!r} is neither a kind nor a name in the description")
    return Relation(
        type=kind,
        bearing_deg=None if bearing is None else float(bearing) % 360.0,
        distance_m=None if distance is None else float(distance),
        anchor=anchor,
    )
