"""What annotators are asked and may answer: producer, inspector, annotator of pairs, paraphraser, English and Chinese.

Every request names its JSON schema; every answer is read into a small record. Texts of others (readings of signs,
descriptions, a witness's words) only ever stand inside blocks that the prompt calls data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from prompts.clients.base import ChatRequest, ImagePart, Message, TextPart, closed_object
from prompts.render import claim_words
from retriever.errors import ModelError, ReplyError
from retriever.types import Claim

PromptLang = Literal["en", "zh"]
PairVerdict = Literal["match", "no_match"]
_NEEDED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "producer": {"system": (), "user": ("«seen»",), "again": ("«last»", "«reasons»")},
    "inspector": {"system": (), "user": ("«text»", "«seen»")},
    "pair": {"system": (), "user": ("«first»", "«second»", "«words»"), "witness": ("«text»",)},
    "paraphraser": {"system": (), "user": ("«text»", "«claims»", "«voice»", "«verbatim»")},
}
ASPECTS = ("road", "signs", "buildings", "land_use", "greenery", "furniture", "landmarks")
CRITERIA = ("accuracy", "completeness", "clarity")
CLOSING: Mapping[PairVerdict, tuple[str, str]] = {
    "match": ("So they show the same place.", "因此两者是同一地点。"),
    "no_match": ("So they do not show the same place.", "因此两者不是同一地点。"),
}
"""The last sentence of an explanation, English and Chinese."""
ROLES = {
    "ground": ("a photograph from the street", "街景照片"),
    "panorama": ("a panorama from the street", "街景全景图"),
    "uav": ("an oblique picture from a drone", "无人机斜拍照片"),
    "map": ("a drawn street map", "街道地图"),
    "satellite": ("an overhead image", "卫星俯视图"),
}
MAX_SEEN = 60
_MAX_TEXT = 120


@dataclass(frozen=True, kw_only=True)
class AnnotateTemplate:
    id: str
    sha256: str
    """Of the file; goes into every row that was made with it."""
    words: Mapping[str, Mapping[str, Any]]
    """By language, then field."""

    def fill(self, lang: PromptLang, field: str, **values: str) -> str:
        """The field with every «name» filled in, all at once: what is filled in is not looked into again."""
        text = str(self.words[lang][field])
        pieces = text.split("«")
        out = [pieces[0]]
        for piece in pieces[1:]:
            name, _, rest = piece.partition("»")
            out += [values[name], rest]
        return "".join(out)


@cache
def load_annotate(name: str) -> AnnotateTemplate:
    """Raises ``ModelError`` where a field or the place for a value is missing."""
    path = Path(__file__).with_name("templates") / f"annotate_{name}.yaml"
    raw = path.read_bytes()
    data = yaml.safe_load(raw)
    for lang in ("en", "zh"):
        for field, places in _NEEDED[name].items():
            text = data.get(lang, {}).get(field)
            missing = [p for p in places if not isinstance(text, str) or p not in text]
            if not isinstance(text, str) or missing:
                raise ModelError(
                    f"The template {path.name} lacks {field} {' '.join(missing)} in {lang}; restore the file."
                )
    return AnnotateTemplate(
        id=data["id"], sha256=hashlib.sha256(raw).hexdigest(), words={lang: data[lang] for lang in ("en", "zh")}
    )


_STRING = {"type": "string"}
_POINTS = {"type": "array", "items": closed_object({"en": _STRING, "zh": _STRING})}
PRODUCER_SCHEMA = closed_object(
    {
        "aspects": {"type": "array", "items": closed_object({"aspect": {"enum": list(ASPECTS)}, "seen": _STRING})},
        "text": _STRING,
    }
)
INSPECTOR_SCHEMA = closed_object({c: closed_object({"ok": {"type": "boolean"}, "why": _STRING}) for c in CRITERIA})
PAIR_SCHEMA = closed_object(
    {"agree": _POINTS, "differ": _POINTS, "verdict": {"enum": list(CLOSING)}, "en": _STRING, "zh": _STRING}
)
PARAPHRASE_SCHEMA = closed_object({"text": _STRING})


def seen_block(readings: Sequence[tuple[str, str]], objects: Sequence[tuple[str, str]]) -> str:
    """What machines read and found, each with where (``left``, ``ahead``, ``right``), as one JSON object."""
    data = {
        "text": [{"text": text[:_MAX_TEXT], "where": where} for text, where in readings[:MAX_SEEN]],
        "objects": [{"object": label[:_MAX_TEXT], "where": where} for label, where in objects[:MAX_SEEN]],
    }
    return json.dumps(data, ensure_ascii=False)


def producer_request(
    image: ImagePart, lang: PromptLang, seen: str, *, last: str = "", reasons: Sequence[str] = (), seed: int = 0
) -> ChatRequest:
    """The first round, or, with ``last`` and the inspector's ``reasons``, a further one."""
    template = load_annotate("producer")
    parts: list[str | ImagePart] = [image, template.fill(lang, "user", seen=seen)]
    if reasons:
        quoted = json.dumps(last, ensure_ascii=False)
        parts.append("\n" + template.fill(lang, "again", last=quoted, reasons="\n".join(f"- {r}" for r in reasons)))
    return _request(template, lang, parts, PRODUCER_SCHEMA, max_tokens=1000, seed=seed)


def inspector_request(image: ImagePart, lang: PromptLang, seen: str, text: str) -> ChatRequest:
    template = load_annotate("inspector")
    asked = template.fill(lang, "user", text=json.dumps(text, ensure_ascii=False), seen=seen)
    return _request(template, lang, [image, asked], INSPECTOR_SCHEMA, max_tokens=400)


def pair_request(
    first: ImagePart, second: ImagePart, lang: PromptLang, *, roles: tuple[str, str], words: str = ""
) -> ChatRequest:
    """``roles`` of :data:`ROLES`; ``words``: what the witness says, if anything."""
    template = load_annotate("pair")
    which = ("en", "zh").index(lang)
    witness = template.fill(lang, "witness", text=json.dumps(words, ensure_ascii=False)) if words else ""
    asked = template.fill(lang, "user", first=ROLES[roles[0]][which], second=ROLES[roles[1]][which], words=witness)
    return _request(template, lang, [first, second, asked], PAIR_SCHEMA, max_tokens=1200)


def voices(lang: PromptLang) -> list[str]:
    """The people that a paraphrase can sound like."""
    return list(load_annotate("paraphraser").words[lang]["voices"])


def paraphrase_request(
    text: str, claims: Sequence[Claim], lang: PromptLang, *, voice: str, verbatim: Sequence[str], seed: int = 0
) -> ChatRequest:
    """``verbatim``: phrases that must stay word for word."""
    template = load_annotate("paraphraser")
    asked = template.fill(
        lang,
        "user",
        text=json.dumps(text, ensure_ascii=False),
        claims="\n".join(f"- {_claim(c)}" for c in claims),
        voice=voice,
        verbatim="\n".join(f"- {json.dumps(v, ensure_ascii=False)}" for v in verbatim) or "-",
    )
    # As many tokens again as the text has bytes: no text of the same length can be cut off.
    limit = 100 + len(text.encode())
    return _request(template, lang, [asked], PARAPHRASE_SCHEMA, max_tokens=limit, temperature=0.8, seed=seed)


def _claim(claim: Claim) -> str:
    relation = claim.relation
    details = [f"relation {relation.type}"]
    if relation.distance_m is not None:
        details.append(f"{relation.distance_m:g} m")
    if claim.count is not None:
        details.append(f"count {claim.count}")
    if claim.hedge:
        details.append("unsure")
    return f"{claim_words(claim)} ({', '.join(details)})"


def _request(
    template: AnnotateTemplate,
    lang: PromptLang,
    parts: Sequence[str | ImagePart],
    schema: Mapping[str, Any],
    *,
    max_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> ChatRequest:
    user = tuple(TextPart(text=p) if isinstance(p, str) else p for p in parts)
    messages = (Message.of("system", template.fill(lang, "system")), Message(role="user", parts=user))
    return ChatRequest(messages=messages, max_tokens=max_tokens, temperature=temperature, seed=seed, json_schema=schema)


@dataclass(frozen=True, kw_only=True)
class Produced:
    aspects: tuple[tuple[str, str], ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class Inspection:
    accepted: bool
    reasons: tuple[str, ...]
    """``accuracy: the door is green``; empty exactly when accepted."""


@dataclass(frozen=True, kw_only=True)
class PairAnswer:
    verdict: PairVerdict
    en: str
    zh: str
    agree: tuple[tuple[str, str], ...]
    """Points in English and Chinese."""
    differ: tuple[tuple[str, str], ...]
    coherent: bool
    """Whether both explanations conclude what ``verdict`` says."""


def read_produced(data: Mapping[str, Any]) -> Produced:
    text = " ".join(data["text"].split())
    if not text:
        raise ReplyError("the producer wrote an empty text")
    return Produced(aspects=tuple((a["aspect"], a["seen"].strip()) for a in data["aspects"]), text=text)


def read_inspection(data: Mapping[str, Any]) -> Inspection:
    reasons = tuple(
        f"{c}: {' '.join(data[c]['why'].split()) or 'no reason given'}" for c in CRITERIA if not data[c]["ok"]
    )
    return Inspection(accepted=not reasons, reasons=reasons)


def read_pair(data: Mapping[str, Any]) -> PairAnswer:
    """Raises ``ReplyError`` where an explanation does not conclude in the form that was asked for."""
    en, zh = " ".join(data["en"].split()), " ".join(data["zh"].split())
    ends = [v for v, (closing, _) in CLOSING.items() if en.endswith(closing)]
    ends_zh = [v for v, (_, closing) in CLOSING.items() if zh.endswith(closing)]
    if len(ends) != 1 or len(ends_zh) != 1:
        raise ReplyError("the explanation does not end in the sentence that was asked for")
    return PairAnswer(
        verdict=data["verdict"],
        en=en,
        zh=zh,
        agree=tuple((p["en"].strip(), p["zh"].strip()) for p in data["agree"]),
        differ=tuple((p["en"].strip(), p["zh"].strip()) for p in data["differ"]),
        coherent=ends == ends_zh == [data["verdict"]],
    )


def read_paraphrase(data: Mapping[str, Any]) -> str:
    text = " ".join(data["text"].split())
    if not text:
        raise ReplyError("the paraphraser wrote an empty text")
    return text
