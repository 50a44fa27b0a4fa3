"""Whether the confidence moves the right way: a clue taken back, another tile in the place, no picture at all."""

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from agent.batch import repair
from agent.judge import tile_png
from agent.ledger import active, map_evidence, net_support
from agent.rerankers.base import picture
from eval.arena.frozen import Asked, Frozen
from eval.arena.judging import Bench
from eval.protocol import EvaluationError
from retriever.errors import SightlineError
from retriever.geo import Frame, distance_m
from retriever.posterior import Features
from retriever.types import Claim

FILE = "counterfactuals.jsonl"
FAR_M = 200.0


async def counterfactuals(bench: Bench, frozen: Frozen, n: int, path: Path, judge: str) -> None:
    """Lines for up to ``n`` queries whose true cell is among their candidates; goes on where an earlier start stopped.

    Each gives the posterior of the true cell as it is, and with the change; the other candidates stay as they are, with
    the map's evidence and without the judge's look, so that only the change moves anything.
    """
    rows = list(repair(path))
    header = {"judge": judge, "candidates_sha256": frozen.sha256}
    if rows and rows[0].get("header") != header:
        raise EvaluationError(f"{path} was made by another judge or of other candidates; name another out")
    known = {row["query_id"] for row in rows[1:]}
    with path.open("a", encoding="utf-8") as sink:
        if not rows:
            sink.write(json.dumps({"header": header}) + "\n")
        for asked, tile_id in _usable(frozen)[:n]:
            if asked.query.id not in known:
                line = await _line(bench, asked, tile_id)
                sink.write(json.dumps(line) + "\n")
                sink.flush()
                os.fsync(sink.fileno())


def _usable(frozen: Frozen) -> list[tuple[Asked, str]]:
    found = []
    for asked in frozen.order():
        tile = true_cell(frozen, asked)
        if tile is not None and not asked.removed and active(asked.claims):
            found.append((asked, tile))
    return found


def true_cell(frozen: Frozen, asked: Asked) -> str | None:
    """The candidate whose cell, a square of the stride around its centre, holds the true point."""
    rows = {tile: row for row, tile in enumerate(frozen.places.ids)}
    half = frozen.header["gallery"]["stride_m"] / 2 + 0.5
    for c in asked.candidates:
        row = rows[c.tile_id]
        frame = Frame(lat=float(frozen.places.lat[row]), lon=float(frozen.places.lon[row]))
        x, y = frame.xy(asked.located.lat, asked.located.lon)
        if max(abs(x), abs(y)) <= half:
            return c.tile_id
    return None


async def _line(bench: Bench, asked: Asked, tile_id: str) -> dict[str, Any]:
    line: dict[str, Any] = {"query_id": asked.query.id, "tile_id": tile_id}
    try:
        true = picture(bench.gallery, tile_id)
        line["as_it_is"] = await _p(bench, asked, tile_id, asked.claims, true, tile_id)
        gone = _supported(bench, asked, tile_id)
        if gone is not None:
            kept = [dataclasses.replace(c, status="struck") if c.id == gone else c for c in asked.claims]
            line["claim_removed"] = await _p(bench, asked, tile_id, kept, true, tile_id)
        other = _elsewhere(bench, asked)
        if other is not None:
            line["tile_swapped"] = await _p(bench, asked, tile_id, asked.claims, picture(bench.gallery, other), other)
        line["tile_blank"] = await _p(bench, asked, tile_id, asked.claims, _blank(true), None)
    except SightlineError as error:
        line["error"] = str(error)
    return line


async def _p(bench: Bench, asked: Asked, at: str, claims: Sequence[Claim], png: bytes, facts_of: str | None) -> float:
    """The posterior of the cell ``at`` when it shows ``png`` and the map facts of ``facts_of``."""
    assert bench.kit.judge is not None
    standing = active(claims)
    tile = bench.gallery.tile(at)
    p = (await bench.kit.judge.score(tile, png, standing)).p_match if standing else None
    features = {}
    for c in asked.candidates:
        source = facts_of if c.tile_id == at else c.tile_id
        evidence = () if source is None else map_evidence(bench.gallery, source, claims) or ()
        ledger, names = net_support(claims, evidence)
        mine = p if c.tile_id == at else None
        features[c.tile_id] = Features(retrieval=c.score, p_match=mine, ledger=ledger, names=names)
    return round(bench.kit.confidence.posterior(features, asked.prior).cells[at], 6)


def _supported(bench: Bench, asked: Asked, tile_id: str) -> str | None:
    """A claim that the map supports on the tile: taking it back must not make the place more likely."""
    found = [e.claim_id for e in map_evidence(bench.gallery, tile_id, asked.claims) or () if e.stance == "supports"]
    return Random(f"claim {asked.query.id}").choice(found) if found else None


def _elsewhere(bench: Bench, asked: Asked) -> str | None:
    far = distance_m(asked.located.lat, asked.located.lon, bench.gallery.lat, bench.gallery.lon) >= FAR_M
    ids = [tile for tile, is_far in zip(bench.gallery.ids, far, strict=True) if is_far]
    return Random(f"swap {asked.query.id}").choice(ids) if ids else None


def _blank(png: bytes) -> bytes:
    with Image.open(io.BytesIO(png)) as image:
        return tile_png(Image.new("RGB", image.size, "#f2efe9"), side=image.width)
