"""A generated town with a desk on it, and one case file of it, made once."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from desk_fakes import FakeJudge

from agent.casefile import archive, case_bytes
from agent.context import Context
from agent.desk import Desk, open_desk
from agent.rerankers import Kit, create
from retriever.build import build_gallery
from retriever.gallery import Gallery
from retriever.town import write_town
from retriever.types import Claim

TEXT = "There is a bakery here and a police station. I think there is a hotel."
HOSTILE = "<script>alert(1)</script> \"&' ]]> <![CDATA[ \u202egnp.exe \x07 龍"


@cache
def town() -> Gallery:
    """25 tiles, drawn once for all tests."""
    folder = Path(tempfile.mkdtemp(prefix="sightline-case-"))
    osm = write_town(folder / "town.osm", seed=1005, blocks=2)
    build_gallery(folder / "gallery", osm=osm, gallery_id="town", jobs=1, px=128)
    return Gallery.open(folder / "gallery")


class TownRetriever:
    """Scores tiles by the claimed kinds that they hold; no encoder."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery

    def scores(self, query: Any, claims: Sequence[Claim], mode: str = "fused") -> np.ndarray:
        wanted = {c.value for c in claims if c.polarity}
        held = [{f.kind for f in self.gallery.facts(i) or ()} for i in self.gallery.ids]
        return np.array([len(wanted & h) + 0.01 * row for row, h in enumerate(held)], dtype=np.float32)


class PromptedJudge(FakeJudge):
    """A judge with a template, as the real one has."""

    def __init__(self, stamp: str = "", **how: Any) -> None:
        super().__init__(**how)
        from prompts.render import load_template

        template = load_template()
        self.template = SimpleNamespace(id=template.id, sha256=stamp or template.sha256)


def context_of(gallery: Any, judge: Any, folder: Path, retriever: Any = None, **changes: Any) -> Context:
    kit = Kit(judge=judge)
    given: dict[str, Any] = {
        "gallery": gallery, "retriever": retriever or TownRetriever(gallery), "kit": kit,
        "reranker": create("posterior", kit), "shortlist": 5, "top": 2, "image_folder": folder, "model": "toy-judge-1",
        **changes,
    }  # fmt: skip
    return Context(**given)


@asynccontextmanager
async def town_desk(folder: Path, judge: Any = None, **changes: Any) -> AsyncIterator[Desk]:
    context = context_of(town(), judge or PromptedJudge(), folder, **changes)
    async with open_desk(context, folder / "threads.sqlite") as desk:
        yield desk


@cache
def town_case() -> bytes:
    """A conversation of three turns about the town, with an area limit and a struck clue, exported."""

    async def made() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            async with town_desk(Path(folder)) as desk:
                await desk.locate(TEXT, thread="t", owner="ann@example.org")
                gallery = town()
                middle = f"{gallery.lat.mean():.6f},{gallery.lon.mean():.6f},200m"
                await desk.limit("t", middle)
                await desk.strike("t", "c3")
                await desk.say("t", "Why not the second one?")
                return await case_bytes(desk, "t")

    return asyncio.run(made())


def entries_of(data: bytes) -> dict[str, bytes]:
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def document(data: bytes, name: str) -> Any:
    return json.loads(entries_of(data)[f"{name}.json"])


def rewritten(data: bytes, **documents: Callable[[Any], Any]) -> bytes:
    """The case with other documents and a manifest that fits them."""
    entries = {k: v for k, v in entries_of(data).items() if k != archive.MANIFEST}
    for name, change in documents.items():
        entries[f"{name}.json"] = archive.json_bytes(change(json.loads(entries[f"{name}.json"])))
    return archive.pack(archive.with_manifest(entries))
