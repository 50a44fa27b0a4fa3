"""The steps of one area: extract -> gallery -> tiles and descriptions -> pairs -> views, each whole or not at all.

A step that is done leaves a note of what it made; a build that was killed repeats only what has no note.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from finetune.data.plan import AreaPlan, Plan, PlanError
from finetune.formats.store import DATA, write_table
from retriever.gallery import Gallery
from retriever.types import Lang, Tile
from retriever.workfolder import write_whole

if TYPE_CHECKING:
    from finetune.data.descriptions import Description, Length, Standpoint
    from finetune.data.lengths import Lengths

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where one build works."""

    plan: Plan
    out: Path
    osm: Path | None
    """Folder of extracts."""

    @property
    def dataset(self) -> Path:
        """The data set while it grows."""
        return self.out / ".dataset.partial"

    def gallery(self, area: AreaPlan) -> Path:
        return self.out / "galleries" / area.name

    def note(self, area: AreaPlan, step: str) -> Path:
        return self.dataset / ".notes" / f"{area.name}.{step}.json"


def source_of(shop: Workshop, area: AreaPlan) -> Path:
    """The extract of an area; a town is written where it is not there yet. Raises ``PlanError``."""
    if area.seed is not None:
        from retriever.town import write_town

        path = shop.out / "towns" / f"{area.name}.osm"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".unfinished.osm")
            write_town(unfinished, seed=area.seed, blocks=area.blocks)
            unfinished.replace(path)
        return path
    if shop.osm is None:
        raise PlanError(
            f"the area {area.name} needs real data: set SIGHTLINE_DATA to the folder that holds osm/{area.file}"
        )
    path = shop.osm / str(area.file)
    if not path.is_file():
        raise PlanError(f"the extract {path} is missing: fetch it, or take {area.name} out of the plan")
    return path


def build_area_gallery(shop: Workshop, area: AreaPlan, progress: Progress | None = None) -> Gallery:
    """The area's gallery of map tiles; goes on where it was stopped."""
    from retriever.build import build_gallery

    plan = shop.plan
    return build_gallery(
        shop.gallery(area),
        osm=source_of(shop, area),
        bbox=area.bbox,
        cover="touched",
        size_m=plan.size_m,
        stride=plan.stride,
        px=plan.px,
        gallery_id=area.name,
        progress=progress,
    )


def run_step(
    shop: Workshop, area: AreaPlan, step: str, table: str, rows: Callable[[], Iterator[dict[str, Any]]], size: int = 500
) -> int:
    """Writes an area's rows of one table, unless a note says that it was done; returns their number."""
    note = shop.note(area, step)
    if note.is_file():
        return int(json.loads(note.read_text(encoding="utf-8"))["rows"])
    for left in (shop.dataset / DATA / table).glob(f"{area.split}-{area.name}-[0-9]*"):
        left.unlink()
    start = time.monotonic()
    made = write_table(shop.dataset, table, area.split, rows(), size=size, prefix=f"{area.name}-")
    note.parent.mkdir(parents=True, exist_ok=True)
    said = {"area": area.name, "split": area.split, "table": table, "rows": made, "seconds": time.monotonic() - start}
    write_whole(note, json.dumps(said) + "\n")
    return made


def tile_rows(gallery: Gallery, area: AreaPlan) -> Iterator[dict[str, Any]]:
    """Every tile of the gallery."""
    from finetune.formats.rows import tile_row

    for tile_id in gallery.ids:
        yield tile_row(gallery.tile(tile_id), area.name, gallery.image_path(tile_id))


def description_rows(gallery: Gallery, area: AreaPlan, plan: Plan) -> Iterator[dict[str, Any]]:
    """Descriptions of every tile on which somebody can stand; a text with fewer than two claims is not used."""
    from finetune.data.descriptions import fact_index, standpoints
    from finetune.data.lengths import Lengths
    from retriever.draw import visible

    lengths = Lengths(plan.texts.lengths, f"{plan.seed} {area.name}")
    for tile_id in gallery.ids:
        tile = gallery.tile(tile_id)
        if not tile.facts:
            continue
        rng = Random(f"{plan.seed} {tile_id}")
        index = fact_index(tile, gallery.size_m)
        points = standpoints(tile, size_m=gallery.size_m, rng=rng, n=plan.texts.per_tile, index=index)
        if points:
            seen = visible(tile.facts, size_m=gallery.size_m, px=gallery.px)
            for number, point in enumerate(points):
                lang: Any = rng.choices(list(plan.texts.langs), list(plan.texts.langs.values()))[0]
                wish = _Wish(
                    tile,
                    point,
                    gallery.size_m,
                    (plan.seed * 1000 + number) * 100,
                    lang,
                    rng.random() < plan.texts.named,
                    seen,
                )
                yield from _text(wish, f"{tile.id}-t{number}", area, lengths)


@dataclass(frozen=True)
class _Wish:
    """Everything about a description but its length."""

    tile: Tile
    point: Standpoint
    size_m: float
    seed: int
    lang: Lang
    named: bool
    visible: list[bool]

    def describe(self, length: Length, attempt: int) -> Description:
        from finetune.data.descriptions import describe

        return describe(
            self.tile, self.point, size_m=self.size_m, seed=self.seed + attempt, lang=self.lang, named=self.named,
            length=length, visible=self.visible,
        )  # fmt: skip


def _text(wish: _Wish, name: str, area: AreaPlan, lengths: Lengths) -> Iterator[dict[str, Any]]:
    from finetune.formats.rows import description_row

    said, length = lengths.take(wish.describe)
    if len(said.claims) > 1:
        yield description_row(said, id=name, area=area.name, tile_id=wish.tile.id, named=wish.named, length=length)
