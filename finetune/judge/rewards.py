"""A second stage with rewards, the simplest that fits a model of this size: rejection sampling.

For each of a number of training pairs the tuned adapter writes several explanations; each is rewarded for right stances
(by the rule on the map's listing, which the model does not see), for both languages saying what its evidence says and
nothing else, and for the right conclusion. The best one is learned where it earns :data:`BAR`, among ordinary samples.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from finetune.judge.encode import Encoded, Encoder, Sample
from finetune.judge.modes import tuning_encoder, write
from finetune.judge.tasks import Pairs, verdict_draw
from finetune.judge.train import Draw, Stage
from prompts.listing import find
from prompts.readback import agrees
from prompts.schema import MAX_CLAIMS, read_reply
from prompts.wording import explain
from retriever.errors import ModelError, ReplyError
from retriever.models import write_atomic
from retriever.types import Stance

STANCES, WORDS, CONCLUSION = 0.5, 0.3, 0.2
"""What each part is worth; together one."""
BAR = 0.85
"""Least reward of a reply that is learned: its words hold, its conclusion is right, and 7 stances of 10 are."""
BATCH = 4


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a reply earns its reward for."""

    stances: float
    """Share of the claims with the right stance."""
    words: bool
    """Both languages say what the reply's evidence says and nothing else."""
    conclusion: bool
    """Both languages conclude what the sample's verdict says."""

    @property
    def reward(self) -> float:
        return STANCES * self.stances + WORDS * self.words + CONCLUSION * self.conclusion


def parts(text: str, sample: Sample, truth: Mapping[str, Stance]) -> Parts | None:
    """None for a reply that does not parse."""
    try:
        reply = read_reply(text, sample.claims)
    except ReplyError:
        return None
    said: dict[str, Stance] = {e.claim_id: e.stance for e in reply.evidence}
    en, zh = explain(sample.claims, said, match=sample.match)
    return Parts(
        stances=sum(said[c] == stance for c, stance in truth.items()) / max(1, len(truth)),
        words=agrees(reply.en, reply.zh, sample.claims, said),
        conclusion=_last(reply.en, ". So ") == _last(en, ". So ") and _last(reply.zh, "因此") == _last(zh, "因此"),
    )


def reward(text: str, sample: Sample, truth: Mapping[str, Stance]) -> float:
    """0 for a reply that does not parse, else up to 1."""
    found = parts(text, sample, truth)
    return 0.0 if found is None else found.reward


def _last(text: str, mark: str) -> str:
    return text.rpartition(mark)[2].strip()


@dataclass(frozen=True, kw_only=True)
class Question:
    """A pair to be explained, and the stance that the map gives each of its claims, by claim id."""

    sample: Sample
    truth: Mapping[str, Stance]


def question(pairs: Pairs, number: int, seed: int) -> Question:
    """The ``number``-th question, always the same."""
    rng = random.Random(f"rewards:{seed}:{number}")
    while True:
        witness, row, match = pairs.draw(rng)
        if row >= 0:
            break
    claims = tuple(witness.claims[:MAX_CLAIMS])
    own, true = pairs.read[row], pairs.store.listing(row)
    sample = Sample(
        listing=own.text(),
        learn_listing=False,
        claims=claims,
        findings=tuple(find(c, own) for c in claims),
        match=match,
        explained=True,
        image=row,
    )
    return Question(sample=sample, truth={c.id: find(c, true).stance for c in claims})


def collect(
    trainer: Any, encoder: Encoder, pairs: Pairs, path: Path, *, questions: int, tries: int, seed: int, most: int = 520
) -> list[dict[str, Any]]:
    """The best reply to each question, one line of ``path`` each; what is answered there is not asked again."""
    done = _kept(path)
    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in done).encode())
    answered = {row["question"] for row in done}
    left = [i for i in range(questions) if i not in answered]
    with path.open("a", encoding="utf-8") as file:
        for start in range(0, len(left), BATCH):
            numbers = left[start : start + BATCH]
            for row in _best(trainer, encoder, pairs, numbers, tries, seed, most):
                done.append(row)
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
    return done


def _kept(path: Path) -> list[dict[str, Any]]:
    """Without a line that a kill cut short."""
    found = []
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _best(
    trainer: Any, encoder: Encoder, pairs: Pairs, numbers: Sequence[int], tries: int, seed: int, most: int
) -> list[dict[str, Any]]:
    asked = [question(pairs, i, seed) for i in numbers]
    torch.manual_seed(seed * 100_003 + numbers[0])
    texts = write(trainer, encoder, [encoder.encode(q.sample) for q in asked], most, tries=tries)
    found = []
    for at, (number, q) in enumerate(zip(numbers, asked, strict=True)):
        own = texts[at * tries : (at + 1) * tries]
        worth = [reward(text, q.sample, q.truth) for text in own]
        best = max(range(tries), key=lambda i: worth[i])
        mean = sum(worth) / tries
        found.append({"question": number, "reward": round(worth[best], 4), "mean": round(mean, 4), "text": own[best]})
    return found


def rewarded_draw(encoder: Encoder, pairs: Pairs, replies: Sequence[Mapping[str, Any]], seed: int) -> Draw:
    """Rewarded replies and ordinary samples in turn by a coin. Raises ``ModelError`` where no reply is good enough."""
    good = [(question(pairs, r["question"], seed).sample, r["text"]) for r in replies if r["reward"] >= BAR]
    if not good:
        raise ModelError(f"none of {len(replies)} questions got a reply worth {BAR}: train the adapter longer first")
    ordinary = verdict_draw(encoder, pairs)

    def draw(rng: random.Random) -> Encoded:
        if rng.random() < 0.5:
            return ordinary(rng)
        sample, text = rng.choice(good)
        return encoder.encode(replace(sample, reply=text))

    return draw


def reward_stage(run: Any, tuned: Any, head: Any) -> Any:
    """The stage ``rewards`` of a recipe: ``questions`` and ``tries`` beside what every stage has."""
    options = dict(run.recipe.stages["rewards"])
    questions, tries = int(options.pop("questions")), int(options.pop("tries"))
    own = run.own_listings(None, [*map(int, run.kept), *map(int, run.watched)])
    pairs, val = run._pairs(own, run.kept), run._pairs(own, run.watched)
    encoder = tuning_encoder(run.tokenizer, run.recipe.targets, run.recipe.order)
    if run.recipe.targets != "explanation" or encoder.template.reasons_first:
        raise ModelError("rewards are for explanations after the verdict: leave targets and order as they are")
    trainer, seed = run.trainer(tuned, head), run.recipe.seed
    path = run.folder / "rewards.jsonl"
    replies = collect(trainer, encoder, pairs, path, questions=questions, tries=tries, seed=seed)
    draw = rewarded_draw(encoder, pairs, replies, seed)
    tuned.train()
    trainer.fit(Stage(name="rewards", seed=seed, **options), draw, run.kept, run._verdicts(trainer, encoder, val))
    return tuned.eval()
