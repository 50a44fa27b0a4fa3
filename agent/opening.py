"""Opening what the desk works on: gallery, retriever, and a judge that really answers, or the reason why none does."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent import confidence as conf
from agent.context import Context
from agent.judge import Judge
from agent.judged import Reasons
from agent.listings import FileListings
from agent.rerankers import Kit, create
from agent.settings import Settings
from retriever.errors import SightlineError

if TYPE_CHECKING:
    from PIL import Image

    from prompts.clients.base import ChatClient

MAX_IMAGE_BYTES = 50_000_000
MAX_IMAGE_PIXELS = 64_000_000
VIEWS = ("map", "ground", "panorama", "uav")

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A judge, or the reason why there is none."""

    judge: Judge | None = None
    backend: str = "none"
    model: str = "none"
    why: str = ""
    label: str = ""
    """For the screen."""
    reasons: Reasons = "auto"
    """How it explains: a model that nobody taught to be read has to write, unless the settings say otherwise."""
    stop: Callable[[], None] = lambda: None


@contextmanager
def open_context(
    gallery_path: Path, settings: Settings, *, say: Say, images: Mapping[str, Path] | None = None
) -> Iterator[Context]:
    """Everything a run needs. A judge that cannot be had is no error: the context then says why.

    ``say`` hears what is being opened. Raises ``GalleryError``, ``IndexMismatch`` or ``ModelError``. Outside any event
    loop only, because starting a model server runs one of its own.
    """
    from retriever.gallery import Gallery
    from retriever.retrieve import Retriever

    claims_client = _claims_client(settings)
    say("opening the gallery")
    gallery = Gallery.open(gallery_path)
    retriever = Retriever.open(gallery_path, settings.encoder, device=settings.device)
    bench = open_bench(settings, say=say)
    try:
        encoder = retriever.dense[0]
        confidence = conf.load(bench.model, encoder.id)
        kit = Kit(judge=bench.judge, why_no_judge=bench.why, confidence=confidence, encoder=encoder)
        yield Context(
            gallery=gallery,
            retriever=retriever,
            kit=kit,
            reranker=create(settings.reranker, kit),
            backend=bench.backend,
            model=bench.model,
            encoder=encoder.id,
            label=bench.label,
            close=bench.judge.client.close if bench.judge is not None else None,
            shortlist=settings.shortlist,
            top=min(settings.top, settings.shortlist),
            reasons=bench.reasons,
            images=images or {},
            image_folder=settings.folder("images"),
            claims_client=claims_client,
        )
    finally:
        bench.stop()


def _claims_client(settings: Settings) -> Callable[[], ChatClient] | None:
    """What opens the chat model that reads claims, if one is named; a name that is none is told at once."""
    if not settings.claims:
        return None
    from prompts.claims_model import open_client

    opened = partial(open_client, settings.claims, os.environ.get("SIGHTLINE_CLAIMS_KEY", ""))
    opened()
    return opened


def open_bench(settings: Settings, *, say: Say) -> Bench:
    """The judge that the settings ask for. With SIGHTLINE_REQUIRE_VLLM=1 one that cannot be had is an error."""
    from agent.serving_open import REQUIRE_VLLM, open_judge

    if settings.backend == "none" and settings.server is None:
        return Bench(why="no model was asked for (backend none)")
    try:
        backend = "auto" if settings.backend == "none" else settings.backend
        found = open_judge(backend=backend, url=settings.server, say=say)
    except SightlineError as error:
        if os.environ.get(REQUIRE_VLLM) == "1":
            raise
        return Bench(why=str(error))
    judge = Judge(found.client, store=FileListings(settings.folder("listings") / "listings.sqlite"))
    _, _, model = judge.name.partition(":")
    return Bench(
        judge=judge,
        backend=found.backend,
        model=model or judge.name,
        label=f"{found.label} ({found.note})" if found.note else found.label,
        reasons="written" if settings.reasons == "auto" and not found.taught else settings.reasons,
        stop=found.stop,
    )


def keep_image(spec: str, folder: Path) -> tuple[str, str, Path]:
    """``VIEW=FILE`` as ``(view, sha256, path in the content store)``. Raises ``SightlineError`` on what is unusable."""
    view, _, name = spec.partition("=")
    if view not in VIEWS or not name:
        raise SightlineError(f"--image {spec!r} is not VIEW=FILE with a view of {', '.join(VIEWS)}")
    path = Path(name)
    try:
        if path.stat().st_size > MAX_IMAGE_BYTES:
            raise SightlineError(f"the image {path} is larger than {MAX_IMAGE_BYTES // 1_000_000} MB; make it smaller")
        raw = path.read_bytes()
    except OSError as error:
        raise SightlineError(f"the image {path} cannot be read ({error.strerror or error})") from None
    sha = keep_picture(view, raw, folder, name=f"the image {path}")
    return view, sha, folder / f"{sha}.png"


def keep_picture(view: str, raw: bytes, folder: Path, *, name: str = "the image") -> str:
    """A picture's bytes into the content store, under their sha256. Raises ``SightlineError`` on what is unusable."""
    from PIL import Image

    if view not in VIEWS:
        raise SightlineError(f"the view {view!r} of {name} is none of {', '.join(VIEWS)}")
    if len(raw) > MAX_IMAGE_BYTES:
        raise SightlineError(f"{name} is larger than {MAX_IMAGE_BYTES // 1_000_000} MB; make it smaller")
    try:
        with Image.open(io.BytesIO(raw), formats=("PNG", "JPEG", "WEBP")) as picture:
            if picture.width * picture.height > MAX_IMAGE_PIXELS:
                raise SightlineError(
                    f"{name} has {picture.width} x {picture.height} pixels, of which at most "
                    f"{MAX_IMAGE_PIXELS // 1_000_000} million are read; make it smaller"
                )
            small = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SightlineError(f"{name} cannot be read as a PNG, JPEG or WebP picture ({error})") from None
    sha = hashlib.sha256(raw).hexdigest()
    _stored(small, folder / f"{sha}.png")
    return sha


def _stored(picture: Image.Image, kept: Path) -> Path:
    """The picture, made small, under its name in the content store: whole or not at all."""
    if kept.exists():
        return kept
    part = kept.with_suffix(f".{os.getpid()}.part")
    try:
        picture.thumbnail((2048, 2048))
        picture.save(part, format="PNG")
        os.replace(part, kept)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SightlineError(f"the image cannot be kept as {kept} ({error.strerror or error}); make room") from None
    return kept


def rendered_only(views: Sequence[str]) -> str | None:
    """What to say about image views that the shipped encoder learned from rendered pictures alone."""
    strange = sorted(set(views) - {"map"})
    if not strange:
        return None
    named = ", ".join(strange)
    return f"the shipped image encoder knows {named} images only as rendered from maps: expect little of photographs"
