"""Tiles under the dual encoder's heat, as rows behind those of the tile store: a second picture in the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from finetune.judge.store import Pictures
from prompts.heating import Heater, heat_text
from retriever.errors import ModelError
from retriever.types import Claim

BLANKS = {-1: (242, 239, 233), -2: (255, 255, 255), -3: (0, 0, 0), -4: (128, 128, 128)}
"""Blank pictures that training shows now and then: map paper, white, black, grey."""


class Heated(Protocol):
    """Names the row of a tile's picture under its heat for some claims."""

    def __call__(self, claims: Sequence[Claim], row: int) -> int: ...


class HeatPictures:
    """``pictures`` and, behind their ``n`` rows, one for every tile and description that was asked for.

    Heat is computed when a picture is taken and not kept: in training each is seen once.
    """

    def __init__(self, pictures: Pictures, n: int, heater: Heater) -> None:
        self.pictures, self.n, self.heater = pictures, n, heater
        self._rows: dict[tuple[str, int], int] = {}
        self._asked: list[tuple[tuple[Claim, ...], int]] = []

    @classmethod
    def shipped(cls, pictures: Pictures, n: int, folder: Path) -> HeatPictures:
        """With the shipped encoder, whose id is kept in ``folder``.

        Raises ``ModelError`` where the folder's training began with other weights: heat of two encoders never mixes.
        """
        from retriever.encoder import Encoder

        heater, note = Heater(Encoder.load()), folder / "heat_by.txt"
        if not note.exists():
            note.write_text(heater.id + "\n", encoding="utf-8")
        if (before := note.read_text(encoding="utf-8").strip()) != heater.id:
            raise ModelError(f"{folder} was begun with the heat of {before}, not of {heater.id}: name another folder")
        return cls(pictures, n, heater)

    def __call__(self, claims: Sequence[Claim], row: int) -> int:
        key = (heat_text(claims), row)
        if key not in self._rows:
            self._rows[key] = self.n + len(self._asked)
            self._asked.append((tuple(claims), row))
        return self._rows[key]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """``[224, 224, 3] uint8`` of a row, ``[N, 224, 224, 3]`` of several."""
        if not isinstance(rows, int | np.integer):
            return np.stack([self[int(r)] for r in rows])
        if rows < self.n:
            return np.asarray(self.pictures[rows])
        claims, row = self._asked[int(rows) - self.n]
        tile = np.asarray(self.pictures[row]) if row >= 0 else blank(row)
        return np.asarray(self.heater.picture(Image.fromarray(np.ascontiguousarray(tile)), claims))


def blank(row: int) -> np.ndarray:
    """A blank picture of that shade, ``[224, 224, 3] uint8``."""
    return np.full((224, 224, 3), BLANKS[row], dtype=np.uint8)
