"""The final report of a build: counts, lengths, and samples of everything with their pictures, as Markdown and HTML."""

from __future__ import annotations

import io
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from finetune.data.composing import count_tokens
from finetune.formats.features import LANGS, STANCES, VIEWS
from finetune.formats.store import read_rows, tables
from retriever.workfolder import write_whole

_LABELS = ("match", "no_match")
_SAMPLES = 3
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}td,th{border:1px solid #ccc;padding:.3rem .6rem;"
    "text-align:left;vertical-align:top}img{max-width:100%}"
    "blockquote{border-left:3px solid #888;margin:0;padding-left:1rem}"
)


def write_report(folder: Path, dataset: Path, said: Mapping[str, Any]) -> Path:
    """Writes ``report.md``, ``report.html`` and their pictures into ``folder``; ``said`` is the build's summary."""
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    there = tables(dataset)
    parts = [_head(said), _counts(said["counts"])]
    if "descriptions" in there:
        parts += [_texts(unfinished, there["descriptions"]), _text_samples(there["descriptions"])]
    if "tiles" in there:
        parts.append(_tile_sheet(unfinished, there["tiles"]))
    if "pairs" in there:
        parts += [_pair_counts(there["pairs"]), _pair_samples(unfinished, there["pairs"])]
    if "view_sets" in there:
        parts.append(_view_sheet(unfinished, there["view_sets"]))
    parts.append("Map data © OpenStreetMap contributors (ODbL). Towns named town-N are made up.")
    text = "\n\n".join(parts) + "\n"
    write_whole(unfinished / "report.md", text)
    write_whole(unfinished / "report.html", to_html(text, str(said["plan"]["title"])))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(unfinished, folder)
    return folder / "report.md"


def to_html(markdown: str, title: str) -> str:
    """The report as one page; what it quotes is text, never markup."""
    from html import escape

    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _head(said: Mapping[str, Any]) -> str:
    plan, seconds = said["plan"], said["seconds"]
    spent = ", ".join(f"{name} {s:,.0f} s" for name, s in seconds.items() if name != "this_run")
    return (
        f"# {plan['title']}\n\nBuilt from the plan `{plan['name']}` (seed {plan['seed']}, key `{said['key'][:12]}`). "
        f"This run took {seconds['this_run']:,.0f} s; work by table over all runs: {spent}. "
        f"{said['compared']:,} places, pictures and texts were compared across splits, at least {plan['buffer_m']:g} m "
        f"apart: no leak. {said['twins_dropped']} texts that two splits shared were dropped."
    )


def _counts(counts: Mapping[str, Mapping[str, int]]) -> str:
    rows = [
        [table, *(f"{splits.get(s, 0):,}" for s in ("train", "validation", "test"))] for table, splits in counts.items()
    ]
    return "## Rows\n\n" + grid(["table", "train", "validation", "test"], rows)


def grid(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(c) for c in line) + " |" for line in lines)


def cell(value: object) -> str:
    """Text that cannot leave its cell."""
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _texts(folder: Path, splits: Mapping[str, Sequence[Path]]) -> str:
    """Language, names and lengths of the descriptions."""
    langs: Counter[tuple[str, str]] = Counter()
    lengths: dict[str, list[int]] = {lang: [] for lang in LANGS}
    claims = wrong = 0
    for paths in splits.values():
        for row in read_rows(paths, ["lang", "named", "text", "claims"]):
            lang = LANGS[row["lang"]]
            langs[lang, "named" if row["named"] else "masked"] += 1
            lengths[lang].append(count_tokens(row["text"]))
            claims += len(row["claims"])
            wrong += sum(not c["true"] for c in row["claims"])
    _histogram(folder / "lengths.png", lengths)
    rows = [[lang, langs[lang, "named"], langs[lang, "masked"]] for lang in LANGS]
    share = f"{claims:,} claims, {100 * wrong / max(1, claims):.1f} % of them wrong on purpose."
    return f"## Descriptions\n\n{grid(['language', 'named', 'masked'], rows)}\n\n{share}\n\n![Lengths](lengths.png)"


def _histogram(path: Path, lengths: Mapping[str, Sequence[int]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), dpi=110, layout="constrained")
    axes = figure.subplots()
    for lang, found in lengths.items():
        if found:
            axes.hist(found, bins=range(0, 310, 6), histtype="step", label=lang, density=True)
    axes.set_xlabel("tokens (words and marks; characters in Chinese)")
    axes.set_ylabel("share")
    axes.legend()
    figure.savefig(path)


def _text_samples(splits: Mapping[str, Sequence[Path]]) -> str:
    parts = ["## Sample texts with their ledgers"]
    for row in _spread(splits["train"] if "train" in splits else next(iter(splits.values())), _SAMPLES):
        parts.append(text_sample(row))
    return "\n\n".join(parts)


def text_sample(row: Mapping[str, Any]) -> str:
    """A description and its ledger."""
    rows = [
        [
            c["id"], c["span"], f"{c['kind']}: {c['value']}" + (f" x {c['count']}" if c["count"] else ""),
            _relation(c["relation"]), "yes" if c["true"] else "no", ", ".join(c["osm_ids"][:3]),
            "" if c["distance_m"] is None else f"{c['bearing_deg'] or 0:.0f}°, {c['distance_m']:.0f} m",
        ]
        for c in row["claims"]
    ]  # fmt: skip
    head = ["", "words", "claim", "said to be", "true", "OSM", "really"]
    return f"{row['id']}, {row['persona']}\n\n> {_quoted(row['text'])}\n\n{grid(head, rows)}"


def _quoted(text: str) -> str:
    return text.replace("\n", "\n> ").replace("<", "&lt;")


def _relation(relation: Mapping[str, Any]) -> str:
    bearing = "" if relation["bearing_deg"] is None else f" {relation['bearing_deg']:.0f}°"
    distance = "" if relation["distance_m"] is None else f" {relation['distance_m']:.0f} m"
    return f"{relation['type']}{bearing}{distance}"


def _spread(paths: Sequence[Path], n: int) -> list[dict[str, Any]]:
    """A few rows from the middle of different files."""
    chosen = [paths[i * len(paths) // n] for i in range(n)]
    return [row for number, path in enumerate(chosen) for row in islice(read_rows([path]), 7 * number, 7 * number + 1)]


def _image(cell_: Mapping[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(cell_["bytes"])).convert("RGB")


def sheet(pictures: Sequence[Image.Image], height: int, gap: int = 6) -> Image.Image:
    """Pictures side by side at one height."""
    shown = [p.resize((max(1, round(p.width * height / p.height)), height), Image.Resampling.LANCZOS) for p in pictures]
    whole = Image.new("RGB", (sum(p.width for p in shown) + gap * (len(shown) - 1), height), "white")
    at = 0
    for picture in shown:
        whole.paste(picture, (at, 0))
        at += picture.width + gap
    return whole


def _tile_sheet(folder: Path, splits: Mapping[str, Sequence[Path]]) -> str:
    rows = [row for split in splits for row in _spread(splits[split], 2)]
    sheet([_image(row["image"]) for row in rows], 260).save(folder / "tiles.png")
    names = ", ".join(row["id"] for row in rows)
    return f"## Tiles\n\n![{names}](tiles.png)\n\n{names}"


def _pair_counts(splits: Mapping[str, Sequence[Path]]) -> str:
    found: Counter[tuple[str, str, str]] = Counter()
    for split, paths in splits.items():
        for row in read_rows(paths, ["label", "negative", "query_view", "lang"]):
            found[split, _LABELS[row["label"]], row["negative"] or "-"] += 1
    rows = [[*key, n] for key, n in sorted(found.items())]
    return "## Pairs\n\n" + grid(["split", "label", "kind of wrong tile", "pairs"], rows)


def _pair_samples(folder: Path, splits: Mapping[str, Sequence[Path]]) -> str:
    paths = splits["train"] if "train" in splits else next(iter(splits.values()))
    parts = ["### Sample pairs with evidence"]
    for number, row in enumerate(islice(read_rows(paths[:1]), 2)):
        _image(row["tile_image"]).save(folder / f"pair-{number}.png")
        parts.append(pair_sample(row, f"pair-{number}.png"))
    return "\n\n".join(parts)


def pair_sample(row: Mapping[str, Any], picture: str) -> str:
    """A pair: its text, its tile, what each claim finds there, and the explanation in both languages."""
    by_claim = {e["claim_id"]: e for e in row["evidence"]}
    rows = []
    for c in row["claims"]:
        e = by_claim[c["id"]]
        rows.append([c["id"], c["span"], STANCES[e["stance"]], e["reason"] or "", ", ".join(e["osm_ids"][:3])])
    label = _LABELS[row["label"]] + (f" ({row['negative']})" if row["negative"] else "")
    asked = _quoted(row["query_text"] or "(a street map)")
    table = grid(["", "words", "stance", "why unknown", "OSM"], rows)
    shown = f"![{row['tile_id']}]({picture})"
    parts = (f"{row['id']}: **{label}**", f"> {asked}", shown, table, row["explanation_en"], row["explanation_zh"])
    return "\n\n".join(parts)


def _view_sheet(folder: Path, splits: Mapping[str, Sequence[Path]]) -> str:
    parts = ["## Aligned views\n\nRendered from the map; the same place in every row."]
    for split, paths in splits.items():
        for row in islice(read_rows(paths[:1]), 1):
            views = sorted(row["views"], key=lambda v: int(v["view"]))
            sheet([_image(v["image"]) for v in views], 220).save(folder / f"views-{split}.png")
            names = ", ".join(VIEWS[v["view"]] for v in views)
            parts.append(f"![{row['id']}: {names}](views-{split}.png)\n\n{row['id']} ({split}): {names}")
    return "\n\n".join(parts)
