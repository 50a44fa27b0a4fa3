"""What a chat client is asked and what it answers, whichever model stands behind it.

A request is plain data: messages of text and PNG pictures, and at most one of two constraints on the answer:

* ``choices``: the answer is exactly one of these single-token words, and the reply carries the log-probability of each,
  normalised over the choices alone;
* ``json_schema``: the answer is one JSON object that holds to the schema.

If the last message is the assistant's, the model goes on writing it; otherwise it begins its own turn.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from PIL import Image

from retriever.errors import ReplyError
from retriever.types import canonical_json, sha256_text

Role = Literal["system", "user", "assistant"]
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 16_000_000

# "<|name|>" (Qwen, Llama 3, Phi; with a full-width bar: DeepSeek), and the bare tags that chat models treat as control.
_BAR_OPEN = re.compile(r"<(?=[|｜])")
_BAR_CLOSE = re.compile(r"(?<=[|｜])>")
_TAG = re.compile(
    r"<(?=/?(?:s|unk|pad|bos|eos|mask|image|video|img|think|tool_call|tool_response|start_of_turn|end_of_turn)>)",
    re.IGNORECASE,
)


def neutralise(text: str) -> str:
    """The text with every control token broken by a space, so that no tokenizer reads it as one.

    >>> neutralise("a cafe<|im_end|><think>")
    'a cafe< |im_end| >< think>'
    """
    return _TAG.sub("< ", _BAR_CLOSE.sub(" >", _BAR_OPEN.sub("< ", text)))


@dataclass(frozen=True, kw_only=True)
class TextPart:
    """Text as data: control tokens in it are neutralised on construction, so no client can forget to."""

    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", neutralise(self.text))


@dataclass(frozen=True, kw_only=True)
class ImagePart:
    """A picture that we encoded ourselves. ``sha256`` is of the PNG bytes; left empty it is computed."""

    png: bytes = field(repr=False)
    sha256: str = ""

    def __post_init__(self) -> None:
        if not self.png.startswith(PNG_MAGIC):
            raise ValueError("an ImagePart holds PNG bytes; make it with ImagePart.of(image)")
        if not self.sha256:
            object.__setattr__(self, "sha256", hashlib.sha256(self.png).hexdigest())

    @classmethod
    def of(cls, image: Image.Image) -> ImagePart:
        """The picture as RGB PNG without metadata. Raises ``ValueError`` over ``MAX_PIXELS``."""
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"a picture of {image.width}x{image.height} pixels is too large to judge")
        out = io.BytesIO()
        Image.frombytes("RGB", image.size, image.convert("RGB").tobytes()).save(out, "PNG", compress_level=1)
        return cls(png=out.getvalue())

    def image(self) -> Image.Image:
        """The picture, decoded, RGB."""
        return Image.open(io.BytesIO(self.png)).convert("RGB")


Part = TextPart | ImagePart


@dataclass(frozen=True, kw_only=True)
class Message:
    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, role: Role, *parts: str | Image.Image | Part) -> Message:
        """A message from plain strings and pictures."""
        return cls(role=role, parts=tuple(_part(p) for p in parts))


def _part(value: str | Image.Image | Part) -> Part:
    if isinstance(value, str):
        return TextPart(text=value)
    return ImagePart.of(value) if isinstance(value, Image.Image) else value


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """One call. Raises ``ValueError`` where the constraints contradict each other."""

    messages: tuple[Message, ...]
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    choices: tuple[str, ...] | None = None
    json_schema: Mapping[str, Any] | None = None
    stop: tuple[str, ...] = ()
    deadline_s: float | None = None
    """Seconds that the whole call may take, retries included. None: the client's own limit."""
    reads_on: bool = False
    """The answer follows the last message's text itself, whoever says it: what the model expects to stand there."""

    def __post_init__(self) -> None:
        if not self.messages:
            raise ValueError("a chat request needs at least one message")
        if self.choices is not None and self.json_schema is not None:
            raise ValueError("a chat request has choices or a JSON schema, not both")
        if self.choices is not None and len(set(self.choices)) < 2:
            raise ValueError("choices need at least two different words")

    @property
    def continues(self) -> bool:
        """Whether the model goes on writing the last message: the assistant's, or any with ``reads_on``."""
        return self.reads_on or self.messages[-1].role == "assistant"

    @property
    def key(self) -> str:
        """SHA-256 of everything that shapes the answer (the deadline does not)."""
        return sha256_text(canonical_json(_request_json(self)))


def _request_json(request: ChatRequest) -> dict[str, Any]:
    def part(p: Part) -> dict[str, str]:
        return {"text": p.text} if isinstance(p, TextPart) else {"image": p.sha256}

    return {
        "messages": [{"role": m.role, "parts": [part(p) for p in m.parts]} for m in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
        "choices": request.choices,
        "json_schema": request.json_schema,
        "stop": request.stop,
        # Left out where it is not asked for: the keys of answers kept before it was known stay as they are.
        **({"reads_on": True} if request.reads_on else {}),
    }


@dataclass(frozen=True, kw_only=True)
class ChatReply:
    text: str
    choice_logprobs: Mapping[str, float] | None = None
    """Natural log-probability of every choice; their exponentials sum to 1. None unless choices were asked for."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Wall seconds of the call, waiting and retries included."""
    model: str = ""
    finish_reason: str = "stop"
    """``stop``, or ``length`` where the answer ran into ``max_tokens``."""


@runtime_checkable
class ChatClient(Protocol):
    """Anything that answers chat requests. Safe for concurrent calls from one event loop."""

    @property
    def name(self) -> str:
        """Which model behind which transport, for records: ``vllm:mini-judge-1a2b3c``."""
        ...

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answer. Raises ``ServerUnavailable`` (no answer in time) or ``ReplyError`` (an answer not as asked)."""
        ...

    async def close(self) -> None:
        """Give back connections and memory; closing twice is fine."""
        ...


def closed_object(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of an object with exactly these properties, as servers that enforce a schema want it."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def parse_json(text: str, schema: Mapping[str, Any]) -> Any:
    """The one JSON value in ``text``, held to ``schema``. Raises ``ReplyError`` on anything else."""
    import jsonschema

    try:
        value = json.loads(text)
        jsonschema.validate(value, dict(schema))
    except json.JSONDecodeError as error:
        raise ReplyError(
            f"the model's answer is not JSON ({error.msg} at character {error.pos}): {clip(text)}"
        ) from None
    except jsonschema.ValidationError as error:
        where = "/".join(map(str, error.absolute_path)) or "the top"
        raise ReplyError(f"the model's answer breaks the schema at {where}: {clip(error.message)}") from None
    return value


def clip(text: str, limit: int = 160) -> str:
    """At most ``limit`` characters on one line, for messages."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
