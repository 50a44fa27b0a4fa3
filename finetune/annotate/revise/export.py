"""What people decided, back into the files that the annotators' stages write, and the log as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from finetune.annotate.describe import DescriptionRow
from finetune.annotate.pairs import AnnotationRow
from finetune.annotate.queue import QueueItem
from finetune.annotate.revise.agreement import decided_sides
from finetune.annotate.revise.board import TEXTS, Board, Decision, by_content, row_content
from finetune.annotate.rows import read_rows, write_rows
from prompts.annotate import PairVerdict
from prompts.claims import extract_claims
from retriever.models import write_atomic
from retriever.types import Claim, Record


@dataclass(frozen=True, kw_only=True)
class RevisedRow(Record):
    """One decided item of the queue."""

    id: str
    """Of the queue's item."""
    task: Literal["description", "pair"]
    status: Literal["revised", "dropped"]
    """``dropped``: people could not tell, or rejected every text."""
    images: tuple[str, ...]
    """sha256."""
    query: str
    verdict: PairVerdict | None
    en: str
    """Empty where it was rejected or there is none."""
    zh: str
    claims: tuple[Claim, ...]
    """Accepted and edited ones, each as people said it is; rejected ones are gone."""
    rejected: tuple[str, ...]
    """Things (kind and value) that people rejected."""
    by: tuple[str, ...]
    """Everybody whose decision stands."""
    at: str
    """Of the last decision that stands, UTC."""


def revised(board: Board) -> list[RevisedRow]:
    """Every item that is decided, in the queue's order."""
    return [_row(board, item) for item in board.items.values() if board.done(item.id)]


def _row(board: Board, item: QueueItem) -> RevisedRow:
    decided = board.decisions(item.id)
    verdict = decided["verdict"].do if "verdict" in decided else None
    texts = {lang: _text(decided.get(lang)) for lang in TEXTS}
    dropped = verdict == "drop" or not any(texts.values())
    return RevisedRow(
        id=item.id,
        task=item.task,
        status="dropped" if dropped else "revised",
        images=tuple(i.sha256 for i in item.images),
        query=item.query,
        verdict=None if dropped or verdict is None else "match" if verdict == "match" else "no_match",
        en="" if dropped else texts["en"],
        zh="" if dropped else texts["zh"],
        claims=() if dropped else _claims(board, item.id, decided),
        rejected=tuple(
            f.removeprefix("claim:") for f, d in decided.items() if f.startswith("claim:") and d.do == "reject"
        ),
        by=tuple(sorted({d.who for d in decided.values()})),
        at=max((d.at for d in decided.values()), default=""),
    )


def _text(decision: Decision | None) -> str:
    return "" if decision is None or decision.do == "reject" else decision.text


def _claims(board: Board, item: str, decided: Mapping[str, Decision]) -> tuple[Claim, ...]:
    sides = {row.id: side for row, side in decided_sides(board, item)}
    found = []
    for row in board.things(item):
        d = decided.get(f"claim:{row.id}")
        if d is None or d.do == "reject":
            continue
        if d.do == "edit":
            found.append(board.edited(item, f"claim:{row.id}", d.text))
        else:
            found.append(replace(row.claim, polarity=sides[row.id] == "there"))
    return tuple(replace(claim, id=f"c{n}") for n, claim in enumerate(found, 1))


def revised_annotations(board: Board, rows: list[AnnotationRow]) -> list[AnnotationRow]:
    """The annotators' file with people's verdicts and texts; dropped pairs are gone, undecided ones stay."""
    queued, done = by_content(board), {r.id: r for r in revised(board)}
    out = []
    for row in rows:
        r = done.get(queued.get(row_content(row), ""))
        if r is None:
            out.append(row)
        elif r.status == "revised":
            detail = f"revised by {', '.join(r.by)} at {r.at}"
            out.append(replace(row, verdict=r.verdict, en=r.en, zh=r.zh, why=(), detail=detail))
    return out


def revised_descriptions(board: Board, rows: list[DescriptionRow]) -> list[DescriptionRow]:
    """The producer's file likewise: a revised text counts as accepted, and its claims are read back anew."""
    done = {(r.images[0], i.en, i.zh): r for r in revised(board) if (i := board.items[r.id]).task == "description"}
    out = []
    for row in rows:
        key = (row.sha256, row.text if row.lang == "en" else "", row.text if row.lang == "zh" else "")
        r = done.get(key)
        if r is None:
            out.append(row)
        elif r.status == "revised":
            text = r.en if row.lang == "en" else r.zh
            claims = r.claims if text == row.text else tuple(extract_claims(text))
            out.append(replace(row, text=text, accepted=True, reasons=(), claims=claims))
    return out


def export(board: Board, folder: Path) -> list[Path]:
    """Write everything into ``folder``; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "revisions.jsonl", folder / "audit.jsonl"]
    write_rows(written[0], revised(board))
    log = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in audit(board))
    write_atomic(written[1], log.encode())
    source = board.folder / "annotations.jsonl"
    if source.exists():
        written.append(folder / "annotations.revised.jsonl")
        write_rows(written[-1], revised_annotations(board, read_rows(source, AnnotationRow)))
    for lang in TEXTS:
        source = board.folder / f"descriptions.{lang}.jsonl"
        if source.exists():
            written.append(folder / f"descriptions.{lang}.revised.jsonl")
            write_rows(written[-1], revised_descriptions(board, read_rows(source, DescriptionRow)))
    return written


def audit(board: Board) -> list[dict[str, Any]]:
    """The log: who did what to which item and when, with the hashes that chain it."""
    return [
        {"seq": e.seq, "at": e.at, "who": e.who, "item": e.item, "field": e.field, "value": e.value, "hash": e.hash}
        for e in board.log.entries()
    ]
