"""Drawn tiles: every kind looks its own way, and the plan tells the truth about the pixels."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from PIL import Image, ImageChops

from retriever.draw import draw_evidence, draw_tile, visible
from retriever.draw.ground import sea
from retriever.draw.layout import plan
from retriever.draw.style import icons, style
from retriever.kinds import kinds
from retriever.types import Fact, Ring, Shape

SQUARE: Ring = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9), (0.1, 0.1))
LINE: Ring = ((-0.05, 0.45), (0.5, 0.55), (1.05, 0.5))
GROUND = (0xF3, 0xEF, 0xE7)


def fact(kind: str, shape: Shape, *parts: Ring, osm_id: str = "way/1", **more: dict[str, str]) -> Fact:
    return Fact(
        osm_id=osm_id, kind=kind, shape=shape, parts=parts, names=more.get("names", {}), tags=more.get("tags", {})
    )


def point(kind: str, x: float = 0.5, y: float = 0.5, osm_id: str = "node/1", **more: dict[str, str]) -> Fact:
    return fact(kind, "point", ((x, y),), osm_id=osm_id, **more)


def small(*facts: Fact) -> np.ndarray:
    """What a model sees: the tile at 224 px."""
    return np.asarray(draw_tile(facts).reduce(2), dtype=float)


def test_no_facts_give_plain_ground() -> None:
    image = draw_tile([])
    assert image.size == (448, 448)
    assert image.mode == "RGB"
    assert image.getcolors() == [(448 * 448, GROUND)]


def test_the_same_facts_give_the_same_pixels_at_any_size() -> None:
    facts = [
        point("cafe", names={"": "Mir"}),
        fact("street", "line", LINE),
        fact("park", "area", SQUARE, osm_id="way/2"),
    ]
    assert draw_tile(facts).tobytes() == draw_tile(list(facts)).tobytes()
    assert draw_tile(facts, px=224).size == (224, 224)
    assert draw_tile(facts, size_m=240).tobytes() != draw_tile(facts).tobytes()


def test_the_order_of_facts_does_not_matter() -> None:
    chooser = random.Random(1)
    facts = [
        point(k, 0.1 + 0.09 * (i % 9), 0.2 + 0.1 * (i // 9), f"node/{i}") for i, k in enumerate(list(icons())[:40])
    ]
    facts += [fact("street", "line", LINE), fact("main_road", "line", ((0.4, 0), (0.5, 1)), osm_id="way/2")]
    shuffled = chooser.sample(facts, len(facts))
    assert draw_tile(facts).tobytes() == draw_tile(shuffled).tobytes()


def test_every_kind_has_a_look() -> None:
    table = style()
    drawn = {*icons(), *table["small"], *table["areas"], *table["roads"], *table["rails"], "building", "wall", "bridge"}
    assert set(kinds()) <= drawn


POINT_KINDS = [k for k, kind in kinds().items() if kind.group in ("place", "transport", "street")]
# Streams and coasts are lines on the map, never surfaces.
_SURFACES = [k for k, kind in kinds().items() if kind.group in ("area", "water", "building")]
AREA_KINDS = [k for k in _SURFACES if k not in ("stream", "coastline")]
LINE_KINDS = [k for k, kind in kinds().items() if kind.group in ("road", "rail", "water", "barrier")]


def test_point_kinds_differ_pairwise_as_a_model_sees_them() -> None:
    looks = {kind: small(point(kind))[100:124, 100:124] for kind in POINT_KINDS}
    pairs = [(np.abs(looks[a] - looks[b]).mean(), a, b) for a, b in itertools.combinations(POINT_KINDS, 2)]
    # Mean absolute difference over 24 x 24 pixels; an icon covers about a third of them.
    assert min(pairs) > (4.0, "", "")


@pytest.mark.parametrize(("names", "shape"), [(AREA_KINDS, SQUARE), (LINE_KINDS, LINE)], ids=["areas", "lines"])
def test_area_and_line_kinds_differ_pairwise(names: list[str], shape: Ring) -> None:
    what: Shape = "area" if shape is SQUARE else "line"
    looks = {kind: small(fact(kind, what, shape)) for kind in names}
    for a, b in itertools.combinations(names, 2):
        touched = (looks[a] != GROUND).any(axis=2) | (looks[b] != GROUND).any(axis=2)
        assert np.abs(looks[a] - looks[b])[touched].mean() > 5.0, f"{a} looks like {b}"


def test_badge_and_colour_are_a_kinds_own() -> None:
    badges = [(icon.shape, icon.fill, icon.rim) for icon in icons().values()]
    assert len(set(badges)) == len(badges)


def test_colliding_icons_move_or_give_way_by_rank() -> None:
    pile = [point("cafe", osm_id=f"node/{i}") for i in range(5)] + [point("hospital", osm_id="node/99")]
    assert visible(pile, size_m=120) == [False] * 5 + [True]
    beside = [point("cafe", 0.53, 0.53, osm_id="node/1"), point("hospital", osm_id="node/2")]
    assert visible(beside, size_m=120) == [True, True]
    cafe, hospital = sorted(plan(beside).icons, key=lambda icon: icon.fact)
    assert (hospital.x, hospital.y) == (224, 224)
    assert (cafe.x, cafe.y) != (0.53 * 448, 0.53 * 448)


def test_what_is_outside_the_tile_is_not_visible() -> None:
    outside = [
        point("cafe", 1.03, 0.5),
        fact("street", "line", ((1.01, 0), (1.05, 1))),
        fact("park", "area", ((1.01, 0), (1.05, 0), (1.05, 1), (1.01, 0))),
        point("tree", -0.01, 0.5),
    ]
    assert visible(outside, size_m=120) == [False] * 4
    assert draw_tile(outside).tobytes() == draw_tile([]).tobytes()


def scene(seed: int) -> list[Fact]:
    chooser = random.Random(seed)
    kinds_ = [*POINT_KINDS] * 2
    facts = [
        point(chooser.choice(kinds_), chooser.random(), chooser.random(), f"node/{i}", names={"": f"N{i}"})
        for i in range(90)
    ]
    for i in range(6):
        x, y = chooser.random(), chooser.random()
        ring: Ring = ((x, y), (x + 0.2, y), (x + 0.2, y + 0.15), (x, y + 0.15), (x, y))
        facts.append(fact(chooser.choice(AREA_KINDS), "area", ring, osm_id=f"way/{i}"))
        line: Ring = ((chooser.random(), -0.05), (chooser.random(), 1.05))
        facts.append(fact(chooser.choice(LINE_KINDS), "line", line, osm_id=f"way/{i + 20}"))
    return facts


def test_taking_away_an_invisible_fact_changes_nothing_and_a_visible_icon_something() -> None:
    for seed in (3,):
        facts = scene(seed)
        whole, shown = draw_tile(facts).tobytes(), visible(facts, size_m=120)
        assert not all(shown)
        for i, item in enumerate(facts):
            rest = facts[:i] + facts[i + 1 :]
            if not shown[i]:
                assert draw_tile(rest).tobytes() == whole, f"{item.kind} was hidden but drawn"
            elif item.kind in icons() and item.shape == "point" and i % 4 == 0:
                assert draw_tile(rest).tobytes() != whole, f"{item.kind} was visible but not drawn"


def test_a_hole_shows_what_lies_below() -> None:
    hole: Ring = ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6), (0.4, 0.4))
    image = draw_tile([fact("building", "area", SQUARE, hole)])
    assert image.getpixel((231, 231)) == GROUND
    assert image.getpixel((100, 100)) != GROUND


def test_rings_side_by_side_are_both_filled() -> None:
    left: Ring = ((0.1, 0.1), (0.4, 0.1), (0.4, 0.9), (0.1, 0.9), (0.1, 0.1))
    right: Ring = ((0.6, 0.1), (0.9, 0.1), (0.9, 0.9), (0.6, 0.9), (0.6, 0.1))
    image = draw_tile([fact("grass", "area", left, right)])
    assert image.getpixel((112, 224)) == image.getpixel((336, 224)) != GROUND


def test_the_sea_lies_on_the_right_of_the_coast() -> None:
    east: Ring = ((-0.06, 0.5), (1.06, 0.5))
    south_wet, north_wet = (
        draw_tile([fact("coastline", "line", east)]),
        draw_tile([fact("coastline", "line", east[::-1])]),
    )
    assert south_wet.getpixel((224, 60)) == GROUND != south_wet.getpixel((224, 400))
    assert north_wet.getpixel((224, 400)) == GROUND != north_wet.getpixel((224, 60))


def test_a_coast_that_ends_on_the_tile_makes_no_sea_and_an_island_stays_dry() -> None:
    assert sea([((-0.06, 0.5), (0.5, 0.5))]) == []
    # Land on the left: counter-clockwise as the map shows it.
    island: Ring = ((0.3, 0.3), (0.3, 0.7), (0.7, 0.7), (0.7, 0.3), (0.3, 0.3))
    image = draw_tile([fact("coastline", "line", island)])
    assert image.getpixel((224, 224)) == GROUND
    assert image.getpixel((30, 30)) != GROUND


def test_one_way_arrows_follow_the_direction() -> None:
    plain, onward, back = (
        small(fact("street", "line", LINE, tags=tags)) for tags in ({}, {"oneway": "yes"}, {"oneway": "-1"})
    )
    assert (plain != onward).any()
    assert (onward != back).any()


def test_storeys_and_colour_of_a_building_show() -> None:
    plain, tall, red = (
        small(fact("building", "area", SQUARE, tags=tags))
        for tags in ({}, {"building:levels": "12"}, {"building:colour": "red"})
    )
    assert (plain != tall).any()
    assert red[112, 60, 0] > red[112, 60, 2] + 80


@pytest.mark.parametrize(
    "tags", [{"building:levels": "many"}, {"building:levels": "nan"}, {"building:colour": "plaid"}]
)
def test_odd_tags_draw_a_plain_building(tags: dict[str, str]) -> None:
    assert (
        draw_tile([fact("building", "area", SQUARE, tags=tags)]).tobytes()
        == draw_tile([fact("building", "area", SQUARE)]).tobytes()
    )


def test_labels_never_hide_icons() -> None:
    facts = [point(k, 0.08 + 0.1 * (i % 9), 0.1 + 0.12 * (i // 9), f"node/{i}") for i, k in enumerate(POINT_KINDS[:48])]
    named = [point(f.kind, *f.parts[0][0], f.osm_id, names={"": "A rather long name of a place"}) for f in facts]
    bare, full = np.asarray(draw_tile(facts)), np.asarray(draw_tile(named))
    for item in facts:
        x, y = (round(448 * v) for v in item.parts[0][0])
        assert (bare[y - 8 : y + 8, x - 6 : x + 6] == full[y - 8 : y + 8, x - 6 : x + 6]).all()


def test_a_road_is_named_along_itself() -> None:
    named = fact("street", "line", LINE, names={"": "Cedar Row"})
    change = ImageChops.difference(draw_tile([named]), draw_tile([fact("street", "line", LINE)])).getbbox()
    assert change is not None
    assert change[2] - change[0] < 100


def test_degenerate_geometry_is_drawn_or_left_out_but_never_fails() -> None:
    odd = [
        fact("street", "line", ((0.5, 0.5), (0.5, 0.5))),
        fact("park", "area", ((0.1, 0.1), (0.2, 0.2))),
        fact("park", "area", ((0.1, 0.1), (0.9, 0.9), (0.9, 0.1), (0.1, 0.9), (0.1, 0.1))),
        fact("cafe", "area", SQUARE),
        fact("street", "point", ((0.5, 0.5),)),
        fact("pitch", "line", LINE),
        fact("tree", "line", LINE),
    ]
    for item in odd:
        assert draw_tile([item]).size == (448, 448)
    assert len(visible(odd, size_m=120)) == len(odd)


def test_evidence_boxes_have_the_colour_of_their_stance() -> None:
    image = Image.new("RGB", (448, 448), "white")
    out = draw_evidence(
        image, [((0.1, 0.2, 0.5, 0.5), "pharmacy", "supports"), ((0.6, 0.6, 0.9, 0.9), "bar", "contradicts")]
    )
    colours = {c for _, c in out.getcolors(100_000) or []}
    assert {(0x0F, 0x8A, 0x34), (0xCF, 0x1F, 0x1F)} <= colours
    assert image.getcolors() == [(448 * 448, (255, 255, 255))]


@pytest.mark.parametrize("box", [(-1.0, -1.0, 2.0, 2.0), (0.99, 0.99, 0.99, 0.99), (0.9, 0.9, 0.1, 0.1)])
def test_boxes_beyond_or_upside_down_are_drawn_within_the_picture(box: tuple[float, float, float, float]) -> None:
    image = Image.new("RGB", (120, 90), "white")
    out = draw_evidence(image, [(box, "药店 " * 30, "unknown"), (box, "", "supports")])
    assert out.size == image.size
    assert out.tobytes() != image.tobytes()
