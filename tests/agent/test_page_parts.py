"""Parts of the page without a browser: the base layer, the posterior's picture, bounded bodies, complete words."""

from __future__ import annotations

import io
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from desk_fakes import FakeGallery
from PIL import Image

from agent.page.belief import picture
from agent.page.mosaic import SIDE, Mosaic, tile_bounds, zoom_of
from agent.page.shell import POLICY, Shell
from agent.page.talk import Talk
from retriever.errors import SightlineError
from retriever.geo import Frame
from retriever.grid import Grid
from retriever.pages.words import COMMON, PAGE_LANGS, load_words

PAGE = Path(__file__).parents[2] / "agent" / "page"


class Coloured:
    """A gallery of 4 x 4 tiles over 300 m; a tile's picture has the colour of the ground at each of its pixels."""

    def __init__(self) -> None:
        frame = Frame(lat=51.5, lon=-0.1)
        self.grid = Grid(frame=frame, west_m=-120, north_m=120, rows=4, cols=4, stride_m=60, size_m=120)
        cells = [(r, c) for r in range(4) for c in range(4)]
        self.ids = [f"g-r{r:03d}c{c:03d}" for r, c in cells]
        self.bounds = np.array([self.grid.bounds(cell) for cell in cells])
        self.size_m, self.stride_m, self.px, self.scattered, self.sha256 = 120.0, 60.0, 256, False, "0" * 64
        self.opened: list[str] = []

    def image(self, tile: str) -> Image.Image:
        self.opened.append(tile)
        west, south, east, north = self.bounds[self.ids.index(tile)]
        lon = west + (np.arange(256) + 0.5) / 256 * (east - west)
        lat = north - (np.arange(256) + 0.5) / 256 * (north - south)
        return Image.fromarray(colour(*np.meshgrid(lon, lat)))


def colour(lon: Any, lat: Any) -> Any:
    """What the ground looks like: red by longitude, green by latitude."""
    red = ((lon + 0.1) * 60_000 + 128).clip(0, 255)
    green = ((lat - 51.5) * 60_000 + 128).clip(0, 255)
    return np.stack([red, green, np.full_like(red, 60)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("coarser", [0, 1, 3])
def test_the_base_layer_shows_each_place_where_it_is(tmp_path: Path, coarser: int) -> None:
    gallery = Coloured()
    mosaic = Mosaic(gallery, tmp_path)  # type: ignore[arg-type]
    z = mosaic.max_zoom - coarser
    x, y = int((-0.1 + 180) / 360 * 2**z), _row(51.5, z)
    data = mosaic.tile(z, x, y)
    assert data is not None
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(int)
    west, south, east, north = tile_bounds(z, x, y)
    lon = west + (np.arange(SIDE) + 0.5) / SIDE * (east - west)
    lat = north - (np.arange(SIDE) + 0.5) / SIDE * (north - south)
    expected = colour(*np.meshgrid(lon, lat)).astype(int)
    inside = shown[..., 3] == 255
    assert inside.any()
    assert np.abs(shown[..., :3] - expected)[inside].mean() < 4
    outside_lon = (lon < gallery.bounds[:, 0].min() - 1e-5) | (lon > gallery.bounds[:, 2].max() + 1e-5)
    assert not inside[:, outside_lon].any()


def _row(lat: float, z: int) -> int:
    return int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**z)


def test_overlapping_tiles_are_opened_only_where_they_are_needed_and_the_disk_keeps_the_rest(tmp_path: Path) -> None:
    gallery = Coloured()
    mosaic = Mosaic(gallery, tmp_path)  # type: ignore[arg-type]
    z = mosaic.max_zoom - 2
    tiles = [(z, int((-0.1 + 180) / 360 * 2**z) + dx, _row(51.5, z) + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    first = [mosaic.tile(*tile) for tile in tiles]
    # Every second tile each way covers all but the last row and column.
    assert len(set(gallery.opened)) < len(gallery.ids)
    gallery.opened.clear()
    again = Mosaic(gallery, tmp_path)  # type: ignore[arg-type]
    assert [again.tile(*tile) for tile in tiles] == first
    assert gallery.opened == []


@pytest.mark.parametrize("tile", [(3, 0, 0), (40, 1, 1), (18, -1, 5), (18, 0, 0)])
def test_what_the_gallery_does_not_hold_is_no_tile(tmp_path: Path, tile: tuple[int, int, int]) -> None:
    assert Mosaic(Coloured(), tmp_path).tile(*tile) is None  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())


def test_the_sharpest_zoom_loses_nothing() -> None:
    assert 156_543.04 * np.cos(np.radians(51.5)) / 2 ** zoom_of(0.27, 51.5) <= 0.27


def test_the_posterior_is_drawn_at_its_cells_and_pale_where_it_knows_little(tmp_path: Path) -> None:
    gallery = FakeGallery(tmp_path)
    p = np.array([0.0, 0.01, 0.0, 0.9, 0.0])
    drawn, (west, south, east, north) = picture(gallery, p)  # type: ignore[arg-type]
    alpha = np.asarray(drawn)[..., 3].mean(axis=0)
    cells = alpha.reshape(5, -1).mean(axis=1)
    assert cells.argmax() == 3
    assert cells[3] > 2 * cells[1] > 0
    assert west < gallery.lon.min() < gallery.lon.max() < east
    assert south < 51.5 < north
    centres = west + (np.arange(5) + 0.5) / 5 * (east - west)
    assert np.abs(centres - gallery.lon).max() < 2e-5


def test_every_word_is_there_in_both_languages_and_none_is_missing() -> None:
    words = load_words(COMMON, PAGE / "words.yaml")
    used: set[str] = set()
    for path in PAGE.glob("*.py"):
        used |= set(re.findall(r"""(?:\bsay|\bwords)\(["'](\w+)["']""", path.read_text(encoding="utf-8")))
    assert len(used) > 60
    assert used - set(words.texts) == set()
    for key in used:
        fields = [set(re.findall(r"{(\w+)}", words.texts[key][lang])) for lang in PAGE_LANGS]
        assert fields[0] == fields[1], key


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[strike: c2]", "Struck out c2"),
        ("[limit: none]", "Lifted all area limits"),
        ("[compare: [1, 2]]", "What tells 1 / 2 apart?"),
        ("[image: uav]", "Attached: Drone image"),
        ("[unheard: of]", None),
        ("in words", None),
    ],
)
def test_a_click_is_told_in_words(text: str, told: str | None) -> None:
    words = load_words(COMMON, PAGE / "words.yaml")
    page: Any = SimpleNamespace(words=words, lang="en", say=lambda key, **values: words(key, "en", **values))
    assert Talk(page).did(text) == told


# --- the shell ------------------------------------------------------------------------------------------------------


async def ask(path: str, pieces: list[bytes], length: int | None = None) -> tuple[int, dict[str, str]]:
    """What an application that reads its whole body answers through the shell."""

    async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    waiting = [{"type": "http.request", "body": b, "more_body": n < len(pieces) - 1} for n, b in enumerate(pieces)]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [] if length is None else [(b"content-length", str(length).encode())]
    await Shell(app, most=1000)({"type": "http", "path": path, "headers": headers}, receive, send)
    return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}


async def test_bodies_end_at_their_bound_whether_they_say_so_or_not() -> None:
    piece = b"x" * 40_000
    assert (await ask("/_nicegui/upload", [piece]))[0] == 200
    assert (await ask("/_nicegui/upload", [piece, piece]))[0] == 413
    assert (await ask("/_nicegui/upload", [piece], length=80_000))[0] == 413
    assert (await ask("/v1/uploads", [piece, piece]))[0] == 200


async def test_the_pages_answers_forbid_foreign_content_and_the_apis_are_left_alone() -> None:
    _, headers = await ask("/", [b""])
    assert headers["content-security-policy"] == POLICY
    assert "default-src 'self'" in POLICY
    assert "http" not in POLICY
    assert (await ask("/v1/threads", [b""]))[1] == {}


def test_a_thumbnail_of_a_damaged_picture_says_so(tmp_path: Path) -> None:
    from agent.page.pictures import Pictures

    gallery = FakeGallery(tmp_path)
    (tmp_path / "t-a.png").write_bytes(b"broken")
    context: Any = SimpleNamespace(gallery=gallery, kit=SimpleNamespace(encoder=None))
    with pytest.raises(SightlineError, match="missing"):
        Pictures(context)._thumb("t-a")
    with pytest.raises(SightlineError, match="encoder"):
        Pictures(context)._heat("t-b", ("a cafe",))
