"""The judge's probability put on a scale where one half is the border: slope and offset fitted on validation areas.

A small judge's probabilities lie close together and not around one half, so a verdict at one half says little. The fit
moves the log-odds, ``slope * logit(p) + offset`` with a slope above 0: no order of tiles is turned round, and every
place that asks whether a probability is over one half asks the right question. Log-odds are bounded before the fit, and
by the posterior once more after it (:data:`retriever.posterior.MAX_LOGIT`): what lies beyond a bound becomes equal.
Made by ``sightline calibrate verdict``, kept under ``verdicts`` in ``confidence.json`` for one judge (model, prompt,
what it saw); a judge without one answers as it always did.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

from agent.confidence import PARAMETERS
from retriever.errors import ModelError
from retriever.posterior import logit


@dataclass(frozen=True, kw_only=True)
class VerdictFit:
    """Raises ``ValueError`` for a slope that would turn the order round."""

    slope: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.offset) and self.slope > 0):
            raise ValueError(f"slope {self.slope} and offset {self.offset} are no fit of a verdict")

    @property
    def id(self) -> str:
        """Eight characters that name the fit; empty for none."""
        if (self.slope, self.offset) == (1.0, 0.0):
            return ""
        return hashlib.sha256(f"{self.slope!r} {self.offset!r}".encode()).hexdigest()[:8]

    @property
    def threshold(self) -> float:
        """The model's own probability that becomes one half."""
        return self(0.5, back=True)

    def __call__(self, p: float, *, back: bool = False) -> float:
        """The fitted probability of the model's own; ``back``: the model's own of a fitted one."""
        if not self.id:
            return p
        moved = (logit(p) - self.offset) / self.slope if back else self.slope * logit(p) + self.offset
        return 1.0 / (1.0 + math.exp(-moved))


NO_FIT = VerdictFit()


def stored_fit(judge: str, path: Path = PARAMETERS) -> VerdictFit:
    """The fit kept for this judge, whatever it is served by; :data:`NO_FIT` where there is none.

    Raises ``ModelError`` for a file that is there but cannot be read.
    """
    if not path.exists():
        return NO_FIT
    name = judge.partition(":")[2] or judge
    try:
        for row in json.loads(path.read_text(encoding="utf-8")).get("verdicts", ()):
            if row["judge"] == name:
                return VerdictFit(slope=float(row["slope"]), offset=float(row["offset"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path} does not hold confidence parameters ({error}); run 'sightline calibrate verdict' again"
        ) from None
    return NO_FIT
