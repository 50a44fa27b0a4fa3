"""A recipe for a large judge, end to end on a tiny random base whose files the test makes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
import yaml
from judge_tiles import write_tiles
from typer.testing import CliRunner

from agent.serving_bundle import JudgeBundle
from finetune.cli_judge import register
from finetune.judge.claims import practice_claims
from finetune.judge.estimate import estimate
from finetune.judge.large import LargeRecipe, LargeRun, is_large
from finetune.judge.spec import LORA_TARGETS, SPECIALS, make_config, make_processor, make_tokenizer
from finetune.judge.tasks import look_draw
from prompts.listing import find, parse_listing
from prompts.render import claims_block, load_template
from prompts.schema import write_reply
from prompts.wording import explain_numbered
from retriever.errors import ModelError, SightlineError

RECIPES = Path(__file__).parents[2] / "finetune" / "judge" / "recipes"
# As the large models have it: a system turn of its own, text as string or parts, pictures where they stand.
TEMPLATE = """{%- if messages[0].role == 'system' %}
{{- '<|im_start|>system\\n' }}
{%- if messages[0].content is string %}{{- messages[0].content }}
{%- else %}{%- for part in messages[0].content %}{{- part.text }}{%- endfor %}{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if not (loop.first and message.role == 'system') %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string %}{{- message.content }}
{%- else %}{%- for part in message.content %}
{%- if part.type == 'image' %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}
{%- else %}{{- part.text }}{%- endif %}
{%- endfor %}{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""


def texts() -> list[str]:
    """What the tokenizer is made from; a stance is rare in it, and so several tokens, as in the large models."""
    template, rng = load_template(), random.Random(3)
    listing = parse_listing("roads e-w; c street, cafe; n street; ne cafe; e bus stop; s street, pharmacy; w park")
    found = [template.system, template.look, template.score, template.explain] * 20
    for _ in range(100):
        claims = practice_claims(listing, rng, n=8)
        findings = [find(c, listing) for c in claims]
        stances = {c.id: f.stance for c, f in zip(claims, findings, strict=True)}
        reply = write_reply(findings, *explain_numbered(claims, stances, match=True))
        for stance in ("supports", "contradicts", "unknown"):
            reply = reply.replace(stance, stance[:4])
        found += [listing.text(), claims_block(claims), reply]
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, configuration, tokenizer, processor and chat template, as a hub folder has them."""
    from transformers import Qwen3VLForConditionalGeneration

    folder = tmp_path_factory.mktemp("hub") / "tiny"
    tokenizer = make_tokenizer(texts(), vocab_size=900)
    torch.manual_seed(0)
    config = make_config(tokenizer, width=64, layers=2, vision_width=64, depth=2)
    Qwen3VLForConditionalGeneration(config).save_pretrained(folder)
    processor = make_processor(tokenizer)
    processor.chat_template = tokenizer.chat_template = TEMPLATE
    processor.image_processor.size = {"shortest_edge": 65536, "longest_edge": 16777216}
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiles(tmp_path_factory.mktemp("tiles"))


def recipe_file(folder: Path, base: Path, **more: Any) -> Path:
    stage = {"minutes": 5, "batch_size": 2, "lr": 0.01, "warmup": 2}
    recipe = {
        "base": str(base),
        "seed": 3,
        "side": 128,
        "dtype": "float32",
        "reserve": 0.5,
        "lora": {"r": 4, "alpha": 8},
        "witnesses_per_tile": 1,
        "stages": {
            "look": {**stage, "samples": 24, "max_tokens": 700},
            "lora": {**stage, "samples": 24, "max_tokens": 900},
        },
        **more,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def train(*words: object) -> Any:
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["judge", *map(str, words)], catch_exceptions=False)


@pytest.mark.slow
def test_the_command_trains_exports_and_goes_on_after_a_kill(base: Path, data: Path, tmp_path: Path) -> None:
    recipe, run, out = recipe_file(tmp_path, base), tmp_path / "run", tmp_path / "bundle"
    words = ("--data", data, "--run", run, "--out", out, "--recipe", recipe, "--threads", 1)
    first = train(*words, "--stage", "look")
    assert first.exit_code == 0, first.output
    assert not out.exists()
    done = train(*words)
    assert done.exit_code == 0, done.output
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in log if line["samples"] == 24][-1] == "lora"
    assert log[-1]["val_verdict_loss"] > 0

    kept = torch.load(run / "lora.pt", weights_only=True)["model"]
    assert kept
    assert all("lora_" in name for name in kept)
    bundle = JudgeBundle.find(out)
    assert bundle.golden is not None
    assert (out / "base" / "model.safetensors").is_symlink()
    assert json.loads((out / "bundle.json").read_text())["base"] == str(base)
    told = json.loads((out / "golden.json").read_text())
    assert told

    lines = len(log)
    again = train(*words)  # every stage is done: only the export is made again
    assert again.exit_code == 0, again.output
    assert len((run / "log.jsonl").read_text().splitlines()) == lines
    trained = torch.load(run / "lora.pt", weights_only=True)["model"]
    assert all(torch.equal(trained[name], kept[name]) for name in kept)


@pytest.mark.slow
def test_the_loss_falls_and_the_base_stays_as_it_was(base: Path, data: Path, tmp_path: Path) -> None:
    stage = {"minutes": 5, "batch_size": 4, "lr": 0.02, "warmup": 2, "samples": 120, "max_tokens": 700}
    recipe = LargeRecipe.load(recipe_file(tmp_path, base, stages={"look": stage, "lora": stage}))
    run = LargeRun(data, tmp_path / "run", recipe, device="cpu")
    model, head = run.fresh()
    untouched = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    draw = look_draw(run.encoder(), run.store, run.rows)
    watch = run._watch(run.trainer(model, head), draw, rounds=2, batch=8)
    before = watch()
    model, _ = run.base()
    trained = run.trainer(model, head)
    after = run._watch(trained, draw, rounds=2, batch=8)()
    assert after["val_answer_loss"] < before["val_answer_loss"] - 0.1
    assert all(torch.equal(p, untouched[n]) for n, p in model.named_parameters() if n in untouched)


def test_stances_that_are_no_single_token_are_not_marked(base: Path, data: Path, tmp_path: Path) -> None:
    run = LargeRun(data, tmp_path / "run", LargeRecipe.load(recipe_file(tmp_path, base)), device="cpu")
    assert run.encoder().marks is False
    assert run.recipe.visual_tokens == 16


def test_a_base_that_renders_another_chat_is_refused(base: Path, data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in base.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    (other / "chat_template.jinja").write_text(TEMPLATE.replace("<|im_end|>", "<|endoftext|>"), encoding="utf-8")
    with pytest.raises(ModelError, match="no Qwen3-VL"):
        LargeRun(data, tmp_path / "run", LargeRecipe.load(recipe_file(tmp_path, other)), device="cpu")


def test_the_estimate_counts_the_parameters_without_loading_them(base: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    recipe = LargeRecipe.load(recipe_file(tmp_path, base))
    found = estimate(recipe, base, device="cpu")
    model = AutoModelForImageTextToText.from_pretrained(base)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    tuned = get_peft_model(model, LoraConfig(r=4, target_modules=LORA_TARGETS))
    assert found.adapter == sum(p.numel() for p in tuned.parameters() if p.requires_grad)
    assert found.fits
    assert len(found.lines()) == 3


def test_what_does_not_fit_is_not_begun(base: Path, data: Path, tmp_path: Path) -> None:
    stage = {"minutes": 5, "batch_size": 10_000_000, "lr": 0.01, "samples": 8, "max_tokens": 2000}
    recipe = recipe_file(tmp_path, base, stages={"look": stage, "lora": stage})
    with pytest.raises(SightlineError, match="take a smaller base"):
        train("--data", data, "--run", tmp_path / "run", "--recipe", recipe)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["qwen3vl-2b", "qwen3vl-4b", "qwen3vl-8b"])
def test_the_shipped_recipes_are_recipes(name: str) -> None:
    path = RECIPES / f"{name}.yaml"
    assert is_large(path)
    recipe = LargeRecipe.load(path)
    assert recipe.visual_tokens == 196
    assert recipe.base.startswith("Qwen/Qwen3-VL-")
    for stage in ("look", "lora"):
        assert 0 < recipe.stage(stage).lr < 1e-3
    assert not is_large(RECIPES.parent / "recipe.yaml")


STAGE = {"minutes": 5, "batch_size": 2, "lr": 0.01, "samples": 24, "max_tokens": 700}


def without(key: str) -> dict[str, Any]:
    return {"stages": {"look": STAGE, "lora": {k: v for k, v in STAGE.items() if k != key}}}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"side": 100}, "side 100"),
        ({"side": "wide"}, "side wide"),
        ({"nonsense": 1}, "nonsense"),
        ({"stages": {}}, "the stages look and lora"),
        ({"dtype": "bfloat61"}, "dtype 'bfloat61'"),
        ({"dtype": "int8"}, "dtype 'int8'"),
        ({"lora": {"alpha": 8}}, "lora needs r and alpha"),
        (without("max_tokens"), "stage lora needs max_tokens"),
        (without("minutes"), "stage lora needs minutes"),
        ({"stages": {"look": STAGE, "lora": {**STAGE, "lr": "1e-4"}}}, "stage lora needs lr, a number"),
        ({"stages": {"look": {**STAGE, "sample": 1}, "lora": STAGE}}, "stage look has an unknown key 'sample'"),
        ({"stages": {"look": None, "lora": STAGE}}, "stage look needs samples"),
    ],
)
def test_a_broken_recipe_is_one_sentence(tmp_path: Path, bad: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        LargeRecipe.load(recipe_file(tmp_path, Path("hub/base"), **bad))


def test_the_configuration_is_read_at_the_recipes_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoConfig

    asked: list[Any] = []

    def read(source: Any, **options: Any) -> Any:
        asked.append(options.get("revision"))
        raise OSError("nothing is there")

    monkeypatch.setattr(AutoConfig, "from_pretrained", read)
    recipe = LargeRecipe.load(recipe_file(tmp_path, Path("hub/base"), revision="abc123"))
    with pytest.raises(ModelError, match="configuration"):
        estimate(recipe, recipe.base, device="cpu")
    assert asked == ["abc123"]


def test_the_tokenizer_of_the_test_has_the_large_models_control_tokens(base: Path) -> None:
    config = json.loads((base / "tokenizer_config.json").read_text())
    assert config["eos_token"] == "<|im_end|>"
    assert "<|image_pad|>" in SPECIALS
