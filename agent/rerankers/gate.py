"""The gate fitted for the models in use: ``agent/models/gate.json``, written by ``sightline calibrate gate``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.rerankers.base import Kit
from retriever.errors import ModelError
from retriever.gate import Gate

PARAMETERS = Path(__file__).parent.parent / "models" / "gate.json"


@dataclass(frozen=True, kw_only=True)
class FittedGate:
    """A gate and where it comes from."""

    gate: Gate = field(default_factory=Gate)
    fitted: bool = False
    note: str = "no gate was fitted: a margin of ln 3, no duels"


def load(judge: str, encoder: str, path: Path = PARAMETERS) -> FittedGate:
    """The gate for this judge and encoder; for other models the unfitted one, which says so.

    Raises ``ModelError`` for a file that is there but cannot be read.
    """
    if not path.exists():
        return FittedGate()
    try:
        for found in json.loads(path.read_text(encoding="utf-8"))["gates"]:
            if found["judge"] == judge and found["encoder"] == encoder:
                return FittedGate(gate=Gate.from_json(found["gate"]), fitted=True, note=_note(found))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} does not hold a gate ({error}); run 'sightline calibrate gate' again") from None
    return FittedGate(note="the fitted gate belongs to other models, so it is not used: a margin of ln 3, no duels")


def models_of(kit: Kit) -> tuple[str, str]:
    """Judge (model and prompt, whatever the transport) and encoder of a kit; ``none`` where there is none."""
    name = str(getattr(kit.judge, "name", "none"))
    _, _, model = name.partition(":")
    return model or name, str(getattr(kit.encoder, "id", "none"))


def _note(found: Mapping[str, Any]) -> str:
    made = found.get("provenance", {})
    return (
        f"gate fitted on {made.get('queries', '?')} queries of {', '.join(made.get('areas', ['?']))}, "
        f"risk {made.get('alpha', '?')}"
    )
