"""A judge put through pairs, by the picture alone or with the tile's facts. Resumable: what is answered is kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agent.judge import tile_png
from agent.verdict import verdict
from eval.protocol import EvaluationError
from prompts.claims import extract_claims
from prompts.listing import Listing, parse_listing
from prompts.schema import MAX_CLAIMS
from retriever.errors import ReplyError, SightlineError
from retriever.gallery import Gallery
from retriever.geo import POINTS_SHORT
from retriever.pair_galleries import EXTRACTS, area_gallery
from retriever.pair_maps import pixels_sha256, query_map
from retriever.pairs import Pair, shown_tile
from retriever.types import Claim, Evidence, Relation, Tile

if TYPE_CHECKING:
    from PIL.Image import Image

    from agent.judge import Judge

AT_ONCE = 24
RENDERED = ("ground", "panorama", "uav")
"""Views of queries that are pictures of the place itself, not of a map."""
Say = Callable[[int, int], None]
Reasons = Literal["", "stances", "explain"]
"""What is asked beside the verdict: nothing, a stance per claim (one token each), or stances with the sentences."""


class Unreadable(SightlineError):
    """A query of a kind that this judge cannot be asked with."""


def in_order(pairs: Sequence[Pair], limit: int | None) -> list[Pair]:
    """Places in an order that does not depend on area or kind, all pairs of a place together, at most ``limit``."""
    chosen = sorted(pairs, key=lambda p: (hashlib.sha256(p.place.encode()).hexdigest(), p.id))
    return chosen[:limit]


class Galleries:
    """The galleries that pairs were made on: what lies under ``folder``, the test areas built where they do not."""

    def __init__(self, folder: Path, data: Path | None) -> None:
        self.folder, self.data = folder, data
        self._open: dict[str, Gallery] = {}

    def __getitem__(self, name: str) -> Gallery:
        if name not in self._open:
            other = self.folder / name
            known = name in EXTRACTS or name.startswith("town-3") or not other.is_dir()
            self._open[name] = area_gallery(name, self.folder, self.data) if known else Gallery.open(other)
        return self._open[name]


class QueryPictures:
    """Rendered query pictures, as ``sightline data testset render`` writes them.

    Raises ``EvaluationError`` for a folder without any.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "queries"
        if not self.folder.is_dir():
            raise EvaluationError(f"{folder} has no queries/: write them with sightline data testset render --out")

    def of(self, pair: Pair) -> Image:
        """The picture a pair is asked with. Raises ``Unreadable`` where it is missing or does not decode."""
        from PIL import Image

        path = self.folder / f"{pair.id.rsplit('-', 1)[0]}.png"
        try:
            with Image.open(path) as picture:
                return picture.convert("RGB")
        except OSError as error:
            raise Unreadable(f"the {pair.query.view} picture {path.name} cannot be read: {error}") from error


def kept(path: Path, judge: str, reasons: Reasons = "") -> dict[str, dict[str, Any]]:
    """What an earlier run answered, by pair id: of the verdicts those that have the ``reasons`` too.

    Raises ``EvaluationError`` where another judge wrote the file, and where stances are to be read off the judge and
    the file holds some that it wrote with its sentences: the two are not scored as one.
    """
    wanted = {"": (), "stances": ("evidence",), "explain": ("evidence", "explanation")}[reasons]
    if not path.is_file():
        return {}
    found = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue  # a line cut short by a kill is asked again
        if row.get("by") != judge:
            raise EvaluationError(f"{path} holds the answers of {row.get('by')}, not of {judge}: name another --out")
        if reasons == "stances" and "explanation" in row:
            raise EvaluationError(f"{path} holds stances written with sentences (--evidence): name another --out")
        if "error" in row or all(part in row for part in wanted):
            found[row["pair_id"]] = row
    return found


async def run(
    judge: Judge,
    pairs: Sequence[Pair],
    galleries: Galleries,
    out: Path,
    *,
    reasons: Reasons = "",
    views: QueryPictures | None = None,
    say: Say,
) -> None:
    """Ask about every pair that ``out`` does not answer yet, and add the answers to it one by one.

    An answer without the ``reasons`` that are wanted is asked for again, and with ``views`` so is a rendered view that
    could not be asked with before; those to other pairs stay as they are.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    done = kept(out, judge.name, reasons)
    seen = RENDERED if views is not None else ()
    left = [p for p in pairs if p.id not in done or (p.query.view in seen and "error" in done[p.id])]
    again = {p.id for p in left}
    _rewrite(out, {pair: row for pair, row in kept(out, judge.name).items() if pair not in again})
    gate = asyncio.Semaphore(AT_ONCE)
    finished = len(pairs) - len(left)
    with out.open("a", encoding="utf-8") as file:

        async def one(pair: Pair) -> None:
            nonlocal finished
            async with gate:
                row = await answer(judge, pair, galleries, reasons=reasons, views=views)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            finished += 1
            say(finished, len(pairs))

        for batch in _batches(left, 500):
            await asyncio.gather(*(one(p) for p in batch))


def _rewrite(out: Path, done: dict[str, dict[str, Any]]) -> None:
    """Without the lines that were cut short, and those that are asked for again."""
    part = out.with_name(out.name + ".part")
    part.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in done.values()), encoding="utf-8")
    part.replace(out)


def _batches(items: Sequence[Pair], size: int) -> Iterator[Sequence[Pair]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def answer(
    judge: Judge, pair: Pair, galleries: Galleries, *, reasons: Reasons = "", views: QueryPictures | None = None
) -> dict[str, Any]:
    """One line of predictions. A reply that is no answer becomes its ``error``; a missing gallery or server raises.

    ``p`` is the model's own probability and ``judge`` the judge without its fit: what ``sightline calibrate verdict``
    reads. ``saw`` says whether facts were shown for this very tile, ``as_recorded`` of a rendered query whether its
    pixels are those that the set records (another machine may render other ones).
    """
    row: dict[str, Any] = {"pair_id": pair.id, "by": judge.name}
    gallery = galleries[pair.tile.gallery]
    tile, picture = shown_tile(pair, gallery)
    png = tile_png(picture)
    try:
        shown = views.of(pair) if views is not None and pair.query.view in RENDERED else None
        if shown is not None:
            row["as_recorded"] = pixels_sha256(shown) == pair.query.pixels_sha256
        claims = await asked(judge, pair, gallery, shown)
        if not claims:
            return {**row, "error": "nothing that could be checked was read from the query"}
        scored = await judge.score(tile, png, claims)
        p = scored.p_match
        row |= {"verdict": verdict(p, ()), "score": p, "saw": scored.saw, "p": scored.p_model}
        row |= {"judge": judge.plain_name} | await _reasons(judge, pair, tile, png, p, reasons)
    except (ReplyError, Unreadable) as error:
        return {"pair_id": pair.id, "by": judge.name, "error": str(error)}
    return row


async def _reasons(judge: Judge, pair: Pair, tile: Tile, png: bytes, p: float, reasons: Reasons) -> dict[str, Any]:
    """Stances of the pair's own claims by the judge's own evidence, and its sentences where they are asked for."""
    claims = pair.claims[:MAX_CLAIMS]
    if reasons == "stances":
        return {"evidence": _said((await judge.stances(tile, png, claims)).evidence)}
    if reasons == "explain":
        told = await judge.explain(tile, png, claims, p)
        words = told.explanation
        return {
            "evidence": _said(told.evidence),
            "explanation": {"en": words.en, "zh": words.zh, "author": words.author},
        }
    return {}


def _said(evidence: Sequence[Evidence]) -> list[dict[str, str]]:
    return [{"claim_id": e.claim_id, "stance": e.stance} for e in evidence]


async def asked(judge: Judge, pair: Pair, gallery: Gallery, shown: Image | None = None) -> list[Claim]:
    """What the judge is told of the query: claims read from the text, or from its own look at the picture.

    ``shown`` is the rendered view that a pair is asked with. The judge was taught maps, so of such a picture only the
    kinds of things that it names count, wherever it sees them. Raises ``Unreadable`` for a view without its picture.
    """
    if pair.query.view == "text":
        return extract_claims(pair.query.text, lang=pair.query.lang or "en")
    tile = gallery.tile(pair.tile.id)
    if pair.query.view == "map":
        return claims_of(parse_listing(await judge.look(tile, tile_png(query_map(pair, gallery)))))
    if shown is None:
        raise Unreadable(f"this judge reads texts and street maps, not a {pair.query.view} view without its picture")
    return kinds_of(parse_listing(await judge.look(tile, tile_png(shown))))


def kinds_of(listing: Listing) -> list[Claim]:
    """A listing as claims without directions: every kind once, somewhere near."""
    found = dict.fromkeys(entry.kind for entry in listing.entries)
    near = Relation(type="near")
    return [Claim(id=f"c{i}", span="", kind="object", value=k, relation=near) for i, k in enumerate(found, 1)]


def claims_of(listing: Listing) -> list[Claim]:
    """A listing as claims: every kind where it lies, and the axes of the roads."""
    found: list[Claim] = []
    for entry in listing.entries:
        for part in entry.parts[:2]:
            bearing = None if part == "c" else POINTS_SHORT.index(part) * 45.0
            relation = Relation(type="here" if part == "c" else "bearing", bearing_deg=bearing)
            found.append(Claim(id=f"c{len(found) + 1}", span="", kind="object", value=entry.kind, relation=relation))
    for axis in listing.axes:
        degrees = {"n-s": 0.0, "ne-sw": 45.0, "e-w": 90.0, "nw-se": 135.0}[axis]
        relation = Relation(type="along", bearing_deg=degrees)
        found.append(Claim(id=f"c{len(found) + 1}", span="", kind="road", value="runs", relation=relation))
    return found
