"""What the judge may answer: one schema, the target of tuning and what evaluation parses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from prompts.clients.base import parse_json
from prompts.listing import PARTS, Finding, region_of
from prompts.wording import claim_en, claim_zh, fill
from retriever.errors import ReplyError
from retriever.types import Claim, Evidence, Stance

STANCES: tuple[str, ...] = get_args(Stance)
MAX_CLAIMS = 12
"""Claims in one question; more are asked about in the order of the ledger and the rest are ``unknown``."""


def explain_schema(n_claims: int) -> dict[str, Any]:
    """The JSON schema of an explanation of ``n_claims`` claims, in the order of its keys."""
    items = [_item(f"c{i}") for i in range(1, n_claims + 1)]
    return {
        "type": "object",
        "properties": {
            # One item for each claim, in their order: a small model loses count of claims that it may number itself.
            "evidence": {
                "type": "array",
                "prefixItems": items,
                "items": False,
                "minItems": n_claims,
                "maxItems": n_claims,
            },
            "en": {"type": "string", "maxLength": 1200},
            "zh": {"type": "string", "maxLength": 600},
        },
        "required": ["evidence", "en", "zh"],
        "additionalProperties": False,
    }


def _item(claim: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "claim": {"const": claim},
            "stance": {"enum": list(STANCES)},
            "at": {"enum": [*PARTS, "-"]},
        },
        "required": ["claim", "stance", "at"],
        "additionalProperties": False,
    }


def ledger_schema(n_claims: int) -> dict[str, Any]:
    """The same without sentences."""
    whole = explain_schema(n_claims)
    return {**whole, "properties": {"evidence": whole["properties"]["evidence"]}, "required": ["evidence"]}


@dataclass(frozen=True, kw_only=True)
class ExplainReply:
    evidence: tuple[Evidence, ...]
    en: str
    zh: str


def write_reply(findings: Sequence[Finding], en: str, zh: str) -> str:
    """The reply as the model is taught to write it: one line of JSON, keys in the schema's order."""
    return _one_line({"evidence": _items(findings), "en": en, "zh": zh})


def write_ledger(findings: Sequence[Finding]) -> str:
    """The evidence alone, in the same form."""
    return _one_line({"evidence": _items(findings)})


def _items(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [
        {"claim": f"c{i}", "stance": finding.stance, "at": finding.at or "-"} for i, finding in enumerate(findings, 1)
    ]


def _one_line(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def read_reply(text: str, claims: Sequence[Claim]) -> ExplainReply:
    """Parse a reply; evidence is joined to claims by id, and claims' numbers in the texts become their words.

    Raises :class:`ReplyError` on anything else.
    """
    data: Mapping[str, Any] = parse_json(text, explain_schema(len(claims)))
    evidence = _joined(data, claims)
    en, zh = (fill(data[lang].strip(), claims, say) for lang, say in (("en", claim_en), ("zh", claim_zh)))
    return ExplainReply(evidence=evidence, en=en, zh=zh)


def read_ledger(text: str, claims: Sequence[Claim]) -> tuple[Evidence, ...]:
    """Parse a reply of evidence alone. Raises :class:`ReplyError` on anything else."""
    return _joined(parse_json(text, ledger_schema(len(claims))), claims)


def _joined(data: Mapping[str, Any], claims: Sequence[Claim]) -> tuple[Evidence, ...]:
    by_number = {item["claim"]: item for item in data["evidence"]}
    if len(by_number) != len(claims):
        raise ReplyError(f"the model's evidence covers {len(by_number)} of {len(claims)} claims")
    return tuple(_evidence(claim, by_number[f"c{i}"]) for i, claim in enumerate(claims, 1))


def _evidence(claim: Claim, item: Mapping[str, str]) -> Evidence:
    stance: Stance = item["stance"]  # type: ignore[assignment]  # the schema allows nothing else
    return Evidence(
        claim_id=claim.id,
        stance=stance,
        reason="not_visible" if stance == "unknown" else None,
        region=None if item["at"] == "-" else region_of(item["at"]),
        by="model",
    )
