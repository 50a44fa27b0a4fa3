"""Two bilingual annotators of pairs (GLEAM-X): match or not and why, by two different models; people where they differ.

Reads pairs as JSON lines (:class:`PairRow`), writes ``annotations.jsonl`` with what both agree on and adds the rest to
``queue.jsonl``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from finetune.annotate.answers import ask
from finetune.annotate.desk import Desk, Planned, each
from finetune.annotate.disagree import languages_differ, opposed, read_back
from finetune.annotate.paying import NotPaid, PaidClient
from finetune.annotate.photos import keep, part, queue_image
from finetune.annotate.queue import Answer, QueueItem, Why, append, item_id
from finetune.annotate.rows import read_rows, write_rows
from prompts.annotate import PairAnswer, PairVerdict, PromptLang, load_annotate, pair_request, read_pair
from prompts.clients.base import ChatRequest
from retriever.errors import ReplyError, SightlineError, SourceError
from retriever.types import Record

FirstRole = Literal["ground", "panorama", "uav", "map"]
SecondRole = Literal["satellite", "map"]
ANNOTATORS = ("annotator_a", "annotator_b")


@dataclass(frozen=True, kw_only=True)
class PairRow(Record):
    """One pair as it is handed in."""

    id: str
    first: str
    """Of the query's picture, relative to the file that the row stands in."""
    second: str
    """Of the overhead tile's, likewise."""
    first_role: FirstRole = "ground"
    second_role: SecondRole = "satellite"
    text: str = ""
    """What the witness says, where there is anything."""


@dataclass(frozen=True, kw_only=True)
class AnnotationRow(Record):
    id: str
    first_sha256: str
    second_sha256: str
    verdict: PairVerdict | None
    """None: the two differ, or one did not answer; people decide."""
    en: str
    """The first annotator's explanation where both give the same verdict, else empty."""
    zh: str
    answers: tuple[Answer, ...]
    why: tuple[Why, ...]
    """Why it went to people; empty where it did not."""
    detail: str
    prompt: str
    """Id and hash of the template."""


@dataclass(frozen=True, kw_only=True)
class PairJob:
    row: PairRow
    first: str
    """sha256 in the run's content store."""
    second: str


def pair_jobs(pairs: Path, run: Path) -> list[PairJob]:
    """Read the pairs and keep their pictures. Raises ``SourceError`` on a missing picture or an id that comes twice."""
    rows = read_rows(pairs, PairRow)
    if not rows:
        raise SourceError(f"{pairs} holds no pairs; name a file with id, first and second in each line")
    if len({row.id for row in rows}) != len(rows):
        raise SourceError(f"{pairs} has an id twice; give every pair its own")
    kept: dict[str, str] = {}
    for name in {n for row in rows for n in (row.first, row.second)}:
        kept[name] = keep(run, pairs.parent / name)[0]
    return [PairJob(row=row, first=kept[row.first], second=kept[row.second]) for row in rows]


class Annotators:
    """Raises ``SightlineError`` if the two would be the same model: it would agree with itself."""

    def __init__(self, run: Path, desk: Desk, lang: PromptLang) -> None:
        self.run, self.desk, self.lang = run, desk, lang
        self.clients = tuple(desk.client(name) for name in ANNOTATORS)
        if self.clients[0].model == self.clients[1].model:
            raise SightlineError(
                f"both annotators are the model {self.clients[0].model}; give annotator_a and annotator_b two models"
            )

    def request(self, job: PairJob) -> ChatRequest:
        roles = (job.row.first_role, job.row.second_role)
        first, second = part(self.run, job.first), part(self.run, job.second)
        return pair_request(first, second, self.lang, roles=roles, words=job.row.text)

    async def annotate(self, job: PairJob) -> AnnotationRow:
        """Both are asked; both replies are waited for, also where one may not be asked any more."""
        request = self.request(job)
        got = await asyncio.gather(*(self._one(c, request) for c in self.clients), return_exceptions=True)
        answers: list[PairAnswer | ReplyError] = []
        for one in got:
            if isinstance(one, BaseException) and not isinstance(one, ReplyError):
                raise one
            answers.append(one)
        return self._row(job, answers)

    async def _one(self, client: PaidClient, request: ChatRequest) -> PairAnswer:
        return await ask(client, request, read_pair, self.desk.counts)

    def _row(self, job: PairJob, answers: Sequence[PairAnswer | ReplyError]) -> AnnotationRow:
        why, detail = reasons(answers)
        a, b = answers
        agreed = isinstance(a, PairAnswer) and isinstance(b, PairAnswer) and a.verdict == b.verdict
        template = load_annotate("pair")
        return AnnotationRow(
            id=job.row.id,
            first_sha256=job.first,
            second_sha256=job.second,
            verdict=a.verdict if agreed and isinstance(a, PairAnswer) else None,
            en=a.en if agreed and isinstance(a, PairAnswer) else "",
            zh=a.zh if agreed and isinstance(a, PairAnswer) else "",
            answers=tuple(
                _answer(name, client.model, answer)
                for name, client, answer in zip(ANNOTATORS, self.clients, answers, strict=True)
            ),
            why=tuple(why),
            detail=detail,
            prompt=f"{template.id}@{template.sha256[:8]}",
        )

    async def plan(self, job: PairJob) -> list[Planned]:
        """The calls that are still to be paid for this pair; needs a dry desk."""
        planned: list[Planned] = []
        for client in self.clients:
            try:
                await self._one(client, self.request(job))
            except ReplyError:
                continue
            except NotPaid as call:
                planned += [Planned(stage=call.stage, tokens=call.tokens, certain=certain) for certain in (True, False)]
        return planned


def _answer(by: str, model: str, answer: PairAnswer | ReplyError) -> Answer:
    if isinstance(answer, ReplyError):
        return Answer(by=by, model=model, notes=(f"unanswered: {answer}",))
    points = [f"agree: {en} / {zh}" for en, zh in answer.agree] + [f"differ: {en} / {zh}" for en, zh in answer.differ]
    return Answer(
        by=by,
        model=model,
        verdict=answer.verdict,
        en=answer.en,
        zh=answer.zh,
        claims=read_back(answer.en),
        notes=tuple(points),
    )


def reasons(answers: Sequence[PairAnswer | ReplyError]) -> tuple[list[Why], str]:
    """Why a pair goes to people, and the same in a sentence; nothing where the annotators agree in all."""
    why: list[Why] = []
    said: list[str] = []
    whole = [a for a in answers if isinstance(a, PairAnswer)]
    if len(whole) < len(answers):
        why.append("unanswered")
        said.append("an annotator gave no usable answer")
    if len(whole) == 2:
        a, b = whole
        if a.verdict != b.verdict:
            why.append("verdict_differs")
            said.append(f"annotator_a says {a.verdict}, annotator_b {b.verdict}")
        if points := opposed(a, b):
            why.append("claims_differ")
            said.append(f"on opposite sides: {', '.join(points)}")
    for answer in whole:
        if not answer.coherent and "incoherent" not in why:
            why.append("incoherent")
            said.append("an explanation concludes the other verdict")
        if (apart := languages_differ(answer)) and "languages_differ" not in why:
            why.append("languages_differ")
            said.append("; ".join(apart))
    return why, "; ".join(said)


def queue_items(jobs: Sequence[PairJob], rows: Sequence[AnnotationRow]) -> list[QueueItem]:
    """What people are to decide. The text to revise is the first usable answer's."""
    by_id = {job.row.id: job.row for job in jobs}
    return [_item(by_id[row.id], row) for row in rows if row.why]


def _item(pair: PairRow, row: AnnotationRow) -> QueueItem:
    images = (queue_image(pair.first_role, row.first_sha256), queue_image(pair.second_role, row.second_sha256))
    proposed = next((a for a in row.answers if a.verdict is not None), row.answers[0])
    return QueueItem(
        id=item_id("pair", images, row.answers, pair.text),
        task="pair",
        images=images,
        en=proposed.en,
        zh=proposed.zh,
        query=pair.text,
        verdict=row.verdict,
        claims=proposed.claims,
        answers=row.answers,
        why=row.why,
        detail=row.detail,
    )


def alpha(rows: Sequence[AnnotationRow]) -> float | None:
    """Krippendorff's alpha of the two annotators' verdicts (nominal); None where it is not defined.

    It is not with fewer than two pairs that both answered, or where only one verdict was ever given.
    """
    import krippendorff
    import numpy as np

    codes = {"match": 1.0, "no_match": 0.0, None: np.nan}
    data = np.array([[codes[row.answers[i].verdict] for row in rows] for i in range(2)])
    both = data[:, ~np.isnan(data).any(axis=0)] if rows else data
    if both.shape[1] < 2 or len(np.unique(both)) < 2:
        return None
    return float(krippendorff.alpha(reliability_data=data, level_of_measurement="nominal"))


async def run_pairs(
    pairs: Path, run: Path, desk: Desk, lang: PromptLang, done: Callable[[PairJob], None] | None = None
) -> list[AnnotationRow]:
    """To ``annotations.jsonl`` and the queue, also where it is stopped; ``desk.budget.stopped`` says why."""
    jobs = pair_jobs(pairs, run)
    annotators = Annotators(run, desk, lang)
    try:
        results = await each(desk, jobs, annotators.annotate, done)
    finally:
        await desk.close()
    rows = [row for row in results if row is not None]
    write_rows(run / "annotations.jsonl", rows)
    append(run / "queue.jsonl", queue_items(jobs, rows))
    return rows
