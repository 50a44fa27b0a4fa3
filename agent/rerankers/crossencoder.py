"""A small cross-encoder that reads each clue of the description together with the tile's listing, in words alone.

It was trained (``sightline train cross-encoder``) to tell the tile where a clue was said from others, as many of these
as of those, so its log-odds are what the clue is worth and the score of a tile is their sum over the clues. Names are
not read. Two kinds, by where the listing is from: ``crossencoder`` makes it from the map's facts, ``crossencoder_look``
has the judge look at the pixels.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.rerankers.base import Kit, picture, ranking, reorder_judged
from agent.rerankers.yesno import prompt_of
from prompts.listing import list_facts, parse_listing
from prompts.pairing import each_clue, listing_words, unnamed
from retriever.errors import ModelError, SightlineError
from retriever.models import PROVENANCE, find_model, read_json
from retriever.types import Candidate, Claim, Judgement, Query, Ranking, Usage

if TYPE_CHECKING:
    from retriever.gallery import Gallery

MODEL = "mini-crossencoder"


class CrossEncoder:
    """Sees the map's facts, without their names; asks no judge and gives no verdicts."""

    name = "crossencoder"

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._why = f"not judged: the method {self.name} measures fit and gives no verdict"

    async def rerank(
        self, query: Query, claims: Sequence[Claim], candidates: Sequence[Candidate], gallery: Gallery
    ) -> Ranking:
        """By the clues' log-odds less what is unsaid; a tile without listing keeps its place with an ``error``."""
        start = time.perf_counter()
        tiles = sorted({c.tile_id for c in candidates})
        listed = await asyncio.gather(*(self._listed(gallery, t) for t in tiles))
        listings = {t: text for t, text in zip(tiles, listed, strict=True) if isinstance(text, str)}
        found = {t: _unjudged(t, str(e)) for t, e in zip(tiles, listed, strict=True) if not isinstance(e, str)}
        scores = self._score(tuple(each_clue(claims)), listings, found)
        found |= {t: Judgement(tile_id=t, score=s, score_kind=self.name, error=self._why) for t, s in scores.items()}
        took = Usage(seconds={self.name: time.perf_counter() - start})
        return ranking(query, self.name, reorder_judged(candidates, scores), found, took, prompt=self._prompt())

    def _score(self, said: Sequence[str], listings: Mapping[str, str], found: dict[str, Judgement]) -> dict[str, float]:
        if not listings:
            return {}
        try:
            if not said:
                raise ModelError("the description holds nothing that a listing could hold")
            model = load(str(find_model(MODEL)))
        except SightlineError as error:
            found.update({t: _unjudged(t, str(error)) for t in listings})
            return {}
        words = {t: listing_words(parse_listing(listing)) for t, listing in listings.items()}
        pairs = [(clue, shown) for shown in dict.fromkeys(words.values()) for clue in said]
        worth = dict(zip(pairs, log_odds(model, pairs), strict=True))
        off = float(getattr(model, "unsaid", 0.0))
        return {
            t: round(sum(worth[clue, shown] for clue in said) - off * unnamed(said, shown), 4)
            for t, shown in words.items()
        }

    async def _listed(self, gallery: Gallery, tile_id: str) -> str | SightlineError:
        try:
            facts = gallery.facts(tile_id)
        except SightlineError as error:
            return error
        if facts is None:
            return ModelError("the gallery holds no map facts for this tile")
        return list_facts(facts, size_m=gallery.size_m).text()

    def _prompt(self) -> str:
        return ""


class CrossEncoderLook(CrossEncoder):
    """Sees the pixels, by the judge's look at the tile, which is asked for once per picture and kept."""

    name = "crossencoder_look"

    async def _listed(self, gallery: Gallery, tile_id: str) -> str | SightlineError:
        look = getattr(self._kit.judge, "look", None)
        if look is None:
            why = "this judge lists no tiles" if self._kit.judge is not None else self._kit.why_no_judge
            return ModelError(why)
        try:
            return str(await look(gallery.tile(tile_id), picture(gallery, tile_id)))
        except SightlineError as error:
            return error

    def _prompt(self) -> str:
        return prompt_of(self._kit)


@cache
def load(folder: str) -> Any:
    """The model in a folder, on the CPU, with ``unsaid``: what it takes off for each kind that no clue names.

    Raises ``ModelError`` where it cannot be read.
    """
    try:
        from sentence_transformers import CrossEncoder as Model

        model = Model(folder, device="cpu", local_files_only=True, model_kwargs={"dtype": "float32"})
    except (ImportError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"{Path(folder).name} cannot be read as a cross-encoder ({error}); copy it again") from error
    model.unsaid = read_json(Path(folder), PROVENANCE).get("unsaid", 0.0)
    return model


def log_odds(model: Any, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """Of each pair of a clue and a listing."""
    from torch.nn import Identity

    return [float(x) for x in model.predict(pairs, batch_size=128, show_progress_bar=False, activation_fn=Identity())]


def _unjudged(tile_id: str, why: str) -> Judgement:
    return Judgement(tile_id=tile_id, error=f"not judged: {why}")
