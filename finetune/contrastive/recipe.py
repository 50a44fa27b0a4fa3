"""What a training run is told: one YAML file, every field of it known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from retriever.errors import SourceError

Tower = Literal["image", "text"]
KINDS = ("cvg-text", "cvg-maps", "vigor", "university-1652", "setvl-480k", "views")


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank adapters on a tower's linear layers (arXiv 2106.09685); the tower's own weights stand still."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    open_clip: str
    """An architecture of open_clip, or the path of a JSON config."""
    pretrained: str | None = None
    """A tag of open_clip, a weights file, a released CrossText2Loc ``.pth``; none: random weights."""
    context_length: int | None = None
    """Tokens that a text may have; more than the architecture's own stretches its positions."""
    stretch: Literal["linear", "keep_prefix"] = "linear"
    keep: int = 20
    """Positions that ``keep_prefix`` leaves as they are (Long-CLIP, arXiv 2403.15378: 20)."""
    tokenizer: str | None = None
    """A folder of a Hugging Face tokenizer, instead of the architecture's own."""
    frozen: tuple[Tower, ...] = ()
    lora: Mapping[str, Lora] = field(default_factory=dict)
    """By tower."""


@dataclass(frozen=True, kw_only=True)
class SourcePlan:
    """One copy of a data set."""

    name: str
    kind: str
    path: str
    set: str = ""
    """CVG-Text: which set of it, ``NewYork``."""
    tile: Literal["satellite", "map"] = "satellite"
    ambiguous_m: float = 60.0
    """A tile whose centre is nearer than this to a query is no sure negative for it."""
    validation: float = 0.1
    """Part of the training places held out, as a strip of the area (by place where there are no coordinates)."""
    buffer_m: float = 200.0
    """Nothing within this of the held-out strip is used at all."""


@dataclass(frozen=True, kw_only=True)
class HardPlan:
    """Hard negatives: in one batch, queries whose tiles are near (then alike) but surely different."""

    per_anchor: int = 0
    """Queries that each randomly drawn one brings along; 0: none."""
    pool: int = 64
    """The nearest tiles that they are drawn from."""
    similarity_from: int = 4
    """From this epoch of the phase by the model's own similarity; before, by distance on the ground."""
    refresh_every: int = 4
    """Epochs after which similarity is computed anew."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    name: str
    sources: tuple[str, ...]
    epochs: int
    lr: float
    batch: int = 128
    """Of all processes together."""
    balanced: bool = False
    """Every kind of view has the same part of each batch."""
    hard: HardPlan = HardPlan()
    smoothing: float = 0.0
    lr_end: float = 0.0
    """Where the cosine over the epochs ends, as a part of ``lr``."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    model: ModelPlan
    sources: tuple[SourcePlan, ...]
    phases: tuple[Phase, ...]
    seed: int = 0
    optimiser: Literal["adam", "adamw"] = "adam"
    weight_decay: float = 0.0
    clip: float | None = None
    precision: Literal["bf16", "fp32"] = "bf16"
    piece: int | None = None
    """Gradient caching in pieces of so many rows; none: the whole batch in memory."""
    checkpoint_layers: bool = False
    """Recompute each layer's activations in the backward pass (open_clip's gradient checkpointing)."""
    keep_pictures: bool = True
    """Keep decoded, resized pictures in a file of the run; turn off where they do not fit on the disk."""
    workers: int = 8
    """Threads that decode pictures."""
    checkpoint_s: float = 600.0

    def __post_init__(self) -> None:
        known = {s.name for s in self.sources}
        for phase in self.phases:
            if strange := sorted(set(phase.sources) - known):
                raise SourceError(f"phase {phase.name} wants the source {strange[0]!r}, which the recipe lacks")
            if phase.batch % (1 + phase.hard.per_anchor):
                raise SourceError(
                    f"phase {phase.name}: a batch of {phase.batch} cannot be shared out in groups of "
                    f"{1 + phase.hard.per_anchor} (an anchor and its hard negatives): change either"
                )


def read_recipe(path: Path, data: Mapping[str, str] | None = None) -> Recipe:
    """A recipe file; ``data`` gives the path of a source by its name, in place of the file's.

    Raises ``SourceError`` for a file that cannot be read, an unknown field, or a value of the wrong kind.
    """
    try:
        plan = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SourceError(f"the recipe {path} cannot be read ({error}): see finetune/contrastive/recipes") from error
    if not isinstance(plan, dict):
        raise SourceError(f"the recipe {path} is no mapping: see finetune/contrastive/recipes")
    return recipe_of(plan, where=str(path), data=data or {})


def recipe_of(plan: Mapping[str, Any], *, where: str = "the recipe", data: Mapping[str, str] | None = None) -> Recipe:
    """A recipe from plain data. Raises ``SourceError`` as :func:`read_recipe` does."""
    paths = dict(data or {})
    try:
        model = dict(plan["model"])
        lora = {tower: _made(Lora, said, where) for tower, said in (model.pop("lora", None) or {}).items()}
        model["frozen"] = tuple(model.get("frozen") or ())
        sources = [_made(SourcePlan, {**s, "path": paths.pop(s["name"], s["path"])}, where) for s in plan["sources"]]
        phases = [_phase(said, where) for said in plan["phases"]]
        rest = {k: v for k, v in plan.items() if k not in ("model", "sources", "phases")}
        made = {"model": _made(ModelPlan, {**model, "lora": lora}, where), "sources": tuple(sources)}
        recipe: Recipe = _made(Recipe, {**rest, **made, "phases": tuple(phases)}, where)
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{where} is no training recipe ({error!r}): see finetune/contrastive/recipes") from error
    if paths:
        raise SourceError(f"{where} has no source {sorted(paths)[0]!r}; it has: {', '.join(s.name for s in sources)}")
    _check(recipe, where)
    return recipe


def _phase(said: Mapping[str, Any], where: str) -> Phase:
    hard = _made(HardPlan, said.get("hard") or {}, where)
    made: Phase = _made(Phase, {**said, "sources": tuple(said["sources"]), "hard": hard}, where)
    return made


def _made(cls: type[Any], said: Mapping[str, Any], where: str) -> Any:
    known = {f.name for f in fields(cls)}
    if strange := sorted(set(said) - known):
        raise SourceError(
            f"{where}: there is no field {strange[0]!r} in {cls.__name__}; known: {', '.join(sorted(known))}"
        )
    numbers = {f.name: float if str(f.type).startswith("float") else int for f in fields(cls) if _is_number(f.type)}
    return cls(
        **{k: _number(k, v, numbers[k], where) if k in numbers and v is not None else v for k, v in said.items()}
    )


def _is_number(kind: Any) -> bool:
    return str(kind).split(" ")[0] in ("int", "float")


def _number(name: str, value: Any, kind: type[Any], where: str) -> Any:
    """A number of a field. YAML takes ``1e-5`` for text, since it lacks a point: that is read as it was meant."""
    try:
        made = kind(value)
        if isinstance(value, bool) or made != float(value):
            raise ValueError("not a whole number")
    except (TypeError, ValueError) as error:
        raise SourceError(f"{where}: {name} is {value!r}, which is no {kind.__name__}: correct it") from error
    return made


def _check(recipe: Recipe, where: str) -> None:
    towers = sorted({*recipe.model.frozen, *recipe.model.lora})
    chosen: list[tuple[str, Sequence[str], Sequence[str]]] = [
        ("tower", towers, ("image", "text")),
        ("kind of source", [s.kind for s in recipe.sources], KINDS),
        ("way to stretch", [recipe.model.stretch], ("linear", "keep_prefix")),
        ("optimiser", [recipe.optimiser], ("adam", "adamw")),
        ("precision", [recipe.precision], ("bf16", "fp32")),
    ]
    for what, given, known in chosen:
        if strange := [g for g in given if g not in known]:
            raise SourceError(f"{where}: there is no {what} {strange[0]!r}: choose one of {', '.join(known)}")
    for phase in recipe.phases:
        if phase.epochs < 1 or phase.batch < 2 or not phase.sources:
            raise SourceError(f"{where}: phase {phase.name} needs sources, at least one epoch and a batch of 2 or more")
