"""A gallery, a retriever and a judge small enough to reason about: every answer is written down here."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from retriever.errors import GalleryError, ReplyError, ServerUnavailable
from retriever.geo import distance_m
from retriever.types import Claim, Evidence, Explanation, Fact, Relation, Tile, Usage

PLACES = {"t-a": ["pharmacy", "cafe"], "t-b": ["pharmacy"], "t-c": ["cafe", "church"], "t-d": [], "t-e": ["church"]}
SCORES = {"t-a": 0.9, "t-b": 0.8, "t-c": 0.5, "t-d": 0.2, "t-e": 0.1}


def place(kind: str, number: int, name: str = "") -> Fact:
    names = {"": name, "en": name} if name else {}
    return Fact(osm_id=f"node/{number}", kind=kind, shape="point", parts=(((0.55, 0.45),),), names=names)


class FakeGallery:
    """Five tiles in a row, 60 m apart, with one picture each."""

    def __init__(self, folder: Path, places: Mapping[str, Sequence[str]] | None = None) -> None:
        self.path, self.id, self.sha256, self.size_m, self.stride_m = folder, "toy", "0" * 64, 120.0, 60.0
        self.places = dict(places or PLACES)
        self.ids = sorted(self.places)
        self.lat = np.full(len(self.ids), 51.5)
        self.lon = -0.12 + np.arange(len(self.ids)) * 60 / 69_000
        self.view, self.px = "map", 448
        for number, tile in enumerate(self.ids):
            Image.new("RGB", (32, 32), (10 * number, 90, 160)).save(folder / f"{tile}.png")

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, tile_id: str) -> int:
        if tile_id not in self.ids:
            raise GalleryError(f"gallery {self.id} has no tile {tile_id!r}")
        return self.ids.index(tile_id)

    def facts(self, tile_id: str) -> tuple[Fact, ...] | None:
        kinds = self.places[self.ids[self.row(tile_id)]]
        if kinds is None:
            return None
        street = Fact(osm_id="way/9", kind="street", shape="line", parts=(((0.0, 0.5), (1.0, 0.5)),))
        return (*(place(kind, n) for n, kind in enumerate(kinds, 1)), street)

    def tile(self, tile_id: str) -> Tile:
        row = self.row(tile_id)
        lat, lon = float(self.lat[row]), float(self.lon[row])
        return Tile(
            id=tile_id, view="map", lat=lat, lon=lon, bounds=(lon - 0.001, lat - 0.001, lon + 0.001, lat + 0.001),
            gsd_m=0.27, image=f"{tile_id}.png", image_sha256="0" * 64, facts=self.facts(tile_id),
        )  # fmt: skip

    def image_path(self, tile_id: str) -> Path:
        self.row(tile_id)
        return self.path / f"{tile_id}.png"

    def image(self, tile_id: str) -> Image.Image:
        try:
            return Image.open(io.BytesIO(self.image_path(tile_id).read_bytes())).convert("RGB")
        except OSError as error:
            raise GalleryError(f"the picture of {tile_id} is missing ({error})") from error

    def nearest(self, lat: float, lon: float) -> str:
        return self.ids[int(np.argmin(distance_m(self.lat, self.lon, lat, lon)))]


class FakeRetriever:
    """Fixed scores; a claim of a kind lifts the tiles that hold it a little."""

    def __init__(self, gallery: FakeGallery) -> None:
        self.gallery = gallery

    def scores(self, query: Any, claims: Sequence[Claim], mode: str = "fused") -> np.ndarray:
        wanted = [c.value for c in claims]
        lift = {t: 0.3 * sum(w in (self.gallery.places[t] or ()) for w in wanted) for t in self.gallery.ids}
        return np.array([SCORES.get(t, 0.0) + lift[t] for t in self.gallery.ids], dtype=np.float32)


@dataclass(frozen=True)
class Scored:
    p_match: float
    usage: Usage = field(default_factory=lambda: Usage(calls=1, prompt_tokens=100, completion_tokens=1))


@dataclass(frozen=True)
class Explained:
    evidence: tuple[Evidence, ...]
    explanation: Explanation
    usage: Usage = field(default_factory=lambda: Usage(calls=1, prompt_tokens=150, completion_tokens=60))


class FakeJudge:
    """Says yes in proportion to the claimed kinds that the tile really holds."""

    def __init__(self, p: Mapping[str, float] | None = None, *, down: bool = False, babbles: bool = False) -> None:
        self.p, self.down, self.babbles, self.calls = p, down, babbles, []

    async def score(self, tile: Tile, png: bytes, claims: Sequence[Claim]) -> Scored:
        self.calls.append(("score", tile.id))
        if self.down:
            raise ServerUnavailable("the model server at http://127.0.0.1:1 does not answer; start it again")
        assert hashlib.sha256(png).hexdigest()
        if self.p is not None:
            return Scored(self.p[tile.id])
        held = {f.kind for f in tile.facts or ()}
        asked = [c for c in claims if c.kind == "object"]
        share = sum(c.value in held for c in asked) / max(len(asked), 1)
        return Scored(0.1 + 0.8 * share)

    async def explain(self, tile: Tile, png: bytes, claims: Sequence[Claim], verdict_p: float) -> Explained:
        self.calls.append(("explain", tile.id))
        if self.babbles:
            raise ReplyError("the model's answer is not JSON")
        held = {f.kind for f in tile.facts or ()}
        evidence = tuple(
            Evidence(
                claim_id=c.id, stance="supports" if c.value in held else "unknown",
                reason=None if c.value in held else "not_visible", region=(0.4, 0.3, 0.7, 0.6),
            )
            for c in claims
        )  # fmt: skip
        return Explained(evidence, Explanation(en=f"Seen on {tile.id}.", zh=f"见于 {tile.id}。", author="model"))


def claim(number: int, value: str, **changes: Any) -> Claim:
    given: dict[str, Any] = {
        "id": f"c{number}", "span": f"a {value}", "kind": "object", "value": value, "relation": Relation(), **changes
    }  # fmt: skip
    return Claim(**given)


async def cut_off(context: Any, database: Path, text: str, *, thread: str) -> None:
    """A turn that is given up when the judge of ``context`` is asked for an explanation, which it never gives."""
    from agent.desk import open_desk

    async def explain(*args: Any) -> Any:
        reached.set()
        await asyncio.Event().wait()

    reached, context.kit.judge.explain = asyncio.Event(), explain
    async with open_desk(context, database) as desk:
        asked = asyncio.create_task(desk.ask(text, thread=thread, query_id="q1"))
        await reached.wait()
        asked.cancel()
        await asyncio.wait([asked])
