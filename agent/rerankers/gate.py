"""The gate fitted for the models in use: ``agent/models/gate.json``, written by ``sightline calibrate gate``."""

from __future__ import annotations

import json
import math
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

    def to_json(self) -> dict[str, Any]:
        """``{"margin", "duel_weight", "near", "fitted", "note"}``; a margin of null is infinite, which JSON is not."""
        margin = self.gate.margin if math.isfinite(self.gate.margin) else None
        return {**self.gate.to_json(), "margin": margin, "fitted": self.fitted, "note": self.note}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FittedGate:
        """What :meth:`to_json` wrote. Raises ``KeyError``, ``TypeError`` or ``ValueError`` on anything else."""
        kept = {name: data[name] for name in ("margin", "duel_weight", "near")}
        gate = Gate.from_json({**kept, "margin": math.inf if kept["margin"] is None else kept["margin"]})
        return cls(gate=gate, fitted=bool(data["fitted"]), note=str(data["note"]))

    @property
    def told(self) -> str:
        """The parameters in a few words, to compare two gates by."""
        return f"margin {self.gate.margin:g}, duels {self.gate.duel_weight:g}, near {self.gate.near:g}"


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


def gate_of(reranker: object) -> FittedGate | None:
    """The gate behind which a method orders; None for a method that has none."""
    found = getattr(reranker, "fitted", None)
    return found if isinstance(found, FittedGate) else None


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
