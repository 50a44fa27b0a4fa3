"""The judge's recipe from data to run folder: tokenizer, base model stage by stage, own listings, adapter."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from finetune.judge.batching import patches
from finetune.judge.claims import practice_claims
from finetune.judge.encode import Encoder, Sample, Targets
from finetune.judge.heat import HeatPictures
from finetune.judge.modes import Order, tuning_encoder
from finetune.judge.spec import LORA_TARGETS, VISUAL_TOKENS, make_config, make_tokenizer
from finetune.judge.store import TileStore, Witness, load_witnesses, open_store
from finetune.judge.tasks import Pairs, Teachers, joint_draw, look_draw, text_draw, verdict_draw
from finetune.judge.train import Draw, Stage, Trainer
from prompts.listing import find, listing_order
from prompts.render import claims_block, load_template
from prompts.schema import write_reply
from prompts.wording import explain_numbered

LOOK_TOKENS = 160
"""Longest listing the judge writes, in tokens."""
WATCHED = 300
"""Validation tiles that the adapter is watched on: each costs a listing."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    seed: int
    vocab_size: int
    model: Mapping[str, int]
    reserve: float
    lora: Mapping[str, int]
    witnesses_per_tile: int
    stages: Mapping[str, Mapping[str, Any]]
    targets: Targets = "explanation"
    """What the adapter learns to answer beside the verdict: ``label`` (nothing), ``ledger`` or ``explanation``."""
    order: Order = "verdict_first"
    """Or ``reasons_first``; each pair has its template (:data:`finetune.judge.modes.TEMPLATES`)."""

    @classmethod
    def load(cls, path: Path) -> Recipe:
        return cls(**yaml.safe_load(path.read_text(encoding="utf-8")))

    def stage(self, name: str) -> Stage:
        return Stage(name=name, seed=self.seed, **self.stages[name])


class Run:
    """One training run in one folder; every step is skipped when its result is there."""

    def __init__(
        self,
        data: Path,
        folder: Path,
        recipe: Recipe,
        *,
        seen: Path | None = None,
        start: Path | None = None,
        store: TileStore | None = None,
    ) -> None:
        """``start``: checkpoint of an earlier run to go on from, in place of the stages before ``look``; its
        tokenizer lies beside it. ``seen``: that run's data, whose training tiles are shown again, never to the adapter.
        ``store``: both folders' tiles where they are open already."""
        self.folder, self.recipe, self.data, self.start, self.seen = folder, recipe, data, start, seen
        folder.mkdir(parents=True, exist_ok=True)
        if start is not None and not (folder / "tokenizer").exists():
            shutil.copytree(start.parent / "tokenizer", folder / "tokenizer")
        self.store: TileStore = store or open_store(data, seen=seen)
        rows = self.store.rows("train")
        order = np.random.default_rng(recipe.seed).permutation(rows)
        n = int(len(order) * recipe.reserve)
        self.kept = np.sort(order[:n])
        self.rows = np.concatenate([np.sort(order[n:]), self.store.rows("seen")])
        self.val = self.store.rows("validation")
        self.watched = self.val[:: max(1, len(self.val) // WATCHED)]
        self.template = load_template()
        self.tokenizer = self._tokenizer()
        torch.manual_seed(recipe.seed)

    def _tokenizer(self) -> Any:
        from transformers import PreTrainedTokenizerFast

        path = self.folder / "tokenizer"
        if not path.exists():
            make_tokenizer(self._corpus(), vocab_size=self.recipe.vocab_size).save_pretrained(path)
        return PreTrainedTokenizerFast.from_pretrained(path)

    def _corpus(self) -> Iterator[str]:
        rng = random.Random(self.recipe.seed)
        t = self.template
        for _ in range(200):
            yield from (t.system, t.look, t.explain, *t.score.split("«claims»"), "system", "user", "assistant")
        for row in rng.sample(list(map(int, self.rows)), min(4000, len(self.rows))):
            listing = self.store.listing(row, names=rng.random() < 0.3)
            claims = practice_claims(listing, rng, n=8)
            findings = [find(c, listing) for c in claims]
            stances = {c.id: f.stance for c, f in zip(claims, findings, strict=True)}
            en, zh = explain_numbered(claims, stances, match=rng.random() < 0.5)
            yield from (listing.text(), claims_block(claims), write_reply(findings, en, zh), "supports", "contradicts")
            yield from ("unknown", "c", "n", "s", "e", "w", "ne", "nw", "se", "sw", "-")

    def fresh(self) -> tuple[Any, nn.Linear]:
        from transformers import Qwen3VLForConditionalGeneration

        torch.manual_seed(self.recipe.seed)
        model = Qwen3VLForConditionalGeneration(make_config(self.tokenizer, **self.recipe.model))
        head = nn.Linear(self.recipe.model["width"], len(listing_order()))
        nn.init.constant_(head.bias, -3.0)
        return model, head

    def trainer(self, model: Any, head: nn.Linear) -> Trainer:
        pad, pictures = self.tokenizer.pad_token_id, self.heats or self.store.pictures
        return Trainer(model, head, pictures, self.store.dense, self.folder, pad)

    @cached_property
    def heats(self) -> HeatPictures | None:
        """The tiles and, behind them, tiles under heat; None for a recipe whose prompt shows none."""
        n = len(self.store.table)
        return HeatPictures.shipped(self.store.pictures, n, self.folder) if self.recipe.order == "heat" else None

    def stage(self, name: str) -> tuple[Any, nn.Linear]:
        """Run one stage of the base model. ``text`` and ``dense`` are independent, ``joint`` begins from both."""
        model, head = self.fresh()
        trainer = self.trainer(model, head)
        encoder = Encoder(self.tokenizer, self.template, verdicts=False)
        draws: dict[str, Draw | None] = {
            "text": text_draw(encoder, self.store, self.rows),
            "dense": None,
            "joint": joint_draw(encoder, self.store, self.rows),
            "look": look_draw(encoder, self.store, self.rows),
        }
        if name == "joint":
            self._merge(model, head)
        elif name == "look":
            self._load(self.start or self.folder / "joint.pt", model, head)
        trainer.fit(self.recipe.stage(name), draws[name], self.rows, self._check(trainer, encoder, name))
        return model.eval(), head

    def base(self) -> tuple[Any, nn.Linear]:
        """Every stage of the base model that is not done yet."""
        for name in ("text", "dense", "joint") if self.start is None else ():
            self.stage(name)
        return self.stage("look")

    def _load(self, path: Path, model: Any, head: nn.Linear) -> None:
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        head.load_state_dict(state["head"])

    def _merge(self, model: Any, head: nn.Linear) -> None:
        """The language side of ``text`` and the vision tower of ``dense``."""
        text = torch.load(self.folder / "text.pt", weights_only=True)
        dense = torch.load(self.folder / "dense.pt", weights_only=True)
        seeing = {k: v for k, v in dense["model"].items() if k.startswith("model.visual.")}
        model.load_state_dict({**text["model"], **seeing})
        head.load_state_dict(dense["head"])

    def _check(self, trainer: Trainer, encoder: Encoder, name: str) -> Callable[[], dict[str, float]]:
        """Teacher-forced accuracies on validation tiles (never test tiles)."""
        draw = {"text": text_draw, "dense": joint_draw, "joint": joint_draw, "look": joint_draw}[name](
            encoder, self.store, self.val
        )

        @torch.no_grad()
        def check() -> dict[str, float]:
            trainer.meter.flush()
            rng = random.Random(0)
            for _ in range(6):
                trainer.loss([draw(rng) for _ in range(24)], dense_weight=1.0)
            return {f"val_{k}": v for k, v in trainer.meter.flush().items()}

        return check

    def own_listings(self, model: Any, rows: Sequence[int]) -> dict[int, str]:
        """What the model itself writes about these tiles; kept in ``own.jsonl``."""
        path = self.folder / "own.jsonl"
        done: dict[int, str] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                item = json.loads(line)
                done[item["row"]] = item["listing"]
        todo = [r for r in rows if r not in done]
        with path.open("a", encoding="utf-8") as out:
            for i in range(0, len(todo), 64):
                part = todo[i : i + 64]
                for row, text in zip(part, self.look(model, self.store.pictures[part]), strict=True):
                    done[row] = text
                    out.write(json.dumps({"row": row, "listing": text}) + "\n")
                out.flush()
        return done

    @torch.no_grad()
    def look(self, model: Any, pictures: np.ndarray) -> list[str]:
        """Listings by greedy decoding, ``pictures [B, 224, 224, 3] uint8``."""
        encoder = Encoder(self.tokenizer, self.template)
        prompt = encoder.encode(Sample(listing="", learn_listing=False, image=0))
        ids = torch.tensor([prompt.ids[:-1]] * len(pictures))
        start = prompt.image_at
        types = torch.zeros_like(ids)
        types[:, start : start + VISUAL_TOKENS] = 1
        model.config.use_cache = True
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=types,
            pixel_values=patches(pictures),
            image_grid_thw=torch.tensor([[1, 14, 14]] * len(pictures)),
            max_new_tokens=LOOK_TOKENS,
            do_sample=False,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        return list(self.tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True))

    def adapter(self, model: Any, head: nn.Linear, *, begin: Path | None = None) -> Any:
        """The LoRA stage, on tiles the base model never saw.

        ``begin`` is another run's ``lora.pt``, whose weights the adapter has before its first step.
        """
        from peft import LoraConfig, get_peft_model

        own = self.own_listings(model, [*map(int, self.kept), *map(int, self.watched)])
        sizes = {"r": self.recipe.lora["r"], "lora_alpha": self.recipe.lora["alpha"], "lora_dropout": 0.0}
        lora = LoraConfig(**sizes, target_modules=LORA_TARGETS, task_type="CAUSAL_LM")
        tuned = get_peft_model(model, lora)
        head.requires_grad_(False)
        encoder, seed = tuning_encoder(self.tokenizer, self.recipe.targets, self.recipe.order), self.recipe.seed
        kept, val = self._pairs(own, self.kept), self._pairs(own, self.watched)
        trainer = self.trainer(tuned, head)
        if begin is not None:
            trainer.load_weights(torch.load(begin, weights_only=True)["model"])
        made = cache(lambda: verdict_draw(encoder, kept, teachers=Teachers.fit(kept, seed=seed), heat=self.heats))
        # A stage that is done needs no teachers, and they take a while to fit.
        trainer.fit(
            self.recipe.stage("lora"), lambda rng: made()(rng), self.kept, self._verdicts(trainer, encoder, val)
        )
        return tuned.eval()

    def _pairs(self, own: Mapping[int, str], rows: np.ndarray) -> Pairs:
        return Pairs(self.store, self._read_witnesses, {int(r): own[int(r)] for r in rows})

    @cached_property
    def _read_witnesses(self) -> list[Witness]:
        return self.witnesses()

    def witnesses(self) -> list[Witness]:
        """Made once, for the adapter's tiles and for validation."""
        path = self.data / "witnesses.jsonl"
        if not path.exists():
            from finetune.judge.witnesses import build_witnesses

            rows = [*map(int, self.kept), *map(int, self.val)]
            build_witnesses(self.data, rows, path, per_tile=self.recipe.witnesses_per_tile, seed=self.recipe.seed)
        return load_witnesses(path)

    def _verdicts(self, trainer: Trainer, encoder: Encoder, pairs: Pairs) -> Callable[[], dict[str, float]]:
        draw = verdict_draw(encoder, pairs, true_listing=0.0, heat=self.heats)

        @torch.no_grad()
        def check() -> dict[str, float]:
            trainer.meter.flush()
            rng = random.Random(0)
            for _ in range(16):
                trainer.loss([draw(rng) for _ in range(24)])
            return {f"val_{k}": v for k, v in trainer.meter.flush().items()}

        return check

    def started_from(self) -> dict[str, Any] | None:
        """Checkpoint of the earlier run, its hash and how far it had come."""
        if self.start is None:
            return None
        log = self.start.parent / "log.jsonl"
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
        return {
            "sha256": hashlib.sha256(self.start.read_bytes()).hexdigest(),
            "stages_reached": {line["stage"]: line for line in lines if line["stage"] != "lora"},
        }

    def data_hash(self) -> str:
        """SHA-256 over the tile tables and the witnesses."""
        digest = hashlib.sha256()
        tables = [self.data / "tiles.parquet", self.data / "witnesses.jsonl"]
        for path in [*tables, *([self.seen / "tiles.parquet"] if self.seen else [])]:
            digest.update(path.read_bytes())
        return digest.hexdigest()
