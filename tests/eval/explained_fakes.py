"""A small tile of known facts, cases on it, and the words of a template: for the tests of explanation scoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from eval.explanations.cases import Case
from eval.explanations.schema import Explained
from prompts.wording import template_explanation
from retriever.draw import Fonts, draw_tile
from retriever.types import Claim, Fact, Relation


def point(n: int, kind: str, x: float, y: float, name: str = "") -> Fact:
    names = {"": name} if name else {}
    return Fact(osm_id=f"node/{n}", kind=kind, shape="point", parts=(((x, y),),), names=names)


STREET = Fact(osm_id="way/1", kind="street", shape="line", parts=(((-0.05, 0.5), (1.05, 0.5)),))
FACTS = (
    STREET,
    point(2, "cafe", 0.5, 0.2),
    point(3, "pharmacy", 0.5, 0.8, "Hop Kee"),
    point(4, "school", 0.85, 0.5),
    point(5, "fountain", 0.15, 0.3),
)
"""Cafe to the north, pharmacy "Hop Kee" to the south, school to the east, fountain to the west."""


def claim(n: int, value: str, bearing: float | None = None, kind: str = "object", *, polarity: bool = True) -> Claim:
    relation = Relation(type="near" if bearing is None else "bearing", bearing_deg=bearing)
    return Claim(id=f"c{n}", span=value, kind=kind, value=value, relation=relation, polarity=polarity)  # type: ignore[arg-type]


CLAIMS = (
    claim(1, "cafe", 0.0),
    claim(2, "Hop Kee", None, "name"),
    claim(3, "runs", 0.0, "road"),
    claim(4, "cinema"),
)
"""The map bears out c1 and c2, contradicts c3 (the street runs east-west) and cannot tell c4."""


@dataclass
class Folder:
    """Tiles out of memory."""

    shown: dict[str, Sequence[Fact] | None] = field(default_factory=lambda: {"a": FACTS, "b": (STREET,)})
    size_m: float = 120.0

    @property
    def ids(self) -> Sequence[str]:
        return list(self.shown)

    def facts(self, id: str, /) -> Any:  # noqa: A002
        found = self.shown[id]
        return None if found is None else tuple(found)

    def image(self, id: str, /) -> Image.Image:  # noqa: A002
        return draw_tile(self.shown[id] or (), size_m=self.size_m, px=128, fonts=Fonts.none_cjk())


def case(n: int = 0, tile: str = "a", claims: Sequence[Claim] = CLAIMS, facts: Any = None, **more: Any) -> Case:
    folder = Folder()
    if facts is not None:
        folder.shown[tile] = facts
    return Case(
        query_id=f"q{n}",
        tile_id=tile,
        text=f"Witness {n}. A cafe to the north, a sign 'Hop Kee', the street runs north-south, a cinema.",
        claims=tuple(claims),
        facts=folder.facts(tile),
        size_m=folder.size_m,
        tiles=folder,
        location=more.pop("location", f"place {n}"),
        label=more.pop("label", "match"),
        **more,
    )


def explained(
    of: Case, system: str = "s", verdict: str | None = "match", stances: Any = None, **more: Any
) -> Explained:
    """The template over ``stances`` (by claim id; none: the map's) as a system's judgement."""
    found = {k: e.stance for k, e in of.checked.items()} if stances is None else stances
    words = template_explanation(of.claims, found, match=verdict == "match")
    texts = more.pop("texts", {"en": words.en, "zh": words.zh})
    return Explained(
        system=system,
        query_id=of.query_id,
        tile_id=of.tile_id,
        verdict=verdict,
        texts=texts,
        claims=of.claims,
        **more,  # type: ignore[arg-type]
    )
