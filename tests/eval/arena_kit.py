"""A small real gallery, four queries with known places, and a configuration to run on them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import typer
import yaml
from typer.testing import CliRunner, Result

from eval.cli import register
from retriever.build import build_gallery
from retriever.encoder import Encoder
from retriever.gallery import Gallery
from retriever.retrieve import build_index, index_folder

STEP = 0.0006
EVIL = 'by the pharmacy <script>alert(1)</script> & "quotes"'
LOAD = cache(Encoder.load)
"""Each run opens the encoder; here it is the same one."""


PHARMACY = '<node id="99" lat="51.50061" lon="0.00061"><tag k="amenity" v="pharmacy"/></node>'
CHURCH = '<node id="98" lat="51.50241" lon="0.00241"><tag k="amenity" v="place_of_worship"/></node>'


def street_grid(folder: Path, *places: str) -> Path:
    """An OSM file of 6 by 6 crossings with these nodes beside them."""
    nodes = [
        f'<node id="{10 * r + c + 1}" lat="{51.5 + r * STEP}" lon="{c * STEP}"/>' for r in range(6) for c in range(6)
    ]
    rows = [[10 * r + c + 1 for c in range(6)] for r in range(6)]
    ways = [
        f'<way id="{i}">{"".join(f"""<nd ref="{n}"/>""" for n in line)}<tag k="highway" v="residential"/></way>'
        for i, line in enumerate([*rows, *zip(*rows, strict=True)], start=1)
    ]
    source = folder / "town.osm"
    source.write_text(f'<osm version="0.6">{"".join([*nodes, *places])}{"".join(ways)}</osm>')
    return source


def town_gallery(folder: Path) -> Gallery:
    """A street grid of 6 by 6 crossings with a pharmacy and a church, indexed with the shipped encoder."""
    source = street_grid(folder, CHURCH, PHARMACY)
    made = build_gallery(folder / "gallery", osm=source, cover="touched", px=64)
    encoder = LOAD("sightline-mini")
    target = index_folder(made.path, "sightline-mini")
    target.mkdir(parents=True, exist_ok=True)
    build_index(made, encoder, target)
    return made


def queries(folder: Path) -> Path:
    rows = [
        ("a", EVIL, "en", 51.5006, 0.0006),
        ("b", "路口旁边有药店", "zh", 51.5007, 0.0005),
        ("c", "a church at the crossroads", "en", 51.5024, 0.0024),
        ("d", "教堂就在前面", "zh", 51.5023, 0.0023),
    ]
    path = folder / "q.jsonl"
    lines = [
        {"id": i, "text": t, "lang": lang, "lat": lat, "lon": lon, "named": False, "source": "test"}
        for i, t, lang, lat, lon in rows
    ]
    path.write_text("".join(json.dumps(x, ensure_ascii=False) + "\n" for x in lines), encoding="utf-8")
    return path


def config(gallery: Gallery, folder: Path, **changes: Any) -> Path:
    data = {
        "title": "Small town",
        "out": str(folder / "out"),
        "sets": [{"name": "town", "gallery": str(gallery.path), "queries": [str(queries(folder))]}],
        "candidates": {"k": 4, "removed": 1.0},
        "methods": ["identity", {"name": "oracle", "shuffles": 1}],
        "explain": {"top": 1},
        "judge": {"backend": "none"},
        **changes,
    }
    path = folder / "arena.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def call(*arguments: str) -> Result:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, ["arena", *arguments], env={"COLUMNS": "300"})


def lines_of(folder: Path, method: str) -> list[str]:
    return (folder / "out" / "sets" / "town" / f"{method}.rankings.jsonl").read_text(encoding="utf-8").splitlines()
