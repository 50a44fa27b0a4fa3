"""Pictures of a run, decoded and resized once: read by threads, kept in one file where the disk allows it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from finetune.contrastive.sources import Pairs, Read
from retriever.errors import SourceError
from retriever.open_clip_bundle import Squash

Rows = NDArray[np.int64]
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


class Pictures:
    """Tiles [0, N) and, after them, the queries' pictures [N, N + Q), as uint8 [3, size, size].

    ``folder`` holds ``pictures-<key>.u8``, a sparse file of all of them, filled as they are first read, and ``.done``
    which says of which that is true. Several processes may share it: they write the same bytes.
    """

    def __init__(self, pairs: Pairs, preprocess: Squash, *, folder: Path | None, workers: int = 8) -> None:
        self.tiles = len(pairs.tiles)
        self._read: list[Read | None] = [*(t.read for t in pairs.tiles), *(q.read for q in pairs.queries)]
        self._names = [t.id for t in pairs.tiles] + [q.id for q in pairs.queries]
        self._preprocess = preprocess
        self._pool = ThreadPoolExecutor(max(1, workers))
        self._kept: NDArray[np.uint8] | None = None
        self._done: NDArray[np.uint8] | None = None
        if folder is not None:
            self._open(folder, pairs.sha256)

    def _open(self, folder: Path, sha256: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        size = self._preprocess.size
        key = hashlib.sha256(f"{sha256} {size} {len(self._names)}".encode()).hexdigest()[:16]
        data, done = folder / f"pictures-{key}.u8", folder / f"pictures-{key}.done"
        for path, length in ((data, len(self._names) * 3 * size * size), (done, len(self._names))):
            with path.open("ab") as f:
                f.truncate(length)
        self._kept = np.memmap(data, np.uint8, "r+", shape=(len(self._names), 3, size, size))
        self._done = np.memmap(done, np.uint8, "r+", shape=(len(self._names),))

    def get(self, rows: Rows | Sequence[int]) -> torch.Tensor:
        """uint8 [B, 3, size, size]. Raises ``SourceError`` for a picture that cannot be decoded, naming it."""
        return torch.from_numpy(np.stack(list(self._pool.map(self._one, map(int, rows)))))

    def _one(self, row: int) -> NDArray[np.uint8]:
        if self._kept is not None and self._done is not None and self._done[row]:
            return np.asarray(self._kept[row])
        read = self._read[row]
        if read is None:
            raise SourceError(f"the query {self._names[row]} is a text and has no picture")
        try:
            with Image.open(io.BytesIO(read())) as image:
                made = self._preprocess.pixels(image)
        except UNREADABLE as error:
            raise SourceError(f"the picture {self._names[row]} cannot be decoded ({error}): fetch it again") from error
        if self._kept is not None and self._done is not None:
            self._kept[row] = made
            self._done[row] = 1
        return made
