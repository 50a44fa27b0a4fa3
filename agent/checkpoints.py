"""Where threads are kept: SQLite in the data folder, or Postgres where ``SIGHTLINE_CHECKPOINTS`` names one."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retriever.errors import SightlineError

SETTING = "SIGHTLINE_CHECKPOINTS"
BUSY_S = 30.0
"""How long one process waits for another that is writing to the same SQLite file."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A checkpointer, and a store for what is kept beside the checkpoints (the list of threads)."""

    saver: Any
    store: Any


@asynccontextmanager
async def open_kept(database: Path) -> AsyncIterator[Kept]:
    """The SQLite file ``database``, unless :data:`SETTING` names a Postgres server. Raises ``SightlineError``."""
    url = os.environ.get(SETTING, "")
    async with _postgres(url) if url else _sqlite(database) as kept:
        yield kept


@asynccontextmanager
async def _sqlite(database: Path) -> AsyncIterator[Kept]:
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from langgraph.store.sqlite.aio import AsyncSqliteStore

    async with AsyncExitStack() as stack:
        try:
            threads = await stack.enter_async_context(aiosqlite.connect(database, timeout=BUSY_S))
            # A file of its own: two connections of one process to one file would wait for each other's transactions.
            names = await stack.enter_async_context(
                aiosqlite.connect(_names(database), timeout=BUSY_S, isolation_level=None)
            )
            saver, store = AsyncSqliteSaver(threads), AsyncSqliteStore(names)
            await saver.setup()
            await stack.enter_async_context(store)
            await store.setup()
        except (OSError, aiosqlite.Error) as error:
            raise SightlineError(
                f"the threads in {database} cannot be opened ({error}); make the folder writable, or move the file away"
            ) from None
        try:
            yield Kept(saver=saver, store=store)
        finally:
            await _let_go(saver)


async def _let_go(saver: Any) -> None:
    """Close the saver's connection with nothing left open.

    A turn that is cancelled in the middle of a write leaves a transaction begun and statements read in part. SQLite
    then only half closes the connection, and its lock would keep the next one out until the statements are collected.
    """
    async with saver.lock:
        await saver.conn.rollback()
        await saver.conn.close()


def _names(database: Path) -> Path:
    """Where the list of threads is kept, beside their checkpoints."""
    return database.with_name(f"{database.stem}-list{database.suffix}")


@asynccontextmanager
async def _postgres(url: str) -> AsyncIterator[Kept]:
    if not url.startswith(("postgres://", "postgresql://")):
        # The rest of what is set may hold a password.
        scheme = re.match(r"[a-z0-9+.-]{1,20}(?=://)", url)
        begins = f"begins with {scheme[0]}://, not with" if scheme else "does not begin with"
        raise SightlineError(f"{SETTING} {begins} postgres://; correct or unset it")
    try:
        saver_class = importlib.import_module("langgraph.checkpoint.postgres.aio").AsyncPostgresSaver
        store_class = importlib.import_module("langgraph.store.postgres.aio").AsyncPostgresStore
    except ImportError as error:
        raise SightlineError(
            f"{SETTING} asks for Postgres, but its package is not installed ({error}); "
            "run: pip install 'sightline[postgres]', or unset the variable"
        ) from None
    async with AsyncExitStack() as stack:
        try:
            saver = await stack.enter_async_context(saver_class.from_conn_string(url))
            store = await stack.enter_async_context(store_class.from_conn_string(url))
            await saver.setup()
            await store.setup()
        except Exception as error:  # psycopg's own errors, without importing it to name them
            raise SightlineError(
                f"the Postgres server of {SETTING} does not answer ({type(error).__name__}); start it or unset the "
                "variable"
            ) from None
        yield Kept(saver=saver, store=store)
