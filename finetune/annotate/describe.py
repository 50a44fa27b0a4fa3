"""Producer and inspector: a photograph becomes a description that was checked, or one that goes to people.

The published progressive pipeline (CVG-Text): what machines read and found -> the producer with its path of aspects ->
the inspector for accuracy, completeness and clarity, who may send the text back -> people, for a sample and for all
that was refused. Every row can be made again from the paid replies alone, so a stopped run loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.annotate.answers import ask
from finetune.annotate.desk import Desk, Planned, each
from finetune.annotate.ocr import Reading
from finetune.annotate.paying import NotPaid
from finetune.annotate.photos import Photo, part, photos, queue_image
from finetune.annotate.queue import Answer, QueueItem, Why, append, item_id
from finetune.annotate.rows import read_rows, write_rows
from finetune.annotate.segment import Segment, SegmentRow
from finetune.annotate.vehicles import SignRow, is_vehicle
from prompts.annotate import (
    PromptLang,
    inspector_request,
    load_annotate,
    producer_request,
    read_inspection,
    read_produced,
    seen_block,
)
from prompts.claims import extract_claims
from retriever.errors import ReplyError
from retriever.types import Claim, Record, sha256_text

_TYPICAL_TEXT = "x" * 900
_SHORTEST_LEAK = 3
"""Characters: shorter readings on vehicles ("A", "12") would be found in any text."""


@dataclass(frozen=True, kw_only=True)
class DescriptionRow(Record):
    sha256: str
    """Of the photograph."""
    name: str
    lang: PromptLang
    text: str
    """Empty where the producer gave no usable answer."""
    accepted: bool
    rounds: int
    aspects: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...]
    """Why it was not accepted."""
    claims: tuple[Claim, ...]
    """Read back from the text."""
    sampled: bool
    """Drawn for people although it was accepted."""
    vehicles_known: bool
    producer: str
    inspector: str
    prompts: tuple[str, ...]
    """Ids and hashes of the templates."""


@dataclass(frozen=True, kw_only=True)
class Job:
    photo: Photo
    kept: tuple[Reading, ...] = ()
    dropped: tuple[Reading, ...] = ()
    segments: tuple[Segment, ...] = ()
    vehicles_known: bool = False

    @property
    def seen(self) -> str:
        """What machines read and found, vehicles left out, as the models are told."""
        width = self.photo.width
        readings = [(r.text, _where(sum(x for x, _ in r.quad) / len(r.quad), width)) for r in self.kept]
        objects = [
            (s.label, _where((s.box[0] + s.box[2]) / 2, width)) for s in self.segments if not is_vehicle(s.label)
        ]
        return seen_block(readings, objects)


def _where(x: float, width: int) -> str:
    return "left" if x < width / 3 else "right" if x > width * 2 / 3 else "ahead"


def sampled(sha256: str, share: float) -> bool:
    """Whether people read this one: the same answer on every run, and for ``share`` of all hashes.

    >>> round(sum(sampled(str(n), 0.2) for n in range(10_000)) / 10_000, 1)
    0.2
    """
    return int(sha256_text(f"people/{sha256}")[:12], 16) < share * 16**12


def leaks(text: str, dropped: Sequence[Reading]) -> list[str]:
    """Readings on vehicles that the text speaks of all the same."""
    folded = text.casefold()
    return [r.text for r in dropped if len(r.text) >= _SHORTEST_LEAK and r.text.casefold() in folded]


def jobs(run: Path) -> list[Job]:
    """From the artefacts of the earlier stages; signs are needed, segments may be missing."""
    signs = {row.sha256: row for row in read_rows(run / "signs.jsonl", SignRow)}
    path = run / "segments.jsonl"
    segments = {s.sha256: s.segments for s in read_rows(path, SegmentRow)} if path.exists() else {}
    none = SignRow(sha256="", kept=(), dropped=(), on=(), vehicles_known=False)
    return [
        Job(
            photo=photo,
            kept=signs.get(photo.sha256, none).kept,
            dropped=signs.get(photo.sha256, none).dropped,
            segments=segments.get(photo.sha256, ()),
            vehicles_known=signs.get(photo.sha256, none).vehicles_known,
        )
        for photo in photos(run)
    ]


class Writer:
    """Producer and inspector over one photograph after the other."""

    def __init__(self, run: Path, desk: Desk, lang: PromptLang) -> None:
        self.run, self.desk, self.lang = run, desk, lang
        self.producer, self.inspector = desk.client("producer"), desk.client("inspector")
        self.round: dict[str, int] = {}
        """By photograph: the round that it is in, for the dry run."""

    async def describe(self, job: Job) -> DescriptionRow:
        """Raises ``Stopped`` where a call may not be sent; everything up to there is paid for and kept."""
        text, reasons = "", list[str]()
        aspects: tuple[tuple[str, str], ...] = ()
        image, rounds = part(self.run, job.photo.sha256), 0
        try:
            while rounds == 0 or (reasons and rounds < self.desk.config.rounds):
                rounds += 1
                self.round[job.photo.sha256] = rounds
                asked = producer_request(image, self.lang, job.seen, last=text, reasons=reasons)
                produced = await ask(self.producer, asked, read_produced, self.desk.counts)
                text, aspects = produced.text, produced.aspects
                reasons = [f"accuracy: {leak!r} stands on a vehicle; leave it out" for leak in leaks(text, job.dropped)]
                if not reasons:
                    checked = inspector_request(image, self.lang, job.seen, text)
                    reasons = list((await ask(self.inspector, checked, read_inspection, self.desk.counts)).reasons)
        except ReplyError as error:
            reasons = [f"unanswered: {error}"]
        return self._row(job, text, aspects, reasons, rounds)

    def _row(
        self, job: Job, text: str, aspects: tuple[tuple[str, str], ...], reasons: Sequence[str], rounds: int
    ) -> DescriptionRow:
        templates = [load_annotate(name) for name in ("producer", "inspector")]
        return DescriptionRow(
            sha256=job.photo.sha256,
            name=job.photo.name,
            lang=self.lang,
            text=text,
            accepted=not reasons,
            rounds=rounds,
            aspects=aspects,
            reasons=tuple(reasons),
            claims=tuple(extract_claims(text)),
            sampled=not reasons and sampled(job.photo.sha256, self.desk.config.sample),
            vehicles_known=job.vehicles_known,
            producer=self.producer.model,
            inspector=self.inspector.model,
            prompts=tuple(f"{t.id}@{t.sha256[:8]}" for t in templates),
        )

    async def plan(self, job: Job) -> list[Planned]:
        """The calls that are still to be paid for this photograph; needs a dry desk."""
        try:
            await self.describe(job)
            return []
        except NotPaid as first:
            came_to = first
        image = part(self.run, job.photo.sha256)
        write = self.producer.tokens(
            producer_request(image, self.lang, job.seen, last=_TYPICAL_TEXT, reasons=["x" * 200])
        )
        check = self.inspector.tokens(inspector_request(image, self.lang, job.seen, _TYPICAL_TEXT))
        planned = [Planned(stage=came_to.stage, tokens=came_to.tokens, certain=True)]
        if came_to.stage == "producer":
            planned.append(Planned(stage="inspector", tokens=check, certain=True))
        again = [Planned(stage=p.stage, tokens=p.tokens, certain=False) for p in planned]
        further = self.desk.config.rounds - self.round[job.photo.sha256]
        pair = [
            Planned(stage="producer", tokens=write, certain=False),
            Planned(stage="inspector", tokens=check, certain=False),
        ]
        return planned + again + pair * (2 * further)


def queue_items(rows: Sequence[DescriptionRow]) -> Iterator[QueueItem]:
    """What people are to read: every text that was refused, and the sample."""
    for row in rows:
        if row.accepted and not row.sampled:
            continue
        unanswered = any(r.startswith("unanswered: ") for r in row.reasons)
        why: Why = "sample" if row.accepted else "unanswered" if unanswered else "rejected"
        texts = {row.lang: row.text}
        images = (queue_image("ground", row.sha256),)
        answers = (
            Answer(
                by="producer", model=row.producer, en=texts.get("en", ""), zh=texts.get("zh", ""), claims=row.claims
            ),
            Answer(by="inspector", model=row.inspector, notes=row.reasons),
        )
        yield QueueItem(
            id=item_id("description", images, answers),
            task="description",
            images=images,
            en=texts.get("en", ""),
            zh=texts.get("zh", ""),
            claims=row.claims,
            answers=answers,
            why=(why,),
            detail="; ".join(row.reasons) or "accepted by the inspector; drawn for the sample",
        )


async def run_describe(
    run: Path, desk: Desk, lang: PromptLang, done: Callable[[Job], None] | None = None
) -> list[DescriptionRow]:
    """To ``descriptions.<lang>.jsonl`` and the queue, also where it is stopped; ``desk.budget.stopped`` says why."""
    writer = Writer(run, desk, lang)
    try:
        results = await each(desk, jobs(run), writer.describe, done)
    finally:
        await desk.close()
    rows = [row for row in results if row is not None]
    write_rows(run / f"descriptions.{lang}.jsonl", rows)
    append(run / "queue.jsonl", queue_items(rows))
    return rows
