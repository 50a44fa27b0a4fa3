"""From a query to its best tiles: dense, by names, or fused; limits apply before anything is ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from retriever import names
from retriever.area import Area
from retriever.errors import GalleryError, SightlineError
from retriever.fusion import best, fuse, fuse_found
from retriever.gallery import Gallery
from retriever.index import VectorIndex
from retriever.index_embed import embed_gallery
from retriever.names import NameIndex
from retriever.types import Candidate, Claim, Query

if TYPE_CHECKING:
    from retriever.encoder import Encoder

Floats = NDArray[np.float32]
Mode = Literal["fused", "dense", "names"]
DEFAULT_ENCODER = "sightline-mini"
POOL = 200
"""Tiles that an approximate search brings at least, before names move them."""


class QueryError(SightlineError):
    """A query that says nothing to search by."""


def index_folder(gallery: Path, encoder: str) -> Path:
    """Where the index of a gallery by an encoder lies."""
    return gallery / f"index-{Path(encoder).name.replace(':', '-')}"


class Retriever:
    """A gallery with its indexes. Use :meth:`open`; the encoder is loaded when first needed."""

    def __init__(self, gallery: Gallery, encoder: str, load: Callable[[], tuple[Encoder, VectorIndex]]) -> None:
        self.gallery = gallery
        self.encoder_name = encoder
        self._load = load
        self._dense: tuple[Encoder, VectorIndex] | None = None
        self._names = NameIndex.load(index_folder(gallery.path, encoder) / names.FILE, gallery=gallery.sha256)

    @classmethod
    def open(cls, gallery_path: Path | str, encoder: str = DEFAULT_ENCODER, *, device: str | None = None) -> Retriever:
        """``device`` is the encoder's, as :meth:`Encoder.load` takes it.

        Raises ``GalleryError``, and ``IndexMismatch`` where `sightline index` has not been run for this gallery.
        """
        gallery = Gallery.open(gallery_path)

        def load() -> tuple[Encoder, VectorIndex]:
            from retriever.encoder import Encoder

            model = Encoder.load(encoder, device=device)
            folder = index_folder(gallery.path, encoder)
            return model, VectorIndex.load(folder, encoder=model.id, gallery=gallery.sha256)

        return cls(gallery, encoder, load)

    @property
    def dense(self) -> tuple[Encoder, VectorIndex]:
        """The encoder and its index, loaded once."""
        if self._dense is None:
            self._dense = self._load()
        return self._dense

    def retrieve(
        self,
        query: Query,
        claims: Sequence[Claim] = (),
        *,
        k: int = 10,
        within: Area | None = None,
        mode: Mode = "fused",
    ) -> list[Candidate]:
        """The ``k`` best tiles, or fewer where the limit holds fewer. Ties by tile id.

        ``within`` keeps the tiles whose centre it holds. Raises ``QueryError`` where there is nothing to search by or
        the limit holds no tile at all.
        """
        allowed = self._allowed(within)
        if mode != "names" and self.dense[1].approximate is not None:
            scores = self._found(query, claims, mode, k, allowed)
        else:
            scores = self.scores(query, claims, mode)
        rows = best(scores, self.gallery.ids, k, allowed)
        return [
            Candidate(tile_id=self.gallery.ids[row], score=float(scores[row]), rank=rank)
            for rank, row in enumerate(rows, start=1)
        ]

    def scores(self, query: Query, claims: Sequence[Claim] = (), mode: Mode = "fused") -> Floats:
        """float32 [N] over ``gallery.ids``; -inf for tiles without a vector in mode ``dense``."""
        _check(query, mode)
        if mode == "names":
            return self._names.scores(query.text, claims)
        encoder, index = self.dense
        dense: Floats = index.scores(encoder.encode_text([query.text]))[0]
        return dense if mode == "dense" else fuse(dense, self._names.scores(query.text, claims))

    def _found(
        self, query: Query, claims: Sequence[Claim], mode: Mode, k: int, allowed: NDArray[np.bool_] | None
    ) -> Floats:
        """:meth:`scores` of the tiles that an approximate search and the names bring; -inf for all others."""
        _check(query, mode)
        encoder, index = self.dense
        assert index.approximate is not None
        store, text = index.approximate.store, encoder.encode_text([query.text])
        rows, products = index.search(text, max(k, POOL), rows=allowed)
        dense = np.full(len(self.gallery), -np.inf, np.float32)
        dense[rows[rows >= 0]] = products[rows >= 0]
        if mode == "dense":
            return dense
        named = self._names.scores(query.text, claims)
        hits = np.flatnonzero(named)
        dense[hits] = store.some(text[0], hits)
        return fuse_found(dense, named, *store.spread(text[0]))

    def _allowed(self, within: Area | None) -> NDArray[np.bool_] | None:
        if within is None:
            return None
        allowed = within.contains(self.gallery.lat, self.gallery.lon)
        if not allowed.any():
            raise QueryError(f"no tile of {self.gallery.id} lies within {within.text[:80]}: widen the limit or drop it")
        return allowed


def build_index(
    gallery: Gallery,
    encoder: Encoder,
    folder: Path,
    *,
    batch: int = 32,
    on_tiles: Callable[[int], None] | None = None,
) -> Mapping[str, str]:
    """Embed every tile and index every name into ``folder``; returns why tiles were skipped, by id.

    A picture that cannot be read is skipped and told; all others are kept. Raises ``GalleryError`` where none is left.
    """
    vectors, skipped = embed_gallery(gallery, encoder, batch=batch, on_tiles=on_tiles)
    if len(skipped) == len(gallery):
        raise GalleryError(f"no picture of {gallery.path} could be read: build the gallery again")
    facts = (gallery.facts(tile_id) or () for tile_id in gallery.ids)
    NameIndex.build(folder / names.FILE, facts, gallery=gallery.sha256)
    index = VectorIndex.build(vectors, encoder=encoder.id, gallery=gallery.sha256, skipped=skipped)
    index.save(folder)
    return skipped


def _check(query: Query, mode: str) -> None:
    if mode not in get_args(Mode):
        raise ValueError(f"mode {mode!r} is none of {', '.join(get_args(Mode))}")
    if not query.text.strip():
        raise QueryError(f"query {query.id!r} has no text: describe the place in a sentence or more")
