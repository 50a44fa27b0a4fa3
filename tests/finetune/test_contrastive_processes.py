"""Two processes, and large batches in pieces, learn what one process with the whole batch in memory learns."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from contrastive_fakes import tiny_clip
from torch import nn

from finetune.contrastive.cached import Side, backward
from finetune.contrastive.processes import Team
from finetune.encoder.loss import contrastive_loss
from retriever.encoder import text_features

B = 8


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, pixels and excluded pairs of a whole batch."""
    made = torch.Generator().manual_seed(3)
    ids = torch.randint(2, 40, (B, 9), generator=made)
    ids[:, -1] = 49
    excluded = torch.zeros(B, B, dtype=torch.bool)
    excluded[0, 5] = excluded[6, 1] = True
    return ids, torch.randn(B, 3, 28, 28, generator=made), excluded


def sides(model: Any, ids: torch.Tensor, pixels: torch.Tensor, piece: int) -> tuple[Side, Side]:
    def side(rows: torch.Tensor, encode: Any, order: torch.Tensor) -> Side:
        shuffled = rows[order.argsort()]
        pieces = shuffled.split(piece)
        return Side(pieces=pieces, encode=encode, order=order, learns=[True] * len(pieces))

    turned = torch.arange(len(ids) - 1, -1, -1)
    turned = torch.cat([turned[1:], turned[:1]])
    return side(ids, partial(text_features, model), turned), side(pixels, model.encode_image, torch.arange(len(ids)))


def learn(team: Team, *, piece: int, cached: bool) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of one step, as this process has them at its end."""
    model = tiny_clip()
    ids, pixels, excluded = batch()

    def loss(text: torch.Tensor, tile: torch.Tensor) -> torch.Tensor:
        return contrastive_loss(text, tile, model.logit_scale.exp(), excluded, smoothing=0.1, gather=team.gather)

    value = backward(*sides(model, team.share(ids), team.share(pixels), piece), loss, cached=cached)
    team.average_gradients(model.parameters())
    return value, gradients(model)


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def one_of_two(rank: int, meeting: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    team = Team(rank=rank, size=2)
    found = {name: learn(team, piece=2, cached=name == "cached") for name in ("whole", "cached")}
    found["released"] = released(rank)
    # A parameter that only the second process uses, and one that nobody does.
    used, idle = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    used.grad = torch.tensor([2.0, 4.0]) if rank else None
    team.average_gradients([used, idle])
    torch.save({**found, "used": used.grad, "idle": idle.grad}, f"{out}/{rank}.pt")
    dist.destroy_process_group()


def released(rank: int) -> tuple[float, dict[str, torch.Tensor]]:
    """What the released code does: others' features without gradients, then overwritten; gradients its own."""
    model, team = tiny_clip(), Team(rank=rank, size=2)
    ids, pixels, excluded = batch()
    text, tile = text_features(model, team.share(ids)), model.encode_image(team.share(pixels))
    loss = contrastive_loss(text, tile, model.logit_scale.exp(), excluded[:4, :4], smoothing=0.1)
    loss.backward()
    return float(loss), gradients(model)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("two")
    mp.spawn(one_of_two, args=(str(folder / "meeting"), str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def one() -> tuple[float, dict[str, torch.Tensor]]:
    return learn(Team(), piece=B, cached=False)


def apart(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """The largest difference of any gradient, in parts of the largest number of that gradient."""
    assert a.keys() == b.keys()
    return max(float((a[k] - b[k]).abs().max() / b[k].abs().max().clamp(min=1e-6)) for k in a)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["whole", "cached"])
def test_two_processes_have_the_loss_and_gradients_of_one_with_the_whole_batch(two: Any, one: Any, way: str) -> None:
    for rank in range(2):
        loss, grads = two[rank][way]
        assert loss == pytest.approx(one[0], rel=1e-5)
        assert apart(grads, one[1]) < 1e-3
    assert apart(two[0][way][1], two[1][way][1]) == 0.0


@pytest.mark.slow
def test_the_released_way_has_neither(two: Any, one: Any) -> None:
    assert abs(two[0]["released"][0] - one[0]) > 0.1
    assert apart(two[0]["released"][1], one[1]) > 0.1
    assert apart(two[0]["released"][1], two[1]["released"][1]) > 0.1


@pytest.mark.slow
def test_a_parameter_that_one_process_uses_moves_in_both_and_one_that_nobody_uses_in_none(two: Any) -> None:
    for rank in range(2):
        assert two[rank]["used"].tolist() == [1.0, 2.0]
        assert two[rank]["idle"] is None


@pytest.mark.parametrize("piece", [1, 3, B])
def test_pieces_give_the_gradients_of_the_whole_batch(one: Any, piece: int) -> None:
    loss, grads = learn(Team(), piece=piece, cached=True)
    assert loss == pytest.approx(one[0], rel=1e-5)
    assert apart(grads, one[1]) < 1e-3


def test_pieces_repeat_their_dropout() -> None:
    def run(cached: bool) -> torch.Tensor:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
        rows = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
        side = Side(pieces=rows.split(2), encode=net, order=torch.arange(6), learns=[True] * 3)
        fixed = Side(pieces=[rows], encode=lambda x: x, order=torch.arange(6), learns=[False])
        torch.manual_seed(5)
        backward(side, fixed, lambda a, b: (a * b).pow(2).sum(), cached=cached)
        assert net[0].weight.grad is not None
        return net[0].weight.grad

    assert torch.allclose(run(True), run(False), atol=1e-5)


def test_a_tower_that_stands_still_gets_no_gradient_and_its_partner_the_same_one() -> None:
    def run(cached: bool) -> dict[str, torch.Tensor]:
        model = tiny_clip()
        model.visual.requires_grad_(False)
        ids, pixels, excluded = batch()
        text, tile = sides(model, ids, pixels, 3)
        still = Side(pieces=tile.pieces, encode=tile.encode, order=tile.order, learns=[False] * 3)
        backward(text, still, lambda a, b: contrastive_loss(a, b, model.logit_scale.exp(), excluded), cached=cached)
        return gradients(model)

    whole = run(False)
    assert not any(name.startswith("visual.") for name in whole)
    assert apart(run(True), whole) < 1e-3


def test_the_memory_of_a_step_follows_the_piece_and_not_the_batch() -> None:
    """Counted in what autograd keeps for the backward pass: the same machine gives the same number."""
    model = tiny_clip()

    def kept(rows: int, cached: bool) -> int:
        pixels, most, now = torch.randn(rows, 3, 28, 28), 0, 0

        def encode(piece: torch.Tensor) -> torch.Tensor:
            nonlocal now
            now = 0
            return model.encode_image(piece)

        def pack(t: torch.Tensor) -> torch.Tensor:
            nonlocal most, now
            now += t.numel() if t.ndim == 3 else 0
            most = max(most, now)
            return t

        pieces = pixels.split(4 if cached else rows)
        side = Side(pieces=pieces, encode=encode, order=torch.arange(rows), learns=[True] * len(pieces))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            backward(side, side, lambda a, b: contrastive_loss(a, b, model.logit_scale.exp()), cached=cached)
        return most

    assert kept(32, True) == kept(8, True) < kept(32, False) / 4
