"""University-1652 (arXiv 2002.12186): drone, satellite and ground pictures by building number.

``train/{satellite,drone,street,google}/<building>/*`` and the same below
``test/{query,gallery}_{satellite,drone,street}``. Places have no coordinates in this layout. What test galleries hold
of other views than the satellite's serves the task the other way round (from the satellite to the drone) and is not
taken; it is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finetune.formats.foreign import Asked, Foreign, Link, Picture, Report, pictures_in, published, read_file
from finetune.formats.store import DatasetError

_VIEWS = {"satellite": "satellite", "drone": "uav", "street": "ground", "google": "ground"}
_TEST = {"query_drone": "uav", "query_street": "ground"}
_TURNED = ("gallery_drone", "gallery_street", "query_satellite")


def load(path: Path) -> Foreign:
    """A copy of University-1652. Raises ``DatasetError`` where neither training nor test satellites are found."""
    report = Report()
    satellites = [*_pictures(path / "train" / "satellite", "satellite", "train", report)]
    satellites += _pictures(path / "test" / "gallery_satellite", "satellite", "test", report)
    if not satellites:
        raise DatasetError(
            f"{path} is no copy of University-1652: it has neither train/satellite nor test/gallery_satellite; give "
            "its top folder"
        )
    seen = [p for name, view in _VIEWS.items() if view != "satellite"
            for p in _pictures(path / "train" / name, view, "train", report)]  # fmt: skip
    seen += [p for name, view in _TEST.items() for p in _pictures(path / "test" / name, view, "test", report)]
    for name in _TURNED:
        for folder in sorted((path / "test" / name).glob("*/")):
            report.note(f"buildings of test/{name}, which serve the task the other way round, not taken", folder.name)
    by_place: dict[tuple[str, str], list[str]] = {}
    for tile in satellites:
        by_place.setdefault((tile.split, tile.place), []).append(tile.id)
    links, queries = [], []
    for picture in seen:
        tiles = by_place.get((picture.split, picture.place))
        if not tiles:
            report.note("pictures of buildings without a satellite picture, left out", picture.id)
            continue
        queries.append(_asked(picture))
        links += [Link(query_id=picture.id, tile_id=tile, label="match") for tile in tiles]
    card = published(
        "University-1652", "arXiv 2002.12186", "Pictures of one building number are one place; nothing was changed.",
        ["No coordinates: areas are train and test, whose universities are different ones.",
         "Drone pictures are renderings of a 3D globe, not photographs."],
    )  # fmt: skip
    return Foreign(
        name="University-1652", card=card, tiles=satellites, queries=queries, links=links, report=report, read=read_file
    )


def _asked(picture: Picture) -> Asked:
    return Asked(id=picture.id, split=picture.split, area=picture.area, place=picture.place, picture=picture)


def _pictures(folder: Path, view: str, split: str, report: Report) -> Iterator[Picture]:
    for place in sorted(p for p in folder.glob("*") if p.is_dir()):
        found = pictures_in(place)
        if not found:
            report.note(f"folders without a picture in {split}/{folder.name}", place.name)
        for file in found:
            yield Picture(
                id=f"{split}/{folder.name}/{place.name}/{file.name}",
                view=view, source=file, place=place.name, split=split, area=f"university-1652-{split}",
            )  # fmt: skip
