"""What is on a wall: plaster or brick, windows by storey and bay, shop fronts, doors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finetune.views.houses import GLASS, RIBBON
from finetune.views.mesh import WALL_COLUMNS, linear
from finetune.views.seeds import grain
from finetune.views.texture import noise

Floats = NDArray[np.float32]
_PANE = np.array(linear("#39434b"), np.float32)
_CURTAIN = np.array(linear("#b9b3a4"), np.float32)
_DOOR = np.array(linear("#54402f"), np.float32)
_SHOP = np.array(linear("#4a4640"), np.float32)
_TRIMS = np.array([linear(c) for c in ("#7a2a26", "#24443a", "#22364f", "#3a3632", "#8a6a32", "#5a5a5c")], np.float32)


def paint(
    walls: Floats, rows: NDArray[np.int32], colour: Floats, points: Floats, footprint: Floats, salt: int
) -> tuple[Floats, Floats]:
    """Colours [N, 3] of points on walls, and how much of a mirror each is [N].

    ``colour`` is the bare wall's; ``points`` [N, 3] are metres. Detail finer than a pixel (``footprint``) melts into
    its mean, so that far walls do not flicker.
    """
    column = {name: walls[rows, i] for name, i in WALL_COLUMNS.items()}
    u = (points[:, 0] - column["x"]) * column["dx"] + (points[:, 1] - column["y"]) * column["dy"]
    v = points[:, 2] - column["low"]
    base = colour * (1 + 0.05 * noise(u + 31 * column["seed"] * 16, points[:, 2], 0.9))[:, None]
    base = base * (1 + 0.05 * noise(u, points[:, 2] * 3.0, 11.0) * np.clip(1.2 - footprint * 12, 0, 1))[:, None]
    base *= np.where(v < 0.6, np.float32(0.8), np.float32(1.0))[:, None]
    storey = np.floor(v / column["floor"])
    fy = v / column["floor"] - storey
    bay = np.floor(u / column["length"] * column["bays"])
    fx = u / column["length"] * column["bays"] - bay
    width = column["length"] / np.maximum(column["bays"], 1)
    key = (rows * 131 + bay * 7).astype(np.int64), (storey + 977 * column["seed"]).astype(np.int64)
    chance = grain(*key, salt=3)
    ground = (storey == 0) & (column["low"] < 1)
    across, middle = np.abs(fx - 0.5), np.where(ground, 0.55, 0.54)
    frame = 0.07
    half_w, half_h = column["wide"] / 2, column["tall"] / 2
    up = np.abs(fy - middle)
    window = (across < half_w) & (up < half_h) & (column["bays"] > 0)
    edge = window & (
        (across > half_w - frame / width) | (up > half_h - frame / column["floor"]) | (across < 0.5 * frame / width)
    )
    glass = column["style"] == GLASS
    edge &= ~glass
    window &= (v < column["high"] - column["low"] - 0.3) & ((column["style"] != RIBBON) | (u > 0.4))
    curtain = chance * 0.9 + grain(*key, salt=salt & 0xFFFF) * 0.1
    pane = _PANE + (_CURTAIN - _PANE) * (np.clip(curtain * 2.2 - 1.4, 0, 0.6) * (fy > middle - 0.1))[:, None]
    trim = np.stack([column["red"], column["green"], column["blue"]], axis=1)
    out = np.where(window[:, None], pane, base)
    out = np.where(edge[:, None], trim, out)
    shine = np.where(window & ~edge, np.float32(0.45), np.float32(0.0))
    _doors(out, shine, ground & (chance < 0.12), fx, fy, width)
    _shops(out, shine, column, u, v)
    # Where windows are smaller than a pixel the wall takes their mean.
    melt = np.clip(footprint / (0.5 * width) - 0.3, 0, 1) * (column["bays"] > 0)
    share = column["wide"] * column["tall"]
    mean = base + (_PANE - base) * share[:, None]
    return out + (mean - out) * melt[:, None], shine * (1 - melt) + 0.45 * share * melt


def _doors(out: Floats, shine: Floats, at: NDArray[np.bool_], fx: Floats, fy: Floats, width: Floats) -> None:
    door = at & (np.abs(fx - 0.5) < 0.55 / width) & (fy < 0.68)
    out[door], shine[door] = _DOOR, 0.05


def _shops(out: Floats, shine: Floats, column: dict[str, Floats], u: Floats, v: Floats) -> None:
    """Panes from the knee to above the head, a band for the sign over them."""
    shop = (u > column["shop_from"]) & (u < column["shop_to"]) & (v < np.minimum(column["floor"], 4.2) * 0.98)
    rows = np.flatnonzero(shop)
    if not len(rows):
        return
    trim = _TRIMS[(column["trim"][rows] * len(_TRIMS)).astype(int)]
    top = np.minimum(column["floor"][rows], 4.2) * 0.84
    at = (u[rows] - column["shop_from"][rows]) / 1.7
    inner = (v[rows] > 0.45) & (v[rows] < top) & (np.abs(at - np.floor(at) - 0.5) < 0.46)
    lit = _SHOP * (1.0 + 1.3 * np.clip(1.0 - np.abs(v[rows] - 1.4), 0, 1))[:, None]
    out[rows] = np.where(inner[:, None], lit, trim)
    shine[rows] = np.where(inner, 0.35, 0.0)
