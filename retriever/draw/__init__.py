"""Drawn map tiles: facts in, picture out, the same picture everywhere."""

from retriever.draw.evidence import draw_evidence
from retriever.draw.fonts import Fonts
from retriever.draw.layout import visible
from retriever.draw.tile import draw_tile, labelled

__all__ = ["Fonts", "draw_evidence", "draw_tile", "labelled", "visible"]
