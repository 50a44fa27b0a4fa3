"""What the tests of claims share: a claim picked out of a text, the scoring, and answers of a chat model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# Benchmarks are no part of an installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import claims as bench  # noqa: F401  # for the tests that score
from prompts.claims import extract_claims
from prompts.claims_model import extract_with_model
from prompts.clients import ChatReply
from prompts.clients.recorded import RecordedClient
from retriever.types import Claim

TEXT = "Facing east. There is a bank on my left, and maybe a church 50 m ahead.\nNo trees. The sign says 'Hop Kee'."


def row(span: str, value: str = "bank", kind: str = "object", **given: Any) -> dict[str, Any]:
    place = {"type": "near", "bearing_deg": None, "distance_m": None, "anchor": None}
    relation = {**place, **given.pop("relation", {})}
    rest = {"count": None, "polarity": True, "hedge": False, **given}
    return {"span": span, "kind": kind, "value": value, "relation": relation, **rest}


BANK = row("a bank on my left", relation={"type": "left", "bearing_deg": 0})
AHEAD = {"type": "front", "bearing_deg": 90, "distance_m": 50}
GOOD = [
    row("The sign says 'Hop Kee'", "Hop Kee", "name"),
    BANK,
    row("maybe a church 50 m ahead", "church", relation=AHEAD, hedge=True),
    row("No trees", "tree", polarity=False),
]  # fmt: skip


def answer(*rows: Any) -> str:
    return json.dumps({"claims": list(rows)}, ensure_ascii=False)


def says(*texts: str) -> RecordedClient:
    """A model that gives these answers in turn, the last one for ever."""
    left = list(texts)
    return RecordedClient(lambda _: ChatReply(text=left.pop(0) if len(left) > 1 else left[0], prompt_tokens=7))


async def read(*texts: str, of: str = TEXT) -> list[Any]:
    return await extract_with_model(says(*texts), of)


def only(text: str, value: str) -> Claim:
    """The one claim with this value that the rules read."""
    found = [c for c in extract_claims(text) if c.value == value]
    assert len(found) == 1, [c.value for c in extract_claims(text)]
    return found[0]


def place(text: str, value: str) -> tuple[str, float | None]:
    """Where it is said to be."""
    relation = only(text, value).relation
    return relation.type, relation.bearing_deg
