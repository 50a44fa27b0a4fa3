"""A gallery and its query file as points of CVG-Text's layout.

There a query and its only tile have one name, and the tile lies about the query's place. So a query's tile is the
gallery's tile with the nearest centre (or the one that the query file names), under a name with the *query's* place;
tiles that no query asks for come after them under a name with their own.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from finetune.formats.cvg_text import Exported
from finetune.formats.store import DatasetError
from retriever.gallery import Gallery
from retriever.sources.cvg_text import PX, Name

_MONTH = "2000-01"
"""No street picture was taken; the layout wants a month."""
_PLAIN = re.compile(r"[^A-Za-z0-9-]+")


def points_of(gallery: Gallery, queries: Path, split: str) -> Iterator[Exported]:
    """Every query with its tile, then every other tile. Raises ``DatasetError`` for a query file that does not read."""
    taken: set[str] = set()
    for number, row in enumerate(_rows(queries)):
        tile = row.get("tile_id") or gallery.nearest(row["lat"], row["lon"])
        taken.add(tile)
        name = _name(row["lat"], row["lon"], f"q{number}-{row['id']}", row.get("heading_deg") or 0.0)
        yield _point(gallery, tile, name, split, row["text"])
    for tile in gallery.ids:
        if tile not in taken:
            at = gallery.row(tile)
            yield _point(gallery, tile, _name(float(gallery.lat[at]), float(gallery.lon[at]), tile, 0.0), split, None)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"the query file {path} cannot be read ({error}): give a JSONL file") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                row = json.loads(line)
                place = {"lat": float(row["lat"]), "lon": float(row["lon"])}
                yield {**row, **place, "text": str(row["text"]), "id": row["id"]}
            except (ValueError, KeyError, TypeError) as error:
                raise DatasetError(
                    f"{path}:{number} is no query with id, text, lat and lon ({error}): correct it"
                ) from None


def _name(lat: float, lon: float, identity: str, yaw: float) -> Name:
    return Name(lat=lat, lon=lon, month=_MONTH, pano_id=_PLAIN.sub("-", identity), yaw_deg=yaw, zoom=1.0)


def _point(gallery: Gallery, tile: str, name: Name, split: str, caption: str | None) -> Exported:
    picture = gallery.image(tile).resize((PX, PX), Image.Resampling.LANCZOS)
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    views = {"map": packed.getvalue()} if gallery.view == "map" else {"satellite": packed.getvalue()}
    return Exported(file=str(name), caption=caption, split=split, **views)
