"""What the judge answered, kept in a file: a question that was paid for is not paid for again after a crash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agent.context import Context
from agent.kept_file import KeptFile
from agent.rerankers import create
from agent.rerankers.base import ExplainedLike, JudgeLike, ScoredLike
from retriever.types import Claim, Evidence, Explanation, Tile, Usage, canonical_json

Explain = Callable[[Tile, bytes, Sequence[Claim], float], Awaitable[ExplainedLike]]


@dataclass(frozen=True, kw_only=True)
class KeptScore:
    p_match: float
    usage: Usage = dataclasses.field(default_factory=Usage)
    """Nothing: it was paid for when it was asked."""


@dataclass(frozen=True, kw_only=True)
class KeptReasons:
    evidence: tuple[Evidence, ...]
    explanation: Explanation
    usage: Usage = dataclasses.field(default_factory=Usage)


class Answers(KeptFile):
    """Answers by key; the first one stays."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL)")

    def get(self, key: str) -> Any:
        """The kept answer as JSON, or None."""
        kept = self._text("SELECT answer FROM answers WHERE key = ?", key)
        return None if kept is None else json.loads(kept)

    def put(self, key: str, answer: Any) -> None:
        """Keep an answer."""
        self._keep("INSERT OR IGNORE INTO answers VALUES (?, ?)", key, json.dumps(answer))


class KeptJudge:
    """A judge that remembers. Failures are not kept: what could not be answered is asked again."""

    def __init__(self, judge: JudgeLike, answers: Answers, name: str) -> None:
        self._judge, self._answers, self._name = judge, answers, name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._judge, attribute)
        # Only a judge that can be read can be read from the file, so this is no method of the class.
        return partial(self._explained, "reasons", found) if attribute == "reasons" else found

    async def score(self, tile: Tile, png: bytes, claims: Sequence[Claim]) -> ScoredLike:
        """As :meth:`agent.judge.Judge.score`."""
        key = self._key("score", tile, png, claims)
        kept = self._answers.get(key)
        if kept is not None:
            return KeptScore(p_match=kept)
        found = await self._judge.score(tile, png, claims)
        self._answers.put(key, found.p_match)
        return found

    async def explain(self, tile: Tile, png: bytes, claims: Sequence[Claim], verdict_p: float) -> ExplainedLike:
        """As :meth:`agent.judge.Judge.explain`; of ``verdict_p`` only its side of one half is put to the model."""
        return await self._explained("explain", self._judge.explain, tile, png, claims, verdict_p)

    async def _explained(
        self, verb: str, ask: Explain, tile: Tile, png: bytes, claims: Sequence[Claim], verdict_p: float
    ) -> ExplainedLike:
        key = self._key(verb if verdict_p >= 0.5 else f"{verb} not", tile, png, claims)
        kept = self._answers.get(key)
        if kept is not None:
            evidence = tuple(Evidence.from_json(e) for e in kept["evidence"])
            return KeptReasons(evidence=evidence, explanation=Explanation.from_json(kept["explanation"]))
        found = await ask(tile, png, claims, verdict_p)
        evidence_json = [e.to_json() for e in found.evidence]
        self._answers.put(key, {"evidence": evidence_json, "explanation": found.explanation.to_json()})
        return found

    def _key(self, verb: str, tile: Tile, png: bytes, claims: Sequence[Claim]) -> str:
        said = [{k: v for k, v in c.to_json().items() if k != "turn"} for c in claims]
        image = hashlib.sha256(png).hexdigest()
        # A judge that is shown the map's facts answers by them as well.
        shown = getattr(self._judge, "shown", None)
        facts = [text] if shown is not None and (text := shown(tile)) else []
        return hashlib.sha256(canonical_json([verb, self._name, image, said, *facts]).encode()).hexdigest()


@contextmanager
def keeping(context: Context, path: Path) -> Iterator[Context]:
    """The context with a judge that remembers in the file ``path``; as it is where there is no judge."""
    judge = context.kit.judge
    if judge is None:
        yield context
        return
    answers = Answers(path)
    try:
        name = str(getattr(judge, "name", context.model))
        kit = dataclasses.replace(context.kit, judge=KeptJudge(judge, answers, name))
        yield dataclasses.replace(context, kit=kit, reranker=create(context.reranker.name, kit))
    finally:
        answers.close()
