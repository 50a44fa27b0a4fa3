"""The names index: all languages, parts, misspellings, short Chinese."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retriever.errors import IndexMismatch
from retriever.names import NameIndex, likeness, normal, terms_of
from retriever.types import Claim, Fact

SHA = "gallery-sha"


def fact(**names: str) -> Fact:
    by_lang = {"" if lang == "plain" else lang: text for lang, text in names.items()}
    return Fact(osm_id="node/1", kind="cafe", shape="point", parts=(((0.5, 0.5),),), names=by_lang)


TILES: list[list[Fact]] = [
    [fact(plain="Café Müller", en="Mueller's Coffee")],
    [fact(plain="合記", en="Hop Kee"), fact(plain="Threadneedle Street")],
    [fact(plain="Threadneedle Street")],
    [fact(plain="北京邮电大学", en="Beijing University of Posts and Telecommunications")],
    [fact(plain="Пушкинская площадь", en="Pushkin Square")],
    [],
    [fact(plain="Park"), fact(plain="药店")],
    [fact(plain="吉野家")],
]


@pytest.fixture
def index(tmp_path: Path) -> NameIndex:
    return NameIndex.build(tmp_path / "names.sqlite", TILES, gallery=SHA)


def said(value: str, **more: object) -> Claim:
    return Claim(id="c1", span=value, kind="name", value=value, **more)  # type: ignore[arg-type]


def best(index: NameIndex, text: str, claims: Sequence[Claim] = ()) -> list[int]:
    scores = index.scores(text, claims)
    assert scores.shape == (len(TILES),)
    assert scores.dtype == np.float32
    return np.flatnonzero((scores == scores.max()) & (scores > 0)).tolist()


@pytest.mark.parametrize(
    ("name", "tiles"),
    [
        ("Hop Kee", [1]),
        ("hop kee", [1]),
        ("合记", [1]),
        ("Cafe Muller", [0]),
        ("Cafe Muler", [0]),
        ("Threadneedle", [1, 2]),
        ("Thredneedle Street", [1, 2]),
        ("Beijing University of Posts", [3]),
        ("邮电大学", [3]),
        ("北京", [3]),
        ("Пушкинская", [4]),
        ("吉野家", [7]),
    ],
)
def test_a_claimed_name_finds_its_tiles(index: NameIndex, name: str, tiles: list[int]) -> None:
    assert best(index, "", [said(name)]) == tiles


@pytest.mark.parametrize(
    ("text", "tiles"),
    [
        ('The sign says "Hop Kee".', [1]),
        ("The sign says “Hop Kee”.", [1]),
        ("I am near Pushkin Square now", [4]),
        ("招牌上写着“合记”。", [1]),
        ("招牌上寫著「合記」。", [1]),
        ("我在吉野家旁边", [7]),
        ("There is a shop and a park to the north.", []),
        ("前面有一家药店", []),
        ("", []),
    ],
)
def test_names_are_read_from_the_text_itself(index: NameIndex, text: str, tiles: list[int]) -> None:
    assert best(index, text) == tiles


@pytest.mark.parametrize("change", [{"polarity": False}, {"status": "struck"}])
def test_a_name_that_is_denied_or_struck_does_not_count(index: NameIndex, change: dict[str, object]) -> None:
    assert not index.scores("", [said("Hop Kee", **change)]).any()


def test_a_name_on_many_tiles_counts_less(tmp_path: Path) -> None:
    tiles = [[fact(plain="High Street")]] * 40 + [[fact(plain="Hop Kee")]] * 4
    index = NameIndex.build(tmp_path / "n.sqlite", tiles, gallery=SHA)
    assert index.scores("", [said("Hop Kee")])[40] > index.scores("", [said("High Street")])[0] > 0


def test_a_hedged_name_counts_less(index: NameIndex) -> None:
    sure, unsure = (index.scores("", [said("Hop Kee", hedge=h)])[1] for h in (False, True))
    assert sure > unsure > 0


def test_two_names_on_one_tile_add_up(index: NameIndex) -> None:
    scores = index.scores("", [said("Hop Kee"), Claim(id="c2", span="", kind="name", value="Threadneedle Street")])
    assert scores[1] > scores[2] > 0


@pytest.mark.parametrize("name", ["zzyzx", "'; DROP TABLE name; --", '"', "%", "*", "a", "🎉", " "])
def test_a_strange_name_finds_nothing_and_breaks_nothing(index: NameIndex, name: str) -> None:
    assert not index.scores(name, [said(name)]).any()
    assert best(index, "", [said("Hop Kee")]) == [1]


def test_words_for_kinds_and_sentence_openers_are_no_names() -> None:
    assert terms_of("There is a Pharmacy. Behind me a park. I am facing N.", []) == []
    assert [t.text for t in terms_of("Opposite the Royal Exchange stands a pub.", [])] == ["royal exchange"]


def test_a_quoted_name_is_not_taken_twice() -> None:
    assert [t.text for t in terms_of('I see "Royal Exchange" here', [said("Royal Exchange")])] == ["royal exchange"]


def test_likeness_is_1_for_the_same_and_low_for_others() -> None:
    assert likeness("hop kee", "hop kee") == 1.0
    assert likeness("hop kee", "threadneedle street") < 0.5
    assert likeness("ab", "cabinet") < 0.5, "two letters are no part of a name"


def test_spellings_are_folded() -> None:
    assert normal("  Café—MÜLLER ") == "cafe muller"
    assert normal("臺灣大學") == normal("台湾大学")
    assert normal("ＡＢＣ") == "abc"


def test_an_index_of_another_gallery_is_refused(tmp_path: Path, index: NameIndex) -> None:
    assert NameIndex.load(index.path, gallery=SHA).tiles == len(TILES)
    with pytest.raises(IndexMismatch, match="another gallery"):
        NameIndex.load(index.path, gallery="other")
    with pytest.raises(IndexMismatch, match="no names index"):
        NameIndex.load(tmp_path / "none.sqlite", gallery=SHA)
    index.path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(IndexMismatch, match="damaged"):
        NameIndex.load(index.path, gallery=SHA)


@pytest.mark.parametrize("folder", ["what?", "a#b", "100%41", "mode=rw&x", "北京 [1]"])
def test_any_folder_name_will_do(tmp_path: Path, folder: str) -> None:
    NameIndex.build(tmp_path / folder / "names.sqlite", TILES, gallery=SHA)
    index = NameIndex.load(tmp_path / folder / "names.sqlite", gallery=SHA)
    assert best(index, "", [said("Hop Kee")]) == [1]


@pytest.mark.parametrize("damage", ["gone", "noise", "table", "rows"])
def test_an_index_that_breaks_after_it_was_opened_is_said_to(index: NameIndex, damage: str) -> None:
    whole = NameIndex.load(index.path, gallery=SHA)
    if damage == "gone":
        index.path.unlink()
    elif damage == "noise":
        index.path.write_bytes(b"not a database at all" * 100)
    else:
        with closing(sqlite3.connect(index.path)) as db, db:
            db.execute("DROP TABLE name" if damage == "table" else "UPDATE place SET rows = '[999]'")
    with pytest.raises(IndexMismatch, match="sightline index"):
        whole.scores("", [said("Hop Kee")])


def test_no_connection_is_left_open(index: NameIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def noted(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        opened.append(connect(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", noted)
    monkeypatch.setattr(NameIndex, "_terms", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        index.scores("", [said("Hop Kee")])
    with pytest.raises(IndexMismatch):
        NameIndex.load(index.path, gallery="other")
    assert len(opened) == 2
    for db in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            db.execute("SELECT 1")


def test_building_again_gives_the_same_bytes(tmp_path: Path, index: NameIndex) -> None:
    again = NameIndex.build(tmp_path / "again.sqlite", TILES, gallery=SHA)
    assert again.path.read_bytes() == index.path.read_bytes()
