"""The encoder on a device that is not the CPU.

No card is needed: torch's fake tensors have a device and no numbers, and refuse whatever mixes two devices or is no
fake tensor. One test compares numbers, where there is a card.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from osm_samples import hamlet
from PIL import Image
from tiny_encoder import write_bundle
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

import retriever.device
import retriever.encoder
import retriever.heat
import retriever.late
from retriever import main
from retriever.build import build_gallery
from retriever.device import device_for, put, steady
from retriever.encoder import Encoder
from retriever.errors import ModelError
from retriever.heat import image_heat, text_heat
from retriever.late import patches, text_tokens

CARD = torch.device("cuda", 0)
TEXT = "a park by the street"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_DEVICE", raising=False)


@pytest.fixture
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8))


# --- which device -----------------------------------------------------------------------------------------------


def test_without_a_card_auto_is_the_cpu(no_card: None, monkeypatch: pytest.MonkeyPatch, bundle: Path) -> None:
    assert device_for() == device_for("auto") == device_for("CPU ") == torch.device("cpu")
    assert Encoder.load(bundle).device == torch.device("cpu")
    monkeypatch.setenv("SIGHTLINE_DEVICE", "auto")
    assert device_for() == torch.device("cpu")


@pytest.mark.parametrize(
    ("asked", "found"), [(None, "cuda:0"), ("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]
)
def test_with_cards_auto_is_the_first_and_others_can_be_named(two_cards: None, asked: str | None, found: str) -> None:
    assert device_for(asked) == torch.device(found)


def test_what_is_asked_for_goes_before_the_setting(two_cards: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_DEVICE", "cuda:1")
    assert device_for() == torch.device("cuda:1")
    assert device_for("cpu") == torch.device("cpu")


@pytest.mark.parametrize("asked", ["cuda", "cuda:0", "cuda:3"])
def test_a_card_that_is_not_there_is_refused_in_one_sentence(no_card: None, bundle: Path, asked: str) -> None:
    with pytest.raises(ModelError, match=r"asks for a CUDA device and torch sees none.* SIGHTLINE_DEVICE .* auto"):
        Encoder.load(bundle, device=asked)


def test_a_card_beyond_the_last_is_refused(two_cards: None) -> None:
    with pytest.raises(ModelError, match=r"'cuda:2' .* sees 2 of them, counted from 0"):
        device_for("cuda:2")


@pytest.mark.parametrize("asked", ["gpu", "cuda:", "cuda:-1", "cuda:x", "tpu", "mps", "0"])
def test_an_unknown_device_is_refused_whether_there_are_cards_or_not(two_cards: None, asked: str) -> None:
    with pytest.raises(ModelError, match=r"is no device: set SIGHTLINE_DEVICE .* to auto, cpu, cuda or cuda:N"):
        device_for(asked)


def test_the_command_says_it_without_a_traceback(
    no_card: None, bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    extract = hamlet(150.0).write(tmp_path / "a.osm")
    gallery = build_gallery(tmp_path / "g", osm=extract, px=64, gallery_id="hamlet")
    monkeypatch.setattr(
        "sys.argv", ["sightline", "index", str(gallery.path), "--encoder", str(bundle), "--device", "cuda"]
    )
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "asks for a CUDA device and torch sees none" in said
    assert "Traceback" not in said
    assert not list(gallery.path.glob("index-*"))


# --- what goes in and comes out ------------------------------------------------------------------------------------


@pytest.fixture
def moved(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Encoder, list[torch.device]]:
    """The tiny encoder with fake weights on a card, and the devices that results came home from."""
    encoder = Encoder.load(bundle, device="cpu")
    mode = FakeTensorMode()
    came: list[torch.device] = []

    def onto(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        with mode:
            return mode.from_tensor(tensor).to(device)

    def back(tensor: torch.Tensor) -> np.ndarray:
        assert isinstance(tensor, FakeTensor), "this was not computed by the model"
        came.append(tensor.device)
        return np.full(tuple(tensor.shape), 0.5, np.float32)

    @contextmanager
    def faked(device: torch.device) -> Iterator[None]:
        assert device == CARD
        with mode:
            yield

    def slopes(outputs: torch.Tensor, inputs: list[torch.Tensor], **_: Any) -> list[torch.Tensor]:
        """The engine itself asks for a real card; gradients lie where their tensors do."""
        assert {outputs.device, *(tensor.device for tensor in inputs)} == {CARD}
        return [torch.zeros_like(tensor) for tensor in inputs]

    monkeypatch.setattr(torch.autograd, "grad", slopes)
    monkeypatch.setattr(retriever.encoder, "put", onto)
    for module in (retriever.encoder, retriever.late, retriever.heat):
        monkeypatch.setattr(module, "home", back)
        monkeypatch.setattr(module, "steady", faked)
    monkeypatch.setattr(retriever.encoder, "room", lambda shape, dtype, device: torch.empty(shape, dtype=dtype))
    encoder.model = copy.deepcopy(encoder.model)
    for part in encoder.model.modules():
        for key, weight in list(part._parameters.items()):
            if weight is not None:
                part._parameters[key] = torch.nn.Parameter(onto(weight.detach(), CARD), requires_grad=False)
        for key, buffer in list(part._buffers.items()):
            if buffer is not None:
                part._buffers[key] = onto(buffer, CARD)
    return encoder, came


def batch(encoder: Encoder) -> np.ndarray:
    """As a gallery is embedded: pictures into memory that is used again."""
    pixels = encoder.room(3)
    for seed, out in enumerate(pixels[:2]):
        encoder.fill(picture(seed), out)
    return encoder.encode_pixels(pixels[:2])


USES: dict[str, Callable[[Encoder], Any]] = {
    "texts": lambda e: e.encode_text([TEXT, "x"]),
    "pictures": lambda e: e.encode_images([picture(0), picture(1)]),
    "a gallery's batch": batch,
    "tokens": lambda e: text_tokens(e, TEXT),
    "patches": lambda e: patches(e, picture(0)),
    "heat of a text": lambda e: text_heat(e, TEXT, [picture(0), picture(1)]),
    "heat of a picture": lambda e: image_heat(e, picture(2), [picture(0), picture(1)]),
}


@pytest.mark.parametrize("use", USES)
def test_everything_that_meets_the_weights_is_on_their_device(
    moved: tuple[Encoder, list[torch.device]], use: str
) -> None:
    encoder, came = moved
    assert encoder.device == CARD
    USES[use](encoder)
    # Vectors are brought to the CPU before they are normalised, so that this is the same arithmetic everywhere.
    assert set(came) == {torch.device("cpu") if use in ("texts", "pictures", "a gallery's batch") else CARD}


@pytest.mark.parametrize("use", USES)
def test_that_test_notices_what_was_not_moved(
    moved: tuple[Encoder, list[torch.device]], use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retriever.encoder, "put", lambda tensor, device: tensor)
    with pytest.raises(Exception, match=r"FakeTensor|device"):
        USES[use](moved[0])


def test_towards_a_card_tensors_go_by_pinned_memory_and_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    pinned = torch.zeros(2)

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        told.append("pinned")
        return pinned

    def to(tensor: torch.Tensor, *args: Any, **named: Any) -> torch.Tensor:
        told.append((tensor is pinned, args, named))
        return tensor

    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda self: self is pinned)
    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    put(torch.zeros(2), CARD)
    put(pinned, CARD)
    sent = (True, (CARD,), {"non_blocking": True})
    assert told == ["pinned", sent, sent]


def test_on_the_cpu_nothing_is_copied_or_set() -> None:
    tensor = torch.zeros(2)
    assert put(tensor, torch.device("cpu")) is tensor
    before = torch.backends.cudnn.allow_tf32
    with steady(torch.device("cpu")):
        assert torch.backends.cudnn.allow_tf32 == before


def test_on_a_card_convolutions_keep_their_bits_and_the_setting_comes_back() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled
    with steady(CARD):
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled) == (False, True)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled) == before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried\nmore"),
            "no room .* smaller --batch, or set SIGHTLINE_DEVICE",
        ),
        (
            torch.AcceleratorError("no kernel image\nmore"),
            r"failed \(no kernel image\): set SIGHTLINE_DEVICE to cpu",
        ),
    ],
)
def test_a_card_that_fails_is_one_sentence(error: Exception, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught, steady(CARD):
        raise error
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_a_card_gives_the_vectors_of_the_cpu(bundle: Path) -> None:
    here, there = Encoder.load(bundle, device="cpu"), Encoder.load(bundle, device="cuda")
    assert there.device.type == "cuda"
    assert there.id == here.id
    pictures = [picture(seed) for seed in range(5)]
    for use in (
        lambda e: e.encode_text([TEXT, "一家便利店", ""]),
        lambda e: e.encode_images(pictures),
        batch,
        lambda e: text_tokens(e, TEXT),
        lambda e: patches(e, pictures[0]),
        lambda e: np.stack([heat.tile for heat in text_heat(e, TEXT, pictures)]),
    ):
        np.testing.assert_allclose(use(there), use(here), atol=1e-3)
