"""``sightline data build``: everything a plan names, into one folder, leak-checked, with a card and a report.

    OUT/galleries/<area>/   the galleries
    OUT/dataset/            the data set, as the hub takes it; there only when it is whole and free of leaks
    OUT/report/             report.md, report.html and their pictures
    OUT/build.json          the plan and what was made of it

A killed build goes on with the same command: galleries keep their finished tiles, every other step of an area is done
whole or repeated, and the data set grows under another name until the leak check has passed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finetune.data import extras, steps
from finetune.data.leakcheck import items_of
from finetune.data.plan import AreaPlan, Plan, PlanError
from finetune.data.report import write_report
from finetune.data.steps import Progress, Workshop
from finetune.data.twins import drop_twins
from finetune.formats.card import Card, write_card
from finetune.leaks import check_leaks
from finetune.splits import SPLITS, Area, check_areas
from retriever.gallery import Gallery
from retriever.sources.osm import header_box
from retriever.workfolder import write_whole

STATE, DATASET = "build.json", "dataset"
LIMITS = (
    "Descriptions come from a generator, not from people: they say what the map says, in the generator's own ways. "
    "Measure on hand-written ones.",
    "What is not on the map is not in the texts: shop fronts, people, weather, looks of a building beyond storeys and "
    "colour.",
    "Map tiles are drawn by Sightline's own drawing code; other renderers look different.",
    "Views are rendered from the map: shapes and places are right, textures are not photographs.",
    "About 4 % of the details in a text are wrong on purpose; the ledger says which.",
)


def build(plan: Plan, out: Path, *, osm: Path | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Builds a plan into ``out``; ``osm`` is the folder of extracts. Returns what ``build.json`` says.

    Raises:
        PlanError: ``out`` holds another build, or an extract is missing.
        SplitError: areas of different splits lie too near, or the leak check found leaks.
    """
    shop = Workshop(plan=plan, out=out, osm=osm)
    show = progress or _silent
    with _alone(out):
        done = _existing(shop)
        if done is not None:
            return done
        start = time.monotonic()
        check_areas(_stated(shop), buffer_m=plan.buffer_m)
        galleries = list(_galleries(shop, show))
        check_areas([_bounds(a, g) for a, g in zip(plan.areas, galleries, strict=True)], buffer_m=plan.buffer_m)
        for number, (area, gallery) in enumerate(zip(plan.areas, galleries, strict=True)):
            _fill(shop, area, gallery)
            show("describing, pairing, rendering", number + 1, len(plan.areas))
        drop_twins(shop.dataset)
        show("checking for leaks", 0, 1)
        items = items_of(shop.dataset)
        check_leaks(items, buffer_m=plan.buffer_m)
        show("checking for leaks", 1, 1)
        return _publish(shop, len(items), time.monotonic() - start)


def _silent(stage: str, done: int, total: int) -> None:
    """No progress shown."""


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Holds the folder while a build runs. Raises ``PlanError`` if another one holds it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlanError(f"{out} cannot be made ({error.strerror}): choose another folder") from error
    lock = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise PlanError(f"another process is building {out} now: wait for it or stop it") from None
    finally:
        os.close(lock)


def _existing(shop: Workshop) -> dict[str, Any] | None:
    """What a finished build of this plan says; None where there is work to do. Raises ``PlanError`` for any other."""
    state = shop.out / STATE
    if not state.is_file():
        if any(p.name not in ("towns", "galleries", shop.dataset.name) for p in shop.out.iterdir()):
            raise PlanError(f"{shop.out} holds something that is no build: choose another folder")
        write_whole(state, json.dumps({"key": shop.plan.key, "finished": False}) + "\n")
        return None
    said: dict[str, Any] = json.loads(state.read_text(encoding="utf-8"))
    if said["key"] != shop.plan.key:
        raise PlanError(f"{shop.out} holds the build of another plan: choose another folder, or delete that one")
    return said if said["finished"] and (shop.out / DATASET).is_dir() else None


def _stated(shop: Workshop) -> list[Area]:
    """The areas as far as their place is known before anything is built."""
    known = []
    for area in shop.plan.areas:
        box = area.bbox or header_box(steps.source_of(shop, area))
        if box is not None:
            known.append(Area(name=area.name, split=area.split, bounds=box))
    return known


def _bounds(area: AreaPlan, gallery: Gallery) -> Area:
    west, south, east, north = gallery.manifest["bounds"]
    return Area(name=area.name, split=area.split, bounds=(west, south, east, north))


def _galleries(shop: Workshop, show: Progress) -> Iterator[Gallery]:
    for number, area in enumerate(shop.plan.areas):
        yield steps.build_area_gallery(shop, area, show)
        show("galleries", number + 1, len(shop.plan.areas))


def _fill(shop: Workshop, area: AreaPlan, gallery: Gallery) -> None:
    """Every table's rows of one area."""
    plan = shop.plan
    steps.run_step(shop, area, "tiles", "tiles", lambda: steps.tile_rows(gallery, area))
    steps.run_step(
        shop, area, "descriptions", "descriptions", lambda: steps.description_rows(gallery, area, plan), size=5000
    )
    if plan.pair_places:
        steps.run_step(shop, area, "pairs", "pairs", lambda: extras.pair_rows(gallery, area, plan), size=300)
    if plan.view_sets:
        steps.run_step(shop, area, "views", "view_sets", lambda: extras.view_rows(shop, gallery, area), size=50)


def _publish(shop: Workshop, compared: int, seconds: float) -> dict[str, Any]:
    """Card and report, then one rename: from here on the data set is there."""
    plan, notes = shop.plan, read_notes(shop)
    counts = counts_of(shop)
    # Also what an earlier run dropped before it was killed.
    dropped = sum(note["rows"] for note in notes) - sum(n for splits in counts.values() for n in splits.values())
    said = {
        "key": plan.key,
        "plan": asdict(plan),
        "counts": counts,
        "twins_dropped": dropped,
        "compared": compared,
        "seconds": {"this_run": round(seconds, 1), **_seconds(notes)},
    }
    write_card(shop.dataset, card_of(plan, dropped), counts)
    write_report(shop.out / "report", shop.dataset, said)
    shutil.rmtree(shop.dataset / ".notes")
    os.replace(shop.dataset, shop.out / DATASET)
    said["finished"] = True
    write_whole(shop.out / STATE, json.dumps(said, ensure_ascii=False, indent=1) + "\n")
    return said


def read_notes(shop: Workshop) -> list[dict[str, Any]]:
    return [json.loads(p.read_text(encoding="utf-8")) for p in sorted((shop.dataset / ".notes").glob("*.json"))]


def counts_of(shop: Workshop) -> dict[str, dict[str, int]]:
    """Rows by table and split, read from the files themselves."""
    import pyarrow.parquet as pq

    from finetune.formats.store import tables

    there = tables(shop.dataset)
    return {
        table: {s: sum(pq.read_metadata(p).num_rows for p in splits[s]) for s in SPLITS if s in splits}
        for table, splits in there.items()
    }


def _seconds(notes: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds of work by table, over all runs."""
    total: dict[str, float] = {}
    for note in notes:
        total[note["table"]] = round(total.get(note["table"], 0.0) + note["seconds"], 2)
    return total


def card_of(plan: Plan, dropped: int) -> Card:
    """The card of a built data set."""
    lists = "; ".join(f"{s}: {', '.join(a.name for a in plan.areas if a.split == s) or 'none'}" for s in SPLITS)
    return Card(
        title=plan.title,
        summary=(
            "Map tiles with what the map says about them, first-person descriptions in English and Chinese with a "
            "ledger of which claim is so, match and no-match pairs with evidence and explanations, and aligned views."
        ),
        licence="odbl",
        attribution=(
            "Map data © OpenStreetMap contributors, available under the Open Database License (ODbL); tiles, texts and "
            "views are derived from it. Towns called town-N and everything in them are made up."
        ),
        made=(
            "From OpenStreetMap extracts and generated towns, without a language model: `sightline data build`. "
            "Evidence is computed from map geometry. The same plan gives the same data."
        ),
        limits=LIMITS,
        splits=(
            f"By area, at least {plan.buffer_m:g} m apart. {lists}. Checked for the same place, the same picture "
            f"(bytes and perceptual hash) and the same text across splits; {dropped} texts that a held-out split also "
            "has were dropped."
        ),
    )
