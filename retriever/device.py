"""Where the encoder computes, and how tensors come there and back.

The device is ``auto`` (CUDA where torch sees a card, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from retriever.errors import ModelError

SETTING = "SIGHTLINE_DEVICE"
_CARD = re.compile(r"cuda(?::(\d{1,3}))?")


def device_for(asked: str | None = None) -> torch.device:
    """The device that is asked for, else ``$SIGHTLINE_DEVICE``, else ``auto``.

    Raises ``ModelError`` for a name that is none of them and for a card that torch does not see.
    """
    said = (asked or os.environ.get(SETTING) or "auto").strip().lower()
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if said == "cpu" or (said == "auto" and not cards):
        return torch.device("cpu")
    card = _CARD.fullmatch("cuda" if said == "auto" else said)
    if card is None:
        raise ModelError(f"{said!r} is no device: set {SETTING} (or --device) to auto, cpu, cuda or cuda:N")
    number = int(card[1] or 0)
    if number >= cards:
        sees = f"{cards} of them, counted from 0" if cards else f"none{_why_none()}"
        raise ModelError(f"{said!r} asks for a CUDA device and torch sees {sees}: set {SETTING} (or --device) to auto")
    return torch.device("cuda", number)


def _why_none() -> str:
    return "" if torch.version.cuda else " (this torch is built without CUDA)"


def put(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on a device; the very tensor where it is there already.

    Towards CUDA it goes through pinned memory, so the copy does not hold up the thread that asks for it.
    """
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    pinned = tensor if tensor.is_pinned() else tensor.pin_memory()
    return pinned.to(device, non_blocking=True)


def home(tensor: torch.Tensor) -> NDArray[np.float32]:
    """float32 on the CPU as numpy, whatever device it was on; waits for the device."""
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array


def room(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Memory on the CPU, not filled, for what will be :func:`put` on a device: pinned where that is a CUDA device."""
    return torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")


@contextmanager
def steady(device: torch.device) -> Iterator[None]:
    """Computes on CUDA as nearly as on the CPU as it can: convolutions in whole float32, by deterministic algorithms.

    torch lets them run in TF32, whose ten bits would show in the third decimal of a score. Raises ``ModelError`` where
    the device has no room or fails.
    """
    if device.type != "cuda":
        yield
        return
    try:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{device} has no room for the encoder and its batch: take a smaller --batch, or set {SETTING} to cpu"
        ) from error
    except torch.AcceleratorError as error:
        first = str(error).partition("\n")[0]
        raise ModelError(f"{device} failed ({first}): set {SETTING} to cpu") from error
