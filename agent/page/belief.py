"""The posterior over the whole gallery as a picture that lies on the map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agent.shortlist import gallery_scores, searched
from agent.state import State
from retriever.area import Area
from retriever.types import Box, Claim, Query

if TYPE_CHECKING:
    from agent.context import Context
    from retriever.gallery import Gallery

_STOPS = np.array([0.0, 0.35, 0.7, 1.0])
_COLOURS = np.array([(255, 226, 110), (253, 150, 40), (222, 45, 38), (120, 0, 40)], dtype=float)
_OPAQUE = 0.78
_FAINT = 0.03
"""Below this square root (a tenth of a percent) nothing is drawn."""
_SMOOTH = 6
"""Pixels per cell."""
_LARGEST = 1024
"""Cells along a side of the picture; larger galleries are drawn coarser."""


def probabilities(context: Context, state: State) -> NDArray[np.float64]:
    """float64 [N] over the gallery's tiles: the posterior; sums to one less what lies outside the gallery.

    The shortlist has its own probabilities. What the posterior leaves for the rest of the gallery is spread as its
    prior says: ``softmax(weight * z)`` of the retrieval scores, inside the area limit.
    """
    gallery, posterior = context.gallery, state["posterior"]
    found = np.zeros(len(gallery))
    pairs: Any = [tuple(pair) for pair in state.get("images") or []]
    query = Query(id=state["query_id"], text=" ".join(state["words"]), lang="mixed", images=tuple(pairs))
    claims = [Claim.from_json(c) for c in state["claims"]]
    scores = np.asarray(
        gallery_scores(context.retriever, query, claims, _images(context, state), context.seen), dtype=float
    )
    within = Area.parse(str(state["within"])) if state.get("within") else None
    allowed = np.isfinite(scores) & searched(gallery, within)
    listed = np.array([gallery.row(tile) for tile in posterior["cells"]], dtype=int)
    rest = allowed.copy()
    rest[listed] = False
    if rest.any():
        spread = float(scores[allowed].std()) or 1.0
        logs = context.kit.confidence.weights.retrieval * (scores[rest] - scores[allowed].mean()) / spread
        shares = np.exp(logs - logs.max())
        found[rest] = posterior["elsewhere"] * shares / shares.sum()
    found[listed] = list(posterior["cells"].values())
    return found


def _images(context: Context, state: State) -> Mapping[str, Path]:
    found = dict(context.images)
    for _, sha in state.get("images") or []:
        if sha not in found and context.image_folder is not None:
            found[sha] = context.image_folder / f"{sha}.png"
    return found


def picture(gallery: Gallery, p: NDArray[np.float64]) -> tuple[Image.Image, Box]:
    """RGBA over the gallery's cells and its bounds in degrees, for probabilities [N]."""
    cell_lat, cell_lon = _cell_degrees(gallery)
    north, south = float(gallery.lat.max()), float(gallery.lat.min())
    west, east = float(gallery.lon.min()), float(gallery.lon.max())
    rows, cols = round((north - south) / cell_lat) + 1, round((east - west) / cell_lon) + 1
    shrink = max(1.0, max(rows, cols) / _LARGEST)
    rows, cols = math.ceil(rows / shrink), math.ceil(cols / shrink)
    grid = np.zeros((rows, cols))
    row = ((north - gallery.lat) / (cell_lat * shrink)).round().astype(int).clip(0, rows - 1)
    col = ((gallery.lon - west) / (cell_lon * shrink)).round().astype(int).clip(0, cols - 1)
    # A cell drawn coarser shows its likeliest part: adding up would make thin evidence look strong.
    np.maximum.at(grid, (row, col), p)
    half_lat, half_lon = cell_lat * shrink / 2, cell_lon * shrink / 2
    bounds = (
        west - half_lon,
        north + half_lat - rows * cell_lat * shrink,
        west - half_lon + cols * cell_lon * shrink,
        north + half_lat,
    )
    return _coloured(grid), bounds


def _cell_degrees(gallery: Any) -> tuple[float, float]:
    """A cell's height and width in degrees."""
    metre = math.pi * 6_371_008.8 / 180
    return gallery.stride_m / metre, gallery.stride_m / (metre * math.cos(math.radians(float(np.mean(gallery.lat)))))


def _coloured(grid: NDArray[np.float64]) -> Image.Image:
    """Colour by the square root of probability on a fixed scale, so that a posterior that knows little looks pale."""
    value = np.sqrt(grid.clip(0, 1))
    small = Image.fromarray(value.astype(np.float32), mode="F")
    scale = _SMOOTH if max(grid.shape) <= 200 else 2
    size = (small.width * scale, small.height * scale)
    smooth = np.asarray(small.resize(size, Image.Resampling.BILINEAR), dtype=float).clip(0, 1)
    colours = [np.interp(smooth, _STOPS, _COLOURS[:, band]) for band in range(3)]
    alpha = np.where(smooth < _FAINT, 0.0, 255 * _OPAQUE * smooth**0.6)
    return Image.fromarray(np.stack([*colours, alpha], axis=-1).round().astype(np.uint8), mode="RGBA")
