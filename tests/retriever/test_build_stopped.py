"""Builds that are stopped, killed, out of disk or in each other's way: nothing half-made is left, and they go on."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from retriever.build import build_gallery
from retriever.errors import GalleryError
from retriever.gallery import Gallery


def test_a_stopped_build_goes_on_where_it_was(source: Path, tmp_path: Path, drawn: list[Any], monkeypatch: Any) -> None:
    whole = build_gallery(tmp_path / "whole", osm=source, px=32, gallery_id="hamlet")
    drawn.clear()

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "drawing tiles":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_gallery(tmp_path / "g", osm=source, px=32, progress=stop)
    assert len(drawn) == 64
    assert not (tmp_path / "g").exists()
    gallery = build_gallery(tmp_path / "g", osm=source, px=32)
    assert len(drawn) == 100, "no tile is drawn twice"
    assert gallery.sha256 == whole.sha256
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g", "hamlet.osm", "whole"]


def test_work_for_other_inputs_is_not_reused(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "drawing tiles":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_gallery(tmp_path / "g", osm=source, px=32, progress=stop)
    drawn.clear()
    build_gallery(tmp_path / "g", osm=source, px=40)
    assert len(drawn) == 100


KILLED = """
import sys, time
from retriever import batch
from retriever.build import build_gallery
write = batch._png
batch._png = lambda picture, **how: (time.sleep(0.2), write(picture, **how))[1]
build_gallery(sys.argv[2], osm=sys.argv[1], px=64)
"""


@pytest.mark.slow
def test_a_killed_build_leaves_no_gallery_and_goes_on(source: Path, tmp_path: Path) -> None:
    whole = build_gallery(tmp_path / "whole", osm=source, px=64, gallery_id="hamlet")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(source), str(tmp_path / "g")])
    parts, deadline = tmp_path / ".g.partial" / "parts", time.monotonic() + 60
    while not (parts.is_dir() and list(parts.glob("*.parquet"))) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "g").exists()
    assert len(list(parts.glob("*.parquet"))) >= 1
    with pytest.raises(GalleryError):
        Gallery.open(tmp_path / ".g.partial")
    assert build_gallery(tmp_path / "g", osm=source, px=64).sha256 == whole.sha256


def test_a_full_disk_is_said_and_the_build_goes_on_later(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    real, written = Path.write_bytes, []

    def full(self: Path, data: bytes) -> int:
        written.append(self)
        if len(written) > 80:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(GalleryError, match="the disk is full"):
            build_gallery(tmp_path / "g", osm=source, px=32)
    assert not (tmp_path / "g").exists()
    assert len(build_gallery(tmp_path / "g", osm=source, px=32)) == 100
    assert len(drawn) == 64 + 16 + 1 + 20, "batches that were finished are kept"


def test_a_full_disk_at_the_table_leaves_no_gallery(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyarrow.parquet.write_table", full)
        with pytest.raises(GalleryError, match="the disk is full"):
            build_gallery(tmp_path / "g", osm=source, px=32)
    assert not (tmp_path / "g").exists()


def test_what_is_in_the_way_is_never_touched(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    build_gallery(tmp_path / "g", osm=source, px=32)
    with pytest.raises(GalleryError, match="other inputs or settings"):
        build_gallery(tmp_path / "g", osm=source, px=48)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(GalleryError, match="is not a gallery"):
        build_gallery(tmp_path / "mine", osm=source, px=32)
    with pytest.raises(GalleryError, match="is not a gallery"):
        build_gallery(source, osm=source, px=32)
    with pytest.raises(GalleryError, match="cannot be written"):
        build_gallery(source / "inside", osm=source, px=32)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    assert Gallery.open(tmp_path / "g").px == 32


def test_an_empty_folder_may_become_the_gallery(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    (tmp_path / "g").mkdir()
    assert len(build_gallery(tmp_path / "g", osm=source, px=32)) == 100


def test_two_builds_of_one_gallery_do_not_meet(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    def second(stage: str, done: int, total: int) -> None:
        with pytest.raises(GalleryError, match="another process is building"):
            build_gallery(tmp_path / "g", osm=source, px=32)

    assert len(build_gallery(tmp_path / "g", osm=source, px=32, progress=second)) == 100
