"""What comes in: bodies that are checked before anything is done with them. What goes out is in ``answers``."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, model_validator

from agent.state import Json

MOST_POINTS = 1000
"""Of a drawn area; joining rings that cross each other takes time with the square of their points."""

Words = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:-]+$")]
Lat = Annotated[FiniteFloat, Field(ge=-90, le=90)]
Lon = Annotated[FiniteFloat, Field(ge=-180, le=180)]
Position = Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]
"""Longitude, latitude."""
Ring = Annotated[list[Position], Field(min_length=4, max_length=MOST_POINTS)]
Rings = Annotated[list[Ring], Field(min_length=1, max_length=20)]
Spoken = Literal["en", "zh", "both"]
Length = Literal["short", "usual", "long"]
Rank = Annotated[int, Field(ge=1, le=1000)]


class Body(BaseModel):
    """Unknown fields are refused: a misspelt one would be ignored without a word."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Box(Body):
    """A box in degrees."""

    west: Lon
    south: Lat
    east: Lon
    north: Lat

    def area(self) -> str:
        return f"{self.west},{self.south},{self.east},{self.north}"


class Circle(Body):
    """A circle."""

    lat: Lat
    lon: Lon
    radius_m: Annotated[FiniteFloat, Field(gt=0, le=20_000_000)]

    def area(self) -> str:
        return f"{self.lat},{self.lon},{self.radius_m:.3f}m"


class Polygon(Body):
    """GeoJSON; longitude before latitude."""

    type: Literal["Polygon"]
    coordinates: Rings

    def area(self) -> str:
        return json.dumps(self.model_dump())


class MultiPolygon(Body):
    """GeoJSON; longitude before latitude."""

    type: Literal["MultiPolygon"]
    coordinates: Annotated[list[Rings], Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def few(self) -> MultiPolygon:
        if sum(len(ring) for rings in self.coordinates for ring in rings) > MOST_POINTS:
            raise ValueError(f"an area may have {MOST_POINTS} points; draw it more simply")
        return self

    def area(self) -> str:
        return json.dumps(self.model_dump())


Area = Box | Circle | Polygon | MultiPolygon
_CLAIM = Field(description="A claim's id, from the result's `claims`.", examples=["c2"])
ClaimId = Annotated[str, StringConstraints(min_length=1, max_length=32), _CLAIM]


class LimitOrder(Body):
    """Search inside an area that was drawn; null lifts every limit."""

    do: Literal["limit"]
    area: Area | None = None

    def order(self) -> Json:
        return {"do": "limit", "area": None if self.area is None else self.area.area()}


class ClaimOrder(Body):
    """A claim no longer counts, or counts again."""

    do: Literal["strike", "restore"]
    claim: ClaimId


class EditOrder(Body):
    """A claim is replaced by what the words say."""

    do: Literal["edit"]
    claim: ClaimId
    words: Words


class AnswerOrder(Body):
    """The witness's answer to the question that the desk put last."""

    do: Literal["answer"]
    answer: Literal["yes", "no", "unknown"]


class AttachOrder(Body):
    """An uploaded picture joins the query."""

    do: Literal["attach"]
    upload: Name


class SwitchOrder(Body):
    """Language and length of the replies."""

    do: Literal["switch"]
    spoken: Spoken | None = None
    length: Length | None = None


class BackOrder(Body):
    """The search becomes what it was after an earlier turn."""

    do: Literal["back"]
    turn: Annotated[int, Field(ge=1, le=100_000)]


class WhyOrder(Body):
    """Why this candidate, or why not: answered from the ledger."""

    do: Literal["why", "why_not"]
    rank: Rank


class CompareOrder(Body):
    """What the difference between two candidates is."""

    do: Literal["compare"]
    ranks: Annotated[list[Rank], Field(min_length=2, max_length=2)]


class AskOrder(Body):
    """What is still uncertain; candidates elsewhere; the best question to put."""

    do: Literal["uncertain", "elsewhere", "ask"]


Order = Annotated[
    LimitOrder | ClaimOrder | EditOrder | AnswerOrder | AttachOrder | SwitchOrder | BackOrder | WhyOrder
    | CompareOrder | AskOrder,
    Field(discriminator="do"),
]  # fmt: skip


class LocateIn(Body):
    """A new thread with its first description."""

    text: Words | None = None
    """What can be seen from the place, in English, Chinese or both. May be left out where pictures are given."""
    gallery: Name | None = None
    """Id of the gallery to search; left out: the first that is served."""
    images: Annotated[list[Name], Field(max_length=8)] = []
    """Ids of uploads."""
    within: Area | None = None
    lang: Literal["en", "zh", "mixed"] | None = None
    """Language of the text; left out: it is recognised."""
    spoken: Spoken | None = None
    """Language of the replies."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": "A church stands to the north, and there is a café across the street.", "spoken": "en"},
                {"text": "北边有一座教堂，马路对面是咖啡馆。", "within": {"lat": 51.5, "lon": -0.12, "radius_m": 800}},
            ]
        }
    )

    @model_validator(mode="after")
    def something(self) -> LocateIn:
        if not self.text and not self.images:
            raise ValueError("give a text, an image or both")
        return self


class MessageIn(Body):
    """A turn: words, or an order as a click gives it; exactly one of the two."""

    text: Words | None = None
    order: Order | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": "No, the pharmacy was on the right."},
                {"text": "为什么不是第二个？"},
                {"order": {"do": "strike", "claim": "c2"}},
                {"order": {"do": "compare", "ranks": [1, 2]}},
            ]
        }
    )

    @model_validator(mode="after")
    def one(self) -> MessageIn:
        if (self.text is None) == (self.order is None):
            raise ValueError("give either a text or an order")
        return self


class NameIn(Body):
    title: Annotated[str, StringConstraints(min_length=1, max_length=500)] = Field(examples=["Case 7, market square"])


class BranchIn(Body):
    """A new thread that begins where this one stood."""

    after: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """The turn after which it branches off; left out: the last one."""
    title: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None


def order_json(order: Any) -> Json:
    """An order as :mod:`agent.orders` reads it. Pictures are looked up by the caller."""
    made: Json = order.order() if isinstance(order, LimitOrder) else order.model_dump(exclude_none=True)
    return made
