"""Making the candidates that every method gets."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from eval.arena.config import Config, QuerySet
from eval.arena.frozen import CONTROL, FILE, GONE, PLACES, REMOVED_M, Asked, Frozen, load
from eval.protocol import Bools, EvaluationError, Floats, LocatedQuery, read_queries, truth
from eval.scorers import Bench
from retriever.models import write_atomic
from retriever.posterior import Weights
from retriever.types import Claim, Query, sha256_text

if TYPE_CHECKING:
    from retriever.gallery import Gallery
    from retriever.retrieve import Retriever


def freeze(config: Config, chosen: QuerySet, folder: Path, *, weights: Weights, encoder: str) -> Frozen:
    """The set's candidates: read where they lie frozen, else made. ``encoder`` is the id of the one in use.

    Raises ``EvaluationError`` where those on the disk are of other settings: two runs over different candidates are
    never mixed.
    """
    from retriever.gallery import Gallery

    gallery = Gallery.open(chosen.gallery)
    queries = [q for path in chosen.queries for q in read_queries(path) if chosen.area in (None, q.area)]
    _checked(queries, chosen)
    bench = Bench(gallery=gallery, queries=queries, seed=config.seed)
    header = _header(config, chosen, gallery, queries, weights)
    header |= {"encoder_id": encoder, "claims_sha256": _claims_hash(bench.claims)}
    path = folder / FILE
    if path.exists():
        kept = load(folder)
        wrong = sorted(key for key in header if kept.header.get(key) != header[key])
        if wrong:
            raise EvaluationError(
                f"{path} holds candidates of another run ({', '.join(wrong)} differ); name another out, or delete it"
            )
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    return _make(config, header, bench, folder, weights)


def _claims_hash(claims: Sequence[Sequence[Claim]]) -> str:
    """Of what was read out of the texts: another reading makes other candidates."""
    return sha256_text(json.dumps([[c.to_json() for c in said] for said in claims], ensure_ascii=False))


def _checked(queries: Sequence[LocatedQuery], chosen: QuerySet) -> None:
    ids = [q.query.id for q in queries]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise EvaluationError(f"set {chosen.name}: query id {twice[0]!r} is in two of its files; make ids unique")
    if not queries:
        raise EvaluationError(f"set {chosen.name}: no query of area {chosen.area!r} in its files")


def _header(
    config: Config, chosen: QuerySet, gallery: Gallery, queries: Sequence[LocatedQuery], weights: Weights
) -> dict[str, Any]:
    told = [[q.query.to_json(), q.lat, q.lon, q.named, *([q.tile_id] if q.tile_id else [])] for q in queries]
    texts = json.dumps(told, ensure_ascii=False)
    return {
        "set": chosen.name,
        "group": chosen.group,
        "gallery": {"id": gallery.id, "sha256": gallery.sha256, "tiles": len(gallery), "stride_m": gallery.stride_m},
        "queries_sha256": sha256_text(texts),
        "encoder": config.encoder,
        **config.candidates.model_dump(),
        "weights": weights.to_json() if config.candidates.pool else None,
        "controls": list(config.controls),
        "seed": config.seed,
    }


def _make(
    config: Config,
    header: Mapping[str, Any],
    bench: Bench,
    folder: Path,
    weights: Weights,
) -> Frozen:
    from retriever.retrieve import Retriever

    gallery, queries = bench.gallery, bench.queries
    truth(gallery, queries)  # Refuses a query that lies outside, before anything is spent.
    scores = _scores(Retriever.open(gallery.path, config.encoder), bench.queries, bench.claims)
    controls = {name: np.asarray(s, dtype=np.float32) for name, s in scores.items() if name in config.controls}
    if "oracle" in config.controls:
        controls["oracle"] = _oracle(gallery, bench.claims)
    lines = [json.dumps(header, ensure_ascii=False, sort_keys=True)]
    for row, q in enumerate(queries):
        for removed in (False, True):
            if not removed or _taken_out(config, q):
                asked = _asked(
                    config, gallery, q, bench.claims[row], scores[config.candidates.mode][row], removed, weights
                )
                lines.append(json.dumps(_line(asked), ensure_ascii=False))
    _save(folder / PLACES, {"ids": np.array(gallery.ids), "lat": gallery.lat, "lon": gallery.lon, "b": gallery.bounds})
    _save(folder / CONTROL, controls)
    # Last, for its being there says that all of it is.
    write_atomic(folder / FILE, ("\n".join(lines) + "\n").encode())
    return load(folder)


def _scores(
    retriever: Retriever, queries: Sequence[LocatedQuery], claims: Sequence[Sequence[Claim]]
) -> dict[str, NDArray[np.float32]]:
    """Every mode's scores [Q, N], each text encoded once."""
    from retriever.fusion import fuse

    names = np.stack([retriever.scores(q.query, c, "names") for q, c in zip(queries, claims, strict=True)])
    dense = np.stack([retriever.scores(q.query, c, "dense") for q, c in zip(queries, claims, strict=True)])
    return {"names": names, "dense": dense, "fused": np.stack([fuse(d, n) for d, n in zip(dense, names, strict=True)])}


def _oracle(gallery: Gallery, claims: Sequence[Sequence[Claim]]) -> NDArray[np.float32]:
    """As :func:`eval.scorers.score_oracle`, through the ledger, which remembers what the shortlists ask again."""
    from agent.ledger import SIGN, map_evidence

    scores = np.zeros((len(claims), len(gallery.ids)), dtype=np.float32)
    for column, tile_id in enumerate(gallery.ids):
        for row, said in enumerate(claims):
            scores[row, column] = sum(SIGN[e.stance] for e in map_evidence(gallery, tile_id, said) or ())
    return scores


def _taken_out(config: Config, q: LocatedQuery) -> bool:
    return int(sha256_text(f"removed/{config.seed}/{q.query.id}")[:8], 16) / 16**8 < config.candidates.removed


class _Known:
    """Scores that are already there, as a retriever."""

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self._scores = scores

    def scores(self, query: Query, claims: Sequence[Claim]) -> NDArray[np.float32]:
        return self._scores


class _Without:
    """An area limit that leaves out the true place."""

    def __init__(self, lat: float, lon: float) -> None:
        self._lat, self._lon = lat, lon

    def contains(self, lat: Floats, lon: Floats) -> Bools:
        from retriever.geo import distance_m

        return np.asarray(distance_m(self._lat, self._lon, lat, lon) >= REMOVED_M)


def _asked(
    config: Config,
    gallery: Gallery,
    q: LocatedQuery,
    claims: Sequence[Claim],
    scores: NDArray[np.float32],
    removed: bool,
    weights: Weights,
) -> Asked:
    from agent.shortlist import shortlist

    wanted = config.candidates
    found = shortlist(
        _Known(scores),
        gallery,
        q.query,
        claims,
        k=wanted.k,
        within=cast(Any, _Without(q.lat, q.lon) if removed else None),
        pool=wanted.pool,
        weights=weights,
    )
    return Asked(located=q, removed=removed, claims=tuple(claims), prior=found.prior, candidates=found.candidates)


def _line(asked: Asked) -> dict[str, Any]:
    q = asked.located
    return {
        "id": q.query.id + (GONE if asked.removed else ""),
        "text": q.query.text,
        "lang": q.query.lang,
        "lat": q.lat,
        "lon": q.lon,
        "named": q.named,
        "source": q.source,
        "location": q.location,
        "area": q.area,
        **({} if q.tile_id is None else {"tile_id": q.tile_id}),
        "removed": asked.removed,
        "claims": [c.to_json() for c in asked.claims],
        "prior": asked.prior.to_json(),
        "candidates": [c.to_json() for c in asked.candidates],
    }


def _save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    out = io.BytesIO()
    np.savez_compressed(out, **cast(Any, dict(arrays)))
    write_atomic(path, out.getvalue())
