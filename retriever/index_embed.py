"""A gallery's tiles to vectors: pictures are read and made ready in threads while the model works on the last ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
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
"""Batches that are made ready ahead of the model; what they hold is all the memory this takes."""
READERS = min(8, os.cpu_count() or 1)


def embed_gallery(
    gallery: Gallery,
    encoder: Encoder,
    *,
    batch: int = 32,
    readers: int = READERS,
    on_tiles: Callable[[int], None] | None = None,
) -> tuple[Floats, dict[str, str]]:
    """float32 [N, D] by ``gallery.ids``, and why tiles have no vector, by id; their rows are zeros."""
    vectors: list[Floats] = []
    skipped: dict[str, str] = {}
    nothing = np.zeros(encoder.dim, np.float32)
    for ids, ready in _prepared(gallery, encoder, batch, readers):
        pixels = {}
        for tile_id, found in zip(ids, ready, strict=True):
            if isinstance(found, GalleryError):
                skipped[tile_id] = str(found)
            else:
                pixels[tile_id] = found
        rows = dict(zip(pixels, encoder.encode_pixels(list(pixels.values())), strict=True)) if pixels else {}
        vectors.append(np.stack([rows.get(tile_id, nothing) for tile_id in ids]))
        if on_tiles:
            on_tiles(len(ids))
    return np.concatenate([np.zeros((0, encoder.dim), np.float32), *vectors]), skipped


def _prepared(
    gallery: Gallery, encoder: Encoder, batch: int, readers: int
) -> Iterator[tuple[Sequence[str], list[torch.Tensor | GalleryError]]]:
    """Batches of ids, each with what the model reads of its pictures or why there is none."""

    def one(tile_id: str) -> torch.Tensor | GalleryError:
        try:
            return encoder.preprocess(gallery.image(tile_id))
        except GalleryError as error:
            return error

    chunks = (gallery.ids[i : i + batch] for i in range(0, len(gallery), batch))
    with ThreadPoolExecutor(readers) as pool:
        waiting = [(ids, [pool.submit(one, i) for i in ids]) for ids in islice(chunks, AHEAD)]
        while waiting:
            ids, futures = waiting.pop(0)
            ready = [future.result() for future in futures]
            waiting += [(more, [pool.submit(one, i) for i in more]) for more in islice(chunks, 1)]
            yield ids, ready
