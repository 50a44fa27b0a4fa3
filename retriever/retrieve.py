"""From a query to its best tiles: dense, by names, or fused; limits apply before anything is ranked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retriever import names
from retriever.area import Area
from retriever.errors import GalleryError, SightlineError
from retriever.fusion import best, fuse
from retriever.gallery import Gallery
from retriever.index import VectorIndex
from retriever.names import NameIndex
from retriever.types import Candidate, Claim, Query

if TYPE_CHECKING:
    from retriever.encoder import Encoder

Floats = NDArray[np.float32]
Mode = Literal["fused", "dense", "names"]
DEFAULT_ENCODER = "sightline-mini"


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
    def open(cls, gallery_path: Path | str, encoder: str = DEFAULT_ENCODER) -> Retriever:
        """Raises ``GalleryError``, and ``IndexMismatch`` where `sightline index` has not been run for this gallery."""
        gallery = Gallery.open(gallery_path)

        def load() -> tuple[Encoder, VectorIndex]:
            from retriever.encoder import Encoder

            model = Encoder.load(encoder)
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
        scores = self.scores(query, claims, mode)
        rows = best(scores, self.gallery.ids, k, allowed)
        return [
            Candidate(tile_id=self.gallery.ids[row], score=float(scores[row]), rank=rank)
            for rank, row in enumerate(rows, start=1)
        ]

    def scores(self, query: Query, claims: Sequence[Claim] = (), mode: Mode = "fused") -> Floats:
        """float32 [N] over ``gallery.ids``; -inf for tiles without a vector in mode ``dense``."""
        if mode not in get_args(Mode):
            raise ValueError(f"mode {mode!r} is none of {', '.join(get_args(Mode))}")
        if not query.text.strip():
            raise QueryError(f"query {query.id!r} has no text: describe the place in a sentence or more")
        if mode == "names":
            return self._names.scores(query.text, claims)
        encoder, index = self.dense
        dense: Floats = index.scores(encoder.encode_text([query.text]))[0]
        return dense if mode == "dense" else fuse(dense, self._names.scores(query.text, claims))

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
    vectors: list[Floats] = []
    skipped: dict[str, str] = {}
    for ids in _chunks(gallery.ids, batch):
        vectors.append(_embed(gallery, encoder, ids, skipped))
        if on_tiles:
            on_tiles(len(ids))
    if len(skipped) == len(gallery):
        raise GalleryError(f"no picture of {gallery.path} could be read: build the gallery again")
    facts = (gallery.facts(tile_id) or () for tile_id in gallery.ids)
    NameIndex.build(folder / names.FILE, facts, gallery=gallery.sha256)
    index = VectorIndex.build(np.concatenate(vectors), encoder=encoder.id, gallery=gallery.sha256, skipped=skipped)
    index.save(folder)
    return skipped


def _embed(gallery: Gallery, encoder: Encoder, ids: Sequence[str], skipped: dict[str, str]) -> Floats:
    pictures: dict[str, Image.Image] = {}
    for tile_id in ids:
        try:
            pictures[tile_id] = gallery.image(tile_id)
        except GalleryError as error:
            skipped[tile_id] = str(error)
    found = dict(zip(pictures, encoder.encode_images(list(pictures.values())), strict=True))
    nothing = np.zeros(encoder.dim, np.float32)
    return np.stack([found.get(tile_id, nothing) for tile_id in ids])


def _chunks(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
