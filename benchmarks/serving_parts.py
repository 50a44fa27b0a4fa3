"""What benchmarks/serving.py asks, how it counts, and what it prints."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import psutil  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table

from agent.demo import TEXT
from agent.judge import LOOK_TOKENS, explain_tokens, tile_png
from prompts.claims import extract_claims
from prompts.clients.base import ChatRequest, ImagePart
from prompts.render import explain_messages, load_template, look_messages, score_messages
from prompts.schema import explain_schema
from retriever.errors import SightlineError
from retriever.types import Claim

err = Console(stderr=True, highlight=False)
SHORTLIST = 10
CLAIMS = 6
"""Of one description: with all twelve, some prompts and the room for an explanation pass the shipped judge's window."""
AIM = 0.1
"""Scoring a shortlist costs less than this share of explaining it."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of question asked of one system, so many at a time."""

    system: str
    task: str
    at_once: int
    n: int
    failed: int
    per_second: float
    p50_s: float
    p95_s: float
    first_piece_s: float | None
    """Median time to the first piece of a streamed answer."""
    tokens: float
    """Written per answer, on average."""
    cpu_s: float
    """Processor seconds of the model's processes per answer."""
    rss_mib: float
    """Resident memory of the model's processes at the end, pages that they share counted once for each."""
    load: float
    """The machine's one-minute load at the end, this included."""


class Meter:
    """CPU time and memory of a process and all below it."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def _all(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]

    def cpu(self) -> float:
        """Seconds so far, user and system."""
        return float(sum(t.user + t.system for t in (p.cpu_times() for p in self._all())))

    def rss(self) -> float:
        """MiB."""
        return float(sum(p.memory_info().rss for p in self._all())) / 2**20


class Questions:
    """What is asked about the tiles; ``turn`` gives questions that were not asked before."""

    def __init__(self, images: Sequence[ImagePart], claims: Sequence[Claim]) -> None:
        self.images = images
        self.claims = list(claims)[:CLAIMS]
        self.listings: list[str] = []
        self.template = load_template()

    def looks(self) -> list[ChatRequest]:
        return [
            ChatRequest(messages=tuple(look_messages(image, self.template)), max_tokens=LOOK_TOKENS)
            for image in self.images
        ]

    def scores(self, turn: int) -> list[ChatRequest]:
        words, asked = (self.template.yes, self.template.no), self._turned(turn)
        return [
            ChatRequest(
                messages=tuple(score_messages(image, listing, asked, self.template)), max_tokens=1, choices=words
            )
            for image, listing in zip(self.images, self.listings, strict=True)
        ]

    def explanations(self, turn: int, n: int) -> list[ChatRequest]:
        asked = self._turned(turn)
        pairs = list(zip(self.images, self.listings, strict=True))[:n]
        return [
            ChatRequest(
                messages=tuple(explain_messages(image, listing, asked, match=True, template=self.template)),
                max_tokens=explain_tokens(len(asked)),
                json_schema=explain_schema(len(asked)),
            )
            for image, listing in pairs
        ]

    def _turned(self, turn: int) -> list[Claim]:
        at = turn % len(self.claims)
        return [*self.claims[at:], *self.claims[:at]]


def questions_of(args: argparse.Namespace) -> Questions:
    """Tiles of a generated town, drawn by its seed, and the claims of the demo's witness."""
    from retriever.build import build_gallery
    from retriever.gallery import Gallery
    from retriever.town import write_town

    folder = args.out / f"town-{args.seed}"
    if not (folder / "manifest.json").exists():
        args.out.mkdir(parents=True, exist_ok=True)
        extract = write_town(args.out / f"town-{args.seed}.osm", seed=args.seed, blocks=args.blocks)
        build_gallery(folder, osm=extract, gallery_id=f"serving-{args.seed}", jobs=1)
    gallery = Gallery.open(folder)
    if len(gallery) < args.tiles:
        raise SightlineError(
            f"the town has {len(gallery)} tiles and not {args.tiles}; give --blocks more than {args.blocks}"
        )
    ids = Random(args.seed).sample(list(gallery.ids), args.tiles)
    return Questions([ImagePart(png=tile_png(gallery.image(i))) for i in ids], extract_claims(TEXT))


@dataclass
class Answer:
    seconds: float
    tokens: int = 0
    first: float | None = None
    text: str = ""
    error: str = ""


def measured(
    meter: Meter, system: str, task: str, at_once: int, work: Callable[[], list[Answer]]
) -> tuple[Row, list[Answer]]:
    """Run the work and say what it cost. Answers that failed count in ``failed`` and nowhere else."""
    cpu, began = meter.cpu(), time.perf_counter()
    answers = work()
    wall, cpu = time.perf_counter() - began, meter.cpu() - cpu
    good = [a for a in answers if not a.error]
    for each in answers:
        if each.error:
            err.print(f"{system}, {task}: {each.error}", markup=False)
    if not good:
        raise SightlineError(f"{system} answered no question of the kind {task!r}; the reasons are above")
    times = np.array([a.seconds for a in good])
    firsts = [a.first for a in good if a.first is not None]
    row = Row(
        system=system,
        task=task,
        at_once=at_once,
        n=len(good),
        failed=len(answers) - len(good),
        per_second=len(good) / wall,
        p50_s=float(np.quantile(times, 0.5)),
        p95_s=float(np.quantile(times, 0.95)),
        first_piece_s=float(np.median(firsts)) if firsts else None,
        tokens=float(np.mean([a.tokens for a in good])),
        cpu_s=cpu / len(answers),
        rss_mib=meter.rss(),
        load=os.getloadavg()[0],
    )
    err.print(f"{system}, {task}, {at_once} at a time: {row.per_second:.2f} per second, load {row.load:.1f}")
    return row, answers


def ratios(rows: Sequence[Row]) -> list[str]:
    """Scoring against explaining in each system, the aim, and what the server and its cache gain."""
    by = {(r.system, r.task, r.at_once): r for r in rows}
    lines = []
    for (system, task, at_once), score in by.items():
        explain = by.get((system, "explain", at_once))
        if task != "score" or explain is None:
            continue
        wall, cpu = explain.per_second / score.per_second, score.cpu_s / explain.cpu_s
        seconds = [SHORTLIST / row.per_second for row in (score, explain)]
        word = "reached" if max(wall, cpu) < AIM else "not reached"
        lines.append(
            f"{system}, {at_once} at a time: scoring a shortlist of {SHORTLIST} takes {seconds[0]:.2f} s, explaining "
            f"it {seconds[1]:.2f} s; ratio {wall:.3f} by the clock, {cpu:.3f} by CPU time (aim: under {AIM}: {word})"
        )
    for task in ("score", "explain"):
        rates = {r.system: r.per_second for r in rows if r.task == task and r.at_once == max(x.at_once for x in rows)}
        best, *others = sorted(rates, key=lambda system: -rates[system])
        if others:
            beside = ", ".join(f"{rates[best] / rates[name]:.2f} times {name}" for name in others)
            lines.append(f"{task}, most at a time: {best} is fastest: {beside}")
    return lines


def show(rows: Sequence[Row], lines: Sequence[str]) -> None:
    """The table and the ratios, on stdout."""
    table = Table(box=None, pad_edge=False)
    for name in (
        "system",
        "task",
        "at once",
        "N",
        "failed",
        "/s",
        "p50 s",
        "p95 s",
        "first s",
        "tokens",
        "CPU s",
        "MiB",
        "load",
    ):
        table.add_column(name, justify="left" if name in ("system", "task") else "right")
    for r in rows:
        first = "" if r.first_piece_s is None else f"{r.first_piece_s:.2f}"
        numbers = (
            f"{r.per_second:.2f}",
            f"{r.p50_s:.2f}",
            f"{r.p95_s:.2f}",
            first,
            f"{r.tokens:.0f}",
            f"{r.cpu_s:.2f}",
        )
        counts = (str(r.at_once), str(r.n), str(r.failed))
        table.add_row(r.system, r.task, *counts, *numbers, f"{r.rss_mib:.0f}", f"{r.load:.1f}")
    out = Console(highlight=False, width=140)
    out.print(table)
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
