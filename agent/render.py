"""The answer on a terminal: description, ledger, candidates, reasons, and what could not be done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.ledger import decisive
from agent.state import Json
from prompts.wording import claim_en, claim_zh
from retriever.errors import SightlineError
from retriever.types import Box, Claim, Evidence, Stance

if TYPE_CHECKING:
    from retriever.gallery import Gallery

STEPS = {
    "claims": "reading the description",
    "retrieve": "searching the gallery",
    "rerank": "looking at the shortlisted tiles",
    "check": "checking the claims against the map",
    "confidence": "weighing the evidence",
    "answer": "writing the reasons",
}
_VERDICTS = {
    "match": (("match", "吻合"), "bold green"),
    "no_match": (("no match", "不吻合"), "red"),
    "cannot_tell": (("cannot tell", "无法判断"), "yellow"),
    None: (("not judged", "未判断"), "dim"),
}
_MARKS: dict[str, tuple[str, str]] = {"supports": ("✓", "green"), "contradicts": ("✗", "red")}
_SOURCES = {"map": "m", "model": "t"}
_BAR = 10


def show(console: Console, result: Json, *, spoken: str, picture: Path | None = None, hint: str = "") -> None:
    """Print a whole result."""
    top = result["candidates"][: max(result["shown"], 1)]
    console.print(_head(result))
    if result["claims"]:
        console.print(_ledger(result, top, spoken))
    console.print(_candidates(result, top))
    for words in _spoken(result.get("order_note"), spoken):
        console.print(words)
    for reason in _not_judged(result):
        console.print(Text(reason, style="bold yellow"))
    for candidate in top:
        if candidate["explanation"]:
            console.print(_reasons(candidate, spoken))
    console.print(_foot(result, picture, hint))


def _head(result: Json) -> RenderableType:
    gallery = result["gallery"]
    limits = [limit["en"] for limit in result.get("limits") or []]
    where = f"{gallery['id']}, {gallery['tiles']} tiles" + (f", {'; '.join(limits)}" if limits else "")
    title, subtitle = Text("Sightline", style="bold"), Text(where, style="dim")
    return Panel(Text(result["text"]), title=title, subtitle=subtitle, box=box.ROUNDED)


def _ledger(result: Json, top: Sequence[Json], spoken: str) -> Table:
    table = Table(title="What was said, and what each tile holds of it", box=box.SIMPLE_HEAD, title_style="bold")
    table.add_column("", style="dim", no_wrap=True)
    table.add_column("claim", ratio=3)
    table.add_column("in the witness's words", style="dim italic", ratio=3)
    for candidate in top:
        table.add_column(f"#{candidate['rank']}", justify="center", no_wrap=True)
    known = [[Evidence.from_json(e) for e in c["evidence"]] for c in top]
    for data in result["claims"]:
        claim = Claim.from_json(data)
        style = "strike dim" if claim.status != "active" else "dim" if claim.hedge else ""
        marks = [_mark(claim.id, evidence) for evidence in known]
        words = claim_zh(claim) if spoken == "zh" else claim_en(claim)
        note = f" ({claim.status})" if claim.status != "active" else " (unsure)" if claim.hedge else ""
        table.add_row(claim.id, Text(words + note, style=style), Text(claim.span), *marks)
    table.caption = "✓ speaks for the tile   ✗ against   · cannot be told   (m: map, t: tile picture)"
    return table


def _mark(claim_id: str, evidence: Sequence[Evidence]) -> Text:
    """What map and picture say of one claim, side by side, so that a disagreement shows."""
    told = [item for item in evidence if item.claim_id == claim_id and item.stance != "unknown"]
    if not told:
        return Text("·", style="dim")
    parts = [(_MARKS[item.stance][0] + _SOURCES[item.by], _MARKS[item.stance][1]) for item in told]
    return Text(" ").join(Text(mark, style=style) for mark, style in sorted(parts, key=lambda part: part[0][-1]))


def _candidates(result: Json, top: Sequence[Json]) -> Table:
    table = Table(title="Candidates", box=box.SIMPLE_HEAD, title_style="bold")
    table.add_column("#", justify="right", no_wrap=True, min_width=2)
    table.add_column("tile", no_wrap=True)
    table.add_column("verdict", no_wrap=True, min_width=12)
    table.add_column("confidence", no_wrap=True, min_width=_BAR + 6)
    table.add_column("why")
    for c in top:
        words, style = _VERDICTS[c["verdict"]]
        place = Text.assemble((c["tile_id"], "bold"), f"\n{c['lat']:.5f}, {c['lon']:.5f}")
        verdict = Text("\n".join(words), style=style)
        table.add_row(str(c["rank"]), place, verdict, bar(c["confidence"]), Text(_why(c)))
    left = len(result["candidates"]) - len(top)
    if left:
        table.caption = f"and {left} more that were looked at (--json lists them, --top shows them)"
    return table


def bar(p: float | None) -> Text:
    """A probability as a bar with its number."""
    if p is None:
        return Text("?", style="dim")
    full = round(p * _BAR)
    return Text.assemble(("█" * full, "cyan"), ("░" * (_BAR - full), "dim"), f" {100 * p:3.0f} %")


def _spoken(note: Json | None, spoken: str) -> list[Text]:
    return [Text(note[lang]) for lang in ("en", "zh") if spoken in (lang, "both")] if note else []


def _why(candidate: Json) -> str:
    parts = []
    p = candidate["features"]["p_match"]
    if p is not None:
        parts.append(f"judge {p:.2f}")
    stances = decisive(Evidence.from_json(e) for e in candidate["evidence"]).values()
    for stance, word in (("supports", "for"), ("contradicts", "against")):
        n = sum(e.stance == stance for e in stances)
        if n:
            parts.append(f"{n} {word}")
    return ", ".join([*parts, f"retrieval #{candidate['retrieval_rank']}"])


def _not_judged(result: Json) -> list[str]:
    reasons: dict[str, list[int]] = {}
    for candidate in result["candidates"]:
        if candidate["error"]:
            reasons.setdefault(candidate["error"], []).append(candidate["rank"])
    everyone = len(result["candidates"])
    return [
        f"{'All candidates' if len(ranks) == everyone else 'Candidates ' + ', '.join(map(str, ranks))}: {reason}"
        for reason, ranks in reasons.items()
    ]


def _reasons(candidate: Json, spoken: str) -> Panel:
    told = candidate["explanation"]
    words = [Text(told[lang]) for lang in ("en", "zh") if spoken in (lang, "both")]
    author = "written by the model" if told["author"] == "model" else "written from the ledger by a template"
    if candidate.get("explanation_error"):
        author += f"; the judge gave no reasons: {candidate['explanation_error']}"
    _, style = _VERDICTS[candidate["verdict"]]
    title, subtitle = Text(f"#{candidate['rank']} {candidate['tile_id']}", style="bold"), Text(author, style="dim")
    return Panel(Group(*words), title=title, subtitle=subtitle, border_style=style, box=box.ROUNDED)


def _foot(result: Json, picture: Path | None, hint: str) -> Group:
    lines = [
        Text.assemble("Somewhere else in this gallery ", bar(result["elsewhere_probability"])),
        Text.assemble("Outside this gallery           ", bar(result["outside_probability"])),
        Text(_small(result), style="dim"),
    ]
    if picture is not None:
        lines.append(Text.assemble(("Top tile with its evidence: ", "dim"), (str(picture), "underline")))
    if hint:
        lines.append(Text(hint, style="dim"))
    return Group(*lines)


def _small(result: Json) -> str:
    usage, judge = result["usage"], result["judge"]
    seconds = sum(s for stage, s in usage["seconds"].items() if stage in STEPS)
    calls = f"{usage['calls']} model calls, {usage['prompt_tokens']}+{usage['completion_tokens']} tokens"
    who = f"{result['method']} · judge {judge['backend']}: {judge['model']}"
    return f"{who} · {calls} · {seconds:.1f} s · {result['confidence']['note']}"


def save_picture(gallery: Gallery, candidate: Json, claims: Sequence[Json], folder: Path) -> Path:
    """The candidate's tile with a box for every claim that could be decided on it."""
    from retriever.draw import draw_evidence

    said = {c["id"]: Claim.from_json(c) for c in claims}
    boxes: list[tuple[Box, str, Stance]] = []
    for item in decisive(Evidence.from_json(e) for e in candidate["evidence"]).values():
        if item.region is not None and item.stance != "unknown" and item.claim_id in said:
            boxes.append((item.region, f"{item.claim_id} {_short(said[item.claim_id])}", item.stance))
    path = folder / f"{candidate['tile_id']}.png"
    try:
        tile = gallery.image(candidate["tile_id"])
        # Twice the size, so that a dozen labels leave something of the tile to be seen.
        draw_evidence(tile.resize((2 * tile.width, 2 * tile.height)), boxes).save(path)
    except OSError as error:
        raise SightlineError(f"the picture {path} cannot be written ({error.strerror or error})") from None
    return path


def _short(claim: Claim) -> str:
    """A few words for a label; the ledger on the screen has the rest under the same number."""
    words = claim.value.replace("_", " ").replace(":", " ")
    return f"no {words}" if not claim.polarity else words
