"""What machines read and find in photographs, and what of it is dropped because it lies on a vehicle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotate_fakes import GOOD, FakeEndpoint, config_file, photo_run
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from finetune.annotate.describe import Job, leaks, sampled
from finetune.annotate.ocr import OcrRow, Reading, read_text, run_ocr
from finetune.annotate.photos import Photo, collect, part, photos
from finetune.annotate.rows import read_rows, write_rows
from finetune.annotate.segment import Segment, Segmenter, SegmentRow, outlines
from finetune.annotate.vehicles import SignRow, is_vehicle, run_drop, share_inside, sort_out
from retriever.errors import ModelError, SourceError


def reading(text: str, x: float, y: float, w: float = 40, h: float = 10) -> Reading:
    return Reading(text=text, score=0.9, quad=((x, y), (x + w, y), (x + w, y + h), (x, y + h)))


VAN = Segment(label="a white van", score=0.8, box=(100, 100, 200, 200))
ROW = OcrRow(sha256="0" * 64, by="test", readings=(reading("EXPRESS", 120, 120), reading("BAKERY", 300, 50)))


def test_text_on_a_vehicle_is_dropped_and_other_text_kept() -> None:
    sorted_out = sort_out(ROW, [VAN, Segment(label="shop front", score=0.9, box=(290, 40, 400, 100))])
    assert [r.text for r in sorted_out.kept] == ["BAKERY"]
    assert [r.text for r in sorted_out.dropped] == ["EXPRESS"]
    assert sorted_out.on == ("a white van",)
    assert sorted_out.vehicles_known


def test_a_mask_says_more_than_its_box() -> None:
    corner = Segment(
        label="bus", score=0.9, box=(100, 100, 200, 200), mask=(((150, 150), (200, 150), (200, 200), (150, 200)),)
    )
    assert [r.text for r in sort_out(ROW, [corner]).dropped] == []
    assert share_inside(reading("x", 140, 160, w=20), corner) == pytest.approx(0.5)
    assert share_inside(reading("x", 140, 160, w=0), corner) == 0.0


def test_where_nobody_looked_nothing_is_dropped_and_it_says_so() -> None:
    sorted_out = sort_out(ROW, None)
    assert len(sorted_out.kept) == 2
    assert not sorted_out.vehicles_known
    assert sort_out(ROW, []).vehicles_known


@pytest.mark.parametrize("label", ["car", "cars", "a red bus", "buses", "delivery van", "Tram", "motor-bike"])
def test_vehicles_are_known_by_their_last_word(label: str) -> None:
    assert is_vehicle(label)


@pytest.mark.parametrize("label", ["car park", "bus stop", "tram line", "sign", "", "caravan site"])
def test_things_named_after_vehicles_are_none(label: str) -> None:
    assert not is_vehicle(label)


@given(st.floats(0, 300), st.floats(0, 300), st.floats(1, 60), st.floats(1, 60))
def test_the_share_on_a_box_is_that_of_two_rectangles(x: float, y: float, w: float, h: float) -> None:
    x0, y0, x1, y1 = VAN.box
    across, down = min(x + w, x1) - max(x, x0), min(y + h, y1) - max(y, y0)
    assert share_inside(reading("t", x, y, w, h), VAN) == pytest.approx(
        max(across, 0) * max(down, 0) / (w * h), abs=1e-6
    )


def test_the_drop_stage_reads_and_writes_artefacts(tmp_path: Path) -> None:
    run = photo_run(tmp_path, 2, readings={0: ROW.readings})
    sha = photos(run)[0].sha256
    write_rows(run / "segments.jsonl", [SegmentRow(sha256=sha, by="person", segments=(VAN,))])
    rows = run_drop(run)
    assert rows == read_rows(run / "signs.jsonl", SignRow)
    assert [(len(r.kept), len(r.dropped), r.vehicles_known) for r in rows] == [(1, 1, True), (0, 0, False)]
    write_rows(run / "segments.jsonl", [SegmentRow(sha256="f" * 64, by="person", segments=())])
    with pytest.raises(SourceError, match="was not read"):
        run_drop(run)


def test_the_producer_is_told_what_is_left_and_not_what_lies_on_vehicles() -> None:
    photo = Photo(sha256="0" * 64, name="a", width=600, height=300)
    bench = Segment(label="bench", score=0.9, box=(0, 0, 50, 50))
    job = Job(photo=photo, kept=(ROW.readings[1],), dropped=(ROW.readings[0],), segments=(VAN, bench))
    assert "BAKERY" in job.seen
    assert '"object": "bench", "where": "left"' in job.seen
    assert "EXPRESS" not in job.seen
    assert "van" not in job.seen


def test_a_text_that_speaks_of_a_vehicle_goes_back_to_the_producer(tmp_path: Path) -> None:
    from test_annotate_paying import describe

    run = photo_run(tmp_path, 1, readings={0: ROW.readings})
    write_rows(run / "segments.jsonl", [SegmentRow(sha256=photos(run)[0].sha256, by="person", segments=(VAN,))])
    run_drop(run)
    leaky = {"aspects": [], "text": "An express delivery, and a bakery."}

    def say(body: Any) -> Any:
        if "aspects" not in str(body["response_format"]):
            return GOOD["inspected"]
        return GOOD["produced"] if "stands on a vehicle" in str(body["messages"]) else leaky

    with FakeEndpoint(say=say).running() as server:
        rows, _ = describe(run, config_file(tmp_path / "c.yaml", server.url))
        assert server.finished == 3
    assert rows[0].accepted
    assert rows[0].rounds == 2
    assert rows[0].vehicles_known


def test_short_readings_are_no_leaks() -> None:
    assert leaks("Number 12 is an Express shop", (reading("12", 0, 0), reading("express", 0, 0))) == ["express"]


def test_the_sample_is_the_same_on_every_run_and_about_its_share() -> None:
    drawn = [sampled(f"{n:064x}", 0.2) for n in range(5000)]
    assert drawn == [sampled(f"{n:064x}", 0.2) for n in range(5000)]
    assert 900 < sum(drawn) < 1100
    assert not any(sampled(f"{n:064x}", 0.0) for n in range(100))
    assert all(sampled(f"{n:064x}", 1.0) for n in range(100))


# --- photographs --------------------------------------------------------------------------------------------------


def test_photographs_lose_their_metadata_and_keep_their_side_up(tmp_path: Path) -> None:
    source, run = tmp_path / "in", tmp_path / "run"
    source.mkdir()
    image = Image.new("RGB", (40, 20), (9, 8, 7))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "somebody's home"
    image.save(source / "a.jpg", exif=exif)
    note = PngImagePlugin.PngInfo()
    note.add_text("who", "somebody's name")
    image.save(source / "b.png", pnginfo=note)
    (source / "c.jpg").write_bytes(b"no picture")
    problems = dict(collect(source, run))
    assert [name for name, problem in problems.items() if problem] == ["c.jpg"]
    rows = photos(run)
    assert [(r.width, r.height) for r in rows] == [(20, 40), (40, 20)]
    assert not any(b"somebody" in part(run, r.sha256).png for r in rows)
    assert dict(collect(source, run)).keys() == {"c.jpg"}
    assert photos(run) == rows
    with pytest.raises(SourceError, match="holds no picture"):
        list(collect(tmp_path / "run" / "nothing", run))


def test_large_photographs_are_made_smaller_and_a_lost_one_is_named(tmp_path: Path) -> None:
    source, run = tmp_path / "in", tmp_path / "run"
    source.mkdir()
    Image.new("RGB", (3000, 1000)).save(source / "a.jpg")
    list(collect(source, run, max_side=600))
    photo = photos(run)[0]
    assert (photo.width, photo.height) == (600, 200)
    (run / "images" / f"{photo.sha256}.png").unlink()
    with pytest.raises(SourceError, match="missing or damaged"):
        part(run, photo.sha256)


# --- reading and finding ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_text_painted_on_a_van_is_read_and_then_dropped(tmp_path: Path) -> None:
    """The real reader, on a picture whose text and van are known."""
    source, run = tmp_path / "in", tmp_path / "run"
    source.mkdir()
    image = Image.new("RGB", (640, 360), (200, 200, 190))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=34)
    draw.rectangle((20, 200, 300, 330), fill=(240, 240, 240), outline=(0, 0, 0))
    draw.text((50, 240), "EXPRESS", fill=(20, 20, 120), font=font)
    draw.text((380, 60), "BAKERY", fill=(120, 20, 20), font=font)
    image.save(source / "street.png")
    list(collect(source, run))
    assert [r.text for _, row in run_ocr(run) for r in row.readings] == ["BAKERY", "EXPRESS"]
    assert list(run_ocr(run)) == []
    van = Segment(label="van", score=1.0, box=(20, 200, 300, 330))
    write_rows(run / "segments.jsonl", [SegmentRow(sha256=photos(run)[0].sha256, by="person", segments=(van,))])
    (row,) = run_drop(run)
    assert [r.text for r in row.kept] == ["BAKERY"]
    assert [r.text for r in row.dropped] == ["EXPRESS"]


def test_a_picture_without_text_gives_no_reading() -> None:
    assert read_text(Image.new("RGB", (64, 64), (120, 120, 120))) == ()


def test_outlines_follow_the_mask() -> None:
    mask = np.zeros((50, 60), dtype=bool)
    mask[10:20, 5:30] = True
    mask[30:40, 40:55] = True
    found = sorted(outlines(mask))
    assert [(min(r), max(r)) for r in found] == [((5.0, 10.0), (29.0, 19.0)), ((40.0, 30.0), (54.0, 39.0))]
    assert outlines(np.zeros((5, 5), dtype=bool)) == ()


def test_weights_that_are_not_here_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not on this machine"):
        Segmenter(str(tmp_path / "none"))
