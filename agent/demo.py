"""The demo: a town that does not exist, one description of a place in it, and what to type next."""

from __future__ import annotations

import os
import platform
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from agent.serving_open import REQUIRE_VLLM
from agent.settings import Settings
from retriever.errors import IndexMismatch, ServerUnavailable

if TYPE_CHECKING:
    from agent.cli_locate import Room

SEED = 7
BLOCKS = 8
PLACE = (-30.97167, -119.25589)
"""Where the witness of :data:`TEXT` stands, latitude and longitude."""
TEXT = (
    "I've just come up from the underground at a crossroads with traffic lights. The main road runs east to west, and "
    "a smaller street crosses it. There is a town hall to the north-east, and a little way east a café called Evening "
    "Compass. To the south I can see a snack bar. There's a tall office building south-east of me, nine storeys I'd "
    "say. About forty metres to the west there's an ice cream shop."
)
ASK_ZH = (
    "我在梅大道南侧，西边紧挨着一家银行，再往西是地铁口，东边是面包店，再远一点有一个体育馆，"
    "马路对面有快餐店和公交车站。"
)


def home(settings: Settings, folder: Path | None) -> Path:
    """Where the demo's gallery is kept: as asked, else ``.sightline/`` of this repository, else the user's data."""
    if folder is not None:
        return folder
    return Path(".sightline/demo") if _in_repository() else settings.folder("demo")


def _in_repository() -> bool:
    try:
        project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(project.get("name") == "sightline")


def prepare(folder: Path, screen: Console, encoder: str) -> Path:
    """The demo town's gallery with its index; whatever is there already is used as it is."""
    from retriever.build import build_gallery
    from retriever.town import write_town

    gallery, extract = folder / "gallery", folder / f"town-{SEED}.osm"
    if not (gallery / "manifest.json").exists():
        with screen.status("building the demo town") as status:
            folder.mkdir(parents=True, exist_ok=True)
            if not extract.exists():
                part = write_town(extract.with_suffix(".part"), seed=SEED, blocks=BLOCKS)
                part.replace(extract)
            status.update("drawing the town's tiles (once)")
            build_gallery(gallery, osm=extract, gallery_id="demo-town", jobs=min(4, os.cpu_count() or 1))
    _index(gallery, screen, encoder)
    return gallery


def _index(gallery: Path, screen: Console, encoder: str) -> None:
    from retriever.encoder import Encoder
    from retriever.gallery import Gallery
    from retriever.index import VectorIndex
    from retriever.retrieve import build_index, index_folder

    tiles, model = Gallery.open(gallery), Encoder.load(encoder)
    folder = index_folder(gallery, encoder)
    try:
        VectorIndex.load(folder, encoder=model.id, gallery=tiles.sha256)
    except IndexMismatch:
        with screen.status("embedding the town's tiles (once)"):
            build_index(tiles, model, folder)


def vllm_required() -> bool:
    """On Linux on x86-64 the real server can run, so the demo insists on it."""
    return sys.platform == "linux" and platform.machine().lower() in ("x86_64", "amd64")


def run(settings: Settings, folder: Path | None) -> None:
    """Build or reuse, locate, and go on talking. Raises ``ServerUnavailable`` where vLLM should have answered."""
    from agent.chat import converse
    from agent.cli_locate import display, opened

    screen = Console(stderr=True)
    gallery = prepare(home(settings, folder), screen, settings.encoder)
    with opened(gallery, settings) as room:
        _insist(room, settings)
        thread = "demo-" + os.urandom(3).hex()
        state = room.ask(TEXT, thread=thread, query_id=thread, spoken=settings.lang)
        display(room, state["result"], thread=thread)
        _answered_by(room)
        if sys.stdin.isatty():
            converse(room, thread=thread)
        else:
            _next(gallery, thread)


def _insist(room: Room, settings: Settings) -> None:
    context = room.desk.context
    if context.backend == "vllm":
        return
    why = context.kit.why_no_judge if context.kit.judge is None else f"the judge answers from {context.backend}"
    if os.environ.get(REQUIRE_VLLM) == "1":
        raise ServerUnavailable(
            f"{REQUIRE_VLLM} is set, so the demo's judge must be our vLLM server, but it is not: {why}. "
            "'sightline doctor' says what is missing; leave --server and --backend out, or unset the variable"
        )
    chosen = settings.server is not None or settings.backend in ("transformers", "none")
    if vllm_required() and not chosen:
        raise ServerUnavailable(
            f"on this machine the demo's judge must be the vLLM server, but it is not: {why}. "
            "'sightline doctor' says what is missing; --backend transformers goes without it"
        )


def _answered_by(room: Room) -> None:
    context = room.desk.context
    words = context.label if context.kit.judge is not None else f"nobody: {context.kit.why_no_judge}"
    Console().print(Text.assemble("The judge that really answered: ", (words, "bold")))


def _next(gallery: Path, thread: str) -> None:
    lines = [
        "Add a clue or ask back, in English or Chinese:",
        f"  sightline chat --gallery {gallery} --thread {thread}",
        "Ask about another place, in Chinese:",
        f'  sightline locate --gallery {gallery} "{ASK_ZH}"',
    ]
    Console().print(Panel(Text("\n".join(lines)), title="What next", title_align="left", border_style="cyan"))
