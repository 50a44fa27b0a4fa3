"""The grading rubric as messages: one criterion, one explanation, one tile, in either of two orders."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from prompts.clients.base import ChatReply, ChatRequest, ImagePart, Message, TextPart
from retriever.errors import ModelError, ReplyError
from retriever.types import Verdict

Order = Literal["up", "down"]
GRADES = ("1", "2", "3", "4", "5")
_TEXTS = ("id", "system", "description", "explanation", "ask")
_TABLES = ("ranges", "scales", "verdicts")
_GRADE_TOKENS = 8
_TAGS = re.compile(r"</?(?:description|explanation|verdict)>", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Rubric:
    """A rubric template, checked when it is loaded; ``sha256`` goes into every report."""

    id: str
    system: str
    description: str
    explanation: str
    ask: str
    ranges: Mapping[str, str]
    scales: Mapping[str, str]
    verdicts: Mapping[str, str]
    sha256: str


@cache
def load_rubric(name: str = "geval_v1") -> Rubric:
    """Raises :class:`ModelError` where the template lacks a part."""
    path = Path(__file__).with_name("templates") / f"{name}.yaml"
    raw = path.read_bytes() if path.is_file() else b""
    data: Mapping[str, Any] = yaml.safe_load(raw) or {}
    missing = [f for f in _TEXTS if not isinstance(data.get(f), str)]
    missing += [f for f in _TABLES if not isinstance(data.get(f), dict)]
    if missing:
        raise ModelError(f"The rubric {path.name} lacks {', '.join(missing)}; restore the file.")
    return Rubric(**{f: data[f] for f in (*_TEXTS, *_TABLES)}, sha256=hashlib.sha256(raw).hexdigest())


def grade_request(
    rubric: Rubric,
    *,
    scale: str,
    order: Order,
    description: str,
    verdict: Verdict | None,
    explanation: str,
    tile: ImagePart,
    probabilities: bool = True,
) -> ChatRequest:
    """One question to one judge.

    ``up``: description, tile, explanation, grades named from worst to best; ``down``: all the other way round. With
    ``probabilities`` the answer is one of five tokens with their log-probabilities; without, a short text.
    """
    said = TextPart(text=rubric.description.replace("«description»", _data(description)))
    reason = rubric.explanation.replace("«verdict»", rubric.verdicts.get(verdict or "", "none was given"))
    why = TextPart(text=reason.replace("«explanation»", _data(explanation)))
    ask = rubric.ask.replace("«scale»", scale).replace("«criterion»", rubric.scales[scale])
    question = TextPart(text=ask.replace("«range»", rubric.ranges[order]))
    parts = (said, tile, why) if order == "up" else (why, tile, said)
    messages = (
        Message(role="system", parts=(TextPart(text=rubric.system),)),
        Message(role="user", parts=(*parts, question)),
    )
    if probabilities:
        return ChatRequest(messages=messages, max_tokens=1, choices=GRADES)
    return ChatRequest(messages=messages, max_tokens=_GRADE_TOKENS)


def _data(text: str) -> str:
    """Text that cannot close its tag, nor fill a place of the template."""
    return _TAGS.sub(lambda m: m[0].replace("<", "‹").replace(">", "›"), text).replace("«", "‹").replace("»", "›")


def read_grade(reply: ChatReply) -> float:
    """1..5: the mean over the grades' probabilities where they are known, else the number that was said.

    Raises :class:`ReplyError` for an answer that is no grade.
    """
    if reply.choice_logprobs is not None:
        weights = {int(word): math.exp(value) for word, value in reply.choice_logprobs.items()}
        return sum(grade * weight for grade, weight in weights.items()) / sum(weights.values())
    found = re.fullmatch(r"\s*\W*([1-5])(?:\s*/\s*5)?\W*\s*", reply.text)
    if found is None:
        raise ReplyError(f"the judge answered {reply.text[:60]!r} and not a number from 1 to 5")
    return float(found[1])
