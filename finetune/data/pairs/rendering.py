"""The pictures of pairs as files: the tile as shown, and the query where it is a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from finetune.data.pairs.views import query_view
from finetune.views import Scene
from retriever.draw import Fonts
from retriever.gallery import Gallery
from retriever.pair_galleries import area_gallery, extract_of
from retriever.pair_maps import query_map
from retriever.pairs import Pair, compact, shown_tile


def render_pairs(pairs: Sequence[Pair], out: Path, *, galleries: Path, data: Path | None, exact: bool = True) -> int:
    """Write ``tiles/``, ``queries/`` and ``index.jsonl`` (the pair with both file names); returns how many pictures.

    Raises ``PairError`` where a gallery is missing or pixels are not those recorded (rendered views: if ``exact``).
    """
    opened: dict[str, Gallery] = {}
    scenes: dict[str, Scene] = {}
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
        if pair.query.view != "text":
            query = Path("queries") / f"{pair.id.rsplit('-', 1)[0]}.png"
            if query not in written:
                _query(pair, gallery, scenes, galleries, data, exact).save(out / query)
                written.add(query)
        row = {**compact(pair), "tile_file": str(tile), "query_file": query and str(query)}
        lines.append(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n")
    (out / "index.jsonl").write_text("".join(lines), encoding="utf-8")
    return len(written)


def _query(
    pair: Pair, gallery: Gallery, scenes: dict[str, Scene], galleries: Path, data: Path | None, exact: bool
) -> Image.Image:
    if pair.query.view == "map":
        return query_map(pair, gallery)
    if pair.area not in scenes:
        scenes[pair.area] = Scene.from_osm(extract_of(pair.area, galleries, data), fonts=Fonts.none_cjk())
    return query_view(pair, scenes[pair.area], exact=exact)
