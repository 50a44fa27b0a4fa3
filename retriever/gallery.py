"""A gallery on disk: tile table, images and manifest, read by id."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from scipy.spatial import cKDTree

from retriever.errors import GalleryError
from retriever.geo import Array, Frame
from retriever.grid import Cell, Grid, cell_of
from retriever.types import Fact, Tile, View

FORMAT = 1
"""Version of the folder's layout; a reader refuses any other."""

MANIFEST, TABLE = "manifest.json", "tiles.parquet"
PICTURES = ("PNG", "JPEG", "WEBP")
"""Formats that a tile's picture may have."""
MAX_PIXELS = 4096 * 4096
"""Most pixels that a tile's picture may unpack to; no larger one is built."""

# A gallery may come from anyone: its ids and paths become parts of file names, pages and prompts elsewhere.
_ID = re.compile(r"[A-Za-z0-9_-]+-r\d+c\d+")
_IMAGE = re.compile(r"(?!/)(?!(?:.*/)?\.\.(?:/|$))[^\\:\0]+")


class Gallery:
    """Geo-tagged tiles of one view over one area. Use :meth:`open`."""

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self._root = path.resolve()
        self.manifest = dict(manifest)
        self.id: str = manifest["id"]
        self.view: View = manifest["view"]
        self.size_m: float = manifest["size_m"]
        self.stride_m: float = manifest["stride_m"]
        self.px: int = manifest["px"]
        self.sha256: str = manifest["sha256"]
        self.scattered: bool = manifest.get("layout") == "points"
        """True: tiles lie about points of their own, as CVG-Text's do, and the grid only numbers them."""
        self.grid = Grid.from_json(manifest["grid"])
        self._file = pq.ParquetFile(path / TABLE)
        self._read_index()
        self._group = lru_cache(maxsize=16)(self._load_group)
        self.tile = lru_cache(maxsize=256)(self._load_tile)

    @classmethod
    def open(cls, path: Path | str) -> Gallery:
        """The gallery in a folder. Raises ``GalleryError`` where there is none, or only part of one."""
        path = Path(path)
        manifest = read_manifest(path)
        try:
            gallery = cls(path, manifest)
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise GalleryError(f"the gallery {path} is damaged ({error}): build it again") from error
        if len(gallery) != manifest["counts"]["tiles"]:
            raise GalleryError(
                f"the gallery {path} is damaged: its table has {len(gallery)} tiles, its manifest "
                f"{manifest['counts']['tiles']}; build it again"
            )
        return gallery

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the folder again, because an open table cannot be sent to it."""
        return Gallery.open, (self.path,)

    def _read_index(self) -> None:
        table = self._file.read(columns=["id", "lat", "lon", "west", "south", "east", "north", "image"])
        ids = _checked(table.column("id").to_pylist(), _ID, "tile id")
        order = sorted(range(len(ids)), key=ids.__getitem__)
        self._place = np.asarray(order)
        """Row of the table for each row of ``ids``."""
        self.ids: list[str] = [ids[i] for i in order]
        columns = {
            name: table.column(name).to_numpy()[order] for name in ("lat", "lon", "west", "south", "east", "north")
        }
        self.lat: Array = columns["lat"]
        self.lon: Array = columns["lon"]
        self.bounds: Array = np.column_stack([columns[name] for name in ("west", "south", "east", "north")])
        images = _checked(table.column("image").to_pylist(), _IMAGE, "picture's path")
        self._images: list[str] = [images[i] for i in order]
        self._rows = {id_: row for row, id_ in enumerate(self.ids)}
        self._cells = {cell_of(id_): row for row, id_ in enumerate(self.ids)}
        x, y = self.frame.xy(self.lat, self.lon)
        self._near = cKDTree(np.column_stack([x, y])) if self.ids else None
        meta = self._file.metadata
        self._starts = np.cumsum([0] + [meta.row_group(i).num_rows for i in range(meta.num_row_groups)])

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def frame(self) -> Frame:
        return self.grid.frame

    def row(self, id: str) -> int:  # noqa: A002
        """Position of a tile in ``ids``, ``lat``, ``lon`` and ``bounds``. Raises ``GalleryError`` for a stranger."""
        try:
            return self._rows[id]
        except KeyError:
            raise GalleryError(f"the gallery {self.id} has no tile {id!r}: its ids are like {self.ids[0]!r}") from None

    def facts(self, id: str) -> tuple[Fact, ...] | None:  # noqa: A002
        """What the map says about a tile; None where no map was given."""
        return self.tile(id).facts

    def _load_group(self, group: int) -> dict[str, list[Any]]:
        return cast(dict[str, list[Any]], self._file.read_row_group(group).to_pydict())

    def _load_tile(self, id: str) -> Tile:  # noqa: A002
        """One tile with its facts."""
        place = int(self._place[self.row(id)])
        group = int(np.searchsorted(self._starts, place, side="right")) - 1
        at = place - int(self._starts[group])
        try:
            row = {name: column[at] for name, column in self._group(group).items()}
            facts = None if row["facts"] is None else tuple(fact_from_json(f) for f in json.loads(row["facts"]))
        except (OSError, ValueError, KeyError) as error:
            raise GalleryError(f"the gallery {self.path} is damaged at tile {id} ({error}): build it again") from error
        return Tile(
            id=id,
            view=self.view,
            lat=row["lat"],
            lon=row["lon"],
            bounds=(row["west"], row["south"], row["east"], row["north"]),
            gsd_m=self.size_m / self.px,
            image=row["image"],
            image_sha256=row["image_sha256"],
            facts=facts,
        )

    def image_path(self, id: str) -> Path:  # noqa: A002
        """Where a tile's picture lies. Raises ``GalleryError`` where a link leads out of the gallery's folder."""
        return self._inside(self._images[self.row(id)])

    def _inside(self, image: str) -> Path:
        path = self.path / image
        if not path.resolve().is_relative_to(self._root):
            raise GalleryError(f"the picture {path} leads outside its gallery's folder: put the picture itself there")
        return path

    def image(self, id: str) -> Image.Image:  # noqa: A002
        """The tile's picture, RGB, ``px`` x ``px``. Raises ``GalleryError`` where it is missing or damaged."""
        return self.opened_image(id).convert("RGB")

    def opened_image(self, id: str) -> Image.Image:  # noqa: A002
        """As :meth:`image`, for who only reads it: RGB files are not copied once more."""
        path = self.image_path(id)
        try:
            with Image.open(path, formats=PICTURES) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise ValueError(f"{picture.width} x {picture.height} pixels are more than {MAX_PIXELS:,}")
                picture.load()
                return picture if picture.mode == "RGB" else picture.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise GalleryError(
                f"the picture {path} is missing or damaged ({error}): build the gallery again"
            ) from error

    def verify(self) -> None:
        """Compares every picture with its recorded hash. Raises ``GalleryError`` at the first that differs."""
        for group in range(self._file.num_row_groups):
            rows = self._file.read_row_group(group, columns=["image", "image_sha256"]).to_pylist()
            for row in rows:
                path = self._inside(row["image"])
                if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != row["image_sha256"]:
                    raise GalleryError(f"the picture {path} is missing or changed: build the gallery again")

    def nearest(self, lat: float, lon: float) -> str:
        """The tile whose centre is nearest to a point."""
        x, y = self.frame.xy(lat, lon)
        if self._near is None:
            raise GalleryError(f"the gallery {self.id} has no tiles: build it again")
        return self.ids[int(self._near.query([x, y])[1])]

    def containing(self, lat: float, lon: float) -> list[str]:
        """The tiles that hold a point, sorted by id; four in the middle of a gallery of half strides."""
        if self.scattered:
            west, south, east, north = self.bounds.T
            inside = (west <= lon) & (lon <= east) & (south <= lat) & (lat <= north)
            return [self.ids[row] for row in np.flatnonzero(inside)]
        x, y = self.frame.xy(lat, lon)
        rows, cols = self.grid.cells_within((x, y, x, y), (self.size_m - self.stride_m) / 2)
        found = [self._cells[(r, c)] for r in rows for c in cols if (r, c) in self._cells]
        return [self.ids[row] for row in sorted(found)]

    def neighbours(self, id: str) -> list[str]:  # noqa: A002
        """The up to eight tiles of the cells around a tile's cell (of scattered tiles the nearest), sorted by id."""
        here = self.row(id)
        if self.scattered and self._near is not None:
            x, y = self.frame.xy(self.lat[here], self.lon[here])
            near = self._near.query([x, y], k=min(9, len(self)))[1]
            return [self.ids[row] for row in sorted(np.atleast_1d(near)) if row != here][:8]
        row, col = cell_of(id)
        around: list[Cell] = [(row + i, col + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        return [self.ids[self._cells[cell]] for cell in around if cell in self._cells]


def _checked(values: list[Any], rule: re.Pattern[str], what: str) -> list[str]:
    """The values themselves. Raises ``ValueError`` at the first that breaks the rule."""
    for value in values:
        if not isinstance(value, str) or not rule.fullmatch(value):
            raise ValueError(f"{value!r:.80} is no {what}")
    return values


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a finished gallery. Raises ``GalleryError``."""
    if not path.is_dir():
        raise GalleryError(f"there is no gallery at {path}: build one with `sightline gallery build`")
    file = path / MANIFEST
    if not file.is_file() or not (path / TABLE).is_file():
        raise GalleryError(f"{path} is not a finished gallery (no {MANIFEST} and {TABLE}): run its build again")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        version = manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise GalleryError(f"{file} is damaged ({error}): build the gallery again") from error
    if version != FORMAT:
        raise GalleryError(f"the gallery {path} has format {version}, this Sightline reads {FORMAT}: build it again")
    return cast(dict[str, Any], manifest)


def fact_from_json(data: Mapping[str, Any]) -> Fact:
    """A fact as the table holds it. ``Fact.from_json`` checks every number, which is slow for whole galleries."""
    return Fact(
        osm_id=data["osm_id"],
        kind=data["kind"],
        shape=data["shape"],
        parts=tuple(tuple((x, y) for x, y in part) for part in data["parts"]),
        names=data["names"],
        tags=data["tags"],
    )


def fact_to_json(fact: Fact) -> dict[str, Any]:
    return {
        "osm_id": fact.osm_id,
        "kind": fact.kind,
        "shape": fact.shape,
        "parts": fact.parts,
        "names": dict(fact.names),
        "tags": dict(fact.tags),
    }
