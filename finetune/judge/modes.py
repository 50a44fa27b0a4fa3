"""Ways to teach a verdict with its reasons: what is answered, and in which order; and what each way then says.

``label``: yes or no alone. ``ledger``: the evidence for each claim as well. ``explanation``: evidence and sentences.
``verdict_first`` asks for yes or no before the reasons, so a verdict costs one token and cannot lean on them;
``reasons_first`` asks for it after them. Both judge on the tile's listing, which is written once for all questions;
``direct`` asks about the picture at once, without a listing. ``heat`` is ``verdict_first`` with a second picture before
the claims, the tile under the dual encoder's heat for them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from finetune.judge.batching import batch, patches
from finetune.judge.encode import Encoded, Encoder, Sample, Targets
from finetune.judge.heat import Heated
from prompts.listing import find
from prompts.render import load_template
from prompts.schema import MAX_CLAIMS, read_ledger, read_reply
from retriever.errors import ModelError, ReplyError

Order = Literal["verdict_first", "reasons_first", "direct", "heat"]
TEMPLATES: dict[tuple[Targets, Order], str] = {
    ("label", "verdict_first"): "judge",
    ("label", "direct"): "judge_direct",
    ("label", "heat"): "judge_heat",
    ("ledger", "verdict_first"): "judge_ledger",
    ("explanation", "verdict_first"): "judge",
    ("ledger", "reasons_first"): "judge_ledger_first",
    ("explanation", "reasons_first"): "judge_reasons_first",
}


def tuning_encoder(tokenizer: Any, targets: Targets, order: Order, **more: Any) -> Encoder:
    """The encoder of a way to teach. Raises ``ModelError`` where there is no such way."""
    name = TEMPLATES.get((targets, order))
    if name is None:
        raise ModelError(f"targets {targets} with order {order} cannot be taught; there are {sorted(TEMPLATES)}")
    return Encoder(tokenizer, load_template(name), targets=targets, **more)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One validation pair as every way is asked it."""

    sample: Sample
    match: bool
    place: int
    """Row of the witness's tile."""


def asked_pairs(pairs: Any, n: int, *, seed: int, heat: Heated | None = None) -> list[Asked]:
    """``n`` pairs of :class:`finetune.judge.tasks.Pairs`, none of them blank, on the model's own listings.

    ``heat``: as :func:`finetune.judge.tasks.verdict_draw` takes it; the pairs are the same without it.
    """
    rng = random.Random(seed)
    found: list[Asked] = []
    while len(found) < n:
        witness, row, match = pairs.draw(rng)
        if row < 0:
            continue
        claims, listing = tuple(witness.claims[:MAX_CLAIMS]), pairs.read[row]
        sample = Sample(
            listing=listing.text(),
            learn_listing=False,
            claims=claims,
            findings=tuple(find(c, listing) for c in claims),
            match=True,  # what the target says is not read: only the position where it stands
            image=row,
            heat=None if heat is None else heat(claims, row),
        )
        found.append(Asked(sample=sample, match=match, place=witness.row))
    return found


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one way to teach answers on the validation pairs."""

    p: np.ndarray
    """Probability of yes against no, one for each pair."""
    parsed: float | None
    """Share of the reasons that hold to the schema; None where none were asked for."""


@torch.no_grad()
def tell(trainer: Any, encoder: Encoder, asked: Sequence[Asked], *, batch_size: int = 16, most: int = 520) -> Told:
    """Ask a trained adapter for every verdict, after its own reasons (``most`` tokens) where they come first."""
    p: list[float] = []
    good: list[bool] = []
    for start in range(0, len(asked), batch_size):
        part = asked[start : start + batch_size]
        items = [encoder.encode(a.sample) for a in part]
        if encoder.template.reasons_first:
            replies = write(trainer, encoder, items, most)
            good += [_holds(encoder, r, a.sample) for r, a in zip(replies, part, strict=True)]
            items = [_with_reply(encoder, e, r) for e, r in zip(items, replies, strict=True)]
        p += yes(trainer, encoder, items)
    return Told(p=np.array(p), parsed=float(np.mean(good)) if good else None)


@torch.no_grad()
def yes(trainer: Any, encoder: Encoder, items: Sequence[Encoded]) -> list[float]:
    """Probability of yes against no where each conversation asks for the verdict."""
    data = batch(items, trainer.pad_id)
    seen = trainer.see([picture for e in items for picture in e.pictures])
    hidden = trainer.inner.model(
        input_ids=data["ids"],
        position_ids=data["positions"],
        use_cache=False,
        mm_encoder_outputs={"image": seen},
    ).last_hidden_state
    at = torch.tensor([e.verdict_at for e in items])
    logits = trainer.inner.lm_head(hidden[torch.arange(len(items)), at]).float()
    words = [encoder.tokens(w)[0] for w in (encoder.template.yes, encoder.template.no)]
    found: list[float] = logits[:, words].softmax(-1)[:, 0].tolist()
    return found


@torch.no_grad()
def write(trainer: Any, encoder: Encoder, items: Sequence[Encoded], most: int, *, tries: int = 0) -> list[str]:
    """Reasons, the prompts padded on the left: greedily, or ``tries`` drawn for each, side by side."""
    prompts = [e.ids[: e.reasons_at] for e in items]
    width = max(map(len, prompts))
    ids = torch.tensor([[trainer.pad_id] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    image = encoder.tokens("<|image_pad|>")[0]
    pictures = trainer._pictures([picture for e in items for picture in e.pictures])
    out = trainer.model.generate(
        input_ids=ids,
        attention_mask=mask,
        mm_token_type_ids=(ids == image).long(),
        pixel_values=patches(pictures),
        image_grid_thw=torch.tensor([[1, 14, 14]] * len(pictures)),
        max_new_tokens=most,
        **({"do_sample": True, "temperature": 1.0, "num_return_sequences": tries} if tries else {"do_sample": False}),
        use_cache=True,
        eos_token_id=encoder.tokenizer.eos_token_id,
        pad_token_id=encoder.tokenizer.pad_token_id,
    )
    return list(encoder.tokenizer.batch_decode(out[:, width:], skip_special_tokens=True))


def _holds(encoder: Encoder, reply: str, sample: Sample) -> bool:
    try:
        if encoder.targets == "ledger":
            read_ledger(reply, sample.claims)
        else:
            read_reply(reply, sample.claims)
    except ReplyError:
        return False
    return True


def _with_reply(encoder: Encoder, encoded: Encoded, reply: str) -> Encoded:
    """The conversation with the model's reasons in the place of the taught ones, up to the verdict."""
    asks = "<|im_end|>\n<|im_start|>user\n" + encoder.template.score + "<|im_end|>\n<|im_start|>assistant\n"
    ids = [*encoded.ids[: encoded.reasons_at], *encoder.tokens(reply), *encoder.tokens(asks)]
    rest = len(ids)
    return replace(encoded, ids=ids, labels=[-100] * rest, weights=[1.0] * rest, verdict_at=rest - 1)
