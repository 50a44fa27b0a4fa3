"""The judge's recipe on a model of production size: the base by its hub name or folder, an adapter for both stages.

The same data, draws, encoder, trainer and checkpoints as the mini judge (:mod:`finetune.judge.run`); what differs is
that the base is loaded and stays as it is, that the adapter also learns to look, and that checkpoints hold the adapter
alone. Anything that ``from_pretrained`` loads as a Qwen3-VL will do, so the tests run it on a tiny random one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from finetune.judge.batching import patches
from finetune.judge.encode import Encoder, Sample, Targets
from finetune.judge.run import LOOK_TOKENS, Run
from finetune.judge.spec import LORA_TARGETS, MERGE, PATCH
from finetune.judge.tasks import Teachers, joint_draw, look_draw, verdict_draw
from finetune.judge.train import Stage, Trainer, scaled
from prompts.listing import listing_order
from retriever.errors import ModelError

STANCES = ("supports", "contradicts", "unknown")
STAGE_KEYS = ("samples", "minutes", "batch_size", "lr", "max_tokens")
"""What every stage of a recipe says."""


@dataclass(frozen=True, kw_only=True)
class LargeRecipe:
    """What ``recipes/*.yaml`` hold."""

    base: str
    """Hub name, or a folder with weights, processor and chat template."""
    revision: str = "main"
    seed: int
    side: int = 448
    """Pixels, a multiple of 32; ``(side / 32)²`` visual tokens."""
    dtype: str = "bfloat16"
    checkpointing: bool = True
    reserve: float
    lora: Mapping[str, int]
    witnesses_per_tile: int
    stages: Mapping[str, Mapping[str, Any]]
    targets: Targets = "explanation"
    vocab_size: int = 0
    """Of the mini judge's recipes; a loaded base has its own."""
    model: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> LargeRecipe:
        """Raises ``ModelError`` for a key that is unknown or missing, or a value that no run could use."""
        try:
            recipe = cls(**yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, TypeError, yaml.YAMLError) as error:
            raise ModelError(f"{path} is no recipe for a large judge: {error}") from None
        if not _positive(recipe.side) or recipe.side % (PATCH * MERGE):
            raise ModelError(f"{path}: side {recipe.side} is not a multiple of {PATCH * MERGE} pixels")
        wrong = recipe._wrong()
        if wrong:
            raise ModelError(f"{path}: {wrong}")
        return recipe

    def _wrong(self) -> str:
        """What no run could use, in words; empty for nothing."""
        if not _is_float(self.dtype):
            return f"dtype {self.dtype!r} is none of torch's; write bfloat16, float16 or float32"
        if not isinstance(self.lora, Mapping) or not all(_positive(self.lora.get(key)) for key in ("r", "alpha")):
            return "lora needs r and alpha, both over 0"
        if not isinstance(self.stages, Mapping) or {"look", "lora"} - set(self.stages):
            return "it needs the stages look and lora"
        known = {f.name for f in fields(Stage)} - {"name", "seed"}
        for name, stage in self.stages.items():
            given = set(stage) if isinstance(stage, Mapping) else set()
            if given - known:
                return f"stage {name} has an unknown key {min(map(str, given - known))!r}; there are {sorted(known)}"
            bad = [key for key in STAGE_KEYS if key not in given or not _positive(stage[key])]
            if bad:
                return f"stage {name} needs {bad[0]}, a number over 0"
        return ""

    @property
    def visual_tokens(self) -> int:
        return (self.side // (PATCH * MERGE)) ** 2

    def stage(self, name: str) -> Stage:
        return Stage(name=name, seed=self.seed, **self.stages[name])


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def _is_float(name: Any) -> bool:
    found = getattr(torch, name, None) if isinstance(name, str) else None
    return isinstance(found, torch.dtype) and found.is_floating_point


def is_large(path: Path) -> bool:
    """Whether a recipe names a base to load."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ModelError(f"the recipe {path} cannot be read: {error}") from None
    return isinstance(data, dict) and "base" in data


def default_device() -> str:
    """``cuda`` where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class AdapterTrainer(Trainer):
    """Checkpoints of what is trained, which is the adapter."""

    def weights(self) -> dict[str, torch.Tensor]:
        return {k: v for k, v in self.model.named_parameters() if v.requires_grad}

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        self.model.load_state_dict(weights, strict=False)


class LargeRun(Run):
    """One run in one folder, as :class:`finetune.judge.run.Run`; every step is skipped when its result is there."""

    recipe: LargeRecipe  # type: ignore[assignment]  # has what Run asks of a recipe

    def __init__(self, data: Path, folder: Path, recipe: LargeRecipe, *, device: str | None = None) -> None:
        self.device = device or default_device()
        self.source = base_folder(recipe)
        super().__init__(data, folder, recipe)  # type: ignore[arg-type]
        self._same_chat()

    def _tokenizer(self) -> Any:
        from transformers import AutoProcessor

        self.processor = AutoProcessor.from_pretrained(self.source, local_files_only=True)
        area = {"shortest_edge": self.recipe.side**2, "longest_edge": self.recipe.side**2}
        for part in (self.processor.image_processor, self.processor.video_processor):
            part.size = area
        return self.processor.tokenizer

    def encoder(self, *, verdicts: bool = True) -> Encoder:
        """Stances are asked for behind the claims where each is one token of this tokenizer."""
        return Encoder(
            self.tokenizer,
            self.template,
            verdicts=verdicts,
            targets=self.recipe.targets,
            marks=all(len(self.tokenizer.encode(s, add_special_tokens=False)) == 1 for s in STANCES),
            visual_tokens=self.recipe.visual_tokens,
        )

    def _same_chat(self) -> None:
        """The encoder writes conversations by hand: they must be what the base's own template and processor render."""
        from PIL import Image

        blank = Image.new("RGB", (self.recipe.side, self.recipe.side))
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": [{"type": "text", "text": self.template.system}]},
            {
                "role": "user",
                "content": [{"type": "image", "image": blank}, {"type": "text", "text": self.template.look}],
            },
        ]
        theirs = self.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )["input_ids"][0].tolist()
        ours = self._look_prompt().ids
        if ours[: len(theirs)] != theirs:
            raise ModelError(
                f"{self.recipe.base} renders a chat in {len(theirs)} tokens that are not the judge's; it is no Qwen3-VL"
            )

    def _look_prompt(self) -> Any:
        return self.encoder().encode(Sample(listing="", learn_listing=False, image=0))

    def fresh(self) -> tuple[Any, nn.Linear]:
        """The base with a new adapter; the dense head is there for its shape alone."""
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForImageTextToText

        torch.manual_seed(self.recipe.seed)
        try:
            base: Any = AutoModelForImageTextToText.from_pretrained(
                self.source, dtype=getattr(torch, self.recipe.dtype), local_files_only=True
            )
        except (OSError, ValueError, AttributeError) as error:
            raise ModelError(f"no model could be loaded from {self.source}: {error}") from None
        lora = LoraConfig(
            r=self.recipe.lora["r"],
            lora_alpha=self.recipe.lora["alpha"],
            target_modules=LORA_TARGETS,
            task_type="CAUSAL_LM",
        )
        model = get_peft_model(base, lora)
        if self.recipe.checkpointing:
            base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            base.enable_input_require_grads()
        head = nn.Linear(base.config.get_text_config().hidden_size, len(listing_order()))
        return model.to(self.device), head.requires_grad_(False)

    def trainer(self, model: Any, head: nn.Linear) -> Trainer:
        pad = self.tokenizer.pad_token_id
        return AdapterTrainer(
            model, head, self.store.pictures, self.store.dense, self.folder, pad, side=self.recipe.side
        )

    def base(self) -> tuple[Any, nn.Linear]:
        """The adapter that looks: pictures to listings, claims from text."""
        model, head = self.fresh()
        trainer, encoder = self.trainer(model, head), self.encoder(verdicts=False)
        check = self._watch(trainer, joint_draw(encoder, self.store, self.val), rounds=2, batch=8)
        model.train()
        trainer.fit(self.recipe.stage("look"), look_draw(encoder, self.store, self.rows), self.rows, check)
        return model.eval(), head

    def adapter(self, model: Any, head: nn.Linear, *, begin: Path | None = None) -> Any:
        """The same adapter goes on to verdicts, on listings that it wrote itself of tiles that it never looked at."""
        own = self.own_listings(model, [*map(int, self.kept), *map(int, self.watched)])
        kept, val = self._pairs(own, self.kept), self._pairs(own, self.watched)
        trainer, encoder = self.trainer(model, head), self.encoder()
        draw = verdict_draw(encoder, kept, teachers=Teachers.fit(kept, seed=self.recipe.seed))
        if begin is not None:
            trainer.load_weights(torch.load(begin, weights_only=True)["model"])
        watch = self._watch(trainer, verdict_draw(encoder, val, true_listing=0.0), rounds=8, batch=8)
        model.train()
        trainer.fit(self.recipe.stage("lora"), draw, self.kept, watch)
        return model.eval()

    def _watch(self, trainer: Trainer, draw: Any, *, rounds: int, batch: int) -> Any:
        import random

        @torch.no_grad()
        def check() -> dict[str, float]:
            trainer.meter.flush()
            rng = random.Random(0)
            for _ in range(rounds):
                trainer.loss([draw(rng) for _ in range(batch)])
            return {f"val_{k}": v for k, v in trainer.meter.flush().items()}

        return check

    @torch.no_grad()
    def look(self, model: Any, pictures: np.ndarray) -> list[str]:
        """Listings by greedy decoding, ``pictures [B, 224, 224, 3] uint8``."""
        prompt, side = self._look_prompt(), self.recipe.side
        prefix = prompt.ids[:-1]
        found: list[str] = []
        for start in range(0, len(pictures), 16):
            part = np.stack([scaled(p, side) for p in pictures[start : start + 16]])
            ids = torch.tensor([prefix] * len(part), device=self.device)
            types = torch.zeros_like(ids)
            types[:, prompt.image_at : prompt.image_at + self.recipe.visual_tokens] = 1
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                mm_token_type_ids=types,
                pixel_values=patches(part).to(self.device),
                image_grid_thw=torch.tensor([[1, side // PATCH, side // PATCH]] * len(part), device=self.device),
                max_new_tokens=LOOK_TOKENS,
                do_sample=False,
                use_cache=True,
                eos_token_id=self.tokenizer.eos_token_id,
                pad_token_id=self.tokenizer.pad_token_id,
            )
            found += self.tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)
        return found


def base_folder(recipe: LargeRecipe) -> Path:
    """The base on this machine; from the hub where it is not there yet. Raises ``ModelError``."""
    if Path(recipe.base).is_dir():
        return Path(recipe.base)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(recipe.base, revision=recipe.revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ModelError(
            f"the base {recipe.base} is not on this machine and its hub does not answer ({type(error).__name__}); "
            "download it elsewhere and name its folder as base"
        ) from None
