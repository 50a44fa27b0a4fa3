"""Nothing paid for is lost or asked for twice: against an endpoint on loopback that is slow, strict, and breaks off."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from annotate_fakes import (
    COMPLETION_TOKENS,
    GOOD,
    ONE_CALL,
    PROMPT_TOKENS,
    FakeEndpoint,
    config_file,
    describe,
    kind_of,
    photo_run,
)

from finetune.annotate.describe import DescriptionRow
from finetune.annotate.desk import store_path
from finetune.annotate.queue import load
from finetune.annotate.rows import read_rows
from finetune.annotate.store import PaidStore, Tokens, ledger, opened
from prompts.annotate import load_annotate
from retriever.errors import SightlineError, SourceError


def test_a_second_run_asks_nothing_and_gives_the_same(tmp_path: Path, endpoint: Callable[..., FakeEndpoint]) -> None:
    server, run = endpoint(), photo_run(tmp_path, 6)
    config = config_file(tmp_path / "c.yaml", server.url)
    first, _ = describe(run, config)
    served = server.finished
    second, desk = describe(run, config)
    assert len(first) == 6
    assert served == server.finished == 12
    assert second == first == read_rows(run / "descriptions.en.jsonl", DescriptionRow)
    assert desk.budget.spent == pytest.approx(12 * ONE_CALL)


def test_the_ledger_counts_what_the_server_counted(tmp_path: Path, endpoint: Callable[..., FakeEndpoint]) -> None:
    server, run = endpoint(), photo_run(tmp_path, 5)
    describe(run, config_file(tmp_path / "c.yaml", server.url))
    costs = {c.stage: c for c in ledger(store_path(run))}
    assert {(s, c.answered, c.prompt_tokens, c.completion_tokens) for s, c in costs.items()} == {
        (stage, 5, 5 * PROMPT_TOKENS, 5 * COMPLETION_TOKENS) for stage in ("producer", "inspector")
    }
    assert sum(c.money for c in costs.values()) == pytest.approx(10 * ONE_CALL)


def bad_mood(body: Any, n: int) -> tuple[Any, ...] | None:
    """Every kind of trouble in turn, the first time that a request comes; some replies are broken JSON."""
    whole = json.dumps(GOOD[kind_of(body)])
    return {
        2: ("status", 429, 0.05),
        3: ("drop",),
        5: ("status", 503, None),
        7: ("text", f"Sure! Here it is:\n```json\n{whole}\n```"),
        9: ("text", whole[:-20]),
        11: ("drop",),
        12: ("status", 500, 0),
        14: ("text", whole[:-1] + ",}"),
        15: ("raw", b"<html>upstream timed out"),
        17: ("text", ""),
    }.get(n)


def test_a_server_in_the_worst_of_moods_is_paid_once_for_every_reply(
    tmp_path: Path, endpoint: Callable[..., FakeEndpoint]
) -> None:
    server, run = endpoint(mood=bad_mood, delay_s=0.01), photo_run(tmp_path, 12)
    rows, desk = describe(run, config_file(tmp_path / "c.yaml", server.url))
    assert len(rows) == 12
    assert all(row.accepted for row in rows)
    assert max(server.sent.values()) == 1
    costs = ledger(store_path(run))
    assert sum(c.answered for c in costs) == server.finished
    assert sum(c.lost for c in costs) == server.dropped == 2
    assert sum(c.refused for c in costs) == 3
    assert sum(c.uncounted for c in costs) == 1
    assert desk.counts["repaired"] == 2
    assert desk.counts["asked_once_more"] == 3
    assert desk.counts["unanswered"] == 0
    assert all(len(keys) == 1 for keys in server.keys.values())


def test_broken_replies_are_kept_and_not_bought_again(tmp_path: Path, endpoint: Callable[..., FakeEndpoint]) -> None:
    server, run = endpoint(mood=lambda body, n: ("text", '{"aspects": [')), photo_run(tmp_path, 3)
    config = config_file(tmp_path / "c.yaml", server.url)
    for _ in range(2):
        rows, desk = describe(run, config)
        assert desk.counts == {"asked_once_more": 3, "unanswered": 3}
        assert not any(row.accepted for row in rows)
    assert server.finished == 6
    assert [item.why for item in load(run / "queue.jsonl")] == [("unanswered",)] * 3


def command(run: Path, config: Path) -> list[str]:
    return [sys.executable, "-m", "retriever.main", "annotate", "describe", str(run), "--config", str(config), "--json"]


def answered(run: Path) -> int:
    """Replies in the store of a run that is under way."""
    try:
        with sqlite3.connect(store_path(run)) as db:
            return int(db.execute("SELECT COUNT(*) FROM calls WHERE outcome = 'answered'").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def wait_for(happens: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not happens():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_killed_in_the_middle_goes_on_without_asking_again(
    tmp_path: Path, endpoint: Callable[..., FakeEndpoint]
) -> None:
    server, run = endpoint(delay_s=0.01), photo_run(tmp_path, 20)
    config = config_file(tmp_path / "c.yaml", server.url)
    server.hold_after = 13
    process = subprocess.Popen(command(run, config), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # The server holds back every further reply, so all that were sent have arrived once the store has as many.
    wait_for(lambda: answered(run) == 13 and len(server.requests) > 13, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (run / "descriptions.en.jsonl").exists()
    before = dict(server.sent)
    assert sum(before.values()) == 13
    server.release()
    result = subprocess.run(command(run, config), capture_output=True, check=True)
    assert json.loads(result.stdout)["described"] == 20
    assert all(server.sent[content] == 1 for content in before)
    costs = ledger(store_path(run))
    assert sum(c.answered for c in costs) == 40
    # Only what was on the wire when the process died; four calls may be there for each of the two parts.
    assert 1 <= sum(c.lost for c in costs) <= 8


@pytest.mark.slow
def test_an_interrupted_run_waits_for_what_is_on_the_wire(
    tmp_path: Path, endpoint: Callable[..., FakeEndpoint]
) -> None:
    server, run = endpoint(), photo_run(tmp_path, 12)
    config = config_file(tmp_path / "c.yaml", server.url)
    server.hold_after = 5
    process = subprocess.Popen(command(run, config), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: answered(run) == 5 and len(server.requests) > 5, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    server.release()
    out, err = process.communicate()
    assert process.returncode == 4
    assert b"interrupted" in err
    assert b"Traceback" not in err
    assert "interrupted" in json.loads(out)["stopped"]
    assert sum(c.lost for c in ledger(store_path(run))) == 0
    assert answered(run) == server.finished == len(server.requests) < 24
    subprocess.run(command(run, config), capture_output=True, check=True)
    assert server.finished == 24
    assert max(server.sent.values()) == 1


def test_two_runs_on_one_folder_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "paid.sqlite"), pytest.raises(SightlineError, match="another run"):
        PaidStore(tmp_path / "paid.sqlite")


def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "paid.sqlite").write_bytes(b"no database" * 200)
    with pytest.raises(SourceError, match="not a record of paid calls"):
        PaidStore(tmp_path / "paid.sqlite")
    with pytest.raises(SourceError, match="not a record of paid calls"):
        ledger(tmp_path / "paid.sqlite")


def test_a_server_that_counts_more_than_was_estimated_is_believed(tmp_path: Path) -> None:
    with opened(tmp_path / "paid.sqlite") as store:
        for name, counted in (("a", 300), ("b", 150)):
            call = store.ask(
                name, stage="s", model="m", estimated=100, at_most=Tokens(prompt=100, completion=9), money=1
            )
            store.answered(call, b"{}", Tokens(prompt=counted, completion=5, counted=True), 2.0)
        assert store.worst_ratio("m") == 3.0
        assert store.worst_ratio("other") == 1.0
    with opened(tmp_path / "paid.sqlite") as store:
        assert store.worst_ratio("m") == 3.0


def test_another_prompt_picture_or_model_is_another_question(
    tmp_path: Path, endpoint: Callable[..., FakeEndpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, run = endpoint(), photo_run(tmp_path, 1)
    config = config_file(tmp_path / "c.yaml", server.url)
    describe(run, config)
    assert server.finished == 2
    other = config_file(tmp_path / "d.yaml", server.url, parts={"inspector": {"model": "another"}})
    describe(run, other)
    assert server.finished == 3
    template = load_annotate("inspector")
    words = {lang: {**fields, "system": "Be stricter."} for lang, fields in template.words.items()}
    changed = dataclasses.replace(template, words=words)
    monkeypatch.setattr(
        "prompts.annotate.load_annotate", lambda name: changed if name == "inspector" else load_annotate(name)
    )
    describe(run, config)
    assert server.finished == 4


def test_a_key_is_taken_from_the_environment_and_never_written_down(
    tmp_path: Path, endpoint: Callable[..., FakeEndpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, run = endpoint(), photo_run(tmp_path, 1)
    config = config_file(tmp_path / "c.yaml", server.url, parts={"producer": {"key_env": "SOME_TEST_KEY"}})
    with pytest.raises(SightlineError, match="SOME_TEST_KEY is not set"):
        describe(run, config)
    monkeypatch.setenv("SOME_TEST_KEY", "sk-very-secret")
    describe(run, config)
    written = [p for p in run.rglob("*") if p.is_file()]
    assert written
    assert not any(b"sk-very-secret" in p.read_bytes() for p in written)
    assert os.environ["SOME_TEST_KEY"] == "sk-very-secret"
