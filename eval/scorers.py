"""The rows of every retrieval table: controls first, then what each part of the retriever can do alone.

Each method scores every tile of the gallery for every query, float64 [Q, N], and says what it saw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from eval.protocol import Bools, EvaluationError, Floats, LocatedQuery
from retriever.types import Claim

if TYPE_CHECKING:
    from retriever.gallery import Gallery

Mode = Literal["names", "dense", "fused"]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A method's answer to all queries."""

    method: str
    saw: str
    """What it looked at: ``pixels``, ``facts``, ``names``, joined by ``+``; ``nothing`` for the controls."""
    draws: tuple[Floats, ...]
    """Scores [Q, N] over the gallery's ids. One draw, or several of a random method, whose metrics are averaged."""
    failed: Bools | None = None
    """Bool [Q]: queries without an answer."""
    note: str = ""


@dataclass(frozen=True)
class Bench:
    """A gallery and its queries, with what several methods share made once, when first needed."""

    gallery: Gallery
    queries: Sequence[LocatedQuery]
    seed: int = 0

    @cached_property
    def claims(self) -> list[list[Claim]]:
        """What each text says, extracted offline."""
        from prompts.claims import extract_claims

        return [extract_claims(q.query.text, lang=q.query.lang) for q in self.queries]


def score_random(bench: Bench) -> Scored:
    """Uniform scores; enough draws for about 4,000 rankings, so that the row shows chance and not luck."""
    rng = np.random.default_rng(bench.seed)
    draws = max(1, -(-4000 // len(bench.queries)))
    shape = (len(bench.queries), len(bench.gallery.ids))
    return Scored(
        method="random", saw="nothing", draws=tuple(rng.random(shape) for _ in range(draws)), note=f"{draws} draws"
    )


def score_constant(bench: Bench) -> Scored:
    """The same score for every tile: anything above zero here is a leak in the protocol."""
    return Scored(method="constant", saw="nothing", draws=(np.ones((len(bench.queries), len(bench.gallery.ids))),))


def score_oracle(bench: Bench) -> Scored:
    """Claims checked against each tile's map facts by geometry: supported minus contradicted, no model."""
    from retriever.oracle import FactIndex, check_all

    worth = {"supports": 1.0, "contradicts": -1.0, "unknown": 0.0}
    scores = np.zeros((len(bench.queries), len(bench.gallery.ids)))
    for column, tile_id in enumerate(bench.gallery.ids):
        index = FactIndex(bench.gallery.facts(tile_id) or (), size_m=bench.gallery.size_m)
        for row, claims in enumerate(bench.claims):
            scores[row, column] = sum(worth[e.stance] for e in check_all(claims, index))
    return Scored(method="oracle only", saw="facts", draws=(scores,))


def _score_retriever(bench: Bench, mode: Mode, method: str, saw: str) -> Scored:
    from retriever.retrieve import Retriever

    retriever = Retriever.open(bench.gallery.path)
    scores = [
        np.asarray(retriever.scores(q.query, claims, mode), dtype=np.float64)
        for q, claims in zip(bench.queries, bench.claims, strict=True)
    ]
    return Scored(method=method, saw=saw, draws=(np.stack(scores),))


def score_names(bench: Bench) -> Scored:
    """The names index alone."""
    return _score_retriever(bench, "names", "names only", "names")


def score_dense(bench: Bench) -> Scored:
    """The dual encoder alone."""
    return _score_retriever(bench, "dense", "dense", "pixels")


def score_fused(bench: Bench) -> Scored:
    """Dense and names together: what reranking starts from."""
    return _score_retriever(bench, "fused", "fused", "pixels+names")


METHODS: dict[str, Callable[[Bench], Scored]] = {
    "random": score_random,
    "constant": score_constant,
    "names": score_names,
    "oracle": score_oracle,
    "dense": score_dense,
    "fused": score_fused,
}
CONTROLS = ("random", "constant")


def score(bench: Bench, names: Sequence[str]) -> list[Scored]:
    """The named methods in order, the two controls always among them. Raises for an unknown name, listing the known."""
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise EvaluationError(f"unknown method {unknown[0]!r}; known: {', '.join(METHODS)}")
    wanted = [*CONTROLS, *(name for name in names if name not in CONTROLS)]
    return [METHODS[name](bench) for name in wanted]
