"""Pictures of strangers: what is accepted comes out clean, and five hundred that should not be are turned away."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from api_kit import ANN, app_of, auth, picture
from fastapi.testclient import TestClient
from hostile_pictures import MAGIC, chunk, five_hundred
from PIL import Image

from agent.api import decoder as decoders
from agent.api import limits, reencode
from agent.api.decoder import Decoder
from agent.api.errors import ApiError
from agent.api.reencode import BadImage


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    with TestClient(app_of(tmp_path, keys="")) as opened:
        yield opened


def send(client: TestClient, raw: bytes, **headers: str) -> Any:
    return client.post("/v1/uploads?view=ground", content=raw, headers=headers)


def test_five_hundred_hostile_images_are_turned_away_in_bounded_memory(client: TestClient) -> None:
    files = five_hundred()
    assert len(files) == 500
    before = _peak()
    answers = [send(client, raw) for raw in files]
    passed = [(n, a.status_code, files[n][:40]) for n, a in enumerate(answers) if not 400 <= a.status_code < 500]
    assert not passed
    assert all(a.json()["error"]["code"].startswith("image_") for a in answers)
    assert _peak() - before < 100_000_000
    assert send(client, picture()).status_code == 201


def _peak() -> int:
    """The most memory that this process has had; the workers' is limited by the system."""
    if sys.platform == "win32":
        pytest.skip("no peak of memory is known here")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP"])
def test_a_good_picture_comes_out_as_png_without_its_metadata(client: TestClient, fmt: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at 51.5 N"
    exif[0x0112] = 6
    raw = picture(fmt, (120, 80), exif=exif.tobytes())
    made = send(client, raw, **{"Content-Type": f"image/{fmt.lower()}"})
    assert made.status_code == 201, made.text
    assert (made.json()["width"], made.json()["height"]) == (80, 120)  # upright
    kept = client.get(f"/v1/uploads/{made.json()['id']}").content
    assert b"51.5 N" in raw
    assert b"51.5 N" not in kept
    with Image.open(io.BytesIO(kept)) as picture_kept:
        assert (picture_kept.format, picture_kept.mode, picture_kept.size) == ("PNG", "RGB", (80, 120))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "I;16"])
@pytest.mark.parametrize("interlaced", [False, True])
def test_every_kind_of_png_is_read(mode: str, interlaced: bool) -> None:
    values = np.random.default_rng(1).integers(0, 255, (37, 51), dtype=np.uint8)
    image = Image.fromarray(values)
    image = Image.fromarray(values.astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    out = io.BytesIO()
    image.save(out, format="PNG")
    raw = out.getvalue()
    if interlaced:
        header = raw[16:28] + b"\1"
        with pytest.raises(BadImage):  # rows laid out otherwise than the header says
            reencode.reencode(raw[:8] + chunk(b"IHDR", header) + raw[33:], "m")
        return
    with Image.open(io.BytesIO(reencode.reencode(raw, "m"))) as again:
        assert again.size == (51, 37)
        if mode in ("L", "I;16"):
            assert np.abs(np.asarray(again.convert("L")).astype(int) - values).max() <= 1


def test_what_is_transparent_becomes_white() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(out, format="PNG")
    with Image.open(io.BytesIO(reencode.reencode(out.getvalue(), "m"))) as again:
        assert again.getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("width", [1, 2, 5, 8, 17])
@pytest.mark.parametrize("height", [1, 3, 8, 9])
def test_the_bytes_of_interlaced_rows_are_counted_as_the_standard_lays_them_out(width: int, height: int) -> None:
    # Adam7 by hand: which pass each pixel of an 8 x 8 block belongs to (PNG, third edition, 8.2).
    passes = ["16462646", "77777777", "56565656", "77777777", "36463646", "77777777", "56565656", "77777777"]
    slow = 0
    for number in "1234567":
        rows = [sum(passes[y % 8][x % 8] == number for x in range(width)) for y in range(height)]
        slow += sum(1 + columns * 3 for columns in rows if columns)
    assert reencode._png_bytes(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)) == slow


def test_a_header_that_names_another_kind_is_not_believed(client: TestClient) -> None:
    answer = send(client, picture("JPEG"), **{"Content-Type": "image/png"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "image_lying")
    html = send(client, picture("PNG"), **{"Content-Type": "text/html"})
    assert (html.status_code, html.json()["error"]["code"]) == (415, "image_unsupported")


def test_a_file_that_is_too_long_is_not_read_to_its_end(client: TestClient) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1_000_000
            yield bytes(1_000_000)

    answer = client.post("/v1/uploads?view=ground", content=pieces())
    assert answer.status_code == 413
    declared = client.post("/v1/uploads?view=ground", content=b"x", headers={"Content-Length": "99999999"})
    assert declared.status_code == 413


def test_an_address_is_no_picture(client: TestClient) -> None:
    answer = client.post("/v1/locate", json={"text": "a cafe", "images": ["http://127.0.0.1/x.png"]})
    assert answer.status_code == 422
    assert send(client, b"http://127.0.0.1/x.png").status_code == 415


def test_a_picture_takes_part_in_the_search(client: TestClient) -> None:
    name = send(client, picture()).json()["id"]
    turn = client.post("/v1/locate", json={"text": "a cafe", "images": [name]}).json()
    state = client.get(f"/v1/threads/{turn['thread']}/export").json()
    assert [view for view, _ in state["images"]] == ["ground"]
    more = client.post(
        f"/v1/threads/{turn['thread']}/messages",
        json={"order": {"do": "attach", "upload": send(client, picture(size=(70, 70))).json()["id"]}},
    )
    assert more.status_code == 200
    assert len(client.get(f"/v1/threads/{turn['thread']}/export").json()["images"]) == 2


async def test_a_worker_that_hangs_or_dies_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, good = Decoder(), picture()
    try:
        assert (await decoder.reencode(good, "m")).startswith(MAGIC)
        asked = decoders._ask

        async def hang(worker: Any, raw: bytes, mark: str) -> Any:
            worker.kill()
            return await asked(worker, raw, mark)

        monkeypatch.setattr(decoders, "_ask", hang)
        for _ in range(decoders.WORKERS + 1):
            with pytest.raises(ApiError) as caught:
                await decoder.reencode(good, "m")
            assert caught.value.status == 422
        monkeypatch.setattr(decoders, "_ask", asked)
        assert (await decoder.reencode(good, "m")).startswith(MAGIC)
    finally:
        await decoder.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is the system's")
async def test_a_worker_cannot_take_more_memory_than_it_is_given() -> None:
    import subprocess

    code = "from agent.api import reencode as r; r._bounded(); bytearray(r.MEMORY_BYTES)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert b"MemoryError" in done.stderr


def test_uploads_count_against_the_keys_bytes(tmp_path: Path) -> None:
    quota = limits.Quota(upload_mb=1)
    meter = limits.Meter()
    meter.upload("a", quota, 600_000)
    with pytest.raises(ApiError, match="upload"):
        meter.upload("a", quota, 600_000)
    meter.upload("b", quota, 600_000)
    with TestClient(app_of(tmp_path)) as client:
        assert client.post("/v1/uploads?view=tower", content=picture(), headers=auth(ANN)).status_code == 422
