"""One thing that a witness says, before it has words: shared by all languages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from retriever.types import Claim, ClaimKind, Relation, RelationType

Form = Literal[
    "object",
    "sign",
    "street",
    "cross_street",
    "axis",
    "road_form",
    "road_kind",
    "junction",
    "storeys",
    "colour",
    "absent",
]

OFFSETS = {"front": 0.0, "right": 90.0, "behind": 180.0, "left": 270.0}


@dataclass(frozen=True)
class Place:
    """Where it is said to be."""

    type: RelationType = "near"
    bearing: float | None = None
    """The compass bearing that the words amount to; None when they give none."""
    said: Literal["relative", "compass", "clock", "none"] = "none"
    """How the bearing is put into words."""
    distance: int | None = None
    """Metres as said."""
    vague: bool = False
    """A distance in words without a number ("a stone's throw")."""
    hour: int | None = None
    """For ``said="clock"``: 1 to 12."""
    anchor: str | None = None
    """Kind of the other thing, for ``between``."""

    def relation(self) -> Relation:
        return Relation(type=self.type, bearing_deg=self.bearing, distance_m=self.distance, anchor=self.anchor)


@dataclass(frozen=True)
class Saying:
    form: Form
    value: str
    """Kind id, road form, junction form, number of storeys or colour: what the form needs."""
    place: Place = field(default_factory=Place)
    name: str | None = None
    """As read: perhaps only a part, perhaps misspelt."""
    count: int | None = None
    hedge: bool = False
    polarity: bool = True
    truth: bool = True
    osm_ids: tuple[str, ...] = ()
    bearing: float | None = None
    """The true one, from the witness."""
    distance: float | None = None
    rows: tuple[int, ...] = ()
    word: str | None = None
    """The word used, once chosen (so that a rewording keeps it)."""

    def claims(self, span: str, first: int) -> list[Claim]:
        """The ledger's entries for this saying, numbered from ``first``."""
        parts = self._parts()
        return [
            Claim(
                id=f"c{first + i}",
                span=span,
                kind=kind,
                value=value,
                relation=relation,
                count=self.count if kind == "object" else None,
                polarity=self.polarity,
                hedge=self.hedge,
            )
            for i, (kind, value, relation) in enumerate(parts)
        ]

    def _parts(self) -> list[tuple[ClaimKind, str, Relation]]:
        relation = self.place.relation()
        named: list[tuple[ClaimKind, str, Relation]] = [("name", self.name, relation)] if self.name else []
        if self.form in ("object", "absent"):
            return [("object", self.value, relation), *named]
        if self.form in ("sign", "street", "cross_street"):
            return named
        if self.form == "storeys":
            return [("building", f"storeys:{self.value}", relation)]
        if self.form == "colour":
            return [("building", f"colour:{self.value}", relation)]
        if self.form == "axis":
            return [("road", "runs", relation)]
        if self.form in ("road_form", "road_kind"):
            return [("road", self.value, relation)]
        return [("junction", self.value, relation)]
