"""Which queries make a batch: a function of seed, phase, epoch and step alone (and the pool), so runs resume."""

from __future__ import annotations

import numpy as np

from finetune.contrastive.negatives import NONE, Pool, Rows
from finetune.contrastive.recipe import Phase
from finetune.contrastive.sources import Pairs
from retriever.errors import SourceError


class Sampler:
    """Batches of one phase: a share for every view where the phase is balanced, hard negatives where it has a pool."""

    def __init__(self, pairs: Pairs, rows: Rows, phase: Phase, *, seed: int) -> None:
        if len(rows) < phase.batch:
            raise SourceError(
                f"phase {phase.name} has {len(rows)} training queries, fewer than its batch of {phase.batch}: "
                "make the batch smaller or give more data"
            )
        self.pairs, self.rows, self.phase, self.seed = pairs, rows, phase, seed
        self.steps = len(rows) // phase.batch
        """Of an epoch."""
        self.pool: Pool | None = None
        """[len(rows), P] tiles, by :mod:`finetune.contrastive.negatives`."""
        self._at = {int(row): i for i, row in enumerate(rows)}
        self._views = sorted(set(pairs.view[rows])) if phase.balanced else [""]
        self._by_view = {v: rows[pairs.view[rows] == v] if v else rows for v in self._views}
        self._by_tile: dict[int, list[int]] = {}
        for row in rows:
            self._by_tile.setdefault(int(pairs.tile[row]), []).append(int(row))
        self._order: tuple[int, Rows] | None = None

    def batch(self, epoch: int, step: int) -> Rows:
        """Rows of the whole batch [B]: each drawn query is followed by its hard negatives."""
        each = 1 + self.phase.hard.per_anchor
        count = self.phase.batch // each
        anchors = self._anchors(epoch)[step * count : (step + 1) * count]
        rng = np.random.default_rng([self.seed, epoch, step])
        if each == 1:
            return anchors
        taken = {int(self.pairs.tile[row]) for row in anchors}
        out: list[int] = []
        for row in map(int, anchors):
            out.append(row)
            for _ in range(each - 1):
                more = self._hard(row, taken, rng)
                taken.add(int(self.pairs.tile[more]))
                out.append(more)
        return np.asarray(out, np.int64)

    def _hard(self, row: int, taken: set[int], rng: np.random.Generator) -> int:
        """A query of one of the pool's tiles, of the anchor's own view where there is one; else any of that view."""
        view = self.pairs.view[row]
        if self.pool is not None:
            own = self.pool[self._at[row]]
            for tile in rng.permutation(own[own != NONE]):
                if int(tile) in taken:
                    continue
                queries = [q for q in self._by_tile[int(tile)] if self.pairs.view[q] == view]
                if queries:
                    return int(rng.choice(queries))
        return int(rng.choice(self._by_view[view if self.phase.balanced else ""]))

    def _anchors(self, epoch: int) -> Rows:
        """All anchors of an epoch. Balanced: views take turns, and small ones begin again before large ones end."""
        if self._order is None or self._order[0] != epoch:
            count = self.steps * self.phase.batch // (1 + self.phase.hard.per_anchor)
            rng = np.random.default_rng([self.seed, epoch])
            per_view = -(-count // len(self._views))
            drawn = [_cycled(self._by_view[view], per_view, rng) for view in self._views]
            self._order = epoch, np.stack(drawn, 1).reshape(-1)[:count]
        return self._order[1]


def _cycled(rows: Rows, count: int, rng: np.random.Generator) -> Rows:
    """``count`` rows in random order, each once before any comes again."""
    rounds = -(-count // len(rows))
    drawn: Rows = np.concatenate([rng.permutation(rows) for _ in range(rounds)])
    return drawn[:count]
