"""Case files: what is in them, that they are the same every time, and that nothing half-written is left behind."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
import shapely
from case_kit import HOSTILE, TEXT, context_of, document, entries_of, town, town_case, town_desk
from desk_fakes import FakeGallery, FakeJudge, FakeRetriever
from lxml import etree
from PIL import Image

from agent.casefile import CaseError, archive, case_bytes, export_case, verify_bytes, verify_case
from agent.casefile.words import plain
from agent.desk import open_desk
from agent.rerankers.base import picture
from agent.threads import NoThread
from retriever.types import Explanation

KML = {"k": "http://www.opengis.net/kml/2.2"}


def test_the_archive_holds_what_was_asked_seen_found_and_concluded() -> None:
    data = town_case()
    found = document(data, "candidates")
    assert "bakery" in document(data, "query")["text"]
    assert "hotel" not in document(data, "query")["text"]
    assert [c["status"] for c in document(data, "claims")] == ["active", "active", "struck"]
    assert set(document(data, "evidence")) == {c["tile_id"] for c in found} == set(document(data, "explanations"))
    posterior = document(data, "posterior")
    whole = sum(posterior["cells"].values()) + posterior["elsewhere"] + posterior["outside"]
    assert whole == pytest.approx(1.0)
    trace, versions = document(data, "trace"), document(data, "versions")
    assert [t["number"] for t in trace["turns"]] == [1, 2, 3, 4]
    assert trace["turns"][0]["usage"]["prompt_tokens"] > 0
    assert {t["tile_id"] for t in trace["tiles"]} == {c["tile_id"] for c in found}
    assert versions["packages"]["torch"]
    assert versions["gallery"]["sha256"] == town().sha256
    assert versions["prompt"]["template"]["score"]
    assert document(data, "case")["gallery"]["attribution"]
    assert b"ann@example.org" not in data


def test_the_tiles_are_those_that_the_judge_was_shown() -> None:
    data = town_case()
    entries = entries_of(data)
    for candidate in document(data, "candidates"):
        png = entries[candidate["picture"]]
        assert png == picture(town(), candidate["tile_id"])
        assert hashlib.sha256(png).hexdigest() == candidate["picture_sha256"]
    first = document(data, "candidates")[0]
    boxed = Image.open(io.BytesIO(entries[first["evidence_picture"]]))
    assert boxed.size == (512, 512)


def test_the_manifest_has_the_hash_of_every_entry_and_one_over_them() -> None:
    entries = entries_of(town_case())
    manifest = json.loads(entries["manifest.json"])
    assert set(manifest["entries"]) == set(entries) - {"manifest.json"}
    for name, listed in manifest["entries"].items():
        assert listed == {"sha256": hashlib.sha256(entries[name]).hexdigest(), "bytes": len(entries[name])}
    assert verify_bytes(town_case())[0].digest == archive.digest_of(manifest)


async def test_the_same_thread_gives_the_same_bytes(gallery: FakeGallery, tmp_path: Path) -> None:
    context = context_of(gallery, FakeJudge(), tmp_path, FakeRetriever(gallery))
    async with open_desk(context, tmp_path / "threads.sqlite") as desk:
        await desk.locate("There is a church here and a cafe.", thread="t")
        assert await case_bytes(desk, "t") == await case_bytes(desk, "t")


def test_geojson_lies_where_the_tiles_lie() -> None:
    data = town_case()
    found = json.loads(entries_of(data)["candidates.geojson"])
    polygons = [f for f in found["features"] if f["properties"]["kind"] == "candidate"]
    candidates = document(data, "candidates")
    assert [f["properties"]["tile_id"] for f in polygons] == [c["tile_id"] for c in candidates]
    for feature, candidate in zip(polygons, candidates, strict=True):
        shape = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert shape.is_valid
        assert shape.exterior.is_ccw
        assert shape.bounds == pytest.approx(town().tile(candidate["tile_id"]).bounds)
        assert feature["properties"]["confidence"] == candidate["confidence"]
    limit = shapely.from_geojson(json.dumps(found["features"][-1]["geometry"]))
    assert found["features"][-1]["properties"]["kind"] == "area limit"
    assert limit.contains(shapely.Point(town().lon.mean(), town().lat.mean()))
    assert "OpenStreetMap" in found["attribution"]


def test_kml_parses_and_lies_where_the_tiles_lie() -> None:
    data = town_case()
    root = etree.fromstring(entries_of(data)["candidates.kml"])
    placemarks = root.findall(".//k:Placemark", KML)
    candidates = document(data, "candidates")
    assert len(placemarks) == len(candidates) + 1
    corners = placemarks[0].findtext(".//k:coordinates", namespaces=KML).split()  # type: ignore[union-attr]
    ring = shapely.Polygon([tuple(map(float, c.split(",")))[:2] for c in corners])
    assert ring.bounds == pytest.approx(town().tile(candidates[0]["tile_id"]).bounds)
    assert "OpenStreetMap" in etree.tostring(root, encoding="unicode")


def test_the_report_stands_alone_in_both_languages() -> None:
    data = town_case()
    page = entries_of(data)["report.html"].decode()
    root = etree.HTML(page)
    assert not root.xpath("//script | //link | //iframe | //object")
    sources = root.xpath("//@src | //@href")
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    text = " ".join(root.xpath("//body//text()"))
    for words in (
        "OpenStreetMap",
        "None of these",
        "以上都不是",
        "排除其余候选的理由",
        "未核对的内容",
        "No person has",
        "面包店",
    ):
        assert words in text
    for candidate in document(data, "candidates"):
        assert candidate["tile_id"] in text


def test_the_pdf_names_every_candidate() -> None:
    pdf = entries_of(town_case())["report.pdf"]
    assert pdf.startswith(b"%PDF-")
    assert b"%%EOF" in pdf[-16:]
    assert pdf.count(b"/Type /Page\n") >= 2


async def test_a_pdf_without_a_chinese_font_says_so(
    gallery: FakeGallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.casefile import pdf

    said: list[str] = []
    keep = pdf._Paper._text
    monkeypatch.setattr(pdf, "chinese_font", lambda: None)
    monkeypatch.setattr(pdf._Paper, "_text", lambda self, text, *a, **k: (said.append(text), keep(self, text, *a, **k)))
    await _toy_case(gallery, tmp_path)
    assert any("No Chinese font was found" in text for text in said)
    assert not any("置信度" in text for text in said)


class HostileJudge(FakeJudge):
    """A model that writes markup."""

    async def explain(self, tile: Any, png: bytes, claims: Any, verdict_p: float) -> Any:
        found = await super().explain(tile, png, claims, verdict_p)
        return dataclasses.replace(found, explanation=Explanation(en=HOSTILE, zh=HOSTILE, author="model"))


async def test_hostile_words_are_only_words(gallery: FakeGallery, tmp_path: Path) -> None:
    """A title, a claim, an explanation and an attribution that try to be markup."""
    gallery.manifest = {"attribution": HOSTILE}  # type: ignore[attr-defined]
    data = await _toy_case(
        gallery, tmp_path, text=f"There is a church here and a cafe. {HOSTILE}", title=HOSTILE, judge=HostileJudge()
    )
    entries = entries_of(data)
    root = etree.HTML(entries["report.html"].decode())
    assert not root.xpath("//script")
    assert "<script>alert(1)</script>" in " ".join(root.xpath("//body//text()"))
    kml = etree.fromstring(entries["candidates.kml"])
    assert "<script>alert(1)</script>" in kml.findtext("./k:Document/k:name", namespaces=KML)
    assert not kml.xpath("//*[local-name() = 'script']")
    for name in ("report.html", "candidates.kml", "candidates.geojson"):
        assert "\u202e".encode() not in entries[name]
        assert b"\x07" not in entries[name]
    json.loads(entries["candidates.geojson"])


@pytest.mark.parametrize("text", ["\x00a\x1b", "a\u202eb", "\u2066x", "\ud800"])
def test_steering_and_control_characters_are_shown_as_such(text: str) -> None:
    assert "\ufffd" in plain(text)
    plain(text).encode()


async def test_an_older_case_is_kept_without_force(gallery: FakeGallery, tmp_path: Path) -> None:
    out = tmp_path / "case.zip"
    out.write_bytes(b"older")
    with pytest.raises(CaseError, match="--force"):
        await _toy_case(gallery, tmp_path, out=out)
    assert out.read_bytes() == b"older"
    await _toy_case(gallery, tmp_path, out=out, force=True)
    assert verify_case(out).entries > 10


async def test_a_name_that_is_taken_meanwhile_is_not_replaced(
    gallery: FakeGallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, keep = tmp_path / "case.zip", os.fsync

    def somebody_else(handle: int) -> None:
        keep(handle)
        out.write_bytes(b"theirs")

    monkeypatch.setattr(archive.os, "fsync", somebody_else)
    with pytest.raises(CaseError, match="already"):
        archive.write_once(out, b"mine")
    assert out.read_bytes() == b"theirs"
    assert [p.name for p in tmp_path.glob(".case*")] == []


@pytest.mark.parametrize("stopped_by", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_export_that_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_by: BaseException
) -> None:
    def stopped(handle: int) -> None:
        raise stopped_by

    monkeypatch.setattr(archive.os, "fsync", stopped)
    with pytest.raises((CaseError, KeyboardInterrupt)):
        archive.write_once(tmp_path / "case.zip", b"x" * 1000)
    assert list(tmp_path.iterdir()) == []


async def test_what_cannot_be_exported_is_said(gallery: FakeGallery, tmp_path: Path) -> None:
    context = context_of(gallery, FakeJudge(), tmp_path, FakeRetriever(gallery))
    async with open_desk(context, tmp_path / "threads.sqlite") as desk:
        with pytest.raises(NoThread):
            await case_bytes(desk, "nobody")
        await desk.locate("There is a church here and a cafe.", thread="t")
        gallery.sha256 = "1" * 64
        with pytest.raises(CaseError, match="another gallery"):
            await case_bytes(desk, "t")
    async with open_desk(context, None) as desk:
        with pytest.raises(CaseError, match="keeps no threads"):
            await case_bytes(desk, "t")


async def test_pictures_of_the_question_are_in_the_case(gallery: FakeGallery, tmp_path: Path) -> None:
    from agent.opening import keep_picture

    raw = io.BytesIO()
    Image.new("RGB", (20, 20), (200, 10, 10)).save(raw, "PNG")
    sha = keep_picture("ground", raw.getvalue(), tmp_path)
    context = context_of(gallery, FakeJudge(), tmp_path, FakeRetriever(gallery))
    context.seen[sha] = 0.0
    async with open_desk(context, tmp_path / "threads.sqlite") as desk:
        await desk.locate("There is a church here and a cafe.", thread="t", images=[("ground", sha)])
        entries = entries_of(await case_bytes(desk, "t"))
    assert Image.open(io.BytesIO(entries[f"query/{sha}.png"])).getpixel((3, 3)) == (200, 10, 10)
    assert sha in entries["report.html"].decode()


async def test_a_case_about_a_town_is_written_from_its_desk(tmp_path: Path) -> None:
    async with town_desk(tmp_path) as desk:
        await desk.locate(TEXT, thread="t")
        path = await export_case(desk, "t", tmp_path / "deep" / "case.zip")
    assert verify_case(path).size == path.stat().st_size


async def _toy_case(
    gallery: FakeGallery,
    folder: Path,
    *,
    text: str = "There is a church here and a cafe.",
    title: str = "",
    judge: FakeJudge | None = None,
    out: Path | None = None,
    **how: Any,
) -> bytes:
    context = context_of(gallery, judge or FakeJudge(), folder, FakeRetriever(gallery))
    async with open_desk(context, folder / "threads.sqlite") as desk:
        await desk.locate(text, thread="t")
        if title:
            entry = await desk.info("t")
            await desk.book.put(type(entry).from_json({**entry.to_json(), "title": title}))
        if out is None:
            return await case_bytes(desk, "t")
        return (await export_case(desk, "t", out, **how)).read_bytes()
