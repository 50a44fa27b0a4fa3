"""Rewards: what earns one, that the best is kept and gone on with after a kill, and that it is learned."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from judge_tiles import tiny_run

from finetune.judge import rewards
from finetune.judge.modes import tuning_encoder
from finetune.judge.rewards import BAR, collect, question, reward, rewarded_draw
from finetune.judge.run import Run
from finetune.judge.tasks import Pairs
from prompts.listing import Finding
from prompts.schema import write_reply
from prompts.wording import explain_numbered
from retriever.errors import ModelError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    stages = {"rewards": {"minutes": 3, "batch_size": 4, "lr": 0.01, "samples": 48, "questions": 6, "tries": 3}}
    return tiny_run(tmp_path_factory.mktemp("rewards"), stages)


@pytest.fixture(scope="module")
def pairs(run: Run) -> Pairs:
    rows = [*map(int, run.kept), *map(int, run.watched)]
    return Pairs(run.store, run.witnesses(), {r: run.store.listing(r).text() for r in rows})


def reply(q: Any, *, wrong: int = 0, match: bool | None = None, invent: bool = False) -> str:
    findings = list(q.sample.findings)
    for i in range(wrong):
        findings[i] = Finding(stance="unknown" if findings[i].stance != "unknown" else "supports")
    stances = {c.id: f.stance for c, f in zip(q.sample.claims, findings, strict=True)}
    en, zh = explain_numbered(q.sample.claims, stances, match=q.sample.match if match is None else match)
    return write_reply(findings, en.replace("c1", "a harbour") if invent else en, zh)


def test_each_fault_costs_its_part(pairs: Pairs) -> None:
    q = question(pairs, 0, seed=1)
    n = len(q.sample.claims)
    assert reward(reply(q), q.sample, q.truth) == pytest.approx(1.0)
    assert reward(reply(q, wrong=1), q.sample, q.truth) == pytest.approx(1 - 0.5 / n)
    assert reward(reply(q, match=not q.sample.match), q.sample, q.truth) == pytest.approx(0.8)
    assert reward(reply(q, invent=True), q.sample, q.truth) < BAR
    assert reward("It looks right.", q.sample, q.truth) == 0.0


def test_the_best_reply_is_kept_and_a_killed_collection_goes_on(
    run: Run, pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, asked = tuning_encoder(run.tokenizer, "explanation", "verdict_first"), []

    def written(trainer: Any, encoder: Any, items: Any, most: int, *, tries: int) -> list[str]:
        numbers = [len(asked) + i for i in range(len(items))]
        asked.extend(numbers)
        return [
            t for i in numbers for t in ("prose", reply(question(pairs, i, 1)), reply(question(pairs, i, 1), wrong=2))
        ]

    monkeypatch.setattr(rewards, "write", written)
    path = tmp_path / "rewards.jsonl"
    first = collect(None, encoder, pairs, path, questions=4, tries=3, seed=1)
    assert [r["reward"] for r in first] == [1.0] * 4
    assert all(r["mean"] < 1 for r in first)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"question": 4, "rew')  # the kill came here
    both = collect(None, encoder, pairs, path, questions=6, tries=3, seed=1)
    assert len(asked) == len(both) == len(path.read_text().splitlines()) == 6
    assert {json.loads(line)["question"] for line in path.read_text().splitlines()} == set(range(6))

    def killed(path: Path, data: bytes) -> None:
        raise KeyboardInterrupt

    before = path.read_bytes()
    monkeypatch.setattr(rewards, "write_atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        collect(None, encoder, pairs, path, questions=6, tries=3, seed=1)
    assert path.read_bytes() == before, "a kill before the new file is whole loses nothing"


def test_a_rewarded_reply_is_what_is_learned(run: Run, pairs: Pairs) -> None:
    encoder = tuning_encoder(run.tokenizer, "explanation", "verdict_first")
    q = question(pairs, 3, seed=1)
    text = reply(q, wrong=1)
    item = encoder.encode(replace(q.sample, reply=text))
    own = item.ids[item.reasons_at :]
    assert run.tokenizer.decode(own[: own.index(run.tokenizer.eos_token_id)]) == text
    with pytest.raises(ModelError, match="longer"):
        rewarded_draw(encoder, pairs, [{"question": 3, "reward": 0.5, "text": text}], seed=1)


@pytest.mark.slow
def test_the_stage_runs_and_its_replies_become_likelier(
    run: Run, pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import LoraConfig, get_peft_model

    from finetune.judge.spec import LORA_TARGETS

    model, head = run.fresh()
    tuned = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=LORA_TARGETS))
    encoder = tuning_encoder(run.tokenizer, "explanation", "verdict_first")
    trainer = run.trainer(tuned, head)
    asked = [encoder.encode(question(pairs, i, 1).sample) for i in range(2)]
    assert len(rewards.write(trainer, encoder, asked, 8, tries=3)) == 6
    # A model that has learned nothing earns nothing, so good replies are put where its own would be.
    rows = [{"question": i, "reward": 1.0, "mean": 0.5, "text": reply(question(pairs, i, 1))} for i in range(6)]
    (run.folder / "rewards.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    kept = [*map(int, run.kept), *map(int, run.watched)]
    listings = [json.dumps({"row": r, "listing": run.store.listing(r).text()}) + "\n" for r in kept]
    (run.folder / "own.jsonl").write_text("".join(listings), encoding="utf-8")
    draw = rewarded_draw(encoder, pairs, rows, seed=1)
    items = [draw(random.Random(i)) for i in range(16)]
    with torch.no_grad():
        before = float(trainer.loss(items))
    rewards.reward_stage(run, tuned, head)
    with torch.no_grad():
        assert float(trainer.loss(items)) < before - 0.05
    assert torch.load(run.folder / "rewards.pt", weights_only=True)["final"]
