"""Overhead imagery as one mosaic: GeoTIFF and COG, and web-mercator tiles whose name or path carries x, y and z."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mercantile
import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import reproject, transform_bounds

from retriever.errors import SourceError
from retriever.types import Box

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".webp")
FORMATS = ("TIFF", "PNG", "JPEG", "WEBP")
"""Whatever a file is called, it is read as one of these: others, as VRT, can name any file or address to read."""
MAX_PIXELS = 64_000_000
"""Most pixels that one read may unpack: a whole picture, or one block of a raster (a COG itself may be any size)."""
CACHE_BYTES = 128 * 2**20

_THREE = re.compile(r"(?:^|\D)(\d{1,8})[-_](\d{1,8})[-_](\d{1,8})\.\w+$")
_PATH = re.compile(r"(?:^|/)(\d{1,2})/(\d{1,8})/(\d{1,8})\.\w+$")
_BEGIN = re.compile(
    rb"(?P<GTiff>II[*+]\0|MM\0[*+])|(?P<PNG>\x89PNG\r\n)|(?P<JPEG>\xff\xd8\xff)|(?P<WEBP>RIFF.{4}WEBP)", re.DOTALL
)
"""How each begins, by the name of GDAL's driver."""
_WGS84 = "EPSG:4326"

RGBA = NDArray[np.uint8]
"""uint8 [4, height, width]."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One georeferenced file."""

    path: Path
    box: Box
    """What it covers at most, in degrees."""
    degrees_per_px: float
    tile: tuple[int, int, int] | None
    """x, y, z of a web-mercator tile; None for a raster that carries its own georeference."""


class Mosaic:
    """All pictures of a folder as one. Where they overlap the finer is shown, and among equals the first by name."""

    def __init__(self, folder: Path, pictures: Sequence[Picture]) -> None:
        self.folder = folder
        self.pictures = sorted(pictures, key=lambda p: (round(p.degrees_per_px, 12), p.path.as_posix()))
        self._tree = shapely.STRtree([shapely.box(*p.box) for p in self.pictures])
        self._unpacked: OrderedDict[Path, RGBA] = OrderedDict()

    @classmethod
    def scan(cls, folder: Path | str) -> Mosaic:
        """Finds the pictures of a folder and its sub-folders. Raises ``SourceError`` for one without a place."""
        folder = Path(folder)
        if not folder.is_dir():
            raise SourceError(f"there is no folder of imagery at {folder}: give the folder that holds the pictures")
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not files:
            raise SourceError(f"{folder} holds no imagery ({', '.join(SUFFIXES)}): give the folder with the pictures")
        return cls(folder, [_locate(path, folder) for path in files])

    @property
    def bounds(self) -> Box:
        west, south, east, north = zip(*(p.box for p in self.pictures), strict=True)
        return min(west), min(south), max(east), max(north)

    def sha256(self) -> str:
        """Over names and contents of all files."""
        lines = [f"{p.path.relative_to(self.folder).as_posix()} {_file_sha256(p.path)}\n" for p in self.pictures]
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()

    def covered(self, box: Box) -> float:
        """The part of a box, 0..1, over which some picture may lie."""
        square = shapely.box(*box)
        found = [shapely.box(*self.pictures[i].box) for i in self._tree.query(square)]
        return float(shapely.intersection(shapely.union_all(found), square).area / square.area) if found else 0.0

    def read(self, box: Box, px: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The picture of a box in degrees: uint8 [px, px, 3], and bool [px, px] where anything is known.

        Raises:
            SourceError: a file does not decode or is too large to.
        """
        shown = np.zeros((3, px, px), np.uint8)
        valid = np.zeros((px, px), bool)
        for number in sorted(self._tree.query(shapely.box(*box))):
            if valid.all():
                break
            layer = self._warp(self.pictures[number], box, px)
            new = (layer[3] >= 128) & ~valid
            shown[:, new] = layer[:3, new]
            valid |= new
        return np.ascontiguousarray(shown.transpose(1, 2, 0)), valid

    def _warp(self, picture: Picture, box: Box, px: int) -> RGBA:
        """The part of a picture that lies in a box, on the box's pixels; alpha 0 where it has nothing."""
        to = _pixels(box, px, px)
        coarser = (box[3] - box[1]) / px > 1.5 * picture.degrees_per_px
        resampling = Resampling.average if coarser else Resampling.bilinear
        if picture.tile is None:
            return _warp_raster(picture.path, to, px, resampling)
        source = self._decode(picture.path)
        at = _pixels(tuple(mercantile.xy_bounds(*picture.tile)), source.shape[2], source.shape[1])
        layer = np.zeros((4, px, px), np.uint8)
        reproject(
            source,
            layer,
            src_transform=at,
            src_crs="EPSG:3857",
            dst_transform=to,
            dst_crs=_WGS84,
            resampling=resampling,
            src_alpha=4,
            dst_alpha=4,
        )
        return layer

    def _decode(self, path: Path) -> RGBA:
        """A chip's pixels. Neighbouring tiles need the same chips, so the latest stay unpacked, up to a fixed size."""
        if path not in self._unpacked:
            self._unpacked[path] = _unpack(path)
            while len(self._unpacked) > 1 and sum(p.nbytes for p in self._unpacked.values()) > CACHE_BYTES:
                self._unpacked.popitem(last=False)
        self._unpacked.move_to_end(path)
        return self._unpacked[path]


def tile_of(path: str) -> tuple[int, int, int] | None:
    """x, y, z out of ``.../z/x/y.png``, ``OAM-x-y-z.png`` or ``z_x_y.png``; None where they are not there."""
    found = _PATH.search(path)
    if found:
        z, x, y = (int(v) for v in found.groups())
        if _is_tile(x, y, z):
            return x, y, z
    found = _THREE.search(path.rsplit("/", 1)[-1])
    if found:
        a, b, c = (int(v) for v in found.groups())
        if _is_tile(a, b, c):
            return a, b, c
        if _is_tile(b, c, a):
            return b, c, a
    return None


def _is_tile(x: int, y: int, z: int) -> bool:
    return 1 <= z <= 26 and x < 2**z and y < 2**z


def _locate(path: Path, folder: Path) -> Picture:
    tile = tile_of(path.relative_to(folder.parent).as_posix())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with _open(path) as raster:
                if raster.crs is not None and not raster.transform.is_identity:
                    return _raster(path, raster)
                width = raster.width
    except (RasterioError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if tile is None:
        raise SourceError(
            f"{path.name} has no georeference (no coordinate system, no x, y, z in its name): "
            "give GeoTIFFs or web-mercator tiles, or take it out of the folder"
        )
    box = mercantile.bounds(*tile)
    return Picture(
        path=path,
        box=(box.west, box.south, box.east, box.north),
        degrees_per_px=(box.north - box.south) / width,
        tile=tile,
    )


def _open(path: Path) -> Any:
    """A raster in one of the ``FORMATS``. Raises ``ValueError`` or ``RasterioError``."""
    with path.open("rb") as file:
        begin = file.read(12)
    found = _BEGIN.match(begin)
    if not found or not found.lastgroup:
        raise ValueError(f"it is none of {', '.join(FORMATS)}")
    return rasterio.open(path, driver=found.lastgroup)


def _raster(path: Path, raster: Any) -> Picture:
    if raster.dtypes[0] != "uint8" or raster.colorinterp[0] == ColorInterp.palette:
        raise SourceError(
            f"{path.name} is not 8-bit RGB or grey ({raster.dtypes[0]}): convert it with "
            "gdal_translate -ot Byte -scale (or -expand rgb)"
        )
    if max(height * width for height, width in raster.block_shapes) > MAX_PIXELS:
        raise SourceError(f"{path.name} is packed in blocks of over {MAX_PIXELS:,} pixels: rewrite it as a COG")
    box = transform_bounds(raster.crs, _WGS84, *raster.bounds)
    return Picture(path=path, box=box, degrees_per_px=(box[3] - box[1]) / raster.height, tile=None)


def _unreadable(path: Path, error: BaseException) -> SourceError:
    return SourceError(
        f"the picture {path.name} does not decode ({error}): fetch it again or take it out of the folder"
    )


def _pixels(box: Box, width: int, height: int) -> Any:
    """The affine map from columns and rows to the coordinates of a box."""
    west, south, east, north = box
    return rasterio.Affine((east - west) / width, 0.0, west, 0.0, (south - north) / height, north)


def _warp_raster(path: Path, to: Any, px: int, resampling: Resampling) -> RGBA:
    layer = np.zeros((4, px, px), np.uint8)
    try:
        with _open(path) as raster:
            alpha = ColorInterp.alpha in raster.colorinterp
            with WarpedVRT(
                raster, crs=_WGS84, transform=to, width=px, height=px, resampling=resampling, add_alpha=not alpha
            ) as warped:
                layer[:3] = warped.read(list(_colour_bands(raster)))
                layer[3] = warped.dataset_mask()
    except (RasterioError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return layer


def _colour_bands(raster: Any) -> Iterator[int]:
    """Band numbers of red, green and blue; one grey band stands for all three."""
    kinds = list(raster.colorinterp)
    plain = [n for n, kind in enumerate(kinds, start=1) if kind != ColorInterp.alpha]
    for position, colour in enumerate((ColorInterp.red, ColorInterp.green, ColorInterp.blue)):
        fallback = plain[position] if len(plain) >= 3 else plain[0]
        yield kinds.index(colour) + 1 if colour in kinds else fallback


def _unpack(path: Path) -> RGBA:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise SourceError(
                        f"{path.name} would unpack to {picture.width} x {picture.height} pixels, more than "
                        f"{MAX_PIXELS:,}: cut it into tiles"
                    )
                pixels = np.asarray(picture.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _unreadable(path, error) from error
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
