"""Builds a gallery: source -> features on disk by block -> batches of tiles -> one table, one manifest, one rename."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from retriever.batch import SCHEMA, Painter, Plan, part_path, row_sha256, run_batch
from retriever.errors import GalleryError, SourceError
from retriever.gallery import FORMAT, MANIFEST, TABLE, Gallery, read_manifest
from retriever.grid import Grid, check_box, overlap
from retriever.kinds import kinds
from retriever.sources import osm as osm_source
from retriever.sources.facts import Feature, features_of, project
from retriever.spool import Spool
from retriever.types import Box, canonical_json, sha256_text

Cover = Literal["auto", "box", "touched"]
Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and how much there is (0: not known)."""

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}$")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything but the sources that decides what a gallery holds."""

    gallery_id: str
    cover: Cover
    bbox: Box | None
    size_m: float
    stride: float
    px: int
    attribution: str
    licence: str


def build_gallery(
    out: Path | str,
    *,
    osm: Path | str | None = None,
    imagery: Path | str | None = None,
    bbox: Box | None = None,
    cover: Cover = "auto",
    size_m: float = 120.0,
    stride: float = 0.5,
    px: int = 448,
    gallery_id: str | None = None,
    progress: Progress | None = None,
) -> Gallery:
    """Builds the gallery ``out`` from a map extract.

    A build that was stopped goes on where it was; a finished one with the same inputs is opened as it is.

    Raises:
        SourceError: a source cannot be read or holds nothing for the area.
        GalleryError: ``out`` is something else already, or cannot be written.
    """
    out = Path(out)
    if osm is None:
        raise SourceError("a gallery needs a source: give --osm FILE")
    settings = Settings(
        gallery_id=_gallery_id(gallery_id, Path(osm)),
        cover=cover,
        bbox=check_box(bbox) if bbox is not None else None,
        size_m=float(size_m),
        stride=float(stride),
        px=px,
        attribution=osm_source.ATTRIBUTION,
        licence=osm_source.LICENCE,
    )
    return _Build(out, settings, Path(osm), progress or _silent).run()


def _silent(stage: str, done: int, total: int) -> None:
    """No progress shown."""


def _gallery_id(given: str | None, source: Path) -> str:
    stem = given if given is not None else re.sub(r"[^a-z0-9_]+", "-", source.name.lower().split(".")[0]).strip("-_")
    if not _ID.match(stem):
        raise SourceError(f"{stem!r} is no gallery id (a-z, 0-9, - and _, at most 48): give one with --id")
    return stem


class _Build:
    """One run of a build, in its work folder beside the gallery."""

    def __init__(self, out: Path, settings: Settings, osm: Path, progress: Progress) -> None:
        self.out, self.settings, self.osm, self.progress = out, settings, osm, progress
        self.work = out.parent / f".{out.name}.partial"

    def run(self) -> Gallery:
        header = osm_source.header_box(self.osm)
        sources = [{"name": self.osm.name, "role": "osm", "sha256": file_sha256(self.osm)}]
        fonts = _fonts()
        key = sha256_text(
            canonical_json([FORMAT, version("sightline"), asdict(self.settings), sources, fonts.record()])
        )
        if self.out.exists() and any(self.out.iterdir()):
            return self._existing(key)
        self._prepare(key)
        grid = self._grid(header)
        spool, counts = self._spool(grid)
        plan = Plan(
            work=self.work, grid=grid, gallery_id=self.settings.gallery_id, px=self.settings.px, with_facts=True
        )
        total = self._batches(plan, spool, _map_painter(grid, self.settings.px, fonts))
        if not total:
            raise SourceError(f"{self.osm.name} has nothing to show in the area: widen --bbox or change --cover")
        self._finish(plan, {"key": key, "sources": sources, "fonts": fonts.record()}, spool, counts)
        return Gallery.open(self.out)

    def _existing(self, key: str) -> Gallery:
        manifest = read_manifest(self.out)
        if manifest.get("key") != key:
            raise GalleryError(
                f"{self.out} holds the gallery {manifest.get('id')!r} of other inputs or settings: "
                "choose another folder or delete that one"
            )
        return Gallery.open(self.out)

    def _prepare(self, key: str) -> None:
        journal = self.work / "journal.json"
        if journal.is_file() and json.loads(journal.read_text())["key"] != key:
            shutil.rmtree(self.work)
        (self.work / "parts").mkdir(parents=True, exist_ok=True)
        journal.write_text(json.dumps({"key": key}))

    def _grid(self, header: Box | None) -> Grid:
        settings = self.settings
        box = settings.bbox or header
        if settings.bbox and header:
            box = overlap(settings.bbox, header)
            if box is None:
                raise SourceError(f"the box given lies outside {self.osm.name}, which covers {header}: correct --bbox")
        if box is None:
            box = self._touched_bounds()
        return Grid.over(box, size_m=settings.size_m, stride_m=settings.size_m * settings.stride)

    def _cover(self, header: Box | None) -> Cover:
        if self.settings.cover != "auto":
            return self.settings.cover
        return "box" if self.settings.bbox or header else "touched"

    def _touched_bounds(self) -> Box:
        boxes = [f.geometry.bounds for f in self._features() if _touches(f)]
        if not boxes:
            raise SourceError(f"{self.osm.name} has neither roads nor buildings: give the area with --bbox")
        west, south, east, north = zip(*boxes, strict=True)
        return min(west), min(south), max(east), max(north)

    def _features(self) -> Iterator[Feature]:
        for obj in osm_source.read_osm(self.osm):
            yield from features_of(obj)

    def _spool(self, grid: Grid) -> tuple[Spool, dict[str, int]]:
        path = self.work / "features.sqlite"
        path.unlink(missing_ok=True)
        spool = Spool(path, grid)
        cover = self._cover(osm_source.header_box(self.osm))
        if cover == "box":
            spool.touch_all()
        inside = spool.fill(self._placed(grid, spool, cover == "touched"))
        if not inside:
            raise SourceError(f"{self.osm.name} has nothing inside the area: correct --bbox")
        return spool, {"objects": inside}

    def _placed(self, grid: Grid, spool: Spool, touch: bool) -> Iterator[Feature]:
        for number, feature in enumerate(self._features(), start=1):
            placed = Feature(**{**vars(feature), "geometry": project(feature.geometry, grid.frame)})
            if touch and _touches(feature):
                spool.touch(placed.geometry)
            if number % 1000 == 0:
                self.progress("reading the map", number, 0)
            yield placed

    def _batches(self, plan: Plan, spool: Spool, painter: Painter) -> int:
        blocks = list(spool.blocks())
        total, done, made = sum(n for _, n in blocks), 0, 0
        for block, cells in blocks:
            made += run_batch(plan, spool, painter, block)
            done += cells
            self.progress("drawing tiles", done, total)
        return made

    def _finish(self, plan: Plan, record: dict[str, Any], spool: Spool, counts: dict[str, int]) -> None:
        parts = [part_path(self.work, block) for block, _ in spool.blocks()]
        spool.close()
        sha256, tiles, bounds = _join(parts, self.work / TABLE, self.settings, plan.grid)
        manifest = _manifest(self.settings, plan.grid, record, {**counts, "tiles": tiles}, sha256, bounds)
        (self.work / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(self.work / "parts")
        (self.work / "features.sqlite").unlink()
        (self.work / "journal.json").unlink()
        os.replace(self.work, self.out)


def _touches(feature: Feature) -> bool:
    return kinds()[feature.kind].group in ("road", "building")


def _fonts() -> Any:
    from retriever.draw import Fonts

    return Fonts.find()


def _map_painter(grid: Grid, px: int, fonts: Any) -> Painter:
    from retriever.draw import draw_tile

    return lambda cell, facts: draw_tile(facts or (), size_m=grid.size_m, px=px, fonts=fonts)


def _join(parts: Sequence[Path], table: Path, settings: Settings, grid: Grid) -> tuple[str, int, Box]:
    """One table of all parts, one row group each; the content hash, the number of tiles and their bounds."""
    lines: list[str] = []
    boxes: list[Box] = []
    with pq.ParquetWriter(table, SCHEMA, compression="zstd") as writer:
        for part in parts:
            piece = pq.read_table(part, schema=SCHEMA)
            if piece.num_rows:
                writer.write_table(piece)
            for row in piece.to_pylist():
                lines.append(f"{row['id']} {row_sha256(row)}\n")
                boxes.append((row["west"], row["south"], row["east"], row["north"]))
    head = canonical_json([FORMAT, settings.gallery_id, settings.px, grid.to_json()])
    west, south, east, north = zip(*boxes, strict=True)
    return sha256_text(head + "".join(sorted(lines))), len(lines), (min(west), min(south), max(east), max(north))


def _manifest(
    settings: Settings, grid: Grid, record: dict[str, Any], counts: dict[str, int], sha256: str, bounds: Box
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "id": settings.gallery_id,
        "view": "map",
        "size_m": settings.size_m,
        "stride_m": grid.stride_m,
        "px": settings.px,
        "bounds": list(bounds),
        "grid": grid.to_json(),
        "counts": counts,
        "attribution": settings.attribution,
        "licence": settings.licence,
        "settings": asdict(settings),
        "software": {name: version(name) for name in ("sightline", "osmium", "shapely", "pillow", "pyarrow")},
        "sha256": sha256,
        **record,
    }


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
