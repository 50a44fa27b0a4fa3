"""What every loader of a published layout gives: pictures, queries and which belongs to which, and what was wrong.

Loading only lists: pictures are read when rows are written, so a data set of any size can be inspected quickly.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from finetune.formats.card import Card, write_card
from finetune.formats.store import DatasetError, tables, write_table
from retriever.sources.cvg_text import Source

Label = Literal["match", "ambiguous", "no_match"]
Rows = Iterator[dict[str, Any]]
SHARED = "gallery"
"""The split of tiles that the queries of all splits are asked among."""
PICTURES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True, kw_only=True)
class Picture:
    id: str
    view: str
    """``satellite``, ``map``, ``uav``, ``ground`` or ``panorama``."""
    source: Source
    place: str
    """What pictures of one place share."""
    split: str
    area: str
    lat: float | None = None
    lon: float | None = None
    heading_deg: float | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A query: a picture, a text, or both."""

    id: str
    split: str
    area: str
    place: str
    picture: Picture | None = None
    text: str | None = None
    lang: str = "en"
    lat: float | None = None
    lon: float | None = None


@dataclass(frozen=True, kw_only=True)
class Link:
    query_id: str
    tile_id: str
    label: Label
    offset: tuple[float, float] | None = None


@dataclass
class Report:
    """What a loader passed over or found odd: counted, with the first few of each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def note(self, problem: str, example: str) -> None:
        self.counts[problem] += 1
        shown = self.examples.setdefault(problem, [])
        if len(shown) < 5:
            shown.append(example)

    def lines(self) -> list[str]:
        """One line for each kind of problem."""
        return [f"{n} {problem}: {', '.join(self.examples[problem])}" for problem, n in sorted(self.counts.items())]


@dataclass(kw_only=True)
class Foreign:
    """A published data set in Sightline's terms."""

    name: str
    card: Card
    tiles: list[Picture]
    queries: list[Asked]
    links: list[Link]
    report: Report
    read: Callable[[Source], bytes]

    def __post_init__(self) -> None:
        _unique("tile", [t.id for t in self.tiles])
        _unique("query", [q.id for q in self.queries])

    def rows(self, split: str) -> dict[str, Rows]:
        """The rows of one split by table, pictures read as they come."""
        asked = [q for q in self.queries if q.split == split]
        ids = {q.id for q in asked}
        return {
            "tiles": (self._tile(t) for t in self.tiles if t.split == split),
            "queries": (self._query(q) for q in asked),
            "links": (_link(link) for link in self.links if link.query_id in ids),
            "view_sets": self._view_sets(split),
        }

    @property
    def splits(self) -> list[str]:
        return sorted({t.split for t in self.tiles} | {q.split for q in self.queries})

    def _cell(self, picture: Picture | None) -> dict[str, Any] | None:
        if picture is None:
            return None
        return {"bytes": self.read(picture.source), "path": _file_name(picture.source)}

    def _tile(self, tile: Picture) -> dict[str, Any]:
        image = self._cell(tile) or {}
        return {
            "id": tile.id, "area": tile.area, "view": tile.view, "lat": tile.lat, "lon": tile.lon, "bounds": [],
            "gsd_m": None, "image": image, "image_sha256": hashlib.sha256(image["bytes"]).hexdigest(), "facts": None,
        }  # fmt: skip

    def _query(self, asked: Asked) -> dict[str, Any]:
        picture = asked.picture
        return {
            "id": asked.id, "area": asked.area, "view": picture.view if picture else "text", "place": asked.place,
            "image": self._cell(picture), "text": asked.text, "lang": asked.lang, "lat": asked.lat, "lon": asked.lon,
            "heading_deg": picture.heading_deg if picture else None,
        }  # fmt: skip

    def _view_sets(self, split: str) -> Rows:
        """Places of this split's queries with their tiles, which may be in a split that all queries share."""
        asked: dict[str, list[Picture]] = defaultdict(list)
        for query in self.queries:
            if query.split == split and query.picture:
                asked[query.place].append(query.picture)
        above: dict[str, list[Picture]] = defaultdict(list)
        for tile in self.tiles:
            if tile.place in asked and tile.split in (split, SHARED):
                above[tile.place].append(tile)
        for place, pictures in sorted(asked.items()):
            if place in above:
                seen = [*above[place], *pictures]
                first = seen[0]
                yield {
                    "id": place, "area": first.area, "lat": first.lat, "lon": first.lon, "tile_id": None, "facts": None,
                    "views": [self._view(p) for p in seen],
                }  # fmt: skip

    def _view(self, p: Picture) -> dict[str, Any]:
        return {
            "id": p.id, "view": p.view, "image": self._cell(p), "lat": p.lat, "lon": p.lon,
            "heading_deg": p.heading_deg, "camera": None,
        }  # fmt: skip

    def write(self, out: Path, progress: Callable[[str, int, int], None] | None = None) -> dict[str, dict[str, int]]:
        """Writes the data set as a folder with its card; returns rows by table and split.

        Raises:
            DatasetError: ``out`` holds something already.
        """
        if out.exists() and any(out.iterdir()):
            raise DatasetError(f"{out} is not empty: choose another folder")
        counts: dict[str, dict[str, int]] = {}
        for split in self.splits:
            for number, (table, rows) in enumerate(self.rows(split).items()):
                made = write_table(out, table, split, rows)
                if progress:
                    progress(f"writing {split}", number + 1, 4)
                if made:
                    counts.setdefault(table, {})[split] = made
        if not tables(out):
            raise DatasetError(f"{self.name} has nothing to write: check the folder that was given")
        write_card(out, self.card, counts)
        return counts


def _link(link: Link) -> dict[str, Any]:
    dx, dy = link.offset or (None, None)
    return {"query_id": link.query_id, "tile_id": link.tile_id, "label": link.label, "dx_px": dx, "dy_px": dy}


def _file_name(source: Source) -> str:
    return source.name if isinstance(source, Path) else source[1].rsplit("/", 1)[-1]


def _unique(what: str, ids: Sequence[str]) -> None:
    again = [name for name, n in Counter(ids).items() if n > 1]
    if again:
        raise DatasetError(
            f"the {what} id {again[0]!r} comes {ids.count(again[0])} times: a loader must make ids unique"
        )


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, sorted by name; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES and p.is_file())


def read_file(source: Source) -> bytes:
    """A picture that lies in a folder. Raises ``DatasetError`` where it cannot be read."""
    try:
        return Path(source).read_bytes()  # type: ignore[arg-type]
    except OSError as error:
        raise DatasetError(f"the picture {source} cannot be read ({error}): fetch it again") from error


def published(name: str, paper: str, made: str, limits: Sequence[str], tags: Mapping[str, str] | None = None) -> Card:
    """The card of a converted data set: it says whose it is and that its licence is not ours to give."""
    return Card(
        title=f"{name}, in Sightline's tables",
        summary=f"A conversion of a local copy of {name} ({paper}). The pictures are its authors'.",
        licence="other",
        languages=("en",),
        attribution=f"{name} ({paper}). The terms are those of its authors and of the providers of its imagery.",
        made=made,
        limits=limits,
        sections=tags or {},
    )
