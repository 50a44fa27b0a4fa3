"""The production recipes from data to bundle on tiny models, and runs that are killed and go on."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import signal
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from contrastive_fakes import CLIP, cvg_copy, setvl_copy, university_copy, vigor_copy, write_config
from typer.testing import CliRunner

from finetune.cli_contrastive import RECIPES
from finetune.contrastive.curves import draw, read_log
from finetune.contrastive.processes import Team
from finetune.contrastive.recipe import recipe_of
from finetune.contrastive.run import make_trainer, train
from retriever.encoder import Encoder
from retriever.errors import ModelError, SourceError
from retriever.main import build

DATA = {"cvg-text": cvg_copy, "cvg-maps": cvg_copy, "vigor": vigor_copy, "university-1652": university_copy,
        "setvl-480k": setvl_copy}  # fmt: skip


def tiny(name: str, tmp: Path, config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A shipped recipe with a tiny random model, little data, small batches and few epochs; all else as it is."""
    plan: dict[str, Any] = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    plan["model"] |= {"open_clip": str(write_config(tmp, config)), "pretrained": None}
    for source in plan["sources"]:
        source |= {"path": str(DATA[source["kind"]](tmp / source["name"])), "validation": 0.2, "buffer_m": 100}
    for phase in plan["phases"]:
        phase |= {"batch": 4, "epochs": 2, "lr": 1e-3}
    return {**plan, "workers": 1, "precision": "fp32", **changes}


@pytest.mark.slow
def test_crosstext2loc_from_its_command_to_a_bundle(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(tiny("crosstext2loc", tmp_path, CLIP)), encoding="utf-8")
    # A test picture that cannot be decoded: training never opens it.
    (tmp_path / "cvg/reference/NewYork-satellite" / sorted(os.listdir(tmp_path / "cvg/reference/NewYork-satellite"))[-1]
     ).write_bytes(b"not a picture")  # fmt: skip
    words = ["train", "dual-encoder", "--recipe", str(path), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(build(), words)
    assert result.exit_code == 0, result.exception
    for said in ("memory of each process: about", "operations: about", "4 validation queries"):
        assert said in result.stderr
    assert result.stdout.strip() == str(tmp_path / "run/bundle")
    encoder = Encoder.load(tmp_path / "run/bundle")
    assert encoder.tokenizer.context_length == 300
    assert encoder.provenance["validation_areas"] == ["cvg/NewYork"]
    assert set(encoder.provenance["metrics"]["groups"]) == {"cvg/NewYork/text"}
    assert np.isfinite(encoder.encode_text(["a bank on my left"])).all()
    log = read_log(tmp_path / "run")
    assert [e["epoch"] for e in log if "loss" in e] == [0] * 3 + [1] * 3
    assert (tmp_path / "run/curves.png").read_bytes().startswith(b"\x89PNG")
    assert "cvg/NewYork/text" in (tmp_path / "run/curves.html").read_text(encoding="utf-8")


def siglip2(tmp: Path) -> dict[str, Any]:
    """ViT-B-16-SigLIP2-256 with small widths, and a tokenizer folder in the place of the hub's."""
    import open_clip
    from timm.models import register_model
    from timm.models.vision_transformer import VisionTransformer
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    def vit_tiny_siglip_test(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
        fixed = {"img_size": 32, "patch_size": 16, "embed_dim": 16, "depth": 2, "num_heads": 2, "class_token": False}
        unused = ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")
        model = VisionTransformer(**fixed, **{k: v for k, v in kwargs.items() if k not in unused})
        model.default_cfg = {}
        return model

    vit_tiny_siglip_test.__module__ = "timm.models.vision_transformer"
    register_model(vit_tiny_siglip_test)
    config = copy.deepcopy(open_clip.get_model_config("ViT-B-16-SigLIP2-256"))
    config |= {"embed_dim": 16}
    config["vision_cfg"] |= {"image_size": 32, "timm_model_name": "vit_tiny_siglip_test"}
    config["text_cfg"] |= {"width": 16, "heads": 2, "layers": 2, "vocab_size": 60}
    known = {w: i for i, w in enumerate(["<pad>", "<eos>", "<unk>", "shop", "bank", "left"])}
    words = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    fast.save_pretrained(str(tmp / "words"))
    return config


@pytest.mark.slow
def test_the_multilingual_recipe_to_a_bundle(tmp_path: Path) -> None:
    plan = tiny("crosstext2loc-multilingual", tmp_path, siglip2(tmp_path))
    plan["model"]["tokenizer"] = str(tmp_path / "words")
    bundle = train(recipe_of(plan), tmp_path / "run")
    assert bundle is not None
    encoder = Encoder.load(bundle)
    assert encoder.tokenizer.context_length == 256
    # All positions are read, in both directions: texts are never trimmed.
    assert encoder.tokenizer(["bank"]).ids.shape == (1, 256)
    assert encoder.provenance["recipe"]["model"]["context_length"] == 256
    assert not np.allclose(*(encoder.encode_text([said]) for said in ("shop bank left", "shop bank")), atol=1e-6)


@pytest.mark.slow
def test_gleam_c_in_two_phases_with_every_view_in_every_batch(tmp_path: Path) -> None:
    recipe = recipe_of(tiny("gleam-c", tmp_path, CLIP, piece=2))
    trainer, _ = make_trainer(recipe, tmp_path / "run", Team())
    pairs, first = trainer.pairs, copy.deepcopy(trainer.dual.model.state_dict())
    drawn: list[tuple[str, list[str]]] = []
    whole = trainer._step
    trainer._step = lambda phase, rows, q, t: (  # type: ignore[method-assign]
        drawn.append((phase.name, sorted(pairs.view[rows]))) or whole(phase, rows, q, t)
    )
    trainer.run()
    assert list(dict.fromkeys(name for name, _ in drawn)) == ["panoramas", "all-views"]
    assert {tuple(views) for name, views in drawn if name == "panoramas"} == {("panorama",) * 4}
    seen = [views for name, views in drawn if name == "all-views"]
    assert {v for views in seen for v in views} == {"ground", "map", "panorama", "uav"}
    counts = {v: sum(views.count(v) for views in seen) for v in ("ground", "map", "panorama", "uav")}
    assert max(counts.values()) - min(counts.values()) <= 2
    hard = [(e["phase"], e["hard"]) for e in read_log(tmp_path / "run") if "hard" in e]
    assert hard == [("panoramas", "distance"), ("all-views", "similarity")]
    now = trainer.dual.model.state_dict()
    moved = {k for k in now if not torch.equal(now[k], first[k])}
    assert any(k.startswith("visual.") for k in moved)
    assert {k for k in moved if not k.startswith("visual.")} == {"logit_scale"}


# --- going on ------------------------------------------------------------------------------------------------------


def small_plan(tmp: Path) -> dict[str, Any]:
    """Two phases, hard negatives of both kinds, pieces: everything that has a state."""
    plan = tiny("crosstext2loc", tmp, CLIP, piece=2, checkpoint_s=0.0, clip=1.0)
    hard = {"per_anchor": 1, "pool": 4, "similarity_from": 1, "refresh_every": 1}
    plan["phases"][0] |= {"epochs": 2, "hard": hard}
    plan["phases"].append({**plan["phases"][0], "name": "again", "epochs": 1})
    return plan


def killed(plan: dict[str, Any], out: str, at: int) -> None:
    torch.set_num_threads(1)

    def on_step(phase: str, done: int, steps: int, loss: float) -> None:
        if done == at:
            os.kill(os.getpid(), signal.SIGKILL)

    train(recipe_of(plan), Path(out), on_step=on_step)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_loss_curve(tmp_path: Path) -> None:
    plan = small_plan(tmp_path)
    bundle = train(recipe_of(plan), tmp_path / "whole")
    out = tmp_path / "killed"
    process = multiprocessing.get_context("spawn").Process(target=killed, args=(plan, str(out), 5))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with (out / "log.jsonl").open("a", encoding="utf-8") as f:
        f.write('{"phase": "cut sho')
    again = train(recipe_of(plan), out)
    assert again is not None
    assert bundle is not None

    def curve(run: Path) -> list[tuple[int, float]]:
        return [(e["step"], e["loss"]) for e in read_log(run) if "loss" in e]

    wanted = curve(tmp_path / "whole")
    assert [s for s, _ in wanted] == list(range(1, 10))
    assert [s for s, _ in curve(out)] == [s for s, _ in wanted]
    assert [v for _, v in curve(out)] == pytest.approx([v for _, v in wanted], rel=1e-4)
    a, b = (Encoder.load(folder).encode_text(["a bank"]) for folder in (bundle, again))
    assert np.allclose(a, b, atol=1e-3)


def one_of_two(rank: int, plan: dict[str, Any], out: str, port: int) -> None:
    """What torchrun starts."""
    torch.set_num_threads(1)
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update({**where, "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)})
    train(recipe_of(plan), Path(out))


@pytest.mark.slow
def test_two_processes_run_a_recipe_to_the_loss_curve_of_one(tmp_path: Path) -> None:
    plan = small_plan(tmp_path)
    plan["phases"] = plan["phases"][:1]
    train(recipe_of(plan), tmp_path / "one")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    torch.multiprocessing.spawn(one_of_two, args=(plan, str(tmp_path / "two"), port), nprocs=2)
    one, two = (read_log(tmp_path / name) for name in ("one", "two"))
    assert [e["step"] for e in two if "loss" in e] == list(range(1, 7))
    assert [e["loss"] for e in two if "loss" in e] == pytest.approx([e["loss"] for e in one if "loss" in e], rel=1e-3)
    assert [e["validation"]["mean"] for e in two if "validation" in e] == [
        e["validation"]["mean"] for e in one if "validation" in e
    ]


def test_a_run_refuses_to_go_on_with_another_recipe(tmp_path: Path) -> None:
    plan = small_plan(tmp_path)
    plan["phases"] = [{**plan["phases"][0], "epochs": 1, "hard": {}, "batch": 8}]
    train(recipe_of(plan), tmp_path / "run")
    plan["phases"][0]["lr"] = 0.5
    with pytest.raises(ModelError, match="another recipe"):
        train(recipe_of(plan), tmp_path / "run")
    draw(tmp_path / "run")
    with pytest.raises(SourceError, match=r"no log\.jsonl"):
        draw(tmp_path)


def test_a_batch_larger_than_the_data_is_refused(tmp_path: Path) -> None:
    plan = tiny("crosstext2loc", tmp_path, CLIP)
    plan["phases"][0]["batch"] = 64
    with pytest.raises(SourceError, match="fewer than its batch of 64"):
        make_trainer(recipe_of(plan), tmp_path / "run", Team())
    assert json.loads((tmp_path / "tiny.json").read_text(encoding="utf-8")) == CLIP
