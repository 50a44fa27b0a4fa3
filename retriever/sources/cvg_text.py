"""CVG-Text as its authors ship it (arXiv 2412.17007): unpacked folders, or the hub's archives read where they lie.

Unpacked: ``reference/<Set>-{satellite,OSM}/``, ``data/query/<Set>-ground/``, ``annotation/<Set>/{train,test}.json``. On
the hub the pictures are in ``images.zip``, whose entries lie under a long path of somebody's disk, and in
``data/query.zip``. A *set* is ``NewYork`` (panoramas), ``NewYork-photos`` (single views) or ``NewYork-mixed`` (both).
A query and its only tile have the same file name, and only the last folder of an entry's path decides what it is.

Nothing is ever unpacked to disk: an entry's bytes are read by its name, so no path in an archive leads anywhere.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from retriever.errors import SourceError

CITIES = ("NewYork", "Brisbane", "Tokyo")
VARIANTS = ("", "-photos", "-mixed")
Part = Literal["satellite", "OSM", "ground"]
SPLITS = ("train", "test")
LICENCE = "not stated by the data set's repository: ask its authors before passing pictures on"
ATTRIBUTION = "CVG-Text (arXiv 2412.17007); imagery and street views © Google, map © OpenStreetMap contributors (ODbL)"
PX, GSD_M = 512, 0.12
"""Pictures are 512 x 512; "about 0.12 m per pixel" is published, so a tile is about 61 m wide."""
MAX_BYTES = 64 * 2**20
"""Largest picture that is read out of an archive, unpacked."""

_NAME = re.compile(
    r"(?P<lat>-?\d{1,2}(?:\.\d+)?),(?P<lon>-?\d{1,3}(?:\.\d+)?)_(?P<month>\d{4}-\d{2})_(?P<pano>.+)"
    r"_d(?P<yaw>-?\d+(?:\.\d+)?)_z(?P<zoom>-?\d+(?:\.\d+)?)\.(?:png|jpe?g)"
)
_FOLDER = re.compile(r"(?P<set>[A-Za-z]+(?:-photos|-mixed)?)-(?P<part>satellite|OSM|ground)")
_PICTURE = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, kw_only=True)
class Name:
    """What a picture's file name says."""

    lat: float
    lon: float
    month: str
    """``YYYY-MM``, when the street was photographed."""
    pano_id: str
    yaw_deg: float
    zoom: float

    @classmethod
    def parse(cls, name: str) -> Name | None:
        """``<lat>,<lon>_<YYYY-MM>_<panoid>_d<yaw>_z<zoom>.png``; None for anything else, as a place off the Earth."""
        found = _NAME.fullmatch(name)
        if not found or not (abs(float(found["lat"])) <= 90 and abs(float(found["lon"])) <= 180):
            return None
        if not 1 <= int(found["month"][5:]) <= 12:
            return None
        numbers = {key: float(found[key]) for key in ("lat", "lon")}
        return cls(
            **numbers,
            month=found["month"],
            pano_id=found["pano"],
            yaw_deg=float(found["yaw"]),
            zoom=float(found["zoom"]),
        )

    def __str__(self) -> str:
        """The file name again, always ``.png``."""
        at = f"{self.lat:.7f},{self.lon:.7f}"
        return f"{at}_{self.month}_{self.pano_id}_d{_short(self.yaw_deg)}_z{_short(self.zoom)}.png"


def _short(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


Source = Path | tuple[Path, str]
"""A file, or an archive and the name of an entry."""


class CvgText:
    """One copy of the data set, indexed; pictures are read when asked for. Use :meth:`open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pictures: dict[tuple[str, str], dict[str, Source]] = {}
        """By set and part: file name to where it lies."""
        self.problems: Counter[str] = Counter()
        """What was passed over, by kind."""
        self.examples: dict[str, list[str]] = {}
        self._archives: dict[Path, zipfile.ZipFile] = {}

    @classmethod
    def open(cls, path: Path | str) -> CvgText:
        """Finds every picture of a folder. Raises ``SourceError`` where there are none, or an archive is damaged."""
        found = cls(Path(path))
        if not found.path.is_dir():
            raise SourceError(
                f"there is no CVG-Text folder at {path}: give the folder that holds reference/ or images.zip"
            )
        for folder in ("reference", "data/query", "query", "images"):
            for file in sorted((found.path / folder).glob("*/*")):
                found._take(file.parent.name, file.name, file)
        for archive in (*sorted(found.path.glob("*.zip")), *sorted((found.path / "data").glob("*.zip"))):
            found._index(archive)
        if not found.pictures:
            raise SourceError(
                f"{path} is no copy of CVG-Text: it has neither reference/<City>-satellite folders nor an images.zip "
                "with such entries; give its top folder"
            )
        return found

    def note(self, problem: str, example: str) -> None:
        """Counts one thing that was passed over, with a few examples."""
        self.problems[problem] += 1
        shown = self.examples.setdefault(problem, [])
        if len(shown) < 5:
            shown.append(example)

    def _index(self, path: Path) -> None:
        try:
            archive = zipfile.ZipFile(path)
            entries = archive.infolist()
        except (OSError, zipfile.BadZipFile) as error:
            raise SourceError(f"the archive {path} is damaged ({error}): fetch it again") from error
        self._archives[path] = archive
        for entry in entries:
            if entry.is_dir():
                continue
            inside = PurePosixPath(entry.filename.replace("\\", "/"))
            if ".." in inside.parts:
                self.note("entries that lead out of their archive", entry.filename)
            elif entry.file_size > MAX_BYTES:
                self.note("entries too large to be a picture", entry.filename)
            else:
                self._take(inside.parent.name, inside.name, (path, entry.filename))

    def _take(self, folder: str, name: str, source: Source) -> None:
        found = _FOLDER.fullmatch(folder)
        if not found or not name.lower().endswith(_PICTURE):
            return
        if Name.parse(name) is None:
            self.note("file names that do not parse", f"{folder}/{name}")
            return
        # An unpacked copy comes before the archive that it was unpacked from.
        self.pictures.setdefault((found["set"], found["part"]), {}).setdefault(name, source)

    @property
    def sets(self) -> list[str]:
        """The sets that have tiles, sorted."""
        return sorted({name for name, part in self.pictures if part != "ground"})

    def of(self, city: str, part: Part) -> Mapping[str, Source]:
        """File names of one part of a set. ``-mixed`` without folders of its own is the union of the other two."""
        if (city, part) in self.pictures:
            return self.pictures[city, part]
        if city.endswith("-mixed"):
            plain = city.removesuffix("-mixed")
            return {**self.pictures.get((f"{plain}-photos", part), {}), **self.pictures.get((plain, part), {})}
        return {}

    def tiles(self, city: str, part: Part) -> Mapping[str, Source]:
        """The tiles of a set. Raises ``SourceError`` for a set that is not there, naming those that are."""
        found = self.of(city, part)
        if not found:
            there = ", ".join(self.sets) or "none"
            raise SourceError(f"{self.path} has no {part} tiles of {city!r}; it has tiles of: {there}")
        return found

    def read(self, source: Source) -> bytes:
        """A picture's bytes. Raises ``SourceError`` where they cannot be read."""
        try:
            if isinstance(source, Path):
                return source.read_bytes()
            return self._archives[source[0]].read(source[1])
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
            where = source if isinstance(source, Path) else f"{source[1]} of {source[0]}"
            raise SourceError(f"the picture {where} cannot be read ({error}): fetch it again") from error

    def entry(self, source: tuple[Path, str]) -> zipfile.ZipInfo:
        """What an archive says of one of its entries."""
        return self._archives[source[0]].getinfo(source[1])

    def captions(self, city: str, split: str) -> dict[str, str]:
        """File name to caption. Raises ``SourceError`` for a damaged file; a set without captions has none.

        ``-mixed`` without an annotation of its own is the union of the other two, as the authors' code has it.
        """
        path = self.path / "annotation" / city / f"{split}.json"
        if not path.is_file():
            if not city.endswith("-mixed"):
                return {}
            plain = city.removesuffix("-mixed")
            return {**self.captions(plain, split), **self.captions(f"{plain}-photos", split)}
        return dict(self._pairs(path))

    def _pairs(self, path: Path) -> Iterator[tuple[str, str]]:
        try:
            data: Any = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SourceError(f"the captions {path} cannot be read ({error}): fetch them again") from error
        if not isinstance(data, dict):
            raise SourceError(f"the captions {path} are no object of file name and caption: fetch them again")
        for key, text in data.items():
            name = PurePosixPath(str(key).replace("\\", "/")).name
            if Name.parse(name) is None:
                self.note("captions whose file name does not parse", f"{path.name}: {key}")
            elif not isinstance(text, str) or not text.strip():
                self.note("captions without text", f"{path.name}: {key}")
            else:
                yield name, text.strip()

    def close(self) -> None:
        for archive in self._archives.values():
            archive.close()


def identical(digests: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Groups of names with the same digest, out of pairs of name and digest."""
    groups: dict[str, list[str]] = {}
    for name, digest in digests:
        groups.setdefault(digest, []).append(name)
    return [sorted(names) for _, names in sorted(groups.items()) if len(names) > 1]
