"""The database of threads is let go of completely, also after a write that was cut off."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from agent.checkpoints import SETTING, open_kept
from retriever.errors import SightlineError


async def test_a_write_that_was_cut_off_does_not_lock_out_the_next_one(tmp_path: Path) -> None:
    database = tmp_path / "threads.sqlite"
    row = "INSERT INTO writes (thread_id, checkpoint_id, task_id, idx, channel) VALUES ('t', 'c', 'task', ?, 'ch')"
    async with open_kept(database) as kept:
        # What a cancelled turn leaves behind: a transaction begun, and a statement that was read in part.
        left = await kept.saver.conn.execute("SELECT 1 UNION SELECT 2")
        assert await left.fetchone() == (1,)
        await kept.saver.conn.execute(row, (0,))
        assert kept.saver.conn.in_transaction
    with sqlite3.connect(database, timeout=0.1) as next_one:
        next_one.execute(row, (1,))
    assert [found for (found,) in next_one.execute("SELECT idx FROM writes")] == [1]
    next_one.close()
    del left


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mysql://me:s3cret@x/db", "begins with mysql://, not with postgres://"),
        ("me:s3cret@x:5432/db", "does not begin with postgres://"),
        ("me:s3cret@postgres://x", "does not begin with postgres://"),
    ],
)
async def test_an_address_that_is_no_postgres_is_refused_without_its_password(
    address: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, address)
    with pytest.raises(SightlineError, match=said) as caught:
        async with open_kept(tmp_path / "threads.sqlite"):
            pass
    assert "s3cret" not in str(caught.value)


async def test_a_missing_package_is_named_by_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, "postgresql://me:s3cret@x/db")
    monkeypatch.setitem(sys.modules, "langgraph.checkpoint.postgres.aio", None)
    with pytest.raises(SightlineError, match=r"pip install 'sightline\[postgres\]'") as caught:
        async with open_kept(tmp_path / "threads.sqlite"):
            pass
    assert "s3cret" not in str(caught.value)
