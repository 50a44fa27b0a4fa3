"""The database of threads is let go of completely, also after a write that was cut off."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from agent.checkpoints import open_kept


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
