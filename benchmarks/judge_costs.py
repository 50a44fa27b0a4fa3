"""What a verdict costs with the tile's listing kept beside it, and what without one: tokens and processor seconds.

Each pair is asked in turn, one at a time and on one thread, in every way that a judge can be asked, so that whatever
else the machine does meets all of them alike: ratios are taken pair by pair. Seconds are the processor's own
(``time.process_time``), not the clock's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from eval.bootstrap import bootstrap_median
from finetune.judge.batching import batch
from finetune.judge.encode import Encoded
from finetune.judge.modes import Asked, yes

LOOK = "writing the listing, once for a tile"
KEPT = "listing kept, its words read again"
SHARED = "listing kept, read already"
DIRECT = "no listing"
DIRECT_SHARED = "no listing, picture read already"
WAYS = (LOOK, KEPT, SHARED, DIRECT, DIRECT_SHARED)


@dataclass(frozen=True, kw_only=True)
class Costs:
    seconds: Mapping[str, np.ndarray]
    """Processor seconds of each pair, by way."""
    tokens: Mapping[str, np.ndarray]
    """Prompt tokens that the model reads for it; of ``LOOK`` those that it writes."""
    places: Sequence[str]


class Kept:
    """A conversation's beginning, read once: what a server with prefix caching holds of a tile."""

    def __init__(self, trainer: Any, encoder: Any, item: Encoded, begins: int) -> None:
        """``begins``: tokens of ``item`` that do not depend on the claims; the picture is among them."""
        self.inner, self.encoder, self.begins = trainer.inner, encoder, begins
        data = batch([item], trainer.pad_id)
        self.ids, self.at, self.verdict_at = data["ids"], data["positions"], item.verdict_at
        with torch.no_grad():
            seen = trainer.see([(item.image, item.turn)])
            self.cache = self.inner.model(
                input_ids=self.ids[:, :begins],
                position_ids=self.at[:, :, :begins],
                use_cache=True,
                mm_encoder_outputs={"image": seen},
            ).past_key_values

    @torch.no_grad()
    def yes(self) -> float:
        """The probability of yes; only what stands behind the beginning is read."""
        rest = slice(self.begins, self.verdict_at + 1)
        hidden = self.inner.model(
            input_ids=self.ids[:, rest],
            position_ids=self.at[:, :, rest],
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        self.cache.crop(self.begins - self.verdict_at - 1)
        words = [self.encoder.tokens(w)[0] for w in (self.encoder.template.yes, self.encoder.template.no)]
        return float(self.inner.lm_head(hidden[:, -1]).float()[0, words].softmax(-1)[0])


def begins(encoder: Any, asked: Asked, item: Encoded) -> int:
    """How many tokens of a pair's conversation are the tile's own and stand before the claims."""
    if encoder.template.direct:
        return int(item.image_at) + encoder.visual_tokens + 1
    return len(encoder.encode(replace(asked.sample, claims=(), findings=())).ids)


def measure(parted: tuple[Any, Any, Any], direct: tuple[Any, Any], asked: Sequence[Asked]) -> Costs:
    """``parted``: run, trainer and encoder of a judge that looks first; ``direct``: trainer and encoder of one that
    does not. The first pair is asked twice, once to warm up."""
    run, *looking = parted
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    tokens: dict[str, list[float]] = {way: [] for way in WAYS}
    for number, one in enumerate([asked[0], *asked]):
        found = {}
        for words, (trainer, encoder) in (((KEPT, SHARED), looking), ((DIRECT, DIRECT_SHARED), direct)):
            item = encoder.encode(one.sample)
            own = begins(encoder, one, item)
            kept, n = Kept(trainer, encoder, item, own), item.verdict_at + 1
            found[words[0]] = (_clocked(lambda t=trainer, e=encoder, i=item: yes(t, e, [i])), n)  # type: ignore[misc]
            found[words[1]] = (_clocked(kept.yes), n - own)
        wrote = len(looking[1].tokens(one.sample.listing)) + 1
        picture = run.store.pictures[one.sample.image][None]
        found[LOOK] = (_clocked(lambda p=picture: run.look(looking[0].model, p)), wrote)  # type: ignore[misc]
        for way, (spent, read) in found.items() if number else ():
            seconds[way].append(spent)
            tokens[way].append(read)
    return Costs(
        seconds={k: np.array(v) for k, v in seconds.items()},
        tokens={k: np.array(v) for k, v in tokens.items()},
        places=[str(a.place) for a in asked],
    )


def _clocked(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def table(costs: Costs) -> str:
    """Markdown; the ratio is to the verdict on a kept listing whose words are read again."""
    lines = [
        f"One verdict, {len(costs.places)} pairs one at a time, one thread; medians over pairs, of the ratio with the "
        "95 % interval by place",
        "",
        "| way | tokens read | ms of processor | times the verdict on a kept listing |",
        "| --- | ---: | ---: | --- |",
    ]
    for way in WAYS:
        ratio = bootstrap_median(costs.seconds[way] / costs.seconds[KEPT], costs.places)
        shown = "1" if way == KEPT else f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
        read = f"{costs.tokens[way].mean():.0f}" + (" written" if way == LOOK else "")
        lines.append(f"| {way} | {read} | {1000 * float(np.median(costs.seconds[way])):.1f} | {shown} |")
    return "\n".join(lines)
