"""Opens what the command names: galleries, test sets, judges by endpoint, the shipped model, a function to rerun."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from eval.explanations.cache import PATIENT_S, CachedClient
from eval.explanations.cases import Case, Tiles, World, read_pairs
from eval.explanations.counterfactual import Judging
from eval.explanations.judges import Member
from eval.explanations.schema import Key
from eval.protocol import EvaluationError, LocatedQuery, read_queries
from prompts.clients.base import ChatClient
from prompts.clients.http import OpenAIClient

if TYPE_CHECKING:
    from rich.console import Console

_FAMILIES = {
    "gpt": "openai", "claude": "anthropic", "gemini": "google", "gemma": "google", "qwen": "qwen", "llama": "meta",
    "mistral": "mistral", "pixtral": "mistral", "doubao": "bytedance", "deepseek": "deepseek", "glm": "zhipu",
    "internvl": "internvl", "mini-judge": "sightline",
}  # fmt: skip
SHIPPED = "shipped judge"


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Everything that can be asked, and how to end it."""

    members: Sequence[Member] = ()
    judging: Mapping[str, Judging] = field(default_factory=dict)
    stop: Callable[[], None] = lambda: None

    def client(self, name: str) -> ChatClient:
        """The client of one judge. Raises ``EvaluationError`` naming those there are."""
        found = next((m.client for m in self.members if m.name == name), None)
        if found is None:
            known = ", ".join(m.name for m in self.members) or "none; give --panel"
            raise EvaluationError(f"there is no judge {name!r}; known are {known}")
        return found


def open_world(
    galleries: Sequence[Path],
    testset: Path | None,
    testset_galleries: Path,
    pairs: Path | None,
    queries: Sequence[Path],
) -> World:
    """Tiles, queries and pairs of the options."""
    from retriever.gallery import Gallery

    tiles: list[Tiles] = [Gallery.open(path) for path in galleries]
    made: Mapping[Key, Callable[[], Case]] = {}
    if testset is not None:
        from eval.explanations.frozen_pairs import frozen_cases

        data = os.environ.get("SIGHTLINE_DATA")
        made = frozen_cases(testset, testset_galleries, Path(data) if data else None)
    known = read_pairs(pairs) if pairs is not None else {}
    asked: dict[str, LocatedQuery] = {q.query.id: q for path in queries for q in read_queries(path)}
    return World(tiles=tiles, queries=asked, pairs=known, made=made)


def open_judges(
    panel: Path | None,
    shipped: bool,
    backend: str,
    rerun: str | None,
    counterfactuals: bool,
    cache: Path,
    err: Console,
    saw: str = "pixels",
) -> Judges:
    """The panel's endpoints, the shipped model where it is wanted, and who reruns scenes.

    ``saw``: what the shipped model is shown of a scene, ``pixels`` or ``facts`` too.
    """
    if saw not in ("pixels", "facts"):
        raise EvaluationError(f"the judge can be shown pixels or facts, not {saw!r}")
    members = [] if panel is None else read_panel(panel, cache)
    judging: dict[str, Judging] = {}
    stop: Callable[[], None] = lambda: None  # noqa: E731
    if rerun is not None and counterfactuals:
        judging[rerun] = load_function(rerun)
    if shipped or (counterfactuals and rerun is None):
        from agent.judge import Judge
        from agent.serving_open import open_judge
        from eval.explanations.shipped import FAMILY, PARTS, Shipped

        opened = open_judge(backend=cast(Any, backend), say=lambda line: err.print(line, markup=False, highlight=False))
        client = CachedClient(opened.client, cache, deadline_s=PATIENT_S)
        stop = opened.stop
        if shipped:
            note = "5 million parameters, never taught to grade; a weak judge"
            members.append(Member(name=SHIPPED, client=client, family=FAMILY, note=note))
        if counterfactuals and rerun is None:
            asked = Judge(client, saw=cast(Any, saw))
            for name, part in PARTS.items():
                again = Shipped(asked, part=part)
                judging[again.named(name)] = again
    return Judges(members=members, judging=judging, stop=stop)


def read_panel(path: Path, cache: Path) -> list[Member]:
    """Judges of a YAML file: ``judges:`` with ``name, url, model`` and, if wanted, ``key_env, family`` for each.

    Keys stay in the environment; the file only names the variable. Raises ``EvaluationError``.
    """
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))["judges"]
        return [_member(row, cache) for row in rows]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise EvaluationError(
            f"the panel {path} cannot be read ({why}); it needs judges: with name, url and model for each"
        ) from error


def _member(row: Mapping[str, Any], cache: Path) -> Member:
    url, model = str(row["url"]), str(row["model"])
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"the url {url!r} is no http address")
    key = os.environ.get(str(row.get("key_env") or ""), "")
    client = OpenAIClient(url, model, key, dialect="openai", timeout_s=float(row.get("timeout_s", 120)))
    family = str(row.get("family") or family_of(model) or "") or None
    return Member(name=str(row.get("name") or model), client=CachedClient(client, cache), family=family)


def family_of(model: str) -> str | None:
    """The family that a model's name gives away; None where it does not."""
    return next((family for word, family in _FAMILIES.items() if word in model.lower()), None)


def load_function(name: str) -> Judging:
    """``module:function``, async, from a :class:`~eval.explanations.edits.Scene` to an answer."""
    module, _, attribute = name.partition(":")
    try:
        function = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise EvaluationError(f"{name!r} cannot be loaded ({error}); give module:function") from error
    return cast(Judging, function)
