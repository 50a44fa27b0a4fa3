"""Exporting a trained judge: base and adapter in bf16 safetensors, processor files, golden answers, provenance."""

from __future__ import annotations

import asyncio
import json
import platform
import random
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from finetune.judge.run import Run
from finetune.judge.spec import make_processor
from finetune.judge.tasks import Pairs
from prompts.clients.base import ChatRequest, ImagePart
from prompts.render import score_messages

GOLDEN_PAIRS = 50


def export(run: Run, tuned: Any, out: Path) -> Path:
    """Write the bundle beside ``out`` and put it in place in one step. ``tuned`` is the peft model."""
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    adapter_files(tuned, part / "adapter")
    _base(run, tuned, part / "base")
    asyncio.run(golden(run, part))
    (part / "bundle.json").write_text(json.dumps(_provenance(run, tuned), indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    return out


def adapter_files(tuned: Any, folder: Path) -> None:
    """The adapter in bf16, its base named by place."""
    tuned.save_pretrained(folder)
    # peft writes a model card with the path of the base; bf16 halves the file.
    (folder / "README.md").unlink(missing_ok=True)
    from safetensors.torch import load_file, save_file

    weights = folder / "adapter_model.safetensors"
    save_file({k: v.to(torch.bfloat16) for k, v in load_file(weights).items()}, weights, metadata={"format": "pt"})
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = "../base"
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _base(run: Run, tuned: Any, folder: Path) -> None:
    from transformers import GenerationConfig

    base = tuned.unload()
    text = base.config.text_config
    base.generation_config = GenerationConfig(
        bos_token_id=text.bos_token_id, eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id
    )
    base.to(torch.bfloat16).save_pretrained(folder)
    make_processor(run.tokenizer).save_pretrained(folder)


async def golden(run: Run, folder: Path) -> None:
    """Pairs of validation tiles with the probabilities of transformers + peft on the exported files."""
    from prompts.clients.golden import write_golden
    from prompts.clients.local import LocalClient

    client = LocalClient(folder / "base", folder / "adapter")
    own = run.own_listings(None, list(map(int, run.watched)))
    pairs = Pairs(run.store, run.witnesses(), {int(r): own[int(r)] for r in run.watched})
    rng = random.Random(5)
    requests: list[ChatRequest] = []
    while len(requests) < GOLDEN_PAIRS:
        witness, row, _ = pairs.draw(rng)
        if row >= 0:
            image = ImagePart.of(Image.fromarray(np.asarray(run.store.pictures[row])))
            messages = score_messages(image, pairs.read[row].text(), witness.claims[:8], run.template)
            requests.append(
                ChatRequest(messages=tuple(messages), max_tokens=1, choices=(run.template.yes, run.template.no))
            )
    await write_golden(folder / "golden.json", requests, client)
    await client.close()


def _provenance(run: Run, tuned: Any) -> dict[str, Any]:
    log = [json.loads(line) for line in (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    last = {line["stage"]: line for line in log}
    return {
        "model": "mini-judge",
        "command": _command(run),
        "recipe": {
            "seed": run.recipe.seed,
            "model": dict(run.recipe.model),
            "lora": dict(run.recipe.lora),
            "stages": {k: dict(v) for k, v in run.recipe.stages.items()},
        },
        "data_sha256": run.data_hash(),
        "train_areas": sorted({str(a) for a in run.store.table["area"].iloc[run.rows]}),
        "train_tiles": len(run.rows),
        "went_on_from": run.started_from(),
        "adapter_tiles": len(run.kept),
        "validation_areas": sorted({str(a) for a in run.store.table["area"].iloc[run.val]}),
        "template": {"id": run.template.id, "sha256": run.template.sha256},
        "parameters": sum(p.numel() for p in tuned.parameters()),
        "stages_reached": last,
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "machine": f"CPU, {platform.machine()}",
    }


def _command(run: Run) -> str:
    onward = " --start EARLIER/look.pt" if run.start else ""
    seen = " --seen EARLIER_DATA" if run.seen else ""
    recipe = " --recipe finetune/judge/recipe_onward.yaml" if run.start else ""
    return f"sightline train judge --data DATA --run RUN{onward}{seen}{recipe} --out agent/models/mini-judge"
