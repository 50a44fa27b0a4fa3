"""A report as one offline HTML page and as Markdown. Explanations and queries are hostile text: all is escaped."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from eval.explanations.cases import png_of
from eval.explanations.scoring import ScoredItem
from eval.explanations.sections import Grid, Report
from prompts.wording import claim_en, claim_zh
from retriever.draw import draw_evidence
from retriever.errors import GalleryError
from retriever.types import Box, Stance

SIDE = 320
CREDIT = "Map data in pictures: © OpenStreetMap contributors (ODbL). Imagery, where shown: OpenAerialMap (CC BY 4.0)."
_MD = re.compile(r"([\\`*_{}\[\]()#+!|~])")
_SAID = {"supports": "said to agree", "contradicts": "said to differ", "unknown": "said to be open"}
_FOUND = {"right": "right", "contradicted": "wrong", "invented": "never in the description", "open": "undecided"}
_TONES = {"right": "right", "contradicted": "wrong", "invented": "wrong", "open": "open"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    words: str
    tone: str


@dataclass(frozen=True, kw_only=True)
class Said:
    lang: str
    text: str
    findings: Sequence[Finding]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One of the worst explanations, ready to be shown."""

    system: str
    query: str
    tile: str
    verdict: str
    text: str
    said: Sequence[Said]
    png: str
    """Base64."""


def show(s: ScoredItem) -> Shown:
    """The tile with boxes, the words, and what became of each assertion."""
    sure = "" if s.item.confidence is None else f", confidence {s.item.confidence:.2f}"
    truth = "" if s.case.label is None else f"; the truth is {s.case.label}"
    return Shown(
        system=s.item.system,
        query=s.item.query_id,
        tile=s.item.tile_id,
        verdict=f"{s.item.verdict or 'no verdict'}{sure}{truth}",
        text=s.case.text,
        said=[Said(lang=lang, text=s.item.texts[lang], findings=_findings(s, lang)) for lang in s.item.texts],
        png=base64.b64encode(picture(s)).decode(),
    )


def _findings(s: ScoredItem, lang: str) -> list[Finding]:
    words = claim_zh if lang == "zh" else claim_en
    return [
        Finding(
            words=f"{words(c.assertion.claim)}: {_SAID[c.assertion.stance]}; {_FOUND[c.outcome]} (by the {c.by})",
            tone=_TONES[c.outcome],
        )
        for c in s.claims[lang].checked
    ]


def picture(s: ScoredItem) -> bytes:
    """The tile with the system's own boxes, else with the map's for what it got wrong, as PNG."""
    try:
        image = s.case.image()
    except GalleryError:
        image = Image.new("RGB", (SIDE, SIDE), "#dddddd")
    names = {c.id: claim_en(c) for c in (*s.case.claims, *(s.item.claims or ()))}
    boxes: list[tuple[Box, str, Stance]] = [
        (e.region, names.get(e.claim_id, e.claim_id), e.stance) for e in s.item.evidence if e.region is not None
    ]
    if not boxes:
        wrong = {c.claim_id for score in s.claims.values() for c in score.checked if c.outcome == "contradicted"}
        found = [e for e in s.case.checked.values() if e.region is not None and e.claim_id in wrong]
        boxes = [(e.region, f"map: {names[e.claim_id]}", e.stance) for e in found if e.region is not None]
    return png_of(draw_evidence(image.resize((SIDE, SIDE)), boxes), SIDE)


def to_html(report: Report) -> str:
    """One page without scripts or anything fetched; its policy forbids both."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    page = environment.get_template("report.html.jinja")
    return str(page.render(report=report, shown=[show(s) for s in report.worst]))


def to_markdown(report: Report) -> str:
    """The same as Markdown; the worst explanations' pictures are ``worst-01.png`` ... beside it."""
    lines = [f"# {_md(report.title)}", "", *(f"{_md(note)}\n" for note in report.notes)]
    for section in report.sections:
        lines += [f"## {_md(section.title)}", "", *(f"{_md(line)}\n" for line in section.text)]
        lines += [line for grid in section.grids for line in (*_grid(grid), "")]
    if report.worst:
        lines += ["## The worst explanations", ""]
    for number, s in enumerate(report.worst, 1):
        lines += _worst(number, show(s))
    return "\n".join([*lines, f"Printed by: {_md(report.command)}", "", CREDIT, ""])


def _worst(number: int, item: Shown) -> list[str]:
    head = f"**{number}. {_md(item.system)}** on {_md(item.query)}, tile {_md(item.tile)}: {_md(item.verdict)}"
    lines = [head, "", f"![tile {number}](worst-{number:02d}.png)", "", f"> {_md(item.text)}", ""]
    for said in item.said:
        lines += [f"{said.lang}: {_md(said.text)}", "", *(f"- {_md(f.words)}" for f in said.findings), ""]
    return lines


def _grid(grid: Grid) -> list[str]:
    def line(parts: Sequence[str]) -> str:
        return "| " + " | ".join(_md(part) for part in parts) + " |"

    return [line(grid.header), line(["---"] * len(grid.header)), *(line(row) for row in grid.rows)]


def _md(text: str) -> str:
    """Text that is no markup of any kind, on one line."""
    if text == "---":
        return text
    flat = html.escape(" ".join(text.split()), quote=False)
    return _MD.sub(r"\\\1", flat) if re.search(r"[`*_\[\]|\\~!#]", flat) else flat


def write(report: Report, out: Path) -> list[Path]:
    """``report.html``, ``report.md`` and its pictures in folder ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    page, text = out / "report.html", out / "report.md"
    page.write_text(to_html(report), encoding="utf-8")
    text.write_text(to_markdown(report), encoding="utf-8")
    pictures = [out / f"worst-{number:02d}.png" for number in range(1, len(report.worst) + 1)]
    for path, s in zip(pictures, report.worst, strict=True):
        path.write_bytes(picture(s))
    return [page, text, *pictures]
