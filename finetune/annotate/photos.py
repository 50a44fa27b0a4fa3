"""Photographs into a run's folder: decoded, turned upright, limited in size, and encoded anew without their metadata.

What every later stage and every model sees are these PNG bytes; their SHA-256 is the photograph's name. They are made
once, so that an update of the picture library never makes a paid question new.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from finetune.annotate.queue import QueueImage
from finetune.annotate.rows import append_rows, mend, read_rows
from prompts.clients.base import ImagePart
from retriever.errors import SourceError
from retriever.models import write_atomic
from retriever.types import Record

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
MAX_SIDE = 1600
MAX_PIXELS = 200_000_000
"""Of the file; larger ones are refused before they are decoded."""


@dataclass(frozen=True, kw_only=True)
class Photo(Record):
    sha256: str
    """Of the PNG bytes."""
    name: str
    """Of the file that it was read from, relative to the folder that was given."""
    width: int
    height: int


def image_path(run: Path, sha256: str) -> Path:
    return run / "images" / f"{sha256}.png"


def part(run: Path, sha256: str) -> ImagePart:
    """The picture as models get it. Raises ``SourceError`` if it is not in the run's folder."""
    path = image_path(run, sha256)
    try:
        return ImagePart(png=path.read_bytes(), sha256=sha256)
    except (OSError, ValueError):
        raise SourceError(f"the picture {path} is missing or damaged; run 'sightline annotate photos' again") from None


def queue_image(role: str, sha256: str) -> QueueImage:
    return QueueImage(role=role, sha256=sha256, path=f"images/{sha256}.png")


def keep(run: Path, source: Path, *, max_side: int = MAX_SIDE) -> tuple[str, int, int]:
    """Encode one file into the content store: sha256, width, height. Raises ``SourceError`` if it is no picture."""
    try:
        with Image.open(source) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise SourceError(f"{source} has {opened.width}x{opened.height} pixels; make it smaller")
            opened.draft("RGB", (max_side * 2, max_side * 2))
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SourceError(f"{source} cannot be read as a picture ({error}); take it out of the folder") from None
    upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    made = ImagePart.of(upright)
    path = image_path(run, made.sha256)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, made.png)
    return made.sha256, upright.width, upright.height


def collect(folder: Path, run: Path, *, max_side: int = MAX_SIDE) -> Iterator[tuple[str, str]]:
    """Read every picture below ``folder`` into ``run/photos.jsonl``; pairs of file name and why it was left out, or "".

    Files that are there already are not read again; the same picture under two names is one row.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise SourceError(f"{folder} holds no picture ({', '.join(SUFFIXES)}); name another folder")
    rows = run / "photos.jsonl"
    mend(rows)
    known = read_rows(rows, Photo) if rows.exists() else []
    names, seen = {p.name for p in known}, {p.sha256 for p in known}
    for file in files:
        name = str(file.relative_to(folder))
        if name in names:
            continue
        try:
            sha256, width, height = keep(run, file, max_side=max_side)
        except SourceError as error:
            yield name, str(error)
            continue
        if sha256 not in seen:
            append_rows(rows, [Photo(sha256=sha256, name=name, width=width, height=height)])
            seen.add(sha256)
        yield name, ""


def photos(run: Path) -> list[Photo]:
    """Raises ``SourceError`` if no photographs were collected."""
    return read_rows(run / "photos.jsonl", Photo)


def decoded(run: Path, photo: Photo) -> Image.Image:
    """RGB."""
    return Image.open(io.BytesIO(part(run, photo.sha256).png)).convert("RGB")
