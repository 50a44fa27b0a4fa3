"""A second picture for the judge: the tile with the dual encoder's heat for the claims over it (docs/heat.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prompts.render import claim_words
from retriever.types import Claim

if TYPE_CHECKING:
    from PIL import Image

    from retriever.encoder import Encoder


def heat_text(claims: Sequence[Claim]) -> str:
    """What the encoder is asked for: the witness's own words behind the claims, or the claims' words without any."""
    return ". ".join(dict.fromkeys(c.span or claim_words(c) for c in claims))


class Heater:
    """Draws heat with one encoder; ``id`` names it and changes with its weights."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.id = f"{encoder.name}@{encoder.id[:8]}"

    def picture(self, tile: Image.Image, claims: Sequence[Claim]) -> Image.Image:
        """The tile, as large as it came, coloured on a scale of its own. Raises ``ModelError`` without any claim."""
        from retriever.draw.overlay import overlay
        from retriever.heat import text_heat

        (heat,) = text_heat(self.encoder, heat_text(claims), [tile])
        return overlay(tile, heat.tile)
