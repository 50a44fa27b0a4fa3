"""Threads in a real Postgres server, started here on a socket of its own; skipped where none is installed."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk_fakes import FakeGallery, FakeJudge, FakeRetriever, cut_off

from agent.checkpoints import SETTING
from agent.context import Context
from agent.desk import open_desk
from agent.rerankers import Kit, create
from agent.threads import NoThread
from retriever.errors import SightlineError

pytest.importorskip("psycopg", reason="the Postgres client is not installed")
pytest.importorskip("langgraph.checkpoint.postgres", reason="langgraph-checkpoint-postgres is not installed")

TEXT = "There is a pharmacy and next to it a cafe."


def _programs() -> Path:
    """Folder of ``initdb`` and ``postgres``; Debian keeps them off the path."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not folders:
        pytest.skip("no Postgres server is installed")
    return folders[0]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of a server that listens on a socket in its own folder only. Postgres refuses to be run by root."""
    programs = _programs()
    with tempfile.TemporaryDirectory(prefix="sightline-pg-") as made:
        folder, who = Path(made), []
        if os.geteuid() == 0:
            if shutil.which("runuser") is None or subprocess.run(["id", "postgres"], capture_output=True).returncode:
                pytest.skip("these tests run as root, and there is no user postgres to run the server as")
            shutil.chown(folder, "postgres")
            who = ["runuser", "-u", "postgres", "--"]
        data = folder / "data"

        def run(program: str, *words: str) -> None:
            call = [*who, str(programs / program), "-D", str(data), *words]
            subprocess.run(call, check=True, stdout=subprocess.DEVNULL, cwd=folder, timeout=120)

        run("initdb", "-U", "sightline", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql:///postgres?host={folder}&user=sightline"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")


@pytest.fixture(autouse=True)
def in_postgres(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, server)


def context(gallery: FakeGallery, judge: Any) -> Context:
    kit = Kit(judge=judge, why_no_judge="no server")
    ranker = create("posterior", kit)
    made = {"shortlist": 4, "top": 2, "backend": "fake", "model": "fake-1"}
    return Context(gallery=gallery, retriever=FakeRetriever(gallery), kit=kit, reranker=ranker, **made)  # type: ignore[arg-type]


async def test_threads_are_there_again_and_nothing_of_them_is_in_a_file(gallery: FakeGallery, tmp_path: Path) -> None:
    database = tmp_path / "threads.sqlite"
    async with open_desk(context(gallery, FakeJudge()), database) as desk:
        await desk.locate(TEXT, thread="kept", owner="anna")
        await desk.name("kept", "安娜的药店")
    async with open_desk(context(gallery, FakeJudge()), database) as desk:
        assert (await desk.state("kept"))["result"]["text"] == TEXT
        assert [(t.id, t.title) for t in await desk.threads(owner="anna")] == [("kept", "安娜的药店")]
        assert await desk.threads(owner="bert") == []
        with pytest.raises(NoThread):
            await desk.info("never")
    assert not database.exists()


async def test_a_turn_that_was_cut_off_is_finished_without_judging_again(gallery: FakeGallery, tmp_path: Path) -> None:
    database = tmp_path / "threads.sqlite"
    await cut_off(context(gallery, FakeJudge()), database, TEXT, thread="cut")
    again = FakeJudge()
    async with open_desk(context(gallery, again), database) as desk:
        state = await desk.resume("cut")
        assert state is not None
        assert {kind for kind, _ in again.calls} == {"explain"}
        assert await desk.resume("cut") is None


async def test_threads_at_once_are_not_mixed_up_and_earlier_states_can_be_gone_back_to(
    gallery: FakeGallery, tmp_path: Path
) -> None:
    async with open_desk(context(gallery, FakeJudge()), tmp_path / "threads.sqlite") as desk:
        texts = [f"There is a cafe, said caller {n}." for n in range(8)]
        await asyncio.gather(*(desk.locate(text, thread=f"at-once-{n}") for n, text in enumerate(texts)))
        assert [(await desk.state(f"at-once-{n}"))["result"]["text"] for n in range(8)] == texts
        await desk.say("at-once-0", "There is also a church.")
        branch = await desk.branch("at-once-0", after=1)
        assert (await desk.state(branch.id))["result"]["text"] == texts[0]


async def test_a_server_that_does_not_answer_is_said_in_a_sentence(
    gallery: FakeGallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, f"postgresql:///postgres?host={tmp_path}")
    with pytest.raises(SightlineError, match="does not answer"):
        async with open_desk(context(gallery, FakeJudge()), tmp_path / "threads.sqlite"):
            pass
