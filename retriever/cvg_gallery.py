"""A gallery out of a copy of CVG-Text: one tile for each picture, about the point that its file name gives.

Such a gallery has no grid: tiles lie where the street pictures were taken, and may overlap in any way. A query's one
right tile is the one with its own file name; the table ``names.json`` beside the manifest says which tile that is.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from retriever import assemble
from retriever.batch import SCHEMA
from retriever.build import Settings
from retriever.errors import GalleryError, SourceError
from retriever.gallery import FORMAT, MANIFEST, MAX_PIXELS, PICTURES, TABLE, Gallery
from retriever.geo import M_PER_DEG, Frame
from retriever.grid import Grid
from retriever.sources.cvg_text import ATTRIBUTION, GSD_M, LICENCE, PX, CvgText, Name, Part, Source, identical
from retriever.types import Box, canonical_json, sha256_text
from retriever.workfolder import WorkFolder, existing, write_whole, writing

NAMES = "names.json"
_BLOCK = 256
Progress = Callable[[str, int, int], None]


def build_cvg_gallery(
    out: Path | str,
    root: Path | str,
    *,
    city: str,
    view: Literal["satellite", "map"] = "satellite",
    gallery_id: str | None = None,
    size_m: float = GSD_M * PX,
    progress: Progress | None = None,
) -> Gallery:
    """The gallery of one set's tiles. A build that was stopped goes on where it was.

    ``names.json`` maps file name to tile id; the manifest's ``passed_over`` counts what was left out (pictures that
    do not decode) and ``identical`` lists tiles with the same bytes. ``size_m`` is the ground a picture shows.

    Raises:
        SourceError: no copy of CVG-Text, or no tiles of the set.
        GalleryError: ``out`` is something else already, or cannot be written.
    """
    out, data = Path(out), CvgText.open(root)
    part: Part = "satellite" if view == "satellite" else "OSM"
    tiles = dict(sorted(data.tiles(city, part).items()))
    settings = Settings(
        gallery_id=gallery_id or f"{city}-{view}".lower(),
        view=view,
        cover="box",
        bbox=None,
        size_m=float(size_m),
        stride=1.0,
        px=PX,
        attribution=ATTRIBUTION,
        licence=LICENCE,
    )
    record = _record(settings, data, city, part, tiles)
    with writing(out):
        done = existing(out, record["key"])
        if done is not None:
            return done
        with WorkFolder(out, record["key"]) as work:
            if not work.finished:
                try:
                    _make(work, data, tiles, settings, record, progress or _silent)
                except SourceError:
                    work.discard()
                    raise
            work.publish()
    data.close()
    return Gallery.open(out)


def read_names(gallery: Gallery) -> dict[str, str]:
    """File name to tile id. Raises ``GalleryError`` for a gallery that was not made of CVG-Text."""
    try:
        return dict(json.loads((gallery.path / NAMES).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise GalleryError(f"the gallery {gallery.path} has no {NAMES}: it was not built with --cvg-text") from error


def _silent(stage: str, done: int, total: int) -> None:
    """No progress shown."""


def _record(settings: Settings, data: CvgText, city: str, part: Part, tiles: dict[str, Source]) -> dict[str, Any]:
    lines = [f"{name} {_size(data, source)}\n" for name, source in tiles.items()]
    source = {
        "name": f"{data.path.name} {city} {part}",
        "role": "imagery",
        "files": len(tiles),
        "sha256": sha256_text("".join(lines)),
    }
    said = {**vars(settings)}
    key = sha256_text(canonical_json([FORMAT, version("sightline"), said, [source]]))
    shown = {name: said.pop(name) for name in ("attribution", "licence")}
    return {**shown, "sources": [source], "fonts": None, "settings": said, "key": key, "layout": "points"}


def _size(data: CvgText, source: Source) -> str:
    """Enough to tell one copy from another without reading tens of thousands of pictures twice."""
    if isinstance(source, Path):
        return str(source.stat().st_size)
    entry = data.entry(source)
    return f"{entry.file_size} {entry.CRC:08x}"


def _make(
    work: WorkFolder,
    data: CvgText,
    tiles: dict[str, Source],
    settings: Settings,
    record: dict[str, Any],
    show: Progress,
) -> None:
    names = list(tiles)
    grid = _numbering(names, settings.size_m)
    parts = []
    for start in range(0, len(names), _BLOCK):
        part = work.part(start // _BLOCK)
        if not part.is_file():
            rows = list(_rows(work.path, data, tiles, names, start, grid, settings))
            unfinished = part.with_suffix(".unfinished")
            pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), unfinished, compression="zstd")
            os.replace(unfinished, part)
        parts.append(part)
        show("reading tiles", min(start + _BLOCK, len(names)), len(names))
    _finish(work, parts, names, grid, settings, record)


def _finish(
    work: WorkFolder, parts: Sequence[Path], names: list[str], grid: Grid, settings: Settings, record: dict[str, Any]
) -> None:
    table = pa.concat_tables([pq.read_table(p, columns=["id", "image_sha256"]) for p in parts]).to_pylist()
    if not table:
        raise SourceError(f"none of the {len(names)} tiles of {settings.gallery_id} decodes: fetch the pictures again")
    named = {names[_number(row["id"])]: row["id"] for row in table}
    same = identical((name, row["image_sha256"]) for name, row in zip(named, table, strict=True))
    lost = [name for name in names if name not in named]
    head = {"id": settings.gallery_id, "view": settings.view, "px": settings.px}
    content = assemble.join(parts, work.path / TABLE, {"format": FORMAT, **head, "grid": grid.to_json()})
    said = assemble.manifest(head=head, grid=grid, content=content, counts={"objects": 0}, record=record)
    passed = [f"{len(lost)} tiles do not decode and are left out, {lost[0]} first"] if lost else []
    if same:
        passed.append(f"{len(same)} groups of tiles have the same bytes, {' = '.join(same[0])} first")
    said |= {"passed_over": passed, "undecodable": lost, "identical": same}
    write_whole(work.path / NAMES, json.dumps(named, indent=0) + "\n")
    write_whole(work.path / MANIFEST, json.dumps(said, ensure_ascii=False, indent=1) + "\n")


def _numbering(names: Sequence[str], size_m: float) -> Grid:
    """One row of cells, one for each file name: it gives ids that every reader knows, and the area's frame."""
    at = np.array([(n.lat, n.lon) for name in names if (n := Name.parse(name))])
    frame = Frame(lat=float(at[:, 0].mean()), lon=float(at[:, 1].mean()))
    return Grid(frame=frame, west_m=0.0, north_m=size_m / 2, rows=1, cols=len(names), stride_m=size_m, size_m=size_m)


def _number(tile_id: str) -> int:
    return int(tile_id.rsplit("c", 1)[1])


def _rows(
    folder: Path, data: CvgText, tiles: dict[str, Source], names: list[str], start: int, grid: Grid, settings: Settings
) -> Iterator[dict[str, Any]]:
    for number in range(start, min(start + _BLOCK, len(names))):
        shown = _shown(data.read(tiles[names[number]]), settings.px)
        name = Name.parse(names[number])
        if shown is None or name is None:
            continue
        picture, packed, suffix = shown
        tile_id = grid.tile_id(settings.gallery_id, (0, number))
        image = f"images/{start // _BLOCK:04d}/{tile_id}.{suffix}"
        target = folder / image
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(packed)
        west, south, east, north = box_about(name.lat, name.lon, settings.size_m)
        yield {
            "id": tile_id, "lat": name.lat, "lon": name.lon, "west": west, "south": south, "east": east, "north": north,
            "image": image, "image_sha256": hashlib.sha256(packed).hexdigest(),
            "pixels_sha256": hashlib.sha256(picture.tobytes()).hexdigest(), "facts": None, "fact_count": None,
        }  # fmt: skip


def box_about(lat: float, lon: float, size_m: float) -> Box:
    """The box in degrees of a square of ground about a point."""
    dlat = size_m / 2 / M_PER_DEG
    dlon = size_m / 2 / Frame(lat=lat, lon=lon).m_per_deg_lon
    return lon - dlon, lat - dlat, lon + dlon, lat + dlat


def _shown(data: bytes, px: int) -> tuple[Image.Image, bytes, str] | None:
    """The picture, RGB, ``px`` square, with its file and suffix; None where it does not decode.

    The file's own bytes are kept where it has the size; of one that is not square the middle is shown.
    """
    try:
        with Image.open(io.BytesIO(data), formats=PICTURES) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                return None
            form, shown = str(picture.format), picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if shown.size == (px, px):
        return shown, data, form.lower()
    side = min(shown.size)
    left, top = (shown.width - side) // 2, (shown.height - side) // 2
    square = shown.crop((left, top, left + side, top + side)).resize((px, px), Image.Resampling.LANCZOS)
    packed = io.BytesIO()
    square.save(packed, "PNG")
    return square, packed.getvalue(), "png"
