"""Whether anything of one split is also in another: the same place, the same picture, or the same text.

Pictures are compared by their bytes, and by a perceptual hash that survives scaling and another compression; a hit of
the hash is confirmed on small grey copies, because plain tiles hash alike without being alike.
"""

from __future__ import annotations

import hashlib
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.spatial import cKDTree

from finetune.splits import MOST_LINES, SplitError
from retriever.geo import EARTH_M, M_PER_DEG

HASH_BITS, _SIDE, _LOW = 256, 64, 16
"""The lowest 16 x 16 frequencies of a 64 x 64 grey copy, each above or below their median."""
NEAR_BITS = 12
"""Two pictures with so few differing bits are looked at; two random ones differ in about 128."""
SAME_GREY = 2.0
"""Largest mean difference of grey (0..255) on 32 x 32 copies between two pictures that are taken for one."""
PLAIN = 6.0
"""A picture whose grey copy varies less (standard deviation) shows nothing to recognise, so it is not compared."""

_NOISE = re.compile(r"[\W_]+")


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is kept of a picture for comparing: ``bits`` bool [256], ``grey`` float32 [32, 32]."""

    sha256: str
    bits: NDArray[np.bool_]
    grey: NDArray[np.float32]

    @property
    def plain(self) -> bool:
        return float(self.grey.std()) < PLAIN

    @classmethod
    def of(cls, data: bytes) -> Look:
        """The look of a picture's file. Raises ``SplitError`` where it does not decode."""
        try:
            with Image.open(io.BytesIO(data)) as picture:
                grey = picture.convert("L")
        except (OSError, ValueError, SyntaxError) as error:
            raise SplitError(f"a picture does not decode ({error}): build it again") from error
        small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float32)
        low = dctn(small, norm="ortho")[:_LOW, :_LOW].ravel()
        folded = small.reshape(32, 2, 32, 2).mean(axis=(1, 3))
        return cls(sha256=hashlib.sha256(data).hexdigest(), bits=low > np.median(low[1:]), grey=folded)

    def same(self, other: Look) -> bool:
        """Whether both show one picture."""
        near = int((self.bits != other.bits).sum()) <= NEAR_BITS
        return near and float(np.abs(self.grey - other.grey).mean()) <= SAME_GREY


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing of one split. What it has not is None."""

    id: str
    split: str
    lat: float | None = None
    lon: float | None = None
    text: str | None = None
    look: Look | None = None


@dataclass(frozen=True, kw_only=True)
class Leak:
    kind: str
    """``place``, ``bytes``, ``picture`` or ``text``."""
    a: str
    b: str
    detail: str = ""

    def __str__(self) -> str:
        return f"same {self.kind}: {self.a} and {self.b}{' (' + self.detail + ')' if self.detail else ''}"


def normalise_text(text: str) -> str:
    """Case, width, accents, punctuation and spaces folded away: what is left is what was said."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return _NOISE.sub("", "".join(c for c in plain if not unicodedata.combining(c)))


def find_leaks(items: Sequence[Item], *, buffer_m: float) -> list[Leak]:
    """Every leak between splits, one for each thing that has one: by place, bytes, sight and text."""
    return [*_places(items, buffer_m), *_pictures(items), *_texts(items)]


def check_leaks(items: Sequence[Item], *, buffer_m: float) -> None:
    """Raises ``SplitError`` with the list of leaks, if there are any."""
    leaks = find_leaks(items, buffer_m=buffer_m)
    if not leaks:
        return
    by_kind: dict[str, list[Leak]] = defaultdict(list)
    for leak in leaks:
        by_kind[leak.kind].append(leak)
    counted = ", ".join(f"{len(found)} by {kind}" for kind, found in by_kind.items())
    head = f"{len(leaks)} leaks between splits ({counted}); nothing is published until they are gone"
    raise SplitError("\n  ".join([f"{head}:", *(line for found in by_kind.values() for line in _shown(found))]))


def _shown(leaks: Sequence[Leak]) -> list[str]:
    more = [f"and {len(leaks) - MOST_LINES} more by {leaks[0].kind}"] if len(leaks) > MOST_LINES else []
    return [*map(str, leaks[:MOST_LINES]), *more]


def _places(items: Sequence[Item], buffer_m: float) -> Iterator[Leak]:
    by_split: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if item.lat is not None and item.lon is not None:
            by_split[item.split].append(item)
    splits = sorted(by_split)
    trees = {split: cKDTree(_on_sphere(by_split[split])) for split in splits}
    chord = 2 * EARTH_M * np.sin(buffer_m / (2 * EARTH_M))
    for number, split in enumerate(splits):
        for other in splits[number + 1 :]:
            far, near = trees[other].query(trees[split].data, distance_upper_bound=max(chord, 1e-3))
            for row in np.flatnonzero(np.isfinite(far)):
                a, b = by_split[split][row], by_split[other][int(near[row])]
                yield Leak(kind="place", a=f"{a.id} ({split})", b=f"{b.id} ({other})", detail=f"{far[row]:.1f} m apart")


def _on_sphere(items: Sequence[Item]) -> NDArray[np.float64]:
    """Points in space [N, 3] in metres, so that the date line and the poles need no care."""
    at = np.array([(i.lat, i.lon) for i in items], dtype=np.float64) * (M_PER_DEG / EARTH_M)
    lat, lon = at[:, 0], at[:, 1]
    return EARTH_M * np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _texts(items: Iterable[Item]) -> Iterator[Leak]:
    first: dict[str, Item] = {}
    for item in items:
        if item.text is None:
            continue
        seen = first.setdefault(normalise_text(item.text), item)
        if seen.split != item.split:
            yield Leak(kind="text", a=f"{seen.id} ({seen.split})", b=f"{item.id} ({item.split})", detail=item.text[:60])


def _pictures(items: Iterable[Item]) -> Iterator[Leak]:
    """Pictures with few differing bits share at least one of 16 bands of 16 bits, so only those are compared."""
    by_bytes: dict[str, Item] = {}
    bands: dict[tuple[int, bytes], list[Item]] = defaultdict(list)
    for item in items:
        if item.look is None:
            continue
        seen = by_bytes.setdefault(item.look.sha256, item)
        if seen.split != item.split:
            yield Leak(kind="bytes", a=f"{seen.id} ({seen.split})", b=f"{item.id} ({item.split})")
        elif not item.look.plain:
            yield from _alike(item, bands)


def _alike(item: Item, bands: dict[tuple[int, bytes], list[Item]]) -> Iterator[Leak]:
    look = item.look
    if look is None:
        return
    packed = np.packbits(look.bits).reshape(16, 2)
    compared: set[str] = set()
    hit = False
    for number in range(16):
        bucket = bands[number, packed[number].tobytes()]
        for other in bucket:
            if hit or other.split == item.split or other.id in compared or other.look is None:
                continue
            compared.add(other.id)
            if look.same(other.look):
                hit = True
                yield Leak(kind="picture", a=f"{other.id} ({other.split})", b=f"{item.id} ({item.split})")
        bucket.append(item)
