"""Models of a recipe: stretched texts, adapters, and the import of weights as OpenAI's CLIP keeps them."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from contrastive_fakes import CLIP, tiny_clip, write_config
from PIL import Image

from finetune.contrastive.bundle import write_bundle
from finetune.contrastive.model import Dual, prepare, stretch
from finetune.contrastive.recipe import Lora, ModelPlan
from finetune.contrastive.released import config_of, import_openai
from retriever.encoder import Encoder, text_features
from retriever.errors import ModelError

WIDE: dict[str, Any] = {**CLIP, "text_cfg": {**CLIP["text_cfg"], "width": 64, "heads": 1, "vocab_size": 400}}
"""Heads of OpenAI's models are 64 wide."""


def released_file(path: Path, **changes: Any) -> dict[str, torch.Tensor]:
    """A file as the released one: half precision, 300 positions, OpenAI's numbers among the weights."""
    import open_clip

    torch.manual_seed(1)
    model = open_clip.CLIP(**copy.deepcopy({**WIDE, "text_cfg": {**WIDE["text_cfg"], "context_length": 300}}))
    state = {k: v.half() for k, v in model.state_dict().items()}
    state |= {"input_resolution": torch.tensor(28), "context_length": torch.tensor(77), "vocab_size": torch.tensor(400)}
    state |= changes
    torch.save({k: v for k, v in state.items() if v is not None}, path)
    return state


def test_a_released_file_is_imported_key_by_key(tmp_path: Path) -> None:
    state = released_file(tmp_path / "w.pth")
    model, config = import_openai(tmp_path / "w.pth")
    assert config == {**WIDE, "text_cfg": {**WIDE["text_cfg"], "context_length": 300}}
    own = model.state_dict()
    assert set(own) == {k for k in state if k not in ("input_resolution", "context_length", "vocab_size")}
    assert all(torch.equal(own[k], state[k].float()) for k in own)
    assert model.attn_mask.shape == (300, 300)
    assert model.encode_text(torch.randint(0, 399, (1, 300))).shape == (1, 16)


def test_a_wrapped_file_of_several_processes_is_the_same(tmp_path: Path) -> None:
    state = released_file(tmp_path / "w.pth")
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "x.pth")
    first, second = (import_openai(tmp_path / f)[0].state_dict() for f in ("w.pth", "x.pth"))
    assert all(torch.equal(first[k], second[k]) for k in first)


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)

    def __init__(self, path: Path) -> None:
        self.path = path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ln_final.bias": None}, "ln_final.bias (not in the file)"),
        ({"positional_embedding_res": torch.zeros(300, 64)}, "positional_embedding_res (unknown)"),
        ({"ln_final.bias": torch.zeros(3)}, "ln_final.bias (shape)"),
        ({"logit_scale": torch.tensor(float("nan"))}, "NaN"),
        ({"input_resolution": torch.tensor(224)}, "input_resolution is 224"),
        ({"visual.conv1.weight": None}, "OpenAI's CLIP with a ViT"),
    ],
)
def test_a_file_that_does_not_add_up_is_refused(tmp_path: Path, changes: Any, said: str) -> None:
    released_file(tmp_path / "w.pth", **changes)
    with pytest.raises(ModelError) as error:
        import_openai(tmp_path / "w.pth")
    assert said in str(error.value)


def test_a_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    torch.save({"weight": Evil(tmp_path / "owned")}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="not to be trusted"):
        import_openai(tmp_path / "w.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be read"):
        import_openai(tmp_path / "cut.pth")
    assert not (tmp_path / "owned").exists()


def test_the_released_architecture_is_read_off_its_shapes() -> None:
    import open_clip

    config = open_clip.get_model_config("ViT-L-14-336-quickgelu")
    config["text_cfg"]["context_length"] = 300
    with torch.device("meta"):
        state = open_clip.CLIP(**copy.deepcopy(config)).state_dict()
    assert config_of(state) == config


def test_an_imported_file_becomes_a_bundle_that_answers_as_the_file_did(tmp_path: Path) -> None:
    import open_clip

    full = {**CLIP, "text_cfg": {**CLIP["text_cfg"], "width": 64, "heads": 1, "context_length": 300}}
    torch.manual_seed(2)
    model = open_clip.CLIP(**copy.deepcopy(full))
    torch.save(model.state_dict(), tmp_path / "w.pth")
    plan = ModelPlan(open_clip="ViT-L-14-336-quickgelu", pretrained=str(tmp_path / "w.pth"))
    write_bundle(tmp_path / "bundle", prepare(plan), {"name": "released"})
    encoder = Encoder.load(tmp_path / "bundle")
    assert encoder.tokenizer.context_length == 300
    said = "A pharmacy stands on the left, " * 30
    ids = open_clip.SimpleTokenizer()([said], 300)
    wanted = F.normalize(model.encode_text(ids), dim=-1).detach().numpy()
    assert float((encoder.encode_text([said]) * wanted).sum()) > 0.9995
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8))
    assert np.isfinite(encoder.encode_images([image])).all()


# --- positions -----------------------------------------------------------------------------------------------------


def test_positions_are_stretched_linearly_over_the_whole_sequence() -> None:
    model = tiny_clip()
    old = model.positional_embedding.detach().clone()
    stretch(model, 300)
    new = model.positional_embedding
    for i in (0, 7, 150, 299):
        at = min(max((i + 0.5) * 77 / 300 - 0.5, 0.0), 76.0)
        low = int(at)
        wanted = old[low] * (1 - (at - low)) + old[min(low + 1, 76)] * (at - low)
        assert torch.allclose(new[i], wanted, atol=1e-5)
    assert model.attn_mask.shape == (300, 300)
    assert torch.isinf(model.attn_mask[0, 1:]).all()
    assert (model.attn_mask[299] == 0).all()


def test_kept_positions_leave_short_texts_as_they_were() -> None:
    model = tiny_clip()
    ids = torch.randint(2, 40, (2, 12))
    ids[:, -1] = 49
    before, last = text_features(model, ids), model.positional_embedding[-1].detach().clone()
    stretch(model, 300, keep=20)
    assert torch.allclose(text_features(model, ids), before, atol=1e-5)
    assert torch.allclose(model.positional_embedding[-1], last, atol=1e-5)
    other = tiny_clip()
    stretch(other, 300)
    assert not torch.allclose(text_features(other, ids), before, atol=1e-3)


@pytest.mark.parametrize(("length", "keep"), [(50, None), (300, 77), (300, 0)])
def test_a_stretch_that_makes_no_sense_is_refused(length: int, keep: int | None) -> None:
    with pytest.raises(ModelError):
        stretch(tiny_clip(), length, keep=keep)


# --- adapters ------------------------------------------------------------------------------------------------------


@pytest.fixture
def adapted(tmp_path: Path) -> Dual:
    plan = ModelPlan(open_clip=str(write_config(tmp_path)), lora={"text": Lora(rank=2), "image": Lora(rank=3)})
    return prepare(plan)


def seen(dual: Any) -> torch.Tensor:
    ids = dual.tokenizer(["a bank on the corner", "trees"]).ids
    return torch.cat([dual.texts(ids), dual.pictures(torch.arange(2 * 3 * 28 * 28).view(2, 3, 28, 28) % 255)])


def test_adapters_move_both_towers_and_nothing_else_does(adapted: Dual) -> None:
    before, start = seen(adapted), {k: v.detach().clone() for k, v in adapted.model.state_dict().items()}
    optimiser = torch.optim.Adam(adapted.moved(), lr=0.01)
    for _ in range(2):
        optimiser.zero_grad()
        seen(adapted).pow(2).sum().backward()
        # Attention and every linear layer have adapters that the loss reaches.
        idle = [n for n, p in adapted.model.named_parameters() if p.requires_grad and p.grad is None]
        assert idle == ["logit_scale"]
        optimiser.step()
    assert not torch.allclose(seen(adapted)[:2], before[:2])
    assert not torch.allclose(seen(adapted)[2:], before[2:])
    now = adapted.model.state_dict()
    changed = {k for k in now if not torch.equal(now[k], start[k])}
    assert changed == {k for k in now if "lora_" in k}
    assert any("attn" in k for k in changed)
    assert any("c_fc" in k for k in changed)


def test_merged_adapters_say_the_same_and_leave_the_run_as_it_was(adapted: Dual) -> None:
    with torch.no_grad():
        for name, p in adapted.model.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.1)
    wanted = seen(adapted)
    merged = adapted.merged()
    ids = adapted.tokenizer(["a bank on the corner", "trees"]).ids
    assert torch.allclose(text_features(merged, ids), wanted[:2], atol=1e-4)
    assert not any("lora" in k for k in merged.state_dict())
    assert torch.allclose(seen(adapted), wanted)
    assert any("lora_A" in k for k in adapted.model.state_dict())
