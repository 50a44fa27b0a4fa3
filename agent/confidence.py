"""How sure: the posterior of :mod:`retriever.posterior` with weights that belong to the models in use.

The weights are fitted on validation areas by ``finetune/calibrate.py`` and belong to one judge (model and prompt) and
one encoder. Other models get the defaults, and the answer says "uncalibrated".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retriever.errors import ModelError
from retriever.posterior import DEFAULTS, Features, Prior, Weights, log_weights
from retriever.types import Record, canonical_json, sha256_text

PARAMETERS = Path(__file__).with_name("models") / "confidence.json"


@dataclass(frozen=True, kw_only=True)
class Posterior(Record):
    """Probabilities that sum to one."""

    cells: Mapping[str, float]
    """By tile id of the shortlist."""
    elsewhere: float
    """In the gallery, but on none of the shortlisted tiles."""
    outside: float
    calibrated: bool = False
    note: str = ""
    """Where the weights come from, or why they are not the fitted ones."""


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Weights together with where they come from."""

    weights: Weights = DEFAULTS
    calibrated: bool = False
    note: str = "uncalibrated: default weights"
    judge: str = "none"
    """Whose probabilities the weights were fitted with; ``none``: with no judge's."""

    @property
    def told(self) -> str:
        """The weights in ten digits, to compare two fits by."""
        return sha256_text(canonical_json(self.weights.to_json()))[:10]

    def posterior(self, features: Mapping[str, Features], prior: Prior, *, mapped: bool = True) -> Posterior:
        """The posterior over the cells in ``features``, elsewhere and outside.

        ``mapped``: whether any of them has map facts, as all had that weights were ever fitted on.
        """
        ids = list(features)
        logs = log_weights(self.weights, [features[i] for i in ids], prior)
        p = np.exp(logs - np.logaddexp.reduce(logs))
        why_not = self._unlike(features, mapped)
        return Posterior(
            cells={tile: float(v) for tile, v in zip(ids, p[:-2], strict=True)},
            elsewhere=float(p[-2]),
            outside=float(p[-1]),
            calibrated=self.calibrated and not why_not,
            note=f"uncalibrated: {why_not} ({self.note})" if self.calibrated and why_not else self.note,
        )

    def _unlike(self, features: Mapping[str, Features], mapped: bool) -> str:
        """Why fitted weights promise nothing here; empty where they do."""
        if self.judge != "none" and all(f.p_match is None for f in features.values()):
            return "the weights were fitted with the judge, which judged nothing here"
        if not mapped:
            return "the weights were fitted on tiles with map facts, and these have none"
        return ""


def load(judge: str, encoder: str, path: Path = PARAMETERS) -> Confidence:
    """The fitted weights for this judge and encoder, else :data:`retriever.posterior.DEFAULTS`, marked uncalibrated.

    Raises ``ModelError`` for a file that is there but cannot be read.
    """
    if not path.exists():
        return Confidence()
    try:
        fits = json.loads(path.read_text(encoding="utf-8"))["fits"]
        for fit in fits:
            if fit["judge"] == judge and fit["encoder"] == encoder:
                weights = Weights.from_json(fit["weights"])
                return Confidence(weights=weights, calibrated=True, note=_note(fit), judge=judge)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} does not hold confidence parameters ({error}); run 'sightline calibrate' again"
        ) from None
    return Confidence(note="uncalibrated: the fitted weights belong to other models, so the defaults are used")


def _note(fit: Mapping[str, Any]) -> str:
    made = fit.get("provenance", {})
    return f"calibrated on {made.get('queries', '?')} queries of {', '.join(made.get('areas', ['?']))}"
