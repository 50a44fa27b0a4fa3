"""The frozen test set as cases: its pairs with text, their tiles as shown (some with one thing changed), references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from eval.explanations.cases import Case
from eval.explanations.schema import Key
from retriever.pairs import Pair, shown_facts, shown_tile
from retriever.types import Fact

if TYPE_CHECKING:
    from retriever.gallery import Gallery

Open = Callable[[str], "Gallery"]
"""Gallery by its id."""


@dataclass(frozen=True)
class PairTile:
    """The one tile that a pair shows, as a source of tiles."""

    pair: Pair
    gallery: Gallery

    @property
    def ids(self) -> Sequence[str]:
        return (self.pair.tile.id,)

    @property
    def size_m(self) -> float:
        return self.gallery.size_m

    def facts(self, id: str, /) -> tuple[Fact, ...] | None:  # noqa: A002
        """Facts after the change. Raises ``PairError`` where the gallery is another one."""
        return shown_facts(self.pair, self.gallery)

    def image(self, id: str, /) -> Image.Image:  # noqa: A002
        """The picture after the change."""
        return shown_tile(self.pair, self.gallery)[1]


def case_of(pair: Pair, gallery: Gallery) -> Case:
    """One pair as a case; its id is the query's. The ledger is the set's own. Raises ``PairError``."""
    tile = PairTile(pair, gallery)
    # Some of the set's wrong reasons conclude wrongly too; those are no control for a right verdict's reason.
    wrong = pair.wrong_reason if pair.wrong_reason is not None and pair.wrong_reason.verdict == pair.label else None
    return Case(
        query_id=pair.id,
        tile_id=pair.tile.id,
        text=pair.query.text,
        claims=pair.claims,
        facts=tile.facts(pair.tile.id),
        size_m=tile.size_m,
        tiles=tile,
        label=pair.label,
        location=pair.place,
        references={"en": pair.explanation.en, "zh": pair.explanation.zh},
        wrong_reasons={} if wrong is None else {"en": wrong.en, "zh": wrong.zh},
    )


def made_cases(pairs: Sequence[Pair], open_gallery: Open) -> dict[Key, Callable[[], Case]]:
    """How to make the case of every pair with a text, by pair id and tile id; galleries open when first needed."""
    return {(p.id, p.tile.id): partial(_make, p, open_gallery) for p in pairs if p.query.view == "text"}


def _make(pair: Pair, open_gallery: Open) -> Case:
    return case_of(pair, open_gallery(pair.tile.gallery))


def frozen_cases(folder: Path, galleries: Path, data: Path | None) -> dict[Key, Callable[[], Case]]:
    """The frozen set under ``folder``, with the galleries of its areas under ``galleries``, built where missing."""
    from retriever.pair_frozen import load_frozen
    from retriever.pair_galleries import area_gallery

    opened = cache(lambda name: area_gallery(name, galleries, data))
    return made_cases(load_frozen(folder).pairs, opened)
