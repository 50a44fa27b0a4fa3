"""The page over a small generated town with a judge whose every answer is known: run as a process of its own.

``python page_served.py FOLDER [--data DATA] [--keys]`` prints one line of JSON with its address and goes on until it is
ended. NiceGUI keeps its routes in the process, and changes its ways under pytest. The file ``DATA/mode`` says how the
judge is: ``down``, ``hostile``, ``slow``; it is well where there is none.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from desk_fakes import Explained, FakeJudge

from agent.api.app import create_app
from agent.api.keys import Keyring
from agent.context import Context
from agent.page import mount
from agent.rerankers import Kit, create
from agent.settings import Settings
from retriever.types import Claim, Explanation, Tile

SEED, BLOCKS = 7, 2
HOSTILE = (
    '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script> '
    '{{constructor.constructor("window.pwned=1")()}}'
)
KEYS = {"ann": "key-of-ann-0123456789", "ben": "key-of-ben-0123456789"}


class MoodyJudge(FakeJudge):
    """Is as a file says: well, down, slow, or explaining in the words of somebody who means harm."""

    def __init__(self, mode: Path) -> None:
        super().__init__()
        self._mode = mode

    def _mood(self) -> str:
        mood = self._mode.read_text().strip() if self._mode.exists() else ""
        self.down = mood == "down"
        return mood

    async def score(self, tile: Tile, png: bytes, claims: Sequence[Claim]) -> Any:
        if self._mood() == "slow":
            await asyncio.sleep(60)
        return await super().score(tile, png, claims)

    async def explain(self, tile: Tile, png: bytes, claims: Sequence[Claim], verdict_p: float) -> Explained:
        found = await super().explain(tile, png, claims, verdict_p)
        if self._mood() != "hostile":
            return found
        return dataclasses.replace(found, explanation=Explanation(en=HOSTILE, zh=HOSTILE + "坏", author="model"))


def town(folder: Path) -> Path:
    """A small town's gallery with its index, made once."""
    from retriever.build import build_gallery
    from retriever.encoder import Encoder
    from retriever.gallery import Gallery
    from retriever.retrieve import build_index, index_folder
    from retriever.town import write_town

    gallery = folder / "gallery"
    if not gallery.exists():
        extract = write_town(folder / f"town-{SEED}.osm", seed=SEED, blocks=BLOCKS)
        build_gallery(gallery, osm=extract, gallery_id="town", jobs=1)
        encoder = Encoder.load("sightline-mini")
        build_index(Gallery.open(gallery), encoder, index_folder(gallery, "sightline-mini"))
    return gallery


def context_of(gallery: Path, judge: FakeJudge, data: Path, *, heat: bool) -> Context:
    """Without ``heat`` no encoder is loaded, so that the process starts at once and can search for nothing."""
    from retriever.gallery import Gallery
    from retriever.retrieve import Retriever

    retriever = Retriever.open(gallery)
    kit = Kit(judge=judge, encoder=retriever.dense[0] if heat else None)  # type: ignore[arg-type]
    images = data / "images"
    images.mkdir(parents=True, exist_ok=True)
    return Context(
        gallery=Gallery.open(gallery), retriever=retriever, kit=kit, reranker=create("posterior", kit),
        backend="fake", model="fake", shortlist=8, top=3, image_folder=images,
    )  # fmt: skip


def main() -> None:
    import uvicorn

    from retriever.pages import frame

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--keys", action="store_true")
    given = parser.parse_args()
    data = given.data or given.folder / "data"
    context = context_of(town(given.folder), MoodyJudge(data / "mode"), data, heat=not given.keys)
    keys = ";".join(f"{name}={key}" for name, key in KEYS.items())
    ring = Keyring.load(None, {"SIGHTLINE_API_KEYS": keys}) if given.keys else None
    app = create_app([context], data / "threads.sqlite", keys=ring)
    mount(app, Settings(data_dir=data))
    listening = frame.bind(0)
    sys.stdout.write(json.dumps({"url": frame.address(listening)}) + "\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
