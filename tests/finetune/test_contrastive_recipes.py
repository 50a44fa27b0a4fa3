"""Recipes of contrastive training: the shipped ones as they are read, and wrong ones refused in a sentence."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from finetune.cli_contrastive import RECIPES
from finetune.contrastive.recipe import read_recipe, recipe_of
from finetune.contrastive.trainer import learning_rate
from retriever.errors import SourceError


@pytest.mark.parametrize("name", sorted(p.stem for p in RECIPES.glob("*.yaml")))
def test_shipped_recipes_are_read_and_their_models_known(name: str) -> None:
    import open_clip

    recipe = read_recipe(RECIPES / f"{name}.yaml")
    assert open_clip.get_model_config(recipe.model.open_clip)
    assert recipe.model.pretrained in open_clip.list_pretrained_tags_by_model(recipe.model.open_clip)


def test_crosstext2loc_has_the_published_hyper_parameters() -> None:
    recipe = read_recipe(RECIPES / "crosstext2loc.yaml")
    phase = recipe.phases[0]
    said = (phase.epochs, phase.lr, phase.batch, recipe.optimiser, recipe.model.context_length, recipe.model.stretch)
    assert said == (40, 1e-5, 128, "adam", 300, "linear")
    assert [learning_rate(phase, e) for e in (0, 20, 40)] == pytest.approx([1e-5, 0.5e-5, 0.0])
    assert learning_rate(phase, 3) == pytest.approx(1e-5 * 0.5 * (1 + math.cos(math.pi * 3 / 40)))


# --- recipes that are wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"optimizer": "adam"}, "no field 'optimizer'"),
        ({"optimiser": "sgd"}, "no optimiser 'sgd'"),
        ({"model": {"open_clip": "x", "frozen": ["eyes"]}}, "no tower 'eyes'"),
        ({"phases": [{"name": "a", "sources": ["b"], "epochs": 1, "lr": 1}]}, "wants the source 'b'"),
        ({"phases": [{"name": "a", "sources": ["cvg"], "epochs": 0, "lr": 1}]}, "at least one epoch"),
        (
            {"phases": [{"name": "a", "sources": ["cvg"], "epochs": 1, "lr": 1, "hard": {"per_anchor": 2}}]},
            "groups of 3",
        ),
        ({"sources": [{"name": "cvg", "kind": "imagenet", "path": "x"}]}, "no kind of source 'imagenet'"),
        ({"sources": None}, "no training recipe"),
        ({"piece": "many"}, "piece is 'many', which is no int"),
        ({"workers": 1.5}, r"workers is 1\.5"),
    ],
)
def test_a_wrong_recipe_is_refused_in_a_sentence(change: dict[str, Any], said: str) -> None:
    plan = yaml.safe_load((RECIPES / "crosstext2loc.yaml").read_text(encoding="utf-8"))
    with pytest.raises(SourceError, match=said):
        recipe_of({**plan, **change})


def test_a_learning_rate_that_yaml_takes_for_text_is_read_as_a_number() -> None:
    plan = yaml.safe_load((RECIPES / "crosstext2loc.yaml").read_text(encoding="utf-8"))
    plan["phases"] = yaml.safe_load("[{name: a, sources: [cvg], epochs: 1, lr: 1e-5}]")
    assert plan["phases"][0]["lr"] == "1e-5"
    assert recipe_of(plan).phases[0].lr == 1e-5


def test_a_source_that_the_recipe_lacks_cannot_be_placed(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no source 'vigr'"):
        read_recipe(RECIPES / "gleam-c.yaml", {"vigr": "x"})
    with pytest.raises(SourceError, match="cannot be read"):
        read_recipe(tmp_path / "absent.yaml")
