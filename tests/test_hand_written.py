"""The hand-written descriptions of places in the test areas: what every line of the file must hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retriever.geo import distance_m

QUERIES = Path(__file__).parent.parent / "benchmarks" / "queries"
FIELDS = {
    "id", "text", "lang", "lat", "lon", "named", "heading_deg", "area", "source", "author", "note", "mistake",
}  # fmt: skip
AREAS = {  # south, west, north, east
    "london": (51.510, -0.115, 51.524, -0.092),
    "taipei": (25.048, 121.517, 25.059, 121.526),
    "singapore": (1.277, 103.856, 1.292, 103.862),
}
HAN = re.compile(r"[㐀-鿿]")
LATIN_WORD = re.compile(r"[A-Za-z]{2,}")
COORDINATE = re.compile(r"\d+\.\d{3,}|\d\s*°")
TILE_ID = re.compile(r"\br\d+c\d+\b")
PERSONAS = ("emergency caller", "courier", "tourist", "resident", "analyst")
PLAIN_CAPITALS = {
    "I", "I'm", "I'd", "I've", "I'll", "OK", "WSW", "ENE", "NNE", "SSW", "WNW", "ESE", "NNW", "SSE",
    "T-junction", "Asian", "Italian", "Japanese", "Chinese", "French", "Indian", "Vietnamese", "Victorian",
}  # fmt: skip
"""Words with a capital inside an English sentence that are no proper names of a place."""


def read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (QUERIES / name).read_text(encoding="utf-8").splitlines()]


FIRST, SECOND = read("hand_written.jsonl"), read("hand_written_2.jsonl")
ROWS = FIRST + SECOND


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def test_every_row_is_whole() -> None:
    for row in ROWS:
        assert set(row) == FIELDS, row["id"]
        assert (row["source"], row["author"]) == ("hand", "hand"), row["id"]
        assert {type(row["named"]), type(row["mistake"])} == {bool}, row["id"]
        assert row["heading_deg"] is None or 0 <= row["heading_deg"] < 360, row["id"]
        assert row["text"] == row["text"].strip(), row["id"]
        assert len(row["text"]) > 15, row["id"]
        assert re.fullmatch(rf"hw-{row['area']}-\d{{3}}", row["id"])
        assert row["note"], row["id"]
        assert ("; mistake: " in row["note"]) == row["mistake"], row["id"]


def test_ids_and_texts_are_unique() -> None:
    assert len(set(ids(ROWS))) == len(ROWS)
    assert len({row["text"] for row in ROWS}) == len(ROWS)


def test_every_row_lies_in_its_test_area() -> None:
    for row in ROWS:
        south, west, north, east = AREAS[row["area"]]
        assert south < row["lat"] < north, row["id"]
        assert west < row["lon"] < east, row["id"]


@pytest.mark.parametrize(("new", "apart_m"), [(FIRST, 25.0), (SECOND, 60.0)])
def test_no_point_is_near_another(new: list[dict[str, Any]], apart_m: float) -> None:
    rows = ROWS + read("first_numbers.jsonl")
    lat, lon = (np.array([row[key] for row in rows]) for key in ("lat", "lon"))
    for row in new:
        i = rows.index(row)
        apart = np.asarray(distance_m(lat[i], lon[i], lat, lon))
        others = rows if new is SECOND else FIRST + read("first_numbers.jsonl")
        close = [rows[j]["id"] for j in np.flatnonzero(apart < apart_m) if j != i and rows[j] in others]
        assert not close, row["id"]


def test_the_language_is_that_of_the_script() -> None:
    for row in ROWS:
        assert row["lang"] in {"en", "zh"}, row["id"]
        han = len(HAN.findall(row["text"]))
        assert han == 0 if row["lang"] == "en" else han > len(LATIN_WORD.findall(row["text"])), row["id"]


def test_no_text_gives_coordinates_or_a_tile() -> None:
    assert not ids([r for r in ROWS if COORDINATE.search(r["text"]) or TILE_ID.search(r["text"])])


def test_an_unnamed_english_text_has_no_proper_name() -> None:
    """A name shows as a capital that does not open a sentence."""
    found = []
    for row in ROWS:
        if row["named"] or row["lang"] != "en":
            continue
        for sentence in re.split(r"[.!?:]+\s+", row["text"]):
            inside = [re.sub(r"^\W+|\W+$", "", word) for word in sentence.split()[1:]]
            found += [(row["id"], word) for word in inside if word[:1].isupper() and word not in PLAIN_CAPITALS]
    assert not found


def test_an_unnamed_chinese_text_has_no_latin_word() -> None:
    rows = [row for row in ROWS if row["lang"] == "zh" and not row["named"]]
    assert not ids([row for row in rows if LATIN_WORD.search(row["text"])])


@pytest.mark.parametrize(("rows", "least", "most"), [(FIRST, 100, 200), (SECOND, 64, 64)])
def test_each_file_is_a_mixture(rows: list[dict[str, Any]], least: int, most: int) -> None:
    def share(key: str, value: object) -> float:
        return sum(bool(row[key] == value) for row in rows) / len(rows)

    assert least <= len(rows) <= most
    assert 0.5 <= share("area", "london") <= 0.7
    assert 0.15 <= share("area", "taipei") <= 0.35
    assert 0.1 <= share("area", "singapore") <= 0.25
    assert 0.4 <= share("lang", "zh") <= 0.6
    assert 0.4 <= share("named", True) <= 0.6
    assert 0.03 <= share("mistake", True) <= 0.2
    assert all(any(row["note"].startswith(persona) for row in rows) for persona in PERSONAS)
