"""Reading the frozen set: only whole, only with the bytes that its manifest names."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retriever.pairs import Pair, PairError, parse_pairs, read_bytes

MANIFEST = "manifest.json"
PARTS = ("towns", "areas", "hand")
"""Generated towns, generated texts of real areas, hand-written texts; the order that the whole's hash is made in."""


@dataclass(frozen=True)
class FrozenSet:
    version: str
    sha256: str
    pairs: tuple[Pair, ...]
    part: dict[str, str]
    """Pair id -> part."""
    town_seeds: tuple[int, ...]


def load_frozen(folder: Path) -> FrozenSet:
    """The frozen set. Raises ``PairError`` for a missing file, other bytes, or an id that comes twice."""
    manifest = read_manifest(folder)
    data = {name: _checked(folder, manifest, name) for name in PARTS}
    whole = hashlib.sha256("".join(manifest["parts"][name]["sha256"] for name in PARTS).encode()).hexdigest()
    if whole != manifest["sha256"]:
        raise PairError(f"the manifest of {folder} was changed: restore it from the repository")
    pairs, part = list[Pair](), dict[str, str]()
    for name in PARTS:
        for pair in parse_pairs(data[name], manifest["parts"][name]["file"]):
            if pair.id in part:
                raise PairError(f"the pair {pair.id} comes twice in {folder}: restore it from the repository")
            part[pair.id] = name
            pairs.append(pair)
    return FrozenSet(
        version=manifest["version"],
        sha256=whole,
        pairs=tuple(pairs),
        part=part,
        town_seeds=tuple(manifest["town_seeds"]),
    )


def _checked(folder: Path, manifest: dict[str, Any], name: str) -> bytes:
    """The unpacked bytes of a part, which are those that the manifest names."""
    record = manifest["parts"].get(name)
    if record is None:
        raise PairError(f"the test set {folder} has no part {name!r}: build it whole, with SIGHTLINE_DATA set")
    data = read_bytes(folder / str(record["file"]))
    digest = hashlib.sha256(data).hexdigest()
    if digest != record["sha256"]:
        raise PairError(
            f"{folder / record['file']} has sha256 {digest[:12]}, the manifest {record['sha256'][:12]}: "
            "it is not the frozen set any more; restore it from the repository"
        )
    return data


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a frozen set. Raises ``PairError``."""
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if missing := {"parts", "sha256", "town_seeds", "version"} - set(found):
            raise KeyError(f"no {sorted(missing)[0]}")
    except (OSError, ValueError, KeyError) as error:
        raise PairError(f"{folder} holds no frozen test set ({error}): name the folder of its manifest") from error
    return found
