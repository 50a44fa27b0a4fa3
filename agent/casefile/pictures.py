"""The pictures of a case: every tile as the judge was shown it, and with the boxes of its evidence."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from agent.ledger import decisive
from agent.reading import images_of
from agent.rerankers.base import picture
from agent.state import State
from retriever.draw import draw_evidence
from retriever.errors import SightlineError
from retriever.types import Box, Claim, Evidence, Stance

if TYPE_CHECKING:
    from agent.context import Context

Json = dict[str, Any]
MOST_DRAWN = 50
"""Candidates whose evidence is drawn; the rest keep the picture that the judge saw."""
_WIDE = 448
"""Pixels at least, so that a dozen labels leave something of the tile to be seen."""


def tile_pictures(result: Json, context: Context, into: dict[str, bytes]) -> dict[str, Json]:
    """``{"picture", "picture_sha256", "evidence_picture"}`` by tile id: names of entries, None where there is none."""
    claims = {c["id"]: Claim.from_json(c) for c in result["claims"]}
    found: dict[str, Json] = {}
    for candidate in result["candidates"]:
        tile = candidate["tile_id"]
        found[tile] = {"picture": None, "picture_sha256": None, "evidence_picture": None}
        try:
            png = picture(context.gallery, tile)
            drawn = _drawn(context.gallery.image(tile), candidate, claims) if candidate["rank"] <= MOST_DRAWN else None
        except SightlineError:
            # A tile without a picture was not judged, and its entry in candidates.json says so.
            continue
        name = f"tiles/{tile}.png"
        into[name] = png
        found[tile] |= {"picture": name, "picture_sha256": hashlib.sha256(png).hexdigest()}
        if drawn is not None:
            into[f"tiles/{tile}.evidence.png"] = drawn
            found[tile]["evidence_picture"] = f"tiles/{tile}.evidence.png"
    return found


def _drawn(image: Image.Image, candidate: Json, claims: Mapping[str, Claim]) -> bytes | None:
    """The tile with a box for every claim that was decided somewhere on it; None where none was."""
    boxes = boxes_of(candidate["evidence"], claims)
    if not boxes:
        return None
    scale = max(1, -(-_WIDE // image.width))
    large = image.resize((image.width * scale, image.height * scale), Image.Resampling.LANCZOS)
    return png_bytes(draw_evidence(large, boxes))


def boxes_of(evidence: Sequence[Json], claims: Mapping[str, Claim]) -> list[tuple[Box, str, Stance]]:
    """Box, label and stance of every claim that was decided at a place on the tile; the label is the claim's id."""
    found: list[tuple[Box, str, Stance]] = []
    for item in decisive(Evidence.from_json(e) for e in evidence).values():
        if item.region is not None and item.stance != "unknown" and item.claim_id in claims:
            found.append((item.region, item.claim_id, item.stance))
    return found


def query_pictures(state: State, context: Context, into: dict[str, bytes]) -> list[Json]:
    """The pictures of the question as ``{"view", "sha256", "entry"}``; ``entry`` is None for one that is gone."""
    files, found = images_of(state, context), []
    for view, sha in state.get("images") or []:
        data = _bytes(files.get(sha))
        entry = None if data is None else f"query/{sha}.png"
        if data is not None and entry is not None:
            into[entry] = data
        found.append({"view": view, "sha256": sha, "entry": entry})
    return found


def _bytes(path: Path | None) -> bytes | None:
    """The picture again without anything but its pixels; None where there is none that can be read."""
    if path is None:
        return None
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as kept:
            return png_bytes(kept.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def png_bytes(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=False)
    return out.getvalue()


def jpeg_bytes(png: bytes, side: int, quality: int = 86) -> bytes:
    """A PNG of ours as a JPEG of at most ``side`` pixels, for pages."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
        small = picture.convert("RGB")
    small.thumbnail((side, side))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=quality)
    return out.getvalue()
