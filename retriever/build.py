"""Builds a gallery: source -> features on disk by block -> batches of tiles -> one table, one manifest, one rename."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import shapely

from retriever import assemble
from retriever.batch import Plan
from retriever.errors import SourceError
from retriever.gallery import FORMAT, MANIFEST, TABLE, Gallery
from retriever.grid import Grid, check_box, overlap
from retriever.kinds import kinds
from retriever.painters import find_fonts
from retriever.pool import run_batches
from retriever.sources import osm as osm_source
from retriever.sources.facts import Feature, features_of, project
from retriever.sources.imagery import Mosaic
from retriever.spool import Spool
from retriever.types import Box, View, canonical_json, sha256_text
from retriever.workfolder import SPOOL, WorkFolder, existing, write_whole, writing

Cover = Literal["auto", "box", "touched"]
Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and how much there is (0: not known)."""

NOT_STATED = "not stated"
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}$")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything but the sources that decides what a gallery holds."""

    gallery_id: str
    view: View
    cover: Cover
    bbox: Box | None
    size_m: float
    stride: float
    px: int
    attribution: str
    licence: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.size_m) and 10 <= self.size_m <= 5000):
            raise SourceError(f"a tile of {self.size_m} m is not built: give --size-m between 10 and 5000")
        if not 0.05 <= self.stride <= 1:
            raise SourceError(f"a stride of {self.stride} is not built: give --stride between 0.05 and 1")
        if not 32 <= self.px <= 4096:
            raise SourceError(f"a picture of {self.px} pixels is not built: give --px between 32 and 4096")
        if not _ID.match(self.gallery_id):
            raise SourceError(
                f"{self.gallery_id!r} is no gallery id (a-z, 0-9, - and _, at most 48): give one with --id"
            )


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
    attribution: str | None = None,
    licence: str | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Gallery:
    """Builds the gallery ``out``: a map gallery from an extract, a satellite gallery from a folder of imagery.

    With both, satellite tiles get the extract's facts. ``cover`` says which cells of a map become tiles: the whole
    ``box`` or those ``touched`` by roads or buildings; ``auto`` is the box if one is given or in the extract's
    header. Nothing outside the header's box is built, because an extract is complete inside it only. A build that was
    stopped goes on where it was; a finished one with the same inputs is opened as it is.

    Raises:
        SourceError: a source cannot be read, or holds nothing for the area.
        GalleryError: ``out`` is something else already, or cannot be written.
    """
    osm, imagery = Path(osm) if osm is not None else None, Path(imagery) if imagery is not None else None
    source = imagery or osm
    if source is None:
        raise SourceError("a gallery needs a source: give --osm FILE, --imagery FOLDER or both")
    settings = Settings(
        gallery_id=gallery_id if gallery_id is not None else _id_from(source),
        view="map" if imagery is None else "satellite",
        cover=cover,
        bbox=check_box(bbox) if bbox is not None else None,
        size_m=float(size_m),
        stride=float(stride),
        px=px,
        attribution=_said(attribution, osm, imagery, osm_source.ATTRIBUTION),
        licence=_said(licence, osm, imagery, osm_source.LICENCE),
    )
    return _Build(Path(out), settings, osm, imagery, jobs, progress or _silent).run()


def _silent(stage: str, done: int, total: int) -> None:
    """No progress shown."""


def _id_from(source: Path) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", source.resolve().name.lower().split(".")[0]).strip("-_")[:48]


def _said(given: str | None, osm: Path | None, imagery: Path | None, of_osm: str) -> str:
    """What to say of all sources: OpenStreetMap's own words, and for imagery what the user says."""
    parts = [given or NOT_STATED] if imagery is not None or given else []
    if osm is not None and of_osm not in parts:
        parts.append(of_osm)
    return "; ".join(parts)


class _Build:
    """One run of a build."""

    def __init__(
        self, out: Path, settings: Settings, osm: Path | None, imagery: Path | None, jobs: int, progress: Progress
    ) -> None:
        self.out, self.settings, self.osm, self.imagery = out, settings, osm, imagery
        self.jobs, self.progress = jobs, progress

    def run(self) -> Gallery:
        record = self._record()
        with writing(self.out):
            done = existing(self.out, record["key"])
            if done is not None:
                return done
            with WorkFolder(self.out, record["key"]) as work:
                try:
                    if not work.finished:
                        self._make(work, record)
                except SourceError:
                    work.discard()
                    raise
                work.publish()
        return Gallery.open(self.out)

    def _record(self) -> dict[str, Any]:
        """Where the gallery comes from; reading it checks that the sources are what they claim to be."""
        sources: list[dict[str, Any]] = []
        if self.mosaic is not None and self.imagery is not None:
            files = len(self.mosaic.pictures)
            sources.append(
                {"name": self.imagery.name, "role": "imagery", "files": files, "sha256": self.mosaic.sha256()}
            )
        if self.osm is not None:
            self.header = osm_source.header_box(self.osm)
            sources.append({"name": self.osm.name, "role": "osm", "sha256": file_sha256(self.osm)})
        settings = asdict(self.settings)
        fonts = find_fonts().record() if self.settings.view == "map" else None
        key = sha256_text(canonical_json([FORMAT, version("sightline"), settings, sources, fonts]))
        said = {name: settings.pop(name) for name in ("attribution", "licence")}
        return {**said, "sources": sources, "fonts": fonts, "settings": settings, "key": key}

    header: Box | None = None

    @cached_property
    def mosaic(self) -> Mosaic | None:
        return Mosaic.scan(self.imagery) if self.imagery is not None else None

    def _make(self, work: WorkFolder, record: dict[str, Any]) -> None:
        mapped = self._mapped()
        grid = self._grid(mapped)
        spool, counts = self._spool(work, grid)
        plan = Plan(
            work=work.path,
            grid=grid,
            gallery_id=self.settings.gallery_id,
            px=self.settings.px,
            imagery=self.imagery,
            mapped=mapped if self.settings.view == "satellite" else (-180, -90, 180, 90),
        )
        made = run_batches(plan, spool, work, self.jobs, self.progress)
        parts = [work.part(block) for block, _ in spool.blocks()]
        spool.close()
        if not made:
            raise SourceError(f"{self._name} has nothing to show in the area: widen --bbox, change --cover or --size-m")
        head = {"id": self.settings.gallery_id, "view": self.settings.view, "px": self.settings.px}
        content = assemble.join(parts, work.path / TABLE, {"format": FORMAT, **head, "grid": grid.to_json()})
        said = assemble.manifest(head=head, grid=grid, content=content, counts=counts, record=record)
        write_whole(work.path / MANIFEST, json.dumps(said, ensure_ascii=False, indent=1) + "\n")

    @property
    def _name(self) -> str:
        return " and ".join(path.name for path in (self.imagery, self.osm) if path is not None)

    def _mapped(self) -> Box | None:
        """Where the extract speaks: its header's box, else as far as its roads and buildings reach."""
        if self.osm is None or self.header is not None:
            return self.header
        west, south, east, north = 180.0, 90.0, -180.0, -90.0
        for feature in self._features():
            if _touches(feature):
                box = feature.geometry.bounds
                west, south, east, north = min(west, box[0]), min(south, box[1]), max(east, box[2]), max(north, box[3])
        if west > east:
            if self.settings.bbox is None:
                raise SourceError(f"{self.osm.name} has neither roads nor buildings: give the area with --bbox")
            return self.settings.bbox
        return west, south, east, north

    def _grid(self, mapped: Box | None) -> Grid:
        settings, box = self.settings, self.mosaic.bounds if self.mosaic is not None else mapped
        limit = self.header if self.mosaic is None else box
        if settings.bbox is not None:
            box = settings.bbox if limit is None else overlap(settings.bbox, limit)
        if box is None:
            raise SourceError(f"the box given lies outside what {self._name} covers {limit}: correct --bbox")
        return Grid.over(check_box(box), size_m=settings.size_m, stride_m=settings.size_m * settings.stride)

    def _spool(self, work: WorkFolder, grid: Grid) -> tuple[Spool, dict[str, int]]:
        path = work.path / SPOOL
        if not path.is_file():
            unfinished = path.with_suffix(".unfinished")
            unfinished.unlink(missing_ok=True)
            spool = Spool(unfinished, grid)
            self._fill(spool, grid)
            spool.close()
            unfinished.rename(path)
        spool = Spool(path, grid)
        return spool, {"objects": spool.count}

    def _fill(self, spool: Spool, grid: Grid) -> None:
        cover = self._cover()
        if self.mosaic is not None:
            for picture in self.mosaic.pictures:
                spool.touch(project(shapely.box(*picture.box), grid.frame))
        elif cover == "box":
            spool.touch_all()
        if self.osm is None:
            return
        if not spool.fill(self._placed(grid, spool, self.mosaic is None and cover == "touched")):
            raise SourceError(f"{self.osm.name} has nothing inside the area: correct --bbox")

    def _cover(self) -> Cover:
        if self.settings.cover != "auto":
            return self.settings.cover
        return "box" if self.settings.bbox is not None or self.header is not None else "touched"

    def _features(self) -> Iterator[Feature]:
        if self.osm is not None:
            for obj in osm_source.read_osm(self.osm):
                yield from features_of(obj)

    def _placed(self, grid: Grid, spool: Spool, touch: bool) -> Iterator[Feature]:
        for number, feature in enumerate(self._features(), start=1):
            placed = Feature(**{**vars(feature), "geometry": project(feature.geometry, grid.frame)})
            if touch and _touches(feature):
                spool.touch(placed.geometry)
            if number % 1000 == 0:
                self.progress("reading the map", number, 0)
            yield placed


def _touches(feature: Feature) -> bool:
    return kinds()[feature.kind].group in ("road", "building")


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
