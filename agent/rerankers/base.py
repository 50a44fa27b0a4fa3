"""What every reranker promises, and the one way to make one by name.

A reranker gets a query, its claims and a shortlist and gives back the same tiles in another order, each with a
judgement. It never drops a tile, never adds one, and turns every failure on a tile into that judgement's ``error``.
The candidates' scores are retrieval scores standardised over the gallery (:func:`agent.shortlist.shortlist` makes them
so): methods that weigh them against other evidence rely on that scale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from agent.confidence import Confidence
from retriever.errors import SightlineError
from retriever.types import Candidate, Claim, Evidence, Explanation, Judgement, Query, Ranking, Tile, Usage

if TYPE_CHECKING:
    from retriever.encoder import Encoder
    from retriever.gallery import Gallery


class ContractError(SightlineError):
    """A reranker broke its promise."""

    exit_code = 4
    status = 500


class ScoredLike(Protocol):
    """The match probability of one tile."""

    @property
    def p_match(self) -> float: ...
    @property
    def usage(self) -> Usage: ...


class ExplainedLike(Protocol):
    """The reasons for one tile's verdict."""

    @property
    def evidence(self) -> tuple[Evidence, ...]: ...
    @property
    def explanation(self) -> Explanation: ...
    @property
    def usage(self) -> Usage: ...


class JudgeLike(Protocol):
    """The part of :class:`agent.judge.Judge` that rerankers and the graph use.

    Raises ``ServerUnavailable`` or ``ReplyError``.
    """

    async def score(self, tile: Tile, png: bytes, claims: Sequence[Claim]) -> ScoredLike: ...
    async def explain(self, tile: Tile, png: bytes, claims: Sequence[Claim], verdict_p: float) -> ExplainedLike: ...


@dataclass(frozen=True, kw_only=True)
class Kit:
    """What a reranker may use."""

    judge: JudgeLike | None = None
    why_no_judge: str = "no model server was asked for"
    """Said on every tile when ``judge`` is None."""
    confidence: Confidence = field(default_factory=Confidence)
    encoder: Encoder | None = None
    """The dual encoder that made the shortlist."""


class Reranker(Protocol):
    """One method. ``name`` is its key in :data:`agent.rerankers.RERANKERS`."""

    name: str

    def __init__(self, kit: Kit) -> None: ...

    async def rerank(
        self, query: Query, claims: Sequence[Claim], candidates: Sequence[Candidate], gallery: Gallery
    ) -> Ranking:
        """The candidates, best first, as judgements: a permutation, joined by tile id."""
        ...


def make(name: str, kit: Kit, known: Mapping[str, str]) -> Reranker:
    """The reranker called ``name`` in ``known`` (name -> ``module:Class``)."""
    if name not in known:
        raise SightlineError(f"there is no reranker {name!r}; known are {', '.join(sorted(known))}")
    module, _, cls = known[name].partition(":")
    try:
        maker: Any = getattr(import_module(module), cls)
    except (ImportError, AttributeError) as error:
        raise SightlineError(
            f"the reranker {name!r} cannot be loaded from {known[name]!r} ({error}); install or correct its package"
        ) from error
    reranker: Reranker = maker(kit)
    if reranker.name != name:
        raise ContractError(f"the reranker {name!r} calls itself {reranker.name!r}; make the two names one")
    return reranker


def check_permutation(ranking: Ranking, candidates: Iterable[Candidate]) -> Ranking:
    """The ranking itself, if it holds exactly the tiles that were given; else ``ContractError`` naming the tile."""
    given = Counter(c.tile_id for c in candidates)
    returned = Counter(j.tile_id for j in ranking.judgements)
    extra, missing = returned - given, given - returned
    if extra:
        raise ContractError(f"reranker {ranking.method!r} returned {min(extra)!r}, a tile that it was not given")
    if missing:
        raise ContractError(f"reranker {ranking.method!r} lost the tile {min(missing)!r}")
    return ranking


def picture(gallery: Gallery, tile_id: str) -> bytes:
    """The tile as the judge is shown it, PNG. Raises ``GalleryError`` where it is missing or damaged."""
    from agent.judge import tile_png

    return tile_png(gallery.image(tile_id))


def by_retrieval(candidates: Iterable[Candidate]) -> list[Candidate]:
    """In the retriever's order, ties by id."""
    return sorted(candidates, key=lambda c: (c.rank, -c.score, c.tile_id))


def in_their_places(candidates: Sequence[Candidate], judged: Sequence[str]) -> list[str]:
    """All tile ids, the ``judged`` ones in their own order among the places that judged ones hold on the shortlist.

    A tile that could not be judged keeps its place, so a failure moves nothing up or down by itself.
    """
    left, known = iter(judged), frozenset(judged)
    return [next(left) if c.tile_id in known else c.tile_id for c in by_retrieval(candidates)]


def reorder_judged(candidates: Sequence[Candidate], utility: Mapping[str, float]) -> list[str]:
    """Tile ids with the judged ones (those with a utility) sorted :func:`in_their_places`.

    Equal utilities: retrieval rank, then id.
    """
    judged = [c for c in candidates if c.tile_id in utility]
    best = sorted(judged, key=lambda c: (-utility[c.tile_id], c.rank, c.tile_id))
    return in_their_places(candidates, [c.tile_id for c in best])


def ranking(
    query: Query, method: str, order: Iterable[str], found: Mapping[str, Judgement], usage: Usage, *, prompt: str = ""
) -> Ranking:
    """Judgements joined by id in the given order; ``prompt`` is the template's id and hash where a model was asked."""
    judgements = tuple(found[t] for t in order)
    return Ranking(query_id=query.id, method=method, judgements=judgements, usage=usage, prompt=prompt)
