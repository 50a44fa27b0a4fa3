"""What the dual encoder learns from and is measured by: dense labels, losses, and recall."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from finetune.encoder.labels import channels, label_grid, pack, unpack
from finetune.encoder.loss import contrastive_loss, dense_loss, excluded_pairs
from finetune.encoder.validate import recall
from retriever.types import Fact

# --- dense labels ----------------------------------------------------------------------------------------------------


def fact(kind: str, shape: Any, *points: tuple[float, float]) -> Fact:
    return Fact(osm_id="node/1", kind=kind, shape=shape, parts=(points,))


def cells_of(grid: np.ndarray, channel: str) -> list[tuple[int, int]]:
    return [tuple(c) for c in np.argwhere(grid[..., channels().index(channel)]).tolist()]


def test_a_point_marks_its_cell_and_one_outside_the_tile_none() -> None:
    grid = label_grid([fact("cafe", "point", (0.9, 0.1)), fact("bank", "point", (1.03, 0.5))], cells=8)
    assert cells_of(grid, "cafe") == [(0, 7)]
    assert cells_of(grid, "bank") == []


def test_what_is_not_shown_is_not_learned() -> None:
    assert not label_grid([fact("cafe", "point", (0.9, 0.1))], [False], cells=8).any()


def test_a_road_marks_its_cells_and_its_axis() -> None:
    grid = label_grid([fact("street", "line", (-0.05, 0.56), (1.05, 0.56))], cells=8)
    assert cells_of(grid, "street") == cells_of(grid, "axis:ew") == [(4, c) for c in range(8)]
    north = label_grid([fact("street", "line", (0.31, 1.0), (0.31, 0.0))], cells=8)
    assert cells_of(north, "axis:ns") == [(r, 2) for r in range(8)]
    diagonal = label_grid([fact("street", "line", (0.0, 1.0), (1.0, 0.0))], cells=8)
    assert (0, 7) in cells_of(diagonal, "axis:ne")
    assert cells_of(diagonal, "axis:nw") == []


def test_an_area_marks_what_it_covers_but_not_its_hole() -> None:
    outer = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0))
    hole = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75), (0.25, 0.25))
    park = Fact(osm_id="way/1", kind="park", shape="area", parts=(outer, hole))
    marked = set(cells_of(label_grid([park], cells=8), "park"))
    assert (0, 0) in marked
    assert (7, 7) in marked
    assert not {(r, c) for r in range(3, 5) for c in range(3, 5)} & marked


def test_packing_loses_nothing() -> None:
    grid = np.random.default_rng(0).random((8, 8, len(channels()))) < 0.1
    np.testing.assert_array_equal(unpack(pack(grid)), grid.reshape(64, -1))


# --- losses ----------------------------------------------------------------------------------------------------------


def slow_loss(text: torch.Tensor, tile: torch.Tensor, scale: float, excluded: torch.Tensor) -> float:
    """Pair by pair, with plain logarithms."""
    a = text / text.norm(dim=1, keepdim=True)
    b = tile / tile.norm(dim=1, keepdim=True)
    total = 0.0
    for i in range(len(a)):
        row = [float(scale * a[i] @ b[j]) for j in range(len(b)) if not excluded[i, j]]
        column = [float(scale * a[j] @ b[i]) for j in range(len(a)) if not excluded[j, i]]
        own = float(scale * a[i] @ b[i])
        total += np.log(np.exp(row).sum()) - own + np.log(np.exp(column).sum()) - own
    return total / (2 * len(a))


def test_the_loss_is_the_mean_of_both_directions_without_the_excluded() -> None:
    torch.manual_seed(0)
    text, tile = torch.randn(6, 5), torch.randn(6, 5)
    excluded = torch.rand(6, 6) < 0.3
    excluded.fill_diagonal_(False)
    found = contrastive_loss(text, tile, torch.tensor(7.0), excluded)
    assert float(found) == pytest.approx(slow_loss(text, tile, 7.0, excluded), rel=1e-5)
    none = torch.zeros(6, 6, dtype=torch.bool)
    assert float(contrastive_loss(text, tile, torch.tensor(7.0))) == pytest.approx(
        slow_loss(text, tile, 7.0, none), rel=1e-5
    )


def test_an_excluded_tile_neither_pulls_nor_pushes() -> None:
    text, tile = torch.randn(4, 5), torch.randn(4, 5, requires_grad=True)
    excluded = ~torch.eye(4, dtype=torch.bool)
    contrastive_loss(text, tile, torch.tensor(5.0), excluded).backward()
    torch.testing.assert_close(tile.grad, torch.zeros(4, 5))


def test_smoothing_makes_certainty_cost_something() -> None:
    same = torch.eye(4)
    sharp, smooth = (contrastive_loss(same, same, torch.tensor(50.0), smoothing=s) for s in (0.0, 0.1))
    assert float(sharp) < 1e-6
    assert float(smooth) == pytest.approx(0.1 * 50 * 3 / 4, rel=1e-3)


def test_tiles_near_the_witness_are_no_negatives_and_other_areas_always_are() -> None:
    point = torch.tensor([[0.0, 0.0], [1000.0, 0.0], [0.0, 0.0]])
    centre = torch.tensor([[10.0, 0.0], [149.0, 0.0], [0.0, 0.0]])
    found = excluded_pairs(point, centre, torch.tensor([0, 0, 1]))
    assert found.tolist() == [[False, True, False], [False, False, False], [False, False, False]]


def test_the_dense_loss_weighs_missed_positives() -> None:
    labels = torch.zeros(1, 1, 2)
    labels[0, 0, 0] = 1
    weight = torch.tensor([5.0, 1.0])
    missed = dense_loss(torch.tensor([[[-3.0, -3.0]]]), labels, weight)
    invented = dense_loss(torch.tensor([[[3.0, 3.0]]]), labels, weight)
    assert missed > invented


# --- validation ------------------------------------------------------------------------------------------------------


def test_a_constant_scorer_finds_nothing_and_a_perfect_one_everything() -> None:
    xy = np.array([[0.0, 0.0], [200.0, 0.0], [400.0, 0.0], [600.0, 0.0]] * 3) + np.repeat(
        [[0, 0], [0, 500], [0, 999]], 4, 0
    )
    point = xy + 10.0
    assert recall(np.zeros((12, 12), np.float32), point, xy) == {
        "r@1": 0.0, "r@5": 0.0, "r@10": 0.0, "contains@1": 0.0, "contains@5": 0.0, "contains@10": 0.0,
    }  # fmt: skip
    perfect = recall(np.eye(12, dtype=np.float32), point, xy)
    assert perfect["r@1"] == perfect["contains@1"] == 1.0


def test_contains_counts_any_tile_that_holds_the_point() -> None:
    xy = np.array([[0.0, 0.0], [60.0, 0.0], [500.0, 0.0]])
    scores = np.array([[0.1, 0.9, 0.2]], np.float32)
    found = recall(scores, np.array([[5.0, 0.0]]), xy)
    assert (found["r@1"], found["contains@1"]) == (0.0, 1.0)
