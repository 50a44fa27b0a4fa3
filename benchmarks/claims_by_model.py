"""A chat model's readings of annotated descriptions, kept by what was asked, so that a broken run goes on where it was.

A text whose answer was unusable twice counts as nothing read, is counted in the report, and is asked for again by the
next run. An endpoint that does not answer, or no usable answer at all, ends the run; what was read until then is kept.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from prompts.claims_model import extract_with_model, open_client, request
from prompts.clients.base import ChatClient
from retriever.errors import ReplyError, SightlineError
from retriever.types import Claim, sha256_text

Kept = dict[str, list[Claim]]


def readings(rows: Sequence[Mapping[str, Any]], url: str, model: str, path: Path) -> Callable[[str], Sequence[Claim]]:
    """What the model reads in every row's ``text``. The key of the endpoint is SIGHTLINE_CLAIMS_KEY.

    Exits with a sentence where the endpoint does not answer or ``path`` cannot be read.
    """
    texts = list(dict.fromkeys(row["text"] for row in rows))
    try:
        client = open_client(f"{url}|{model}", os.environ.get("SIGHTLINE_CLAIMS_KEY", ""))
        found = asyncio.run(read_all(client, texts, path))
    except SightlineError as error:
        sys.exit(f"{error}; what was read until then is kept in {path}, and the same command goes on from there")
    return lambda text: found[text_key(client, text)]


def text_key(client: ChatClient, text: str) -> str:
    """By model, prompt and text."""
    return sha256_text(f"{client.name} {request(text).key}")


async def read_all(client: ChatClient, texts: Sequence[str], path: Path) -> Kept:
    """By :func:`text_key`; those of ``path`` are not asked for again. Raises ``SightlineError``."""
    kept = load_kept(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = [text for text in texts if text_key(client, text) not in kept]
    gate = asyncio.Semaphore(8)
    try:
        with path.open("a", encoding="utf-8") as out:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(_read(client, text, kept, out, gate)) for text in wanted]
    except* SightlineError as errors:
        raise next(e for e in errors.exceptions if isinstance(e, SightlineError)) from None
    finally:
        await client.close()
    problems = [task.result() for task in asked]
    unusable = {text: problem for text, problem in zip(wanted, problems, strict=True) if problem}
    if texts and len(unusable) == len(texts):
        raise ReplyError(f"no answer of {client.name} was usable, the last because: {problems[-1]}")
    print(f"{client.name}: {len(wanted)} texts asked, {len(texts) - len(wanted)} kept from before; "
          f"{len(unusable)} unusable answers, scored as nothing read", flush=True)  # fmt: skip
    return {**{text_key(client, text): [] for text in unusable}, **kept}


async def _read(client: ChatClient, text: str, kept: Kept, out: TextIO, gate: asyncio.Semaphore) -> str:
    """What is wrong with the answers for this text; empty where its claims were kept."""
    async with gate:
        try:
            claims = await extract_with_model(client, text)
        except ReplyError as error:
            return str(error)
    key = text_key(client, text)
    kept[key] = claims
    row = {"key": key, "by": client.name, "claims": [c.to_json() for c in claims]}
    out.write(json.dumps(row, ensure_ascii=False) + "\n")
    out.flush()
    return ""


def load_kept(path: Path) -> Kept:
    """The readings in a file; a last line that a kill cut off is left out. Raises ``SightlineError`` on any other."""
    if not path.exists():
        return {}
    # Not splitlines: a quoted text may hold other line ends.
    *lines, rest = path.read_text(encoding="utf-8").split("\n")
    if rest:
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    kept: Kept = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            kept[row["key"]] = [Claim.from_json(c) for c in row["claims"]]
        except (ValueError, KeyError, TypeError):
            raise SightlineError(f"line {number} of {path} is no kept reading; remove the line") from None
    return kept
