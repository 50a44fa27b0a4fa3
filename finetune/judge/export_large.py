"""Exporting a large judge: its adapter, and a base folder that points to the weights where they lie.

The base's weights are not copied. The processor files are written anew, with the picture size that the adapter was
trained on, so that a server sees tiles as training did.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from finetune.judge.export import adapter_files, golden
from finetune.judge.large import LargeRun

LINKED = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json")


def export_large(run: LargeRun, tuned: Any, out: Path) -> Path:
    """Write the bundle beside ``out`` and put it in place in one step. ``tuned`` is the peft model."""
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    adapter_files(tuned, part / "adapter")
    link_base(run, part / "base")
    asyncio.run(golden(run, part))
    (part / "bundle.json").write_text(json.dumps(_provenance(run), indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    return out


def link_base(run: LargeRun, folder: Path) -> None:
    """Configuration and weights by link, processor and chat template as the run used them."""
    folder.mkdir(parents=True)
    run.processor.save_pretrained(folder)
    for pattern in LINKED:
        for file in run.source.glob(pattern):
            (folder / file.name).symlink_to(file.resolve())


def _provenance(run: LargeRun) -> dict[str, Any]:
    log = [json.loads(line) for line in (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    recipe = run.recipe
    return {
        "base": recipe.base,
        "revision": recipe.revision,
        "recipe": {
            "seed": recipe.seed,
            "side": recipe.side,
            "dtype": recipe.dtype,
            "targets": recipe.targets,
            "lora": dict(recipe.lora),
            "stages": {k: dict(v) for k, v in recipe.stages.items()},
        },
        "data_sha256": run.data_hash(),
        "train_areas": sorted({str(a) for a in run.store.table["area"].iloc[run.rows]}),
        "validation_areas": sorted({str(a) for a in run.store.table["area"].iloc[run.val]}),
        "template": {"id": run.template.id, "sha256": run.template.sha256},
        "stages_reached": {line["stage"]: line for line in log},
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "device": run.device,
    }
