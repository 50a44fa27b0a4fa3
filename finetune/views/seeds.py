"""Chance that is the same everywhere: generators and single numbers out of words."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def number(*words: object) -> int:
    """A 64-bit number of these words, the same on every machine."""
    text = "\x1f".join(str(word) for word in words)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def part(*words: object) -> float:
    """A number of these words, 0 <= part < 1."""
    return number(*words) / 2**64


def generator(*words: object) -> np.random.Generator:
    return np.random.default_rng(number(*words))


def grain(x: NDArray[np.int64], y: NDArray[np.int64], salt: int = 0) -> NDArray[np.float32]:
    """A number 0 <= g < 1 for every pair of whole numbers (arrays of one shape)."""
    with np.errstate(over="ignore"):
        h = x.astype(np.uint32) * np.uint32(0x9E3779B1) ^ y.astype(np.uint32) * np.uint32(0x85EBCA77)
        h ^= np.uint32((salt * 0xC2B2AE3D) & 0xFFFFFFFF)
        h = (h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
        h = (h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39)
        h ^= h >> np.uint32(15)
    return np.asarray(h.astype(np.float32) * np.float32(2.0**-32))
