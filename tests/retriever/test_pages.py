"""What the pages for people share: the chained log, agreement, words in both languages."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from retriever.errors import SightlineError
from retriever.pages.alpha import krippendorff_alpha
from retriever.pages.log import Log, LogError, latest
from retriever.pages.words import load_words


@pytest.fixture
def log(tmp_path: Path) -> Log:
    made = Log(tmp_path / "log.sqlite", "test", make=True)
    for n in range(5):
        made.append("anna", f"item{n}", "verdict", {"do": "accept", "n": n})
    return made


def test_what_was_appended_is_read_by_another_process_of_the_file(log: Log) -> None:
    again = Log(log.path, "test")
    assert [e.value["n"] for e in again.entries(who="anna")] == [0, 1, 2, 3, 4]
    assert again.verify() is None
    assert again.db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert again.db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_the_log_refuses_changes_and_deletions(log: Log) -> None:
    for sql in ("UPDATE log SET value = '1' WHERE seq = 2", "DELETE FROM log WHERE seq = 2"):
        with pytest.raises(sqlite3.IntegrityError, match="only appended"):
            log.db.execute(sql)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ('UPDATE log SET value = \'{"do": "reject"}\' WHERE seq = 3', "entry 3 .* was changed"),
        ("UPDATE log SET who = 'ben' WHERE seq = 1", "entry 1 .* was changed"),
        ("UPDATE log SET at = '2020-01-01T00:00:00+00:00' WHERE seq = 5", "entry 5 .* was changed"),
        ("DELETE FROM log WHERE seq = 3", "entry 3 .* is missing"),
        ("DELETE FROM log WHERE seq = 1", "entry 1 .* is missing"),
        ("UPDATE log SET hash = 'x' WHERE seq = 5", "entry 5 .* was changed"),
    ],
)
def test_tampering_behind_the_triggers_is_found(log: Log, sql: str, found: str) -> None:
    log.db.executescript("DROP TRIGGER log_is_never_changed; DROP TRIGGER log_is_never_shortened;")
    log.db.execute(sql)
    assert re.search(found, str(log.verify()))


def test_a_cut_off_end_is_found_with_the_head_of_an_export(log: Log) -> None:
    head = log.head()
    log.db.executescript("DROP TRIGGER log_is_never_shortened; DELETE FROM log WHERE seq = 5;")
    assert log.verify() is None
    assert "no longer holds the entry 5" in str(log.verify(head))


def test_a_chain_that_was_written_anew_is_found_with_the_head_of_an_export(log: Log, tmp_path: Path) -> None:
    head = log.head()
    forged = Log(tmp_path / "forged.sqlite", "test", make=True)
    for entry in log.entries():
        forged.append("ben", entry.item, entry.field, entry.value, at=entry.at)
    assert forged.verify() is None
    assert forged.verify(head) is not None


def test_several_rows_are_written_whole_or_not_at_all(log: Log) -> None:
    with pytest.raises(TypeError):
        log.append_all([("anna", "x", "a", 1), ("anna", "x", "b", object())])
    assert log.head()[0] == 5
    log.append("anna", "x", "a", 1)
    assert log.verify() is None


def test_the_last_entry_stands(log: Log) -> None:
    log.append("anna", "item1", "verdict", None)
    assert latest(log.entries())["anna", "item1", "verdict"].value is None


def test_another_file_is_refused_with_a_sentence(tmp_path: Path, log: Log) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no database " * 200)
    with pytest.raises(LogError, match="no file of this page"):
        Log(text, "test")
    with pytest.raises(LogError, match="holds test, not a study"):
        Log(log.path, "a study")
    with pytest.raises(LogError, match="there is no"):
        Log(tmp_path / "missing.sqlite", "test")


def plain_alpha(units: Mapping[str, Mapping[str, int]], *, ordinal: bool) -> float:
    """Krippendorff's alpha as his text defines it, by counting pairs."""
    lists = [list(u.values()) for u in units.values() if len(u) >= 2]
    values = sorted({v for u in lists for v in u})
    totals = {v: sum(u.count(v) for u in lists) for v in values}

    def apart(a: int, b: int) -> float:
        if not ordinal:
            return float(a != b)
        low, high = sorted((a, b))
        between = sum(totals[v] for v in values if low <= v <= high)
        return (between - (totals[low] + totals[high]) / 2) ** 2

    n = sum(totals.values())
    observed = sum(sum(apart(a, b) for a, b in permutations(u, 2)) / (len(u) - 1) for u in lists) / n
    expected = sum(totals[a] * (totals[b] - (a == b)) * apart(a, b) for a in values for b in values) / (n * (n - 1))
    return 1 - observed / expected


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
def test_alpha_is_the_one_of_the_definition(level: str) -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(1, 6, 40)
    units = {
        f"u{i}": {r: int(np.clip(t + rng.integers(-1, 2), 1, 5)) for r in "abc" if rng.random() < 0.8}
        for i, t in enumerate(truth)
    }
    got = krippendorff_alpha(units, (1, 2, 3, 4, 5), level="ordinal" if level == "ordinal" else "nominal")
    assert got.value == pytest.approx(plain_alpha(units, ordinal=level == "ordinal"), abs=1e-9)
    assert got.low is not None
    assert got.high is not None
    assert got.low < got.value < got.high


def test_alpha_is_not_made_up_where_it_is_not_defined() -> None:
    assert "two people" in krippendorff_alpha({"u": {"a": 1}}, (1, 2), level="nominal").why
    alike = krippendorff_alpha({"u": {"a": 1, "b": 1}, "v": {"a": 1, "b": 1}}, (1, 2), level="nominal")
    assert alike.value is None
    assert "one value" in alike.why
    single = krippendorff_alpha({"u": {"a": 1, "b": 2}}, (1, 2), level="nominal")
    assert single.low is None


def test_units_of_one_item_are_drawn_together() -> None:
    units = {f"u{i}": {"a": i % 2, "b": (i // 2) % 2} for i in range(200)}
    apart = krippendorff_alpha(units, (0, 1), level="nominal")
    together = krippendorff_alpha(units, (0, 1), level="nominal", items={u: f"i{int(u[1:]) % 4}" for u in units})
    assert together.items == 4
    assert (together.high or 0) - (together.low or 0) > 2 * ((apart.high or 0) - (apart.low or 0))


def test_words_without_a_language_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text("next: {en: Next}")
    with pytest.raises(SightlineError, match=r"next of words\.yaml lacks zh"):
        load_words(path)
