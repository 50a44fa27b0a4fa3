"""The posterior and the gate of a judge, written again for its fitted probabilities.

A fit of the verdict replaces ``logit(p)`` by ``slope * logit(p) + offset``. With the weight of the judge divided by the
slope, and with what that adds to the whole shortlist (``nest`` times what it adds to every judged cell) added to
"elsewhere" and "outside" too, a posterior stays as it was where every shortlisted cell is judged and no fitted log-odds
go beyond the posterior's bound (:data:`retriever.posterior.MAX_LOGIT`). Elsewhere it moves: log-odds beyond the bound
are cut off, so such cells lose what lies beyond it and may become equal; and a cell that was not judged does not get
what the judged ones get, so that it stands ``match * offset / slope`` nats lower against them than before (higher where
the offset is negative).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retriever.models import write_atomic

Row = Mapping[str, Any]


def fitted_name(judge: str, slope: float, offset: float) -> str:
    """What the judge calls itself with this fit (``agent/judge.py``): its answers must not mix with those without."""
    if (slope, offset) == (1.0, 0.0):
        return judge
    return f"{judge}+verdict@{hashlib.sha256(f'{slope!r} {offset!r}'.encode()).hexdigest()[:8]}"


def carry_fits(fits: Sequence[Row], judge: str, name: str, slope: float, offset: float) -> tuple[list[Row], int]:
    """The fits with a copy of each of ``judge``'s under ``name``, and how many copies; earlier copies go."""
    kept = [f for f in fits if not _is_copy(f, judge)]
    own = [f for f in kept if f["judge"] == judge and name != judge]
    return [*kept, *(_carried(f, name, slope, offset) for f in own)], len(own)


def _carried(fit: Row, name: str, slope: float, offset: float) -> Row:
    weights = dict(fit["weights"])
    more = weights["match"] * offset / slope * weights.get("nest", 1.0)
    weights |= {
        "match": weights["match"] / slope,
        "elsewhere": weights["elsewhere"] + more,
        "outside": weights["outside"] + more,
    }
    return {**fit, "judge": name, "weights": weights, "provenance": {**fit["provenance"], "carried_from": fit["judge"]}}


def carry_gates(path: Path, judge: str, name: str) -> int:
    """The same for the gates' file: margins are differences between cells, and move only where the posterior does."""
    if not path.exists() or name == judge:
        return 0
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    gates = [g for g in kept["gates"] if not _is_copy(g, judge)]
    own = [g for g in gates if g["judge"] == judge]
    copies = [{**g, "judge": name, "provenance": {**g["provenance"], "carried_from": judge}} for g in own]
    if copies:
        text = json.dumps({**kept, "gates": [*gates, *copies]}, ensure_ascii=False, indent=1, sort_keys=True)
        write_atomic(path, text.encode() + b"\n")
    return len(copies)


def _is_copy(row: Row, judge: str) -> bool:
    return bool(row.get("provenance", {}).get("carried_from") == judge)
