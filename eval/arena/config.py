"""What a run of the arena is asked for: a YAML file, checked before anything is opened."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from agent.judged import Reasons
from agent.rerankers import GROUP, RERANKERS
from eval.protocol import EvaluationError

Mode = Literal["fused", "dense", "names"]
CONTROLS = ("names", "oracle", "dense", "fused")
SAW = {
    "identity": "nothing more",
    "shuffle": "nothing",
    "oracle": "facts, names",
    "yesno": "pixels",
    "verdict": "pixels",
    "posterior": "pixels, facts, names",
    "cascade": "pixels, facts, names",
    "maxsim": "pixels",
    "ot": "pixels",
    "erm": "pixels",
    "pairwise": "pixels",
    "setwise": "pixels",
    "listwise": "pixels",
    "crossencoder": "facts",
    "crossencoder_look": "pixels",
}
"""What each shipped method looks at by itself, on top of what made the candidates."""
UNJUDGED = frozenset({"identity", "shuffle", "oracle", "maxsim", "ot", "crossencoder"})
"""Shipped methods that ask no judge."""
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class QuerySet(_Strict):
    """One gallery with its queries."""

    name: str
    gallery: Path
    queries: tuple[Path, ...] = Field(min_length=1)
    area: str | None = None
    """Only queries of this ``area``; None: all."""
    group: str = "all"
    """Sets of one group are pooled: generated and hand-written queries never are."""

    @field_validator("name", "group")
    @classmethod
    def _plain(cls, value: str) -> str:
        return _label(value)

    @field_validator("gallery", mode="before")
    @classmethod
    def _expanded(cls, value: Any) -> Any:
        return os.path.expandvars(str(value))


class Candidates(_Strict):
    """How the shortlists are made that every method gets."""

    mode: Mode = "fused"
    k: int = Field(default=10, ge=1, le=1000)
    pool: int = Field(default=0, ge=0, le=10_000)
    """The best ``pool`` retrieved tiles are ordered by retrieval and map facts before ``k`` are cut; 0: no map."""
    removed: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of the queries that is asked once more with every tile of the true place taken out of the gallery."""


class Method(_Strict):
    """One row: a reranker with options."""

    name: str
    label: str = ""
    options: Mapping[str, Any] = Field(default_factory=dict)
    limit: int | None = Field(default=None, ge=1)
    """Queries per set, the first by a hash; None: all."""
    shuffles: int = Field(default=0, ge=0, le=20)
    """How often the candidates are given once more in a random order."""
    saw: str = ""
    top: int | None = Field(default=None, ge=0, le=100)
    """Tiles explained, where it is not as for the other methods."""
    reasons: Reasons | None = None
    """How the shared explainer explains them, where it is not as for the other methods."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        names = sorted({*RERANKERS, *(entry.name for entry in entry_points(group=GROUP))})
        if value not in names:
            raise ValueError(f"there is no method {value!r}; known are {', '.join(names)}")
        return value

    @model_validator(mode="after")
    def _named(self) -> Self:
        _label(self.key)
        return self

    @property
    def key(self) -> str:
        """Its name in the report and of its file."""
        return self.label or self.name

    def explained(self, top: int) -> int:
        """Tiles explained per query, ``top`` being what holds for methods that say nothing else."""
        return top if self.top is None else self.top

    def explained_how(self, how: Reasons) -> Reasons:
        """How they are explained, ``how`` being what holds for methods that say nothing else."""
        return self.reasons or how

    @property
    def sees(self) -> str:
        """What it looks at."""
        return self.saw or SAW.get(self.name, "not said")


class Explaining(_Strict):
    """Reasons for the tiles that would be shown."""

    top: int = Field(default=0, ge=0, le=100)
    limit: int | None = Field(default=None, ge=0)
    """Queries per set and method; None: all of the method's."""
    reasons: Reasons = "written"
    """How, by the shared explainer, where a method does not say otherwise."""


class JudgeConfig(_Strict):
    """Who judges."""

    backend: Literal["auto", "vllm", "transformers", "none"] = "auto"
    server: str | None = None
    reuse: bool = True
    """Whether a question that was answered before is taken from the file. Off where time is measured."""
    replies: Path | None = None
    """The file of answers, which several runs may share; None: ``replies.sqlite`` in the run's folder."""
    at_once: int = Field(default=1, ge=1, le=64)
    """Queries under way together. 1 where time is measured."""
    looks: Literal["each", "once"] = "each"
    """Whether every query pays for its looks at the tiles, or the tiles were looked at before, as in a desk in use."""


class Config(_Strict):
    """A run."""

    title: str
    out: Path
    sets: tuple[QuerySet, ...] = Field(min_length=1)
    candidates: Candidates = Candidates()
    methods: tuple[Method, ...] = Field(min_length=1)
    controls: tuple[str, ...] = CONTROLS
    explain: Explaining = Explaining()
    counterfactuals: int = Field(default=0, ge=0)
    """Queries per set whose confidence is measured again with a claim removed, the tile swapped, the tile blank."""
    judge: JudgeConfig = JudgeConfig()
    encoder: str = "sightline-mini"
    seed: int = 0

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for what, names in (("set", [s.name for s in self.sets]), ("method", [m.key for m in self.methods])):
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ValueError(f"two {what}s are called {twice[0]!r}; give one of them another name or label")
        unknown = [c for c in self.controls if c not in CONTROLS]
        if unknown:
            raise ValueError(f"there is no control {unknown[0]!r}; known are {', '.join(CONTROLS)}")
        return self


def read_config(path: Path) -> Config:
    """The configuration in a YAML file. Raises ``EvaluationError`` with one sentence for anything that does not fit."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EvaluationError(f"the arena's configuration {path} cannot be read ({_flat(str(error))})") from None
    if not isinstance(data, dict):
        raise EvaluationError(f"{path} holds no configuration; see docs/arena.md for one")
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise EvaluationError(f"{path}, {where}: {_flat(first['msg'].removeprefix('Value error, '))}") from None


def chosen(config: Config, only: Sequence[str]) -> list[Method]:
    """The methods of a run, or those of them that are named. Raises ``EvaluationError`` listing the known."""
    keys = [m.key for m in config.methods]
    unknown = [name for name in only if name not in keys]
    if unknown:
        raise EvaluationError(f"the run has no method {unknown[0]!r}; it has {', '.join(keys)}")
    return [m for m in config.methods if not only or m.key in only]


def chosen_sets(config: Config, names: Sequence[str]) -> list[QuerySet]:
    """The sets of a run, or those of them that are named. Raises ``EvaluationError`` listing the known."""
    known = [s.name for s in config.sets]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise EvaluationError(f"the run has no set {unknown[0]!r}; it has {', '.join(known)}")
    return [s for s in config.sets if not names or s.name in names]


def _label(value: str) -> str:
    if not _LABEL.fullmatch(value):
        raise ValueError(f"{value!r} cannot name a file; use letters, digits, dot, dash and underscore, at most 60")
    return value


def _flat(text: str) -> str:
    return " ".join(text.split())
