"""A gallery's tiles to vectors: pictures are read and made ready in threads while the model works on the last ones."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retriever.errors import GalleryError

if TYPE_CHECKING:
    import torch

    from retriever.encoder import Encoder
    from retriever.gallery import Gallery

Floats = NDArray[np.float32]
AHEAD = 2
"""Batches that are made ready ahead of the model; with the one in the model they are all the memory this takes."""
READERS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    ids: Sequence[str]
    pixels: torch.Tensor
    """[N, ...] as the model reads it, a row for each id, of which those in ``bad`` hold nothing."""
    bad: dict[str, str]
    """Why there is no picture, by id."""


def embed_gallery(
    gallery: Gallery,
    encoder: Encoder,
    *,
    batch: int = 32,
    readers: int = READERS,
    ahead: int | None = None,
    on_tiles: Callable[[int], None] | None = None,
) -> tuple[Floats, dict[str, str]]:
    """float32 [N, D] by ``gallery.ids``, and why tiles have no vector, by id; their rows are zeros.

    ``ahead``: batches made ready while the model works; 0: every core reads, then every core computes. None: two, and
    none where the model's threads take every core, since reading would only take turns with them.
    """
    if ahead is None:
        ahead = spare_ahead(encoder)
    vectors = np.zeros((len(gallery), encoder.dim), np.float32)
    skipped: dict[str, str] = {}
    done = 0
    for ready in _prepared(gallery, encoder, batch, readers, ahead):
        good = [row for row, tile_id in enumerate(ready.ids) if tile_id not in ready.bad]
        if good:
            pixels = ready.pixels[good] if ready.bad else ready.pixels
            vectors[[done + row for row in good]] = encoder.encode_pixels(pixels)
        skipped |= ready.bad
        done += len(ready.ids)
        if on_tiles:
            on_tiles(len(ready.ids))
    return vectors, skipped


def spare_ahead(encoder: Encoder) -> int:
    """Batches to read ahead: :data:`AHEAD` where the model leaves a core free, else 0."""
    import torch

    taken = encoder.device.type == "cpu" and torch.get_num_threads() >= (os.cpu_count() or 1)
    return 0 if taken else AHEAD


def _prepared(gallery: Gallery, encoder: Encoder, batch: int, readers: int, ahead: int) -> Iterator[_Batch]:
    """Batches in the order of the ids. A batch's memory is used again once the next one is asked for."""

    def one(tile_id: str, out: torch.Tensor) -> str:
        try:
            encoder.fill(gallery.opened_image(tile_id), out)
        except GalleryError as error:
            return str(error)
        return ""

    waiting: deque[tuple[Sequence[str], torch.Tensor, list[Future[str]]]] = deque()
    free: list[torch.Tensor] = []

    def first() -> Iterator[_Batch]:
        ids, room, futures = waiting.popleft()
        told = dict(zip(ids, (future.result() for future in futures), strict=True))
        yield _Batch(ids=ids, pixels=room[: len(ids)], bad={tile_id: why for tile_id, why in told.items() if why})
        free.append(room)

    with ThreadPoolExecutor(readers) as pool:
        for start in range(0, len(gallery), batch):
            ids = gallery.ids[start : start + batch]
            room = free.pop() if free else encoder.room(min(batch, len(gallery)))
            waiting.append((ids, room, [pool.submit(one, *each) for each in zip(ids, room[: len(ids)], strict=True)]))
            if len(waiting) > ahead:
                yield from first()
        while waiting:
            yield from first()
