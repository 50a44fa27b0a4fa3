"""What a data set is built of: a YAML plan, read and checked before anything is built."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

import yaml

from finetune.data.descriptions import Length
from finetune.splits import SPLITS
from retriever.errors import SightlineError
from retriever.types import Box, Lang, canonical_json, sha256_text

PLANS = Path(__file__).parent / "plans"
TOWN_SEEDS = {"train": range(1000, 2000), "validation": range(2000, 2100), "test": range(3000, 3100)}
KEPT = {
    "validation": ("moscow", "boston_beacon_hill", "nyc_small"),
    "test": ("london", "taipei_north", "bayfront_singapore"),
}
"""Areas whose split is fixed, by the beginning of their file names; every other one is for training."""


class PlanError(SightlineError):
    """A plan that cannot be built."""


@dataclass(frozen=True, kw_only=True)
class AreaPlan:
    """One extract or one generated town of one split."""

    name: str
    split: str
    file: str | None = None
    """File name in the folder of extracts; None for a town."""
    bbox: Box | None = None
    seed: int | None = None
    """Of a town."""
    blocks: int = 8


@dataclass(frozen=True, kw_only=True)
class TextPlan:
    per_tile: int = 2
    langs: Mapping[str, float] = field(default_factory=lambda: {"en": 0.5, "zh": 0.5})
    named: float = 0.6
    """Share of descriptions that may hold proper names; the rest are masked."""
    lengths: Mapping[str, float] = field(default_factory=lambda: {"short": 0.2, "medium": 0.45, "long": 0.35})


@dataclass(frozen=True, kw_only=True)
class Plan:
    name: str
    title: str
    seed: int
    buffer_m: float
    size_m: float
    stride: float
    px: int
    areas: tuple[AreaPlan, ...]
    texts: TextPlan
    pair_places: int
    """Places of each area for which pairs are made; 0 for none."""
    view_sets: int
    """Aligned view sets of each area; 0 for none."""

    @property
    def key(self) -> str:
        """Of everything that decides what is built."""
        return sha256_text(canonical_json(asdict(self)))


def find_plan(named: str) -> Path:
    """``small``, ``full`` or a file. Raises ``PlanError``."""
    own = PLANS / f"{named.removesuffix('.yaml')}.yaml"
    path = own if own.is_file() and not Path(named).is_file() else Path(named)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PLANS.glob("*.yaml")))
        raise PlanError(f"there is no plan {named!r}: give one of {known}, or a YAML file")
    return path


def read_plan(path: Path) -> Plan:
    """The plan of a file. Raises ``PlanError`` that says which entry is wrong and what is expected."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PlanError(f"the plan {path} cannot be read ({' '.join(str(error).split())}): correct it") from error
    if not isinstance(data, dict):
        raise PlanError(f"the plan {path} is no YAML mapping: see {PLANS / 'small.yaml'}")
    try:
        return _plan(data)
    except KeyError as error:
        raise PlanError(f"{path.name}: the entry {error} is missing; see {PLANS / 'small.yaml'}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise PlanError(f"{path.name}: {error}; see {PLANS / 'small.yaml'}") from error


_KNOWN = {"name", "title", "seed", "buffer_m", "tile", "areas", "towns", "descriptions", "pairs", "views"}


def _plan(data: Mapping[str, Any]) -> Plan:
    strange = set(data) - _KNOWN
    if strange:
        raise ValueError(f"the entry {sorted(strange)[0]!r} is unknown; known are {', '.join(sorted(_KNOWN))}")
    tile = data["tile"]
    areas = (*_extracts(data.get("areas") or {}), *_towns(data.get("towns") or {}))
    if not areas:
        raise ValueError("there are neither areas nor towns")
    return Plan(
        name=str(data["name"]),
        title=str(data["title"]),
        seed=int(data.get("seed", 0)),
        buffer_m=float(data["buffer_m"]),
        size_m=float(tile["size_m"]),
        stride=float(tile["stride"]),
        px=int(tile["px"]),
        areas=areas,
        texts=_texts(data["descriptions"]),
        pair_places=int((data.get("pairs") or {}).get("places", 0)),
        view_sets=int((data.get("views") or {}).get("sets", 0)),
    )


def _texts(data: Mapping[str, Any]) -> TextPlan:
    said = TextPlan(**data)
    for name, shares, allowed in (("langs", said.langs, get_args(Lang)), ("lengths", said.lengths, get_args(Length))):
        if not shares or set(shares) - set(allowed) or any(v < 0 for v in shares.values()):
            raise ValueError(f"descriptions.{name} must give shares of {', '.join(allowed)}, not {dict(shares)}")
        if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
            raise ValueError(f"descriptions.{name} add up to {sum(shares.values()):g}, not to 1")
    if not 0 <= said.named <= 1 or said.per_tile < 1:
        raise ValueError("descriptions.named is a share and descriptions.per_tile at least 1")
    return said


def _extracts(data: Mapping[str, Any]) -> Iterator[AreaPlan]:
    for split, files in data.items():
        for file, options in (files or {}).items():
            name = str(file).split(".")[0]
            fixed = next((s for s, names in KEPT.items() if name in names), "train")
            _is_split(split)
            if split != fixed:
                raise ValueError(f"{file} belongs to {fixed} for good, not to {split}")
            box = (options or {}).get("bbox")
            yield AreaPlan(
                name=name, split=split, file=str(file), bbox=cast(Box, tuple(map(float, box))) if box else None
            )


def _towns(data: Mapping[str, Any]) -> Iterator[AreaPlan]:
    for split, wanted in data.items():
        _is_split(split)
        first, last = wanted["seeds"]
        for seed in range(first, last + 1):
            if seed not in TOWN_SEEDS[split]:
                known = TOWN_SEEDS[split]
                raise ValueError(f"town {seed} is none of {split}'s ({known.start} to {known.stop - 1})")
            yield AreaPlan(name=f"town-{seed}", split=split, seed=seed, blocks=int(wanted.get("blocks", 8)))


def _is_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"the split {split!r} is unknown; splits are {', '.join(SPLITS)}")
