"""The pictures of pairs as files: the tile as shown, and the query where it is a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from retriever.gallery import Gallery
from retriever.pair_galleries import area_gallery
from retriever.pair_maps import query_map
from retriever.pairs import Pair, compact, shown_tile


def render_pairs(pairs: Sequence[Pair], out: Path, *, galleries: Path, data: Path | None) -> int:
    """Write ``tiles/``, ``queries/`` and ``index.jsonl`` (the pair with both file names); returns how many pictures.

    Raises ``PairError`` where a gallery is missing or pixels are not those recorded.
    """
    opened: dict[str, Gallery] = {}
    written: set[Path] = set()
    (out / "tiles").mkdir(parents=True, exist_ok=True)
    (out / "queries").mkdir(exist_ok=True)
    lines = []
    for pair in pairs:
        name = pair.tile.gallery
        gallery = opened.get(name) or opened.setdefault(name, area_gallery(name, galleries, data))
        tile = Path("tiles") / f"{pair.tile.id if pair.tile.change is None else pair.id}.png"
        if tile not in written:
            shown_tile(pair, gallery)[1].save(out / tile)
            written.add(tile)
        query = None
        if pair.query.view == "map":
            query = Path("queries") / f"{pair.id.rsplit('-', 1)[0]}.png"
            if query not in written:
                query_map(pair, gallery).save(out / query)
                written.add(query)
        row = {**compact(pair), "tile_file": str(tile), "query_file": query and str(query)}
        lines.append(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n")
    (out / "index.jsonl").write_text("".join(lines), encoding="utf-8")
    return len(written)
