"""Heat maps: which words and which patches a similarity rests on (CrossText2Loc's Explainable Retrieval Module, ERM).

For every open_clip ViT; :mod:`retriever.heat_.relevance` has the rule, docs/heat.md what the shipped encoder's heat is
worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from retriever.device import home, steady
from retriever.encoder import Encoder, Floats, text_features
from retriever.errors import ModelError
from retriever.heat_.relevance import Layers, chosen, rows, tape_for
from retriever.heat_.tape import Tape
from retriever.heat_.towers import Tower, image_tower, text_tower
from retriever.heat_.words import Word, token_spans, word_heat

ALL: Layers = (None, None)
LAST: Layers = (-1, None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Heat:
    """One pair of a query and a tile."""

    similarity: float
    """Cosine, as retrieval has it."""
    tile: Floats
    """float32 [rows, columns] over the part of the tile that the encoder reads (:func:`seen`), 0 or more."""
    text: str = ""
    """The query as its tokenizer reads it; empty for image queries."""
    words: tuple[Word, ...] = ()
    query: Floats | None = None
    """As ``tile``, for the query's picture; None for texts."""


def text_heat(
    encoder: Encoder,
    text: str,
    images: Sequence[Image.Image],
    *,
    layers: Layers = ALL,
    text_layers: Layers = ALL,
    batch_size: int = 16,
) -> list[Heat]:
    """The heat of one text against each picture, in their order.

    ``layers`` and ``text_layers`` choose the attention layers of either tower, as a slice would. Raises ``ModelError``
    for a text without words, an empty range, and towers that have no such attention.
    """  # fmt: skip
    read, spans = token_spans(encoder.tokenizer, text)
    if not any(end > start for start, end in spans):
        raise ModelError("the text has no tokens to colour; describe the place in a sentence or more")
    ids = encoder.put(encoder.tokenizer([text]).ids)
    heats = []
    for part in _batches(images, batch_size):
        side = _text_side(encoder, ids.expand(len(part), -1), text_layers)
        for cosine, tile, token in zip(*_pairs(encoder, side, _image_side(encoder, part, layers)), strict=True):
            found = word_heat(read, spans, token[: len(spans)])
            heats.append(Heat(similarity=float(cosine), tile=tile, text=read, words=found))
    return heats


def image_heat(
    encoder: Encoder, query: Image.Image, images: Sequence[Image.Image], *, layers: Layers = ALL, batch_size: int = 16
) -> list[Heat]:
    """The heat of one query picture against each tile, on both. Raises ``ModelError`` as :func:`text_heat` does."""
    heats = []
    for part in _batches(images, batch_size):
        sides = _image_side(encoder, [query] * len(part), layers), _image_side(encoder, part, layers)
        for cosine, tile, own in zip(*_pairs(encoder, *sides), strict=True):
            heats.append(Heat(similarity=float(cosine), tile=tile, query=own))
    return heats


def seen(encoder: Encoder, image: Image.Image) -> Image.Image:
    """The part of a picture that the encoder reads and a heat map covers: all of it, or its middle square."""
    kinds = {type(step).__name__ for step in getattr(encoder.preprocess, "transforms", ())}
    width, height = image.size
    if "CenterCropOrPad" in kinds:
        side = max(width, height)
    elif "CenterCrop" in kinds:
        side = min(width, height)
    else:
        return image
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One tower and how to run it over its batch."""

    tower: Tower
    layers: range
    run: Callable[[], Tensor]
    shaped: Callable[[Tensor], Floats]
    """From the rows of relevance [B, N] to what the caller sees of them."""


def _text_side(encoder: Encoder, ids: Tensor, layers: Layers) -> _Side:
    tower = text_tower(encoder.model, ids, encoder.name)
    return _Side(
        tower=tower,
        layers=chosen(tower, layers, "text"),
        run=lambda: text_features(encoder.model, ids),
        shaped=home,
    )


def _image_side(encoder: Encoder, images: Sequence[Image.Image], layers: Layers) -> _Side:
    model: Any = encoder.model
    tower = image_tower(model, encoder.name)
    pixels = encoder.put(torch.stack([encoder.preprocess(image) for image in images]))
    return _Side(
        tower=tower,
        layers=chosen(tower, layers, "image"),
        run=lambda: model.encode_image(pixels),
        shaped=lambda row: _grid(row, tower, encoder.name),
    )


def _grid(row: Tensor, tower: Tower, name: str) -> Floats:
    patches = row[:, tower.prefix :]
    if patches.shape[1] != tower.grid[0] * tower.grid[1]:
        raise ModelError(f"{name} has {patches.shape[1]} patches where its grid is {tower.grid}: they have no places")
    return home(patches.reshape(-1, *tower.grid))


def _pairs(encoder: Encoder, query: _Side, tiles: _Side) -> tuple[Floats, Floats, Floats]:
    """Cosines [B], heat of the tiles [B, rows, columns] and of the queries, for B pairs in one pass.

    A pair's similarity depends on no other pair, so the gradient of the sum is every pair's own. It is scaled by the
    model's temperature as in training: with several layers the size of the gradients weighs against R's identity.
    """
    with torch.enable_grad(), steady(encoder.device):
        ends = [_taped(side, encoder.name) for side in (query, tiles)]
        cosines = (F.normalize(ends[0][0].float(), dim=-1) * F.normalize(ends[1][0].float(), dim=-1)).sum(-1)
        scale = getattr(encoder.model, "logit_scale", torch.zeros(())).detach().exp()
        kept = [(side, call) for side, (_, tape) in enumerate(ends) for call in tape.kept]
        found = torch.autograd.grad(
            (cosines * scale).sum(), [ends[side][1].kept[call] for side, call in kept], allow_unused=True
        )
    grads: tuple[dict[int, Tensor], dict[int, Tensor]] = ({}, {})
    for (side, call), grad in zip(kept, found, strict=True):
        attention = ends[side][1].kept[call]
        grads[side][call] = torch.zeros_like(attention) if grad is None else grad
    with torch.no_grad(), steady(encoder.device):
        own, theirs = (
            side.shaped(rows(side.tower, side.layers, tape, grad))
            for side, (_, tape), grad in zip((query, tiles), ends, grads, strict=True)
        )
    return home(cosines), theirs, own


def _taped(side: _Side, name: str) -> tuple[Tensor, Tape]:
    tape = tape_for(side.tower, side.layers)
    with tape:
        vectors = side.run()
    if tape.calls != side.tower.calls:
        raise ModelError(
            f"{name} computed attention {tape.calls} times where {side.tower.calls} were expected: this kind of tower "
            "hides its attention, so there are no heat maps for it"
        )
    return vectors, tape


def _batches(images: Sequence[Image.Image], size: int) -> Iterator[Sequence[Image.Image]]:
    for start in range(0, len(images), size):
        yield images[start : start + size]


def peak(heat: Floats) -> tuple[float, float]:
    """Middle of the hottest patch in tile coordinates 0..1 (x, y); the first by rows among equals.

    >>> peak(np.float32([[0, 0], [0, 3]]))
    (0.75, 0.75)
    """
    row, column = divmod(int(np.argmax(heat)), heat.shape[1])
    return (column + 0.5) / heat.shape[1], (row + 0.5) / heat.shape[0]
