"""Heat for people: overlays as PNG, one page of HTML that shows them with the coloured text, and terminal colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image
from rich.text import Text

from retriever.draw.overlay import overlay
from retriever.encoder import Encoder
from retriever.errors import SightlineError
from retriever.heat import Heat, image_heat, seen, text_heat
from retriever.heat_.words import Word

_SIDE = 448
_STYLE = """body{font:16px/1.7 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
figure{display:inline-block;margin:0 1rem 1rem 0;vertical-align:top}img{max-width:100%;display:block}
figcaption{font-size:.8rem;color:#555}.w{border-radius:3px}.cut{text-decoration:line-through;color:#888}"""
_HOW = (
    "Darker words and redder patches carry more of the similarity between this text and this tile (gradient-weighted "
    "attention relevance). Every tile and every text has its own scale; struck-out words were not read."
)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One candidate for the page."""

    tile_id: str
    rank: int
    image: Image.Image


def write_heat(
    folder: Path,
    encoder: Encoder,
    text: str,
    pictures: Sequence[tuple[str, Image.Image]],
    tiles: Sequence[Shown],
    *,
    credit: str = "",
) -> list[Heat]:
    """Overlays and ``index.html`` of a query's text and pictures (by view) against each tile, into ``folder``.

    Returns the heat of the text, tile by tile; empty where there is no text. Raises ``SightlineError`` where the files
    cannot be written and as :func:`retriever.heat.text_heat` does.
    """
    images = [tile.image for tile in tiles]
    by_text = text_heat(encoder, text, images) if text.strip() else []
    by_view = [(view, picture, image_heat(encoder, picture, images)) for view, picture in pictures]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sections = []
        for i, tile in enumerate(tiles):
            figures = [_save(folder, encoder, tile.image, by_text[i].tile, f"{tile.rank}-text", "text")] if text else []
            for n, (view, picture, heats) in enumerate(by_view, 1):
                name = f"{tile.rank}-{n}-{view}"
                figures.append(_save(folder, encoder, tile.image, heats[i].tile, f"{name}-tile", f"{view} picture"))
                own = heats[i].query
                assert own is not None
                figures.append(_save(folder, encoder, picture, own, name, f"the {view} picture itself"))
            sections.append(_section(tile, by_text[i] if by_text else None, figures))
        (folder / "index.html").write_text(_page(sections, encoder.name, credit), encoding="utf-8")
    except OSError as error:
        raise SightlineError(f"the heat maps cannot be written to {folder} ({error.strerror or error})") from None
    return by_text


def terminal(heat: Heat) -> Text:
    """The text with each word's background by its heat."""
    out, at = Text(), 0
    for word, share in zip(heat.words, shares(heat.words), strict=True):
        out.append(heat.text[at : word.start])
        red, green, blue = _tint(share)
        style = "strike dim" if not word.read else f"black on rgb({red},{green},{blue})" if share >= 0.15 else ""
        out.append(word.text, style=style)
        at = word.start + len(word.text)
    out.append(heat.text[at:])
    return out


def shares(words: Sequence[Word]) -> list[float]:
    """Each word's heat as a share of the hottest word's, 0..1."""
    top = max((word.heat for word in words), default=0.0)
    return [word.heat / top if top > 0 else 0.0 for word in words]


def _tint(share: float) -> tuple[int, int, int]:
    """From white to orange."""
    red, green, blue = (round(float(np.interp(share, [0, 1], [255, end]))) for end in (255, 132, 36))
    return red, green, blue


def _save(folder: Path, encoder: Encoder, image: Image.Image, heat: np.ndarray, name: str, what: str) -> str:
    read = seen(encoder, image).convert("RGB")
    read.thumbnail((2 * _SIDE, _SIDE))
    overlay(read, heat).save(folder / f"{name}.png")
    return (
        f'<figure><img src="{escape(name)}.png" width="{read.width}" height="{read.height}" '
        f'alt="heat of the {escape(what)}"><figcaption>{escape(what)}</figcaption></figure>'
    )


def _section(tile: Shown, heat: Heat | None, figures: Sequence[str]) -> str:
    title = f"#{tile.rank} {tile.tile_id}"
    words = f"<p>{words_html(heat)}</p><p><small>similarity {heat.similarity:.3f}</small></p>" if heat else ""
    return f"<section><h2>{escape(title)}</h2>{words}{''.join(figures)}</section>"


def words_html(heat: Heat) -> str:
    """The text as HTML, each word a span coloured by its heat, which its title tells."""
    parts, at = [], 0
    for word, share in zip(heat.words, shares(heat.words), strict=True):
        parts.append(escape(heat.text[at : word.start]))
        if word.read:
            look = f'class="w" style="background:rgb{_tint(share)}" title="{100 * share:.0f} %"'
        else:
            look = 'class="cut" title="not read: beyond the context"'
        parts.append(f"<span {look}>{escape(word.text)}</span>")
        at = word.start + len(word.text)
    return "".join(parts) + escape(heat.text[at:])


def _page(sections: Sequence[str], encoder: str, credit: str) -> str:
    head = f'<meta charset="utf-8"><title>Heat maps</title><style>{_STYLE}</style>'
    foot = f"<footer><small>encoder {escape(encoder)}; {escape(_HOW)} {escape(credit)}</small></footer>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(sections)}{foot}</body></html>\n"
