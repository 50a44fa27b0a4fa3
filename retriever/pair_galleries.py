"""The galleries of the test areas and towns that the frozen pairs were made on, built where they are not there yet."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from retriever.build import build_gallery
from retriever.gallery import Gallery
from retriever.pairs import PairError
from retriever.town import write_town

EXTRACTS = {"london": "london.osm.pbf", "singapore": "bayfront_singapore.osm.pbf", "taipei": "taipei_north.osm"}
"""Gallery id and extract under ``$SIGHTLINE_DATA/osm``; the hand-written descriptions use the same ids."""
TOWN_BLOCKS = 5
_TOWN = re.compile(r"town-(\d+)")


def area_gallery(name: str, folder: Path, data: Path | None) -> Gallery:
    """The gallery of a test area (``london``) or town (``town-3000``) under ``folder``.

    Raises ``PairError`` for a name that is neither, and for an area whose extract is not under ``data``.
    """
    town = _TOWN.fullmatch(name)
    if town:
        return town_gallery(int(town[1]), folder)
    if name not in EXTRACTS:
        raise PairError(f"there is no test area {name!r}; there are {', '.join(EXTRACTS)} and town-SEED")
    return build_gallery(folder / name, osm=extract_of(name, folder, data), cover="touched", gallery_id=name)


def extract_of(name: str, folder: Path, data: Path | None) -> Path:
    """The map that a gallery is made of. Raises ``PairError`` where it is not there."""
    if _TOWN.fullmatch(name):
        return folder / f"{name}.osm"
    extract = f"osm/{EXTRACTS[name]}"
    source = None if data is None else data / extract
    if source is None or not source.is_file():
        raise PairError(f"the extract {extract} is not there: set SIGHTLINE_DATA to the folder that holds it")
    return source


def town_gallery(seed: int, folder: Path) -> Gallery:
    """The gallery of a town of 5 by 5 blocks, written and drawn where it is not there yet."""
    name = f"town-{seed}"
    source = folder / f"{name}.osm"
    if not source.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as part:
            os.replace(write_town(Path(part) / source.name, seed=seed, blocks=TOWN_BLOCKS), source)
    return build_gallery(folder / name, osm=source, gallery_id=name)
