"""A small generated town behind the API, with a judge that answers from the map, and servers that really listen."""

from __future__ import annotations

import io
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import uvicorn
from desk_fakes import FakeJudge
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from agent.api.app import create_app
from agent.api.keys import Keyring
from agent.context import Context
from agent.rerankers import Kit, create
from retriever.build import build_gallery
from retriever.gallery import Gallery
from retriever.town import write_town
from retriever.types import Claim

ANN, BOB = "ann-key-0123456789abcdef", "bob-key-0123456789abcdef"
KEYS = f"ann={ANN};bob={BOB}"
TEXT = "There is a cafe here and a pharmacy."


@cache
def town(name: str = "town", seed: int = 7) -> Gallery:
    """Built once a run; the folder lives as long as the process."""
    folder = Path(tempfile.mkdtemp(prefix="sightline-api-"))
    osm = write_town(folder / "town.osm", seed=seed, blocks=2)
    return build_gallery(folder / "gallery", osm=osm, gallery_id=name, px=64)


class TownRetriever:
    """Tiles by how many of the claimed kinds their map holds."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery

    def scores(self, query: Any, claims: Sequence[Claim], mode: str = "fused") -> np.ndarray:
        wanted = {c.value for c in claims}
        held = [len(wanted & {f.kind for f in self.gallery.facts(t) or ()}) for t in self.gallery.ids]
        return np.array(held, dtype=np.float32) + np.arange(len(held), dtype=np.float32) / (10 * len(held))

    @property
    def dense(self) -> tuple[Any, Any]:
        """An encoder that sees the mean brightness of a picture, and tiles that like it more the later they come."""
        encoder = SimpleNamespace(encode_images=lambda pictures: np.array([[np.asarray(p).mean()] for p in pictures]))
        index = SimpleNamespace(scores=lambda q: q * np.linspace(0.0, 1.0, len(self.gallery), dtype=np.float32)[None])
        return encoder, index


def context_of(gallery: Gallery, folder: Path, judge: Any = None) -> Context:
    kit = Kit(judge=judge or FakeJudge())
    return Context(
        gallery=gallery, retriever=TownRetriever(gallery), kit=kit, reranker=create("posterior", kit),
        backend="test", model="test-judge", encoder="test-encoder", shortlist=5, top=2, image_folder=folder,
    )  # fmt: skip


def app_of(
    folder: Path, *, keys: str = KEYS, judge: Any = None, ring: Keyring | None = None, **options: Any
) -> FastAPI:
    """An app over the town with two users; ``keys=""`` for a desk without keys."""
    folder.mkdir(parents=True, exist_ok=True)
    galleries = options.pop("galleries", None) or [town()]
    contexts = [context_of(g, folder, judge) for g in galleries]
    ring = ring or Keyring.load(None, {"SIGHTLINE_API_KEYS": keys})
    options.setdefault("hosts", ("testserver", "127.0.0.1", "localhost"))
    return create_app(contexts, folder / "threads.sqlite", keys=ring, **options)


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The app on a free loopback port, in a thread; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server ended before it listened")
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


def auth(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def picture(fmt: str = "PNG", size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    """A noisy photograph-like picture in a format."""
    rng = np.random.default_rng(size[0])
    out = io.BytesIO()
    pixels = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, format=fmt, **options)
    return out.getvalue()


def events(text: str) -> list[tuple[str, str]]:
    """The events of a stream: kind and data."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], fields["data"]))
    return found


def locate(client: TestClient, key: str = ANN, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/locate", json={"text": TEXT, **body}, headers=auth(key))
    assert answer.status_code == 200, answer.text
    return answer.json()


def say(client: TestClient, thread: str, key: str = ANN, **body: Any) -> Any:
    return client.post(f"/v1/threads/{thread}/messages", json=body, headers=auth(key))


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]
