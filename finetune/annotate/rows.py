"""Artefacts in JSON lines: one record a row, written whole, and read with the line's number in every complaint."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from retriever.errors import SourceError
from retriever.models import write_atomic
from retriever.types import Record

R = TypeVar("R", bound=Record)


def line_of(row: Record) -> str:
    """A record as one line, without the newline."""
    return json.dumps(row.to_json(), ensure_ascii=False, separators=(",", ":"))


def write_rows(path: Path, rows: Iterable[Record]) -> None:
    """Write the whole file; a reader sees the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "".join(line_of(row) + "\n" for row in rows).encode())


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """Every row of the file. Raises ``SourceError`` if it is not there or a line is no such record."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}); run the stage that writes it first") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(kind.from_json(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SourceError(
                f"line {number} of {path} is no {kind.__name__} ({error}); write the file again"
            ) from None
    return rows


def append_rows(path: Path, rows: Iterable[Record]) -> None:
    """Add rows at the end under a lock, all in one write that is on the disk when this returns."""
    data = "".join(line_of(row) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def mend(path: Path) -> None:
    """Cut off a last line that a killed writer left unfinished; a file that is not there is fine."""
    if not path.exists():
        return
    with path.open("r+b") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        before = f.read()
        if before and not before.endswith(b"\n"):
            f.truncate(before.rfind(b"\n") + 1)
