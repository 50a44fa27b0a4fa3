"""Builds the frozen test set: generated towns, the test areas where their extracts are at hand, hand-written texts.

Each part is made alone and from nothing but its own seed and source, so that one town can be rebuilt and compared.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from finetune.data.pairs.making import Maker
from finetune.data.pairs.maps import map_pairs
from finetune.data.pairs.picking import Tiles
from finetune.data.pairs.views import view_pairs
from finetune.data.pairs.witnesses import generated, hand_written
from finetune.views import Scene
from retriever.build import file_sha256
from retriever.draw import Fonts
from retriever.gallery import Gallery
from retriever.pair_frozen import MANIFEST, PARTS, read_manifest
from retriever.pair_galleries import EXTRACTS, area_gallery, extract_of, town_gallery
from retriever.pairs import Pair, PairError, read_pairs, to_line, write_pairs

VERSION = "1"
SEED = 3000
LANGS: tuple[Any, ...] = ("en", "zh")
TOWN_SEEDS = tuple(range(3000, 3008))
TOWN = (72, 24, 3)
AREAS = {"london": (240, 60, 6), "singapore": (50, 16, 3), "taipei": (30, 8, 3)}
"""Places with texts, with street maps and with rendered views."""
FILES = {name: f"{name}.jsonl.xz" for name in PARTS}
ALIKE = "lookalikes.json"

Say = Callable[[str], None]


def pairs_of(
    gallery: Gallery, osm: Path, counts: tuple[int, int, int] = TOWN, *, tiles: Tiles | None = None
) -> Iterator[Pair]:
    """The pairs of one town or area in their order; smaller counts give the beginning of each kind."""
    places, maps, views = counts
    tiles, prefix = tiles or Tiles(gallery), f"v{VERSION}-{gallery.id}"
    # Nothing wrong is said on purpose: one wrong detail is what tells a counterfactual from a match.
    groups = generated(tiles, n=places, seed=SEED, langs=LANGS, wrong_share=0.0)
    yield from Maker(tiles, SEED, prefix).pairs(groups)
    yield from map_pairs(tiles, n=maps, seed=SEED, prefix=prefix)
    if views:
        # No system font, so that signs are drawn the same everywhere.
        scene = Scene.from_osm(osm, fonts=Fonts.none_cjk())
        yield from view_pairs(tiles, scene, n=views, seed=SEED, prefix=prefix)


def hand_pairs(tiles: Tiles, rows: Sequence[dict[str, Any]]) -> Iterator[Pair]:
    """Pairs of the hand-written descriptions of one area."""
    mine = [row for row in rows if row["area"] == tiles.gallery.id]
    yield from Maker(tiles, SEED, f"v{VERSION}-hand").pairs([[w] for w in hand_written(tiles, mine)])


def build(
    out: Path, *, galleries: Path, data: Path | None, queries: Sequence[Path], say: Say, jobs: int = 1
) -> dict[str, Any]:
    """Write all three parts and the manifest; returns the manifest.

    Without ``data`` only the towns are built, and what stands in ``out`` of the rest is kept with its record. Places
    are made in ``jobs`` processes; how many changes nothing.
    """
    out.mkdir(parents=True, exist_ok=True)
    before = read_manifest(out) if (out / MANIFEST).is_file() else {"parts": {}}
    parts: dict[str, Any] = dict(before["parts"])
    sources: dict[str, str] = dict(before.get("sources", {}))
    rows = [row for path in queries for row in read_rows(path)]
    names = ([] if data is None else list(AREAS)) + [f"town-{seed}" for seed in TOWN_SEEDS]
    made: dict[str, tuple[list[Pair], list[Pair]]] = {}
    alike = read_alike(out)
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for name, found in pool.imap_unordered(_make, [(n, galleries, data, rows, alike.get(n, {})) for n in names]):
            made[name], alike[name] = found[:2], found[2]
            say(f"{name}: {len(found[0]) + len(found[1])} pairs ({len(made)} of {len(names)} done)")
    by_town = {str(seed): made[f"town-{seed}"][0] for seed in TOWN_SEEDS}
    parts["towns"] = _part(out / FILES["towns"], [p for found in by_town.values() for p in found])
    parts["towns"]["towns"] = {s: {"pairs": len(m), "sha256": lines_sha256(m)} for s, m in by_town.items()}
    if data is not None:
        sources = {file: file_sha256(data / "osm" / file) for file in EXTRACTS.values()}
        sources |= {path.name: file_sha256(path) for path in queries}
        parts["areas"] = _part(out / FILES["areas"], [p for name in AREAS for p in made[name][0]])
        parts["hand"] = _part(out / FILES["hand"], [p for name in AREAS for p in made[name][1]])
    manifest = _manifest(parts, sources)
    (out / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (out / ALIKE).write_text(json.dumps(alike, sort_keys=True) + "\n", encoding="utf-8")
    return manifest


def _make(
    task: tuple[str, Path, Path | None, Sequence[dict[str, Any]], dict[str, list[str]]],
) -> tuple[str, tuple[list[Pair], list[Pair], dict[str, list[str]]]]:
    """The generated and the hand-written pairs of one place, and the look-alikes among which they were drawn."""
    name, galleries, data, rows, alike = task
    gallery = area_gallery(name, galleries, data)
    tiles = Tiles(gallery, alike)
    generated_ones = list(pairs_of(gallery, extract_of(name, galleries, data), AREAS.get(name, TOWN), tiles=tiles))
    return name, (generated_ones, list(hand_pairs(tiles, rows)), tiles.alike)


def read_alike(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Look-alikes by area, true tile and point, as the encoder that shipped when the set was frozen chose them.

    With them the set can be made again, byte for byte, whichever encoder ships now. Empty where nothing is recorded.
    """
    path = folder / ALIKE
    if not path.is_file():
        return {}
    found: dict[str, dict[str, list[str]]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def check_town(folder: Path, seed: int, galleries: Path) -> list[str]:
    """What is different when the pairs of a town are made again; empty when not a byte is."""
    record = read_manifest(folder)["parts"]["towns"]["towns"][str(seed)]
    gallery = town_gallery(seed, galleries)
    tiles = Tiles(gallery, read_alike(folder).get(gallery.id))
    made = list(pairs_of(gallery, galleries / f"town-{seed}.osm", tiles=tiles))
    if lines_sha256(made) == record["sha256"]:
        return []
    frozen = {p.id: p for p in read_pairs(folder / FILES["towns"]) if p.area == f"town-{seed}"}
    other = [p.id for p in made if frozen.get(p.id) != p]
    return [f"town {seed}: {len(other)} of {len(made)} pairs come out different ({', '.join(other[:3])})"]


def lines_sha256(pairs: Sequence[Pair]) -> str:
    """Of the JSONL bytes of these pairs."""
    return hashlib.sha256("".join(to_line(p) for p in pairs).encode()).hexdigest()


def _part(path: Path, pairs: Sequence[Pair]) -> dict[str, Any]:
    sha256 = write_pairs(path, pairs)
    counts = Counter(f"{p.query.view}/{p.query.lang or '-'}" for p in pairs)
    kinds = Counter(p.negative or "match" for p in pairs)
    return {
        "file": path.name,
        "sha256": sha256,
        "pairs": len(pairs),
        "by_view_and_language": dict(sorted(counts.items())),
        "by_kind": dict(sorted(kinds.items())),
    }


def _manifest(parts: dict[str, Any], sources: dict[str, str]) -> dict[str, Any]:
    whole = hashlib.sha256("".join(parts[k]["sha256"] for k in FILES if k in parts).encode()).hexdigest()
    return {
        "name": "sightline-pairs-test",
        "version": VERSION,
        "sha256": whole,
        "seed": SEED,
        "town_seeds": list(TOWN_SEEDS),
        "command": "sightline data testset build",
        "sha256_is": "of each part's unpacked JSONL; the whole's is of the parts' hex digests, joined in order",
        "licence": "ODbL-1.0",
        "attribution": "© OpenStreetMap contributors (ODbL)",
        "sources": sources,
        "parts": parts,
    }


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a query file. Raises ``PairError``."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, ValueError) as error:
        raise PairError(f"cannot read hand-written descriptions from {path} ({error})") from error
