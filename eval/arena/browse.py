"""One page per query: description, tiles, and every method's order and reasons side by side; offline, all escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from eval.arena.frozen import Asked
from eval.arena.records import MethodRun, SetRun
from eval.explanations.rendering import CREDIT
from retriever.errors import SightlineError

if TYPE_CHECKING:
    from retriever.gallery import Gallery

SIDE = 180


@dataclass(frozen=True, kw_only=True)
class TileShown:
    id: str
    mark: str
    words: str
    jpeg: str
    """Base64; empty where there is no picture."""


@dataclass(frozen=True, kw_only=True)
class MethodShown:
    key: str
    error: str
    rows: Sequence[Mapping[str, str]]
    reasons: Sequence[Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Page:
    query: str
    text: str
    lang: str
    about: str
    tiles: Sequence[TileShown]
    methods: Sequence[MethodShown]


def write_pages(runs: Sequence[SetRun], galleries: Mapping[str, Path], out: Path, limit: int) -> int:
    """``index.html`` and up to ``limit`` pages per set into ``out``; returns how many pages there are."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    page_of, index = environment.get_template("query.html.jinja"), environment.get_template("index.html.jinja")
    out.mkdir(parents=True, exist_ok=True)
    keys = list(dict.fromkeys(key for run in runs for key in run.methods))
    rows: list[dict[str, Any]] = []
    for run in runs:
        gallery = _gallery(galleries.get(run.frozen.name))
        for asked in run.frozen.order()[:limit]:
            name = f"{len(rows) + 1:04d}.html"
            page = _page(run, asked, gallery)
            (out / name).write_text(page_of.render(page=page, credit=CREDIT), encoding="utf-8")
            rows.append(_row(run, asked, keys, name))
    note = (
        f"{len(rows)} of {sum(len(r.frozen.asked) for r in runs)} queries, drawn by a hash. The numbers are the places "
        "of the true tile; a dash: it is not among the candidates, or the method was not given the query."
    )
    (out / "index.html").write_text(index.render(rows=rows, keys=keys, note=note, credit=CREDIT), encoding="utf-8")
    return len(rows)


def _gallery(path: Path | None) -> Gallery | None:
    from retriever.gallery import Gallery

    try:
        return None if path is None else Gallery.open(path)
    except SightlineError:
        # The numbers need no gallery: the pages then say that there is no picture.
        return None


def _row(run: SetRun, asked: Asked, keys: Sequence[str], name: str) -> dict[str, Any]:
    true = _target(run, asked)
    places = []
    for key in keys:
        line = run.methods[key].answered(asked.query.id) if key in run.methods else None
        order = [j["tile_id"] for j in line["judgements"]] if line is not None else []
        places.append(str(order.index(true) + 1) if true in order else "-")
    return {"query": asked.query.id, "text": asked.query.text[:160], "file": name, "places": places}


def _target(run: SetRun, asked: Asked) -> str | None:
    if asked.removed:
        return None
    row = next(n for n, q in enumerate(run.frozen.located) if q.query.id == asked.query.id)
    return run.frozen.places.ids[int(run.frozen.truth.target[row])]


def _page(run: SetRun, asked: Asked, gallery: Gallery | None) -> Page:
    q, true = asked.located, _target(run, asked)
    far = _distances(run, asked)
    marks = {t: "right" if t == true else "holds" if d <= 60 and not asked.removed else "" for t, d in far.items()}
    place = "its true place was taken out of the gallery" if asked.removed else f"true tile {true}"
    return Page(
        query=asked.query.id,
        text=asked.query.text,
        lang=asked.query.lang,
        about=f"{run.frozen.name}; by {q.source}; {'named' if q.named else 'masked'}; {q.lat:.5f}, {q.lon:.5f}; "
        f"{place}",
        tiles=[
            TileShown(
                id=c.tile_id,
                mark=marks[c.tile_id],
                words=f"score {c.score:.2f}, {far[c.tile_id]:,.0f} m away",
                jpeg=_jpeg(gallery, c.tile_id),
            )
            for c in sorted(asked.candidates, key=lambda c: c.rank)
        ],
        methods=[_method(m, asked, marks, far) for m in run.methods.values() if asked.query.id in m.lines],
    )


def _distances(run: SetRun, asked: Asked) -> dict[str, float]:
    from retriever.geo import distance_m

    places = run.frozen.places
    row = {tile: n for n, tile in enumerate(places.ids)}
    at = {c.tile_id: row[c.tile_id] for c in asked.candidates}
    lat, lon = asked.located.lat, asked.located.lon
    return {t: float(distance_m(lat, lon, float(places.lat[r]), float(places.lon[r]))) for t, r in at.items()}


def _method(m: MethodRun, asked: Asked, marks: Mapping[str, str], far: Mapping[str, float]) -> MethodShown:
    line = m.lines[asked.query.id]
    sure = line.get("sure") or {}
    rows = []
    for j in line.get("judgements", ()):
        tile = j["tile_id"]
        said = [tile, f"{far[tile]:,.0f} m", sure.get("verdicts", {}).get(tile, "").replace("_", " ")]
        said.append("" if j["score"] is None else f"{j['kind']} {j['score']:.3f}")
        said.append(f"posterior {100 * sure['cells'][tile]:.1f} %" if sure.get("cells") else "")
        said.append(j["error"] if j["score"] is None and j["error"] else "")
        rows.append({"mark": marks[tile], "words": ", ".join(part for part in said if part)})
    reasons = [
        {
            "head": f"{r['tile_id']}: {'its own reasons' if r['by'] == 'own' else 'reasons of the shared explainer'}, "
            f"{'in the words of the model' if r['author'] == 'model' else 'in the words of the template'}",
            "en": r["en"],
            "zh": r["zh"],
        }
        for r in line.get("reasons", ())
    ]
    return MethodShown(key=m.key, error=str(line.get("error", "")), rows=rows, reasons=reasons)


def _jpeg(gallery: Gallery | None, tile_id: str) -> str:
    if gallery is None:
        return ""
    try:
        image = gallery.image(tile_id)
    except SightlineError:
        return ""
    out = io.BytesIO()
    image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX).save(out, "JPEG", quality=80)
    return base64.b64encode(out.getvalue()).decode()
