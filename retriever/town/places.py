"""Shops, services and public buildings: what opens where."""

from __future__ import annotations

import math
import random
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from retriever.town.buildings import Building
from retriever.town.names import Names
from retriever.town.osm_xml import OsmXml, Point
from retriever.town.plan import Plan


@cache
def trade() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = yaml.safe_load(
        Path(__file__).with_name("trade.yaml").read_text(encoding="utf-8")
    )
    return table


def place_tags(kind: str, names: Names, rng: random.Random) -> dict[str, str]:
    """OSM tags of one place of a kind, named unless such places go without."""
    row = trade()[kind]
    tags = dict(rng.choice(row["tags"]))
    endings = list(zip(row["en"], row["zh"], strict=False))
    if not endings:
        return tags
    if row.get("chain") and rng.random() < 0.35:
        en, zh = rng.choice(row["chain"])
        return {**tags, **names.tags((en, zh)), "brand": en}
    if rng.random() < 0.07:
        return tags
    return {**tags, **names.tags(names.unique(tuple(rng.choice(endings)), sign=True))}


def open_shops(out: OsmXml, plan: Plan, buildings: list[Building], rng: random.Random) -> None:
    """Nodes just behind the fronts, denser on main and pedestrian streets and towards the middle."""
    kinds = [kind for kind, row in trade().items() if row.get("front")]
    weights = [float(trade()[kind]["front"]) for kind in kinds]
    for built in buildings:
        if built.use not in ("core", "mixed", "homes") or built.street is None:
            continue
        chance = _chance(built, plan)
        slots = max(1, int(built.width // 8))
        for slot in range(slots):
            if rng.random() < chance:
                aside = (slot + 0.5) / slots - 0.5
                kind = rng.choices(kinds, weights)[0]
                _node_at(out, built, aside * built.width, place_tags(kind, plan.names, rng))


def _chance(built: Building, plan: Plan) -> float:
    centre = max(0.0, 1.0 - math.hypot(*built.front) / (plan.side * 0.62))
    kind = built.street.kind if built.street is not None else "street"
    base = {"main": 0.9, "pedestrian": 1.0, "street": 0.5, "alley": 0.25}[kind]
    return base * (0.3 + 0.9 * centre) * (0.4 if built.use == "homes" else 1.0)


def _node_at(out: OsmXml, built: Building, aside: float, tags: dict[str, str]) -> None:
    along = (built.inward[1], -built.inward[0])
    at: Point = (
        built.front[0] + built.inward[0] * 1.6 + along[0] * aside,
        built.front[1] + built.inward[1] * 1.6 + along[1] * aside,
    )
    if not out.has_tags(at):
        out.node(at, tags)


def settle_civic(plan: Plan, buildings: list[Building], rng: random.Random, blocks: int) -> None:
    """Give public and large private kinds a building of their own: its tags go onto the outline."""
    scale = blocks * blocks / 64 * 1.7
    free = [b for b in buildings if b.use in ("core", "mixed") and 140 <= b.shape.area <= 900]
    rng.shuffle(free)
    for kind, row in trade().items():
        count = float(row.get("civic", 0)) * scale
        for _ in range(int(count) + (rng.random() < count % 1)):
            if not free:
                return
            built = free.pop()
            built.tags.update(place_tags(kind, plan.names, rng))
            built.tags["building"] = "church" if kind == "church" else "yes"
            built.use = "civic"
