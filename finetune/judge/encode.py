"""From a tile's conversation to token ids and labels, in the very form that the chat template renders.

One sequence holds the whole conversation about a tile: *look* -> listing, *score* -> yes or no, *explain* -> JSON.
Loss falls on the answers only, and, as a dense signal, on the last token of every claim line, where the model is asked
for the claim's stance. ``agent.judge.Judge.stances`` reads those very positions at inference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from finetune.judge.spec import VISUAL_TOKENS
from prompts.listing import Finding
from prompts.render import Template, claim_line
from prompts.schema import write_ledger, write_reply
from prompts.wording import explain_numbered
from retriever.types import Claim

Targets = Literal["label", "ledger", "explanation"]
"""What is answered beside the verdict: nothing, the evidence for each claim, or evidence and sentences."""
IGNORE = -100
STANCE_WEIGHT = 2.0
VERDICT_WEIGHT = 8.0
"""One token decides a conversation of hundreds, so it counts for more than one."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What the judge should say about one tile. ``None`` leaves that part of the conversation out."""

    listing: str
    learn_listing: bool
    """Whether the listing is an answer to learn (a true one) or only context (the model's own)."""
    claims: tuple[Claim, ...] = ()
    findings: tuple[Finding, ...] = ()
    match: bool | None = None
    doubt: float = 0.0
    """Share of the verdict's target that goes to the other answer, 0..1."""
    explained: bool = False
    reply: str | None = None
    """Reasons to learn in place of the rule's: a reply that the model wrote itself and that was rewarded."""
    image: int | None = None
    """Row of the tile store; None: text only, and the conversation begins with the listing."""
    turn: int = 0
    """How the picture is turned (see ``finetune.judge.turns``); the listing is that of the turned tile."""
    heat: int | None = None
    """Row of the tile under its heat (``finetune.judge.heat``), for a template that shows it."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    ids: list[int]
    labels: list[int]
    """Next-token targets: ``labels[i]`` is what position i should predict, or IGNORE."""
    weights: list[float]
    image_at: int
    """Index of the first visual token, -1 without picture."""
    image: int | None
    turn: int = 0
    verdict_at: int = -1
    """Position that predicts yes or no, -1 without a verdict to learn."""
    reasons_at: int = -1
    """Where the evidence begins, -1 without any."""
    other: int = 0
    """Token id of the answer that is not the label's, and in ``doubt`` its share of the target."""
    doubt: float = 0.0
    heat: int | None = None
    """Row of the second picture, and in ``heat_at`` the index of its first visual token, -1 without."""
    heat_at: int = -1

    @property
    def pictures(self) -> list[tuple[int, int]]:
        """Rows and turns of its pictures, in the order of their tokens."""
        own = [] if self.image is None else [(self.image, self.turn)]
        return own if self.heat is None else [*own, (self.heat, 0)]


class Encoder:
    """Encodes samples for one tokenizer and template; the template says whether verdict or reasons come first.

    ``marks``: whether the end of each claim line is asked for its stance, which must then be one token.
    """

    def __init__(
        self,
        tokenizer: Any,
        template: Template,
        *,
        verdicts: bool = True,
        targets: Targets = "explanation",
        marks: bool = True,
        visual_tokens: int = VISUAL_TOKENS,
    ) -> None:
        self.tokenizer, self.template, self.verdicts = tokenizer, template, verdicts
        self.targets, self.marks, self.visual_tokens = targets, marks, visual_tokens
        self._cache: dict[str, list[int]] = {}
        self.stance_ids = {s: self._one(s) for s in ("supports", "contradicts", "unknown")} if marks else {}

    def _one(self, word: str) -> int:
        ids = self.tokens(word)
        if len(ids) != 1:
            raise ValueError(f"{word!r} is {len(ids)} tokens; the tokenizer's training texts must make it one")
        return ids[0]

    def tokens(self, text: str) -> list[int]:
        found = self._cache.get(text)
        if found is None:
            found = self.tokenizer.encode(text, add_special_tokens=False)
            if len(self._cache) < 200_000:
                self._cache[text] = found
        return found

    def encode(self, sample: Sample) -> Encoded:
        out = _Writer(self)
        t = self.template
        image_at = -1
        if sample.image is not None:
            out.say("<|im_start|>system\n" + t.system + "<|im_end|>\n<|im_start|>user\n<|vision_start|>")
            image_at = out.picture()
            out.say(f"<|vision_end|>{t.look}<|im_end|>\n" if t.look else "<|vision_end|>")
        if t.direct:
            self._direct(out, sample)
        else:
            out.say("<|im_start|>assistant\n")
            out.answer(sample.listing, learn=sample.learn_listing)
        if self.template.reasons_first:
            self._reasons_first(out, sample)
        elif sample.claims and not t.direct:
            self._ask(out, self.template.score, sample)
            self._verdict(out, sample)
            if sample.explained and self.targets != "label":
                self._turn(out, self.template.explain)
                self._reasons(out, sample)
        return Encoded(
            ids=out.ids,
            labels=out.labels,
            weights=out.weights,
            image_at=image_at,
            image=sample.image,
            turn=sample.turn,
            verdict_at=out.verdict_at,
            reasons_at=out.reasons_at,
            other=self._one(t.no if sample.match else t.yes),
            doubt=sample.doubt,
            heat=sample.heat if out.heat_at >= 0 else None,
            heat_at=out.heat_at,
        )

    def _direct(self, out: _Writer, sample: Sample) -> None:
        """The claims right behind the picture, then the verdict; the sample's listing is not shown."""
        if sample.image is None or not sample.claims:
            raise ValueError("a verdict straight from the picture needs a picture and claims")
        self._ask(out, self.template.score, sample, opening="")
        self._verdict(out, sample)

    def _reasons_first(self, out: _Writer, sample: Sample) -> None:
        """Every sample with claims is explained: the verdict has to follow from something."""
        if sample.claims:
            self._ask(out, self.template.explain, sample)
            self._reasons(out, sample)
            self._turn(out, self.template.score)
            self._verdict(out, sample)

    def _turn(self, out: _Writer, text: str) -> None:
        out.say("\n<|im_start|>user\n" + text + "<|im_end|>\n<|im_start|>assistant\n")

    def _ask(self, out: _Writer, question: str, sample: Sample, opening: str = "\n<|im_start|>user\n") -> None:
        """A question with the claims in it."""
        before, after = question.split("«claims»")
        if self.template.heat:
            if sample.heat is None:
                raise ValueError(f"the template {self.template.id} shows heat, and the sample has none")
            out.say(opening + "<|vision_start|>")
            out.heat_at = out.picture()
            opening = f"<|vision_end|>{self.template.heat}\n"
        out.say(opening + before)
        for i, (claim, finding) in enumerate(zip(sample.claims, sample.findings, strict=True), 1):
            out.say(claim_line(claim, i))
            if self.marks:
                out.mark(self.stance_ids[finding.stance])
            if i < len(sample.claims):
                out.say("\n")
        out.say(after + "<|im_end|>\n<|im_start|>assistant\n")

    def _verdict(self, out: _Writer, sample: Sample) -> None:
        if sample.match is not None:
            word = self.template.yes if sample.match else self.template.no
            if self.verdicts:
                out.verdict_at = len(out.ids) - 1
            out.answer(word, learn=self.verdicts)
            if self.verdicts:
                out.weights[out.verdict_at] = VERDICT_WEIGHT

    def _reasons(self, out: _Writer, sample: Sample) -> None:
        out.reasons_at = len(out.ids)
        if sample.reply is not None:
            out.answer(sample.reply, learn=True)
            return
        if self.targets == "ledger":
            out.answer(write_ledger(sample.findings), learn=True)
            return
        stances = {c.id: f.stance for c, f in zip(sample.claims, sample.findings, strict=True)}
        en, zh = explain_numbered(sample.claims, stances, match=sample.match)
        out.answer(write_reply(sample.findings, en, zh), learn=True)


class _Writer:
    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.ids: list[int] = []
        self.labels: list[int] = []
        self.weights: list[float] = []
        self.verdict_at = self.reasons_at = self.heat_at = -1

    def pad(self) -> None:
        grow = len(self.ids) - len(self.labels)
        self.labels += [IGNORE] * grow
        self.weights += [1.0] * grow

    def picture(self) -> int:
        """A picture's tokens; where they begin."""
        start = len(self.ids)
        self.ids += self.encoder.tokens("<|image_pad|>") * self.encoder.visual_tokens
        self.pad()
        return start

    def say(self, text: str) -> None:
        self.ids += self.encoder.tokens(text)
        self.pad()

    def mark(self, target: int) -> None:
        """Ask the last position for ``target``, whatever really follows it."""
        self.labels[-1] = target
        self.weights[-1] = STANCE_WEIGHT

    def answer(self, text: str, *, learn: bool) -> None:
        start = len(self.ids)
        self.ids += self.encoder.tokens(text) + self.encoder.tokens("<|im_end|>")
        self.pad()
        if learn:
            for i in range(start, len(self.ids)):
                self.labels[i - 1] = self.ids[i]
                self.weights[i - 1] = 1.0
