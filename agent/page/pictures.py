"""Tiles as the page shows them: small, large, with heat. All as data URLs, so that no address names what is shown."""

from __future__ import annotations

import asyncio
import base64
import io
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from agent.page import belief
from retriever.errors import SightlineError
from retriever.types import Box

if TYPE_CHECKING:
    from agent.context import Context
    from agent.desk import Desk
    from retriever.heat import Heat

THUMB, LARGE = 112, 896
_KEPT = 400


@dataclass(frozen=True, kw_only=True)
class Heated:
    """A tile with its heat over it, and the words that it comes from with their shares of the hottest (0..1)."""

    url: str
    words: tuple[tuple[str, float], ...]


class Pictures:
    """Pictures of one desk's gallery, shared by all its pages; the newest :data:`_KEPT` are kept."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._kept: OrderedDict[Hashable, object] = OrderedDict()
        self._turn = asyncio.Lock()

    @property
    def can_heat(self) -> bool:
        return self.context.kit.encoder is not None

    async def small(self, tile: str) -> str:
        """A thumbnail. Raises ``SightlineError`` where the picture is missing or damaged."""
        key = ("small", tile)
        if key not in self._kept:
            self._keep(key, await asyncio.to_thread(self._thumb, tile))
        return str(self._kept[key])

    async def large(self, tile: str) -> str:
        """The tile as it is. Raises as :meth:`small` does."""
        key = ("large", tile)
        if key not in self._kept:
            picture = await asyncio.to_thread(self.context.gallery.image, tile)
            self._keep(key, _url(picture, "PNG"))
        return str(self._kept[key])

    async def heated(self, tile: str, texts: tuple[str, ...]) -> Heated:
        """The tile under the heat of these texts together. Raises ``SightlineError`` where there can be none."""
        key = ("heat", tile, texts)
        if key not in self._kept:
            # One at a time: heat costs a pass through the encoder and back.
            async with self._turn:
                self._keep(key, await asyncio.to_thread(self._heat, tile, texts))
        found = self._kept[key]
        assert isinstance(found, Heated)
        return found

    def _keep(self, key: Hashable, value: object) -> None:
        self._kept[key] = value
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def _thumb(self, tile: str) -> str:
        picture = self.context.gallery.image(tile)
        picture.thumbnail((THUMB, THUMB))
        return _url(picture, "WEBP")

    def _heat(self, tile: str, texts: tuple[str, ...]) -> Heated:
        from retriever.draw.overlay import overlay, relative
        from retriever.heat import seen, text_heat

        encoder = self.context.kit.encoder
        if encoder is None:
            raise SightlineError("heat maps need the encoder that made the shortlist, and this desk has none")
        picture = seen(encoder, self.context.gallery.image(tile)).convert("RGB")
        picture = picture.resize((LARGE, LARGE * picture.height // picture.width))
        heats = [text_heat(encoder, text, [picture])[0] for text in texts]
        total = np.sum([relative(heat.tile) for heat in heats], axis=0)
        return Heated(url=_url(overlay(picture, total), "WEBP"), words=tuple(w for heat in heats for w in _words(heat)))


def _words(heat: Heat) -> list[tuple[str, float]]:
    """All of the text in pieces, with the share of each word; what lies between words has none."""
    top, at, found = max((w.heat for w in heat.words), default=0.0), 0, []
    for word in heat.words:
        if word.start > at:
            found.append((heat.text[at : word.start], 0.0))
        found.append((word.text, word.heat / top if top > 0 else 0.0))
        at = word.start + len(word.text)
    return [*found, (heat.text[at:] + " ", 0.0)]


async def belief_url(desk: Desk, thread: str) -> tuple[str, Box]:
    """The posterior as a picture for the map, and its bounds. Raises ``SightlineError`` where it cannot be had."""
    state = await desk.state(thread)

    def work() -> tuple[str, Box]:
        p = belief.probabilities(desk.context, state)
        drawn, bounds = belief.picture(desk.context.gallery, p)
        return _url(drawn, "PNG"), bounds

    return await asyncio.to_thread(work)


def _url(picture: Image.Image, form: str) -> str:
    out = io.BytesIO()
    if form == "WEBP":
        picture.save(out, form, quality=86, method=2)
    else:
        picture.save(out, form)
    return f"data:image/{form.lower()};base64," + base64.b64encode(out.getvalue()).decode("ascii")
