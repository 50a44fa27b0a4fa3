"""Fonts of labels: what is found, what is recorded, what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import ImageChops

from retriever.draw import Fonts, draw_tile, labelled
from retriever.types import Fact


def cafe(names: dict[str, str]) -> Fact:
    return Fact(osm_id="node/1", kind="cafe", shape="point", parts=(((0.5, 0.5),),), names=names)


def test_latin_font_comes_with_the_package_and_is_recorded_by_hash() -> None:
    record = Fonts.none_cjk().record()
    assert record["latin"].startswith("DejaVuSans.ttf sha256:")
    assert record["cjk"] == "none"


def test_a_folder_without_chinese_fonts_finds_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SIGHTLINE_CJK_FONT", raising=False)
    monkeypatch.setattr("retriever.draw.fonts.CJK_FOLDERS", (str(tmp_path), str(tmp_path / "absent")))
    monkeypatch.setattr(Fonts, "find", Fonts.find.__wrapped__)
    assert Fonts.find().record()["cjk"] == "none"


def test_a_file_that_is_no_font_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "NotoSansCJK-Regular.ttc"
    broken.write_bytes(b"not a font")
    monkeypatch.delenv("SIGHTLINE_CJK_FONT", raising=False)
    monkeypatch.setattr("retriever.draw.fonts.CJK_FOLDERS", (str(tmp_path),))
    assert Fonts.find.__wrapped__().cjk is None


def test_a_named_or_found_font_is_used_and_preferred_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    font = Fonts.none_cjk().latin.read_bytes()
    for name in ("wqy-microhei.ttc", "NotoSansCJK-Regular.ttc"):
        (tmp_path / name).write_bytes(font)
    monkeypatch.delenv("SIGHTLINE_CJK_FONT", raising=False)
    monkeypatch.setattr("retriever.draw.fonts.CJK_FOLDERS", (str(tmp_path),))
    found = Fonts.find.__wrapped__()
    assert found.cjk is not None
    assert found.cjk.name == "NotoSansCJK-Regular.ttc"
    monkeypatch.setenv("SIGHTLINE_CJK_FONT", str(tmp_path / "wqy-microhei.ttc"))
    assert Fonts.find.__wrapped__().record()["cjk"].startswith("wqy-microhei.ttc sha256:")


def test_a_chinese_name_is_left_out_without_a_font_and_written_with_one(tmp_path: Path) -> None:
    plain, named = cafe({}), cafe({"": "山湖咖啡"})
    without = Fonts.none_cjk()
    assert draw_tile([named], fonts=without).tobytes() == draw_tile([plain], fonts=without).tobytes()
    assert labelled([named], fonts=without) == [False]
    # Any font file stands in for a Chinese one here: what matters is that the label is laid out with it.
    stand_in = Fonts(without.latin, without.latin)
    assert ImageChops.difference(draw_tile([named], fonts=stand_in), draw_tile([plain])).getbbox() is not None
    assert labelled([named], fonts=stand_in) == [True]


def test_without_a_chinese_font_the_english_name_stands_in() -> None:
    fact = cafe({"": "山湖咖啡", "en": "Mountain Lake Coffee", "zh": "山湖咖啡"})
    assert draw_tile([fact]).tobytes() == draw_tile([cafe({"": "Mountain Lake Coffee"})]).tobytes()


@pytest.mark.parametrize("name", ["Кафе", "Καφενείο", "Čajovna Ž"])
def test_cyrillic_greek_and_accents_are_written_without_system_fonts(name: str) -> None:
    assert labelled([cafe({"": name})]) == [True]


def test_scripts_that_need_shaping_are_left_out() -> None:
    assert labelled([cafe({"": "مقهى"}), cafe({"": "ร้านกาแฟ"})]) == [False, False]
