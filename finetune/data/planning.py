"""What a witness will say of a scene, and in which terms: chosen before any words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from finetune.data import naming
from finetune.data.sayings import OFFSETS, Form, Place, Saying
from finetune.data.scene import Scene, Sight
from retriever.geo import angle_between
from retriever.oracle import buildings, streets

_WEIGHT = {
    "place": 3.0, "transport": 2.2, "street": 1.3, "area": 2.0, "water": 3.0, "rail": 2.5, "road": 0.5, "barrier": 1.2,
}  # fmt: skip
_DULL = {
    "bench": 0.5, "tree": 0.3, "bicycle_parking": 0.6, "office": 1.5, "grass": 0.8, "parking": 1.3, "footway": 0.25,
    "alley": 0.4,
}  # fmt: skip
_COUNTABLE = ("place", "transport", "street")


@dataclass(frozen=True)
class Terms:
    """How this witness talks about directions and names, the same all through one description."""

    lang: str
    named: bool
    directions: str
    """``compass``, ``heading`` (left and right with a stated heading), ``relative`` (without one) or ``both``."""
    heading: float
    """The way the witness faces, a multiple of 45."""
    hedging: float
    measuring: float
    """Share of things given with a distance."""

    def tongue(self, rng: Random) -> str:
        """The language in which a name is read: either one for a mixed speaker."""
        return rng.choice(("en", "zh")) if self.lang == "mixed" else self.lang

    @property
    def states_heading(self) -> bool:
        return self.directions in ("heading", "both")


def choose_terms(scene: Scene, lang: str, named: bool, rng: Random) -> Terms:
    """Terms of one witness; mostly faces along the street."""
    axis = scene.axis
    heading = rng.random() * 360 if axis is None or rng.random() < 0.2 else axis + rng.choice((0.0, 180.0))
    return Terms(
        lang=lang,
        named=named,
        directions=rng.choices(("compass", "heading", "relative", "both"), (0.27, 0.3, 0.28, 0.15))[0],
        heading=round(heading / 45.0) * 45.0 % 360.0,
        hedging=rng.choice((0.03, 0.1, 0.25)),
        measuring=rng.choice((0.08, 0.25, 0.5)),
    )


def candidates(scene: Scene, terms: Terms, rng: Random) -> list[tuple[float, Saying]]:
    """Everything worth saying, as (key, saying): the larger the key, the earlier it should be said."""
    said = _objects(scene, terms, rng) + _street(scene, terms, rng) + _buildings(scene, terms, rng)
    said += _denials(scene, rng)
    return sorted(((_key(weight, rng), saying) for weight, saying in said), key=lambda pair: -pair[0])


def _key(weight: float, rng: Random) -> float:
    return float(rng.random() ** (1.0 / max(weight, 1e-6)))


def _objects(scene: Scene, terms: Terms, rng: Random) -> list[tuple[float, Saying]]:
    said: list[tuple[float, Saying]] = []
    used: set[str] = set()
    own = scene.own_street
    for sight in scene.sights:
        osm_id = scene.index.facts[sight.row].osm_id
        if sight.group == "building" or osm_id in used or (own is not None and sight.row == own.row):
            continue
        used.add(osm_id)
        saying = _one(scene, sight, terms, rng)
        if saying is not None:
            weight = _WEIGHT[sight.group] * _DULL.get(sight.kind, 1.0) * math.exp(-sight.distance / 35.0)
            said.append((weight * (1.6 if saying.name else 1.0), saying))
    return said + _groups(scene, terms, rng) + _pairs(scene, rng)


def _one(scene: Scene, sight: Sight, terms: Terms, rng: Random) -> Saying | None:
    fact = scene.index.facts[sight.row]
    names = scene.names(sight.row)
    name = None
    if terms.named and names and rng.random() < 0.7:
        picked = naming.choose(names, terms.tongue(rng), rng)
        name = naming.as_read(picked, rng) if picked and len(picked) <= 60 else None
    if sight.kind in streets.VEHICLE:
        if name is None and sight.kind in ("street", "alley"):
            return None
        form: Form = "cross_street" if name else "object"
    else:
        form = "sign" if name and sight.group == "place" and rng.random() < 0.22 else "object"
    return Saying(
        form=form,
        value=sight.kind,
        place=place_of(scene, sight, terms, rng),
        name=name,
        hedge=rng.random() < terms.hedging,
        osm_ids=(fact.osm_id,),
        bearing=sight.bearing,
        distance=sight.distance,
        rows=(sight.row,),
    )


def place_of(scene: Scene, sight: Sight, terms: Terms, rng: Random) -> Place:
    """Where this witness would say that the thing is."""
    extended = scene.index.facts[sight.row].shape != "point"
    if sight.distance < (3.0 if extended else 6.0) or (sight.distance < 10.0 and rng.random() < 0.25):
        return Place(type="here")
    if rng.random() < 0.12:
        return _loose(scene, sight, rng)
    return _measured(_directed(sight.bearing, terms, rng), sight, terms, rng)


def _loose(scene: Scene, sight: Sight, rng: Random) -> Place:
    if sight.distance < 45.0 and rng.random() < 0.5 and scene.crosses_street(sight):
        return Place(type="across")
    return Place(type="near", vague=rng.random() < 0.4)


def _directed(bearing: float, terms: Terms, rng: Random) -> Place:
    compass = terms.directions == "compass" or (terms.directions == "both" and rng.random() < 0.4)
    if compass:
        return Place(type="bearing", bearing=round(bearing / 45.0) * 45.0 % 360.0, said="compass")
    if terms.states_heading and rng.random() < 0.06:
        hour = round((bearing - terms.heading) % 360.0 / 30.0) % 12
        return Place(type="bearing", bearing=(terms.heading + 30.0 * hour) % 360.0, said="clock", hour=hour or 12)
    side = min(OFFSETS, key=lambda s: angle_between(bearing, terms.heading + OFFSETS[s]))
    known = (terms.heading + OFFSETS[side]) % 360.0 if terms.states_heading else None
    return Place(type=side, bearing=known, said="relative")  # type: ignore[arg-type]


def _measured(place: Place, sight: Sight, terms: Terms, rng: Random) -> Place:
    if rng.random() >= terms.measuring:
        return replace(place, vague=rng.random() < 0.12)
    metres = sight.distance * rng.uniform(0.8, 1.25)
    step = 5 if metres < 30 else 10
    return replace(place, distance=max(5, round(metres / step) * step))


def _groups(scene: Scene, terms: Terms, rng: Random) -> list[tuple[float, Saying]]:
    """ "Two cafes on my left": things of one kind on one side."""
    sides: dict[tuple[str, float], list[Sight]] = {}
    for sight in scene.sights:
        if sight.group in _COUNTABLE and 4.0 < sight.distance < 55.0:
            quarter = round((sight.bearing - terms.heading) / 90.0) % 4
            sides.setdefault((sight.kind, quarter), []).append(sight)
    said = []
    for (kind, _), group in sides.items():
        ids = tuple(dict.fromkeys(scene.index.facts[s.row].osm_id for s in group))
        if not 2 <= len(ids) <= 5 or (terms.directions == "compass" and rng.random() < 0.5):
            continue
        middle = group[len(group) // 2]
        place = _directed(terms.heading + 90.0 * round((middle.bearing - terms.heading) / 90.0), terms, rng)
        saying = Saying("object", kind, place, count=len(ids), osm_ids=ids, rows=tuple(s.row for s in group))
        saying = replace(saying, bearing=middle.bearing, distance=middle.distance)
        said.append((1.2 * _DULL.get(kind, 1.0) * (2.0 if kind == "tree" else 1.0), saying))
    return said


def _pairs(scene: Scene, rng: Random) -> list[tuple[float, Saying]]:
    """ "Between a cafe and a bank": two things close by on opposite sides."""
    near = [s for s in scene.sights if s.group in ("place", "transport") and 4.0 < s.distance < 30.0][:8]
    both = [(a, b) for a in near for b in near if a.kind != b.kind and angle_between(a.bearing, b.bearing) > 140.0]
    if not both:
        return []
    a, b = rng.choice(both)
    saying = Saying("object", a.kind, Place(type="between", anchor=b.kind), osm_ids=scene.index.ids((a.row, b.row)))
    return [(0.8, replace(saying, bearing=a.bearing, distance=a.distance, rows=(a.row, b.row)))]


def _street(scene: Scene, terms: Terms, rng: Random) -> list[tuple[float, Saying]]:
    own, index = scene.own_street, scene.index
    said: list[tuple[float, Saying]] = []
    for form, far, bearing, rows in scene.junctions[:2]:
        place = Place(type="here") if far < 14.0 else _directed(bearing, terms, rng)
        saying = Saying("junction", form, place, osm_ids=index.ids(rows), bearing=bearing, distance=far, rows=rows)
        said.append((2.0 if far < 25.0 else 1.0, saying))
    if own is None:
        return said
    base = Saying("street", own.kind, Place(type="here"), osm_ids=index.ids((own.row,)), distance=own.distance)
    base = replace(base, rows=(own.row,))
    names = scene.names(own.row)
    if terms.named and names:
        picked = naming.choose(names, terms.tongue(rng), rng) or ""
        said.append((4.0, replace(base, name=naming.as_read(picked, rng, exact=0.8))))
    if scene.axis is not None:
        place = Place(type="along", bearing=round(scene.axis / 45.0) * 45.0 % 180.0, said="compass")
        said.append((2.2, replace(base, form="axis", value="runs", place=place, bearing=scene.axis)))
    said.append((1.4, replace(base, form="road_kind")))
    return said + [(1.2, replace(base, form="road_form", value=form)) for form in _forms(scene, own)]


def _forms(scene: Scene, own: Sight) -> list[str]:
    if own.kind not in streets.VEHICLE:
        return []
    forms = []
    bend = streets.turning(scene.index, own.row)
    if bend is not None and (bend < 8.0 or bend > 35.0):
        forms.append("straight" if bend < 8.0 else "curved")
    width = streets.width(scene.index, own.row)
    if width:
        forms.append(width)
    if scene.index.facts[own.row].tags.get("oneway") in ("yes", "-1"):
        forms.append("one_way")
    ends = streets.dead_ends(scene.index)
    if any(row == own.row and math.hypot(x - scene.x, y - scene.y) < 50.0 for x, y, row in ends):
        forms.append("dead_end")
    return forms


def _buildings(scene: Scene, terms: Terms, rng: Random) -> list[tuple[float, Saying]]:
    said = []
    for sight in scene.sights:
        if sight.kind != "building" or sight.distance > 45.0:
            continue
        fact = scene.index.facts[sight.row]
        for form, value in _looks(fact.tags):
            place = _measured(_directed(sight.bearing, terms, rng), sight, terms, rng)
            saying = Saying(form, value, place, osm_ids=(fact.osm_id,), rows=(sight.row,))
            saying = replace(saying, bearing=sight.bearing, distance=sight.distance)
            said.append(((1.6 if form == "colour" else 0.9) * math.exp(-sight.distance / 35.0), saying))
    return said


def _looks(tags: Mapping[str, str]) -> list[tuple[Form, str]]:
    looks: list[tuple[Form, str]] = []
    floors = buildings.storeys(tags)
    if floors and floors > 1:
        looks.append(("storeys", str(floors)))
    painted = (buildings.colour_name(tags[tag]) for tag in buildings.COLOUR_TAGS[:2] if tag in tags)
    colour = next((name for name in painted if name), None)
    return [*looks, ("colour", colour)] if colour else looks


_DENIED = {
    "river": 1.0, "tram": 1.0, "railway": 0.8, "park": 1.0, "main_road": 1.0, "water": 0.8, "pedestrian_street": 0.6,
    "forest": 0.3,
}  # fmt: skip


def _denials(scene: Scene, rng: Random) -> list[tuple[float, Saying]]:
    absent = [kind for kind in scene.absent if kind in _DENIED]
    if not absent:
        return []
    kinds = rng.sample(absent, min(2, len(absent)))
    return [(0.25 * _DENIED[kind], Saying("absent", kind, Place(type="near"), polarity=False)) for kind in kinds]
