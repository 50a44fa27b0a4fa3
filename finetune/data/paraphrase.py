"""Descriptions said again by any chat endpoint, the ledger of claims held fixed and checked afterwards.

Where the check fails the original stays, and the row says why. Replies are paid for once (see
:mod:`finetune.annotate.store`), so a stopped run goes on where it was.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from finetune.annotate.answers import ask
from finetune.annotate.desk import Desk, Planned, each
from finetune.annotate.paying import NotPaid, PaidClient
from finetune.data.same_claims import Check, check, unread
from prompts.annotate import PromptLang, load_annotate, paraphrase_request, read_paraphrase, voices
from prompts.clients.base import ChatRequest
from retriever.errors import ReplyError, SourceError
from retriever.models import write_atomic
from retriever.types import Claim, sha256_text

MAX_TEXT = 8000
"""Characters; longer texts are no descriptions."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One row of the input; fields beside these are carried along untouched."""

    row: Mapping[str, Any]
    text: str
    lang: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``how``: accepted, unchanged, changed, dropped, invented, unanswered, or language (not asked)."""

    how: str
    why: str = ""
    text: str = ""
    claims: tuple[Claim, ...] = ()


def read_sources(path: Path) -> list[Source]:
    """Descriptions as JSON lines with ``text``, ``lang``, ``claims``. Raises ``SourceError``: a bad line, or none."""
    try:
        # Not splitlines: a text may hold U+2028, which is no end of a line in JSONL.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read as text ({error}); name a file of descriptions") from None
    sources = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            sources.append(_source(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SourceError(f"line {number} of {path} is no description with a ledger ({error!r})") from None
    if not sources:
        raise SourceError(f"{path} holds no descriptions; name a file with text, lang and claims in each line")
    return sources


def _source(row: Mapping[str, Any]) -> Source:
    text, lang = row["text"], row["lang"]
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_TEXT:
        raise ValueError("no text of a description")
    return Source(row=row, text=text, lang=lang, claims=tuple(Claim.from_json(c) for c in row["claims"]))


class Paraphraser:
    def __init__(self, desk: Desk, *, seed: int = 0) -> None:
        self.desk, self.seed = desk, seed
        self.client: PaidClient = desk.client("paraphraser")

    def request(self, source: Source, lang: PromptLang) -> ChatRequest:
        choices = voices(lang)
        voice = choices[int(sha256_text(f"{self.seed}/{source.text}")[:8], 16) % len(choices)]
        verbatim = unread(source.text, source.claims)
        return paraphrase_request(source.text, source.claims, lang, voice=voice, verbatim=verbatim, seed=2 * self.seed)

    async def rewrite(self, source: Source) -> Outcome:
        """Raises ``Stopped`` where no call may be sent any more."""
        lang = next((known for known in get_args(PromptLang) if known == source.lang), None)
        if lang is None:
            return Outcome(how="language", why=f"there is no prompt for {source.lang!r}")
        try:
            text = await ask(self.client, self.request(source, lang), read_paraphrase, self.desk.counts)
        except ReplyError as error:
            return Outcome(how="unanswered", why=str(error))
        if " ".join(source.text.split()) == text:
            return Outcome(how="unchanged", why="the answer is the original")
        return _judged(check(source.text, source.claims, text), text)

    async def plan(self, source: Source) -> list[Planned]:
        """The calls that are still to be paid for this row; needs a dry desk."""
        try:
            await self.rewrite(source)
        except NotPaid as call:
            return [Planned(stage=call.stage, tokens=call.tokens, certain=certain) for certain in (True, False)]
        return []


def _judged(found: Check, text: str) -> Outcome:
    for how in ("changed", "dropped", "invented"):
        if points := getattr(found, how):
            return Outcome(how=how, why=", ".join(points), text=text)
    return Outcome(how="accepted", text=text, claims=found.claims)


def _row(source: Source, outcome: Outcome, model: str) -> dict[str, Any]:
    template = load_annotate("paraphraser")
    note = {
        "outcome": outcome.how,
        "why": outcome.why,
        "model": model,
        "prompt": f"{template.id}@{template.sha256[:8]}",
    }
    if outcome.how != "accepted":
        return {**source.row, "paraphrase": {**note, "refused": outcome.text}}
    claims = [claim.to_json() for claim in outcome.claims]
    return {**source.row, "text": outcome.text, "claims": claims, "paraphrase": {**note, "original": source.text}}


async def run_paraphrase(
    sources: Sequence[Source], out: Path, desk: Desk, *, seed: int = 0, done: Callable[[Source], None] | None = None
) -> dict[str, Any]:
    """Write ``out`` and count the outcomes. A stopped run writes the rows that are done, in the input's order.

    Every row keeps its fields; ``paraphrase`` says what became of it. An accepted text has the same claims in the same
    order, so whatever is joined to them by position still fits; their spans are in the new words.
    """
    paraphraser = Paraphraser(desk, seed=seed)
    try:
        results = await each(desk, sources, paraphraser.rewrite, done)
    finally:
        await desk.close()
    pairs = [(s, o) for s, o in zip(sources, results, strict=True) if o is not None]
    lines = [json.dumps(_row(s, o, paraphraser.client.model), ensure_ascii=False) + "\n" for s, o in pairs]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, "".join(lines).encode())
    outcomes = Counter(o.how for _, o in pairs)
    asked = len(pairs) - outcomes["language"]
    return {
        "rows": len(pairs),
        "outcomes": dict(outcomes),
        "accepted_share": outcomes["accepted"] / asked if asked else None,
    }
