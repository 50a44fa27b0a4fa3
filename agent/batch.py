"""Many queries from a file: one JSON object per line in and out, resumable, one bad line costs one line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.desk import Desk
from agent.state import Json
from retriever.errors import SightlineError

MAX_ID = 200


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the query file: a query, or the reason why it is none."""

    id: str
    text: str = ""
    lang: str | None = None
    error: str | None = None


def read_queries(path: Path) -> list[Line]:
    """Every line of a query file. Raises ``SightlineError`` when the file cannot be read at all."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SightlineError(f"the queries {path} cannot be read ({error.strerror or error})") from None
    found: list[Line] = []
    seen: set[str] = set()
    for number, line in enumerate(raw.split(b"\n"), 1):
        if line.strip():
            parsed = _line(line, number, seen)
            seen.add(parsed.id)
            found.append(parsed)
    return found


def _line(raw: bytes, number: int, seen: set[str]) -> Line:
    """A line that is no query gets the id ``line N``, so that it is reported once, also after a resume."""
    bad = f"line {number}"
    try:
        data = json.loads(raw.decode())
    except ValueError as error:
        return Line(id=bad, error=f"line {number} is not JSON ({error})")
    if not isinstance(data, dict) or not isinstance(data.get("text"), str) or not data["text"].strip():
        return Line(id=bad, error=f"line {number} needs an object with a text: {{'id': ..., 'text': ..., 'lang': ...}}")
    name = data.get("id")
    if not isinstance(name, (str, int)) or not 0 < len(str(name)) <= MAX_ID:
        return Line(id=bad, error=f"line {number} needs an id, a string of at most {MAX_ID} characters")
    if str(name) in seen:
        return Line(id=bad, error=f"line {number} repeats the id {str(name)!r}")
    lang = data.get("lang")
    if lang not in (None, "en", "zh", "mixed"):
        return Line(id=bad, error=f"line {number} has the lang {lang!r}; known are en, zh and mixed")
    return Line(id=str(name), text=data["text"], lang=lang)


def repair(path: Path) -> Iterator[Json]:
    """The finished lines of an earlier run; a half-written last line is cut off the file.

    Raises ``SightlineError`` when any other line is damaged: that was no kill.
    """
    if not path.exists():
        return
    raw = path.read_bytes()
    end = 0
    for number, line in enumerate(raw.splitlines(keepends=True), 1):
        whole = line.endswith(b"\n")
        try:
            row = json.loads(line.decode()) if whole else None
        except ValueError:
            raise SightlineError(
                f"line {number} of {path} is damaged; move the file away or name another --out"
            ) from None
        if row is None:
            with path.open("r+b") as out:
                out.truncate(end)
            return
        end += len(line)
        yield row


def same_run(rows: list[Json], desk: Desk, path: Path) -> None:
    """Refuses to mix the answers of two galleries or two methods in one file."""
    mine = (desk.context.gallery.sha256, desk.context.reranker.name, desk.context.model)
    for row in rows:
        if "error" in row and "candidates" not in row:
            continue
        theirs = (row["gallery"]["sha256"], row["method"], row["judge"]["model"])
        if theirs != mine:
            raise SightlineError(
                f"{path} holds answers of another run (gallery, method or judge differ); name another --out"
            )
        return


async def run(
    desk: Desk,
    queries: Path,
    out: Path,
    *,
    within: str | None = None,
    parallel: int = 4,
    on_done: Callable[[int, int], None] | None = None,
) -> tuple[int, int, int]:
    """Answers every query that ``out`` does not answer yet: ``(answered now, errors now, answered before)``."""
    lines = read_queries(queries)
    earlier = list(repair(out))
    same_run(earlier, desk, out)
    known = {str(row["query_id"]) for row in earlier}
    open_ = [line for line in lines if line.id not in known]
    failed = 0
    with out.open("a", encoding="utf-8") as sink:
        for start in range(0, len(open_), parallel):
            group = open_[start : start + parallel]
            for row in await asyncio.gather(*(_answer(desk, line, within) for line in group)):
                failed += "candidates" not in row
                sink.write(json.dumps(row, ensure_ascii=False) + "\n")
            sink.flush()
            if on_done is not None:
                on_done(len(known) + min(start + parallel, len(open_)), len(lines))
    return len(open_) - failed, failed, len(known)


async def _answer(desk: Desk, line: Line, within: str | None) -> Json:
    if line.error is not None:
        return {"query_id": line.id, "error": line.error}
    try:
        state = await desk.ask(line.text, thread=line.id, query_id=line.id, lang=line.lang, within=within)
    except SightlineError as error:
        return {"query_id": line.id, "error": str(error)}
    result: dict[str, Any] = state["result"]
    return result
