"""The oracle against a brute-force reference, and its rules one by one."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retriever.geo import angle_between, bearing_deg
from retriever.kinds import kinds
from retriever.oracle import FactIndex, check, check_all
from retriever.oracle.generality import akin, satisfying
from retriever.oracle.naming import is_telling, normalise
from retriever.types import Claim, Evidence, Fact, Relation

SIZE = 120.0


def at(x: float, y: float) -> tuple[float, float]:
    """Metres from the centre to tile coordinates."""
    return x / SIZE + 0.5, 0.5 - y / SIZE


def fact(
    kind: str, *points: tuple[float, float], shape: str = "point", osm_id: str = "node/1", **extra: object
) -> Fact:
    rings = (tuple(at(*p) for p in points),)
    return Fact(osm_id=osm_id, kind=kind, shape=shape, parts=rings, **extra)  # type: ignore[arg-type]


def ask(facts: list[Fact] | None, kind: str, value: str, **relation: object) -> Evidence:
    extra = {k: relation.pop(k) for k in ("polarity", "count") if k in relation}
    claim = Claim(id="c1", span="", kind=kind, value=value, relation=Relation(**relation), **extra)  # type: ignore[arg-type]
    return check(claim, FactIndex(facts, size_m=SIZE))


# --- the reference: dense samples and the formula, no polygons ----------------------------------------------------


def samples(shape: str, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if shape == "point":
        return points[:1]
    (ax, ay), (bx, by) = points[0], points[-1]
    return [(ax + (bx - ax) * t / 400, ay + (by - ay) * t / 400) for t in range(401)]


def reference(points: list[tuple[float, float]], bearing: float | None, distance: float | None, slack: float) -> bool:
    for x, y in points:
        far = math.hypot(x, y)
        if bearing is not None and far > slack:
            allowed = 45 + math.degrees(math.asin(min(1.0, slack / far)))
            if angle_between(bearing_deg(x, y), bearing) > allowed:
                continue
        if distance is None or abs(far - distance) <= max(15.0, 0.4 * distance) + slack:
            return True
    return False


coordinate = st.floats(-60, 60, allow_nan=False)
point = st.tuples(coordinate, coordinate)


@settings(max_examples=300, deadline=None)
@given(
    shape=st.sampled_from(["point", "line"]),
    points=st.lists(point, min_size=2, max_size=2),
    bearing=st.none() | st.integers(0, 359),
    distance=st.none() | st.integers(0, 150),
)
def test_position_agrees_with_brute_force(
    shape: str, points: list[tuple[float, float]], bearing: int | None, distance: int | None
) -> None:
    facts = [fact("cafe", *(points if shape == "line" else points[:1]), shape=shape)]
    evidence = ask(facts, "object", "cafe", type="bearing", bearing_deg=bearing, distance_m=distance)
    dense = samples(shape, points)
    if reference(dense, bearing, distance, 24.5):
        assert evidence.stance == "supports"
    if not reference(dense, bearing, distance, 25.5):
        assert evidence.stance != "supports"
    if reference(dense, bearing, distance, 41.9):
        assert evidence.stance != "contradicts"
    if evidence.stance == "unknown":
        assert evidence.reason in ("not_mapped", "out_of_tile")


@settings(max_examples=200, deadline=None)
@given(x=coordinate, y=coordinate, wx=st.floats(-30, 30), wy=st.floats(-30, 30), said=st.floats(-20, 20))
def test_a_true_bearing_from_anywhere_in_the_cell_is_never_contradicted(
    x: float, y: float, wx: float, wy: float, said: float
) -> None:
    bearing = (bearing_deg(x - wx, y - wy) + said) % 360
    evidence = ask([fact("pharmacy", (x, y))], "object", "pharmacy", type="bearing", bearing_deg=bearing)
    assert evidence.stance != "contradicts"


@settings(max_examples=100, deadline=None)
@given(points=st.lists(point, max_size=6), bearing=st.integers(0, 359), names=st.text(max_size=12))
def test_every_answer_is_well_formed(points: list[tuple[float, float]], bearing: int, names: str) -> None:
    facts = [fact("cafe", p, osm_id=f"node/{i}", names={"": names}) for i, p in enumerate(points)]
    for kind, value in (("object", "cafe"), ("name", names), ("road", "runs"), ("junction", "crossroads")):
        evidence = ask(facts, kind, value, type="bearing", bearing_deg=bearing)
        assert evidence.by == "map"
        assert (evidence.reason is not None) == (evidence.stance == "unknown")
        if evidence.region is not None:
            x0, y0, x1, y1 = evidence.region
            assert 0 <= x0 < x1 <= 1
            assert 0 <= y0 < y1 <= 1
            assert min(x1 - x0, y1 - y0) > 0.059


# --- three values -------------------------------------------------------------------------------------------------


def test_nothing_known_is_unknown() -> None:
    assert ask(None, "object", "river").reason == "not_mapped"
    assert ask([], "object", "river").stance == "unknown"


def test_unmapped_shop_is_unknown_and_unmapped_river_is_false() -> None:
    facts = [fact("bench", (10, 0))]
    assert ask(facts, "object", "cafe").stance == "unknown"
    assert ask(facts, "object", "river").stance == "contradicts"
    assert ask(facts, "object", "river", distance_m=90).reason == "out_of_tile"


def test_akin_kind_keeps_absence_from_counting() -> None:
    assert ask([fact("street", (-50, 0), (50, 0), shape="line")], "object", "main_road").stance == "unknown"


def test_wrong_side_contradicts_and_right_side_supports() -> None:
    facts = [fact("pharmacy", (0, 55), osm_id="node/7")]
    assert ask(facts, "object", "pharmacy", type="bearing", bearing_deg=180).stance == "contradicts"
    good = ask(facts, "object", "pharmacy", type="bearing", bearing_deg=20)
    assert good.stance == "supports"
    assert good.osm_ids == ("node/7",)
    assert good.region is not None
    assert good.region[1] < 0.1


def test_one_fitting_object_outweighs_a_misplaced_one() -> None:
    facts = [fact("pharmacy", (0, 55), osm_id="node/1"), fact("pharmacy", (0, -55), osm_id="node/2")]
    assert ask(facts, "object", "pharmacy", type="bearing", bearing_deg=180).osm_ids == ("node/2",)


def test_denial_is_turned_round() -> None:
    facts = [fact("river", (-60, 5), (60, 5), shape="line"), fact("bench", (1, 1))]
    assert ask(facts, "object", "river", polarity=False).stance == "contradicts"
    assert ask(facts, "object", "tram", polarity=False).stance == "supports"
    assert ask(facts, "object", "cafe", polarity=False).stance == "unknown"


def test_count_needs_as_many_objects() -> None:
    facts = [fact("cafe", (5 * i, 10), osm_id=f"node/{i}") for i in range(2)]
    assert ask(facts, "object", "cafe", count=2).stance == "supports"
    assert ask(facts, "object", "cafe", count=3).stance == "unknown"


def test_general_words_are_satisfied_by_special_kinds() -> None:
    assert ask([fact("bakery", (5, 5))], "object", "shop").stance == "supports"
    assert ask([fact("river", (-60, 5), (60, 5), shape="line")], "object", "water").stance == "supports"
    assert ask([fact("shop", (5, 5))], "object", "bakery").stance == "unknown"


@pytest.mark.parametrize("word", sorted(kinds()))
def test_generality_speaks_of_kinds_only(word: str) -> None:
    assert word in satisfying(word) <= akin(word) <= set(kinds())


# --- names --------------------------------------------------------------------------------------------------------

NAMES = {"": "Café Zum Löwen", "en": "The Lion", "zh": "金獅咖啡館"}


@pytest.mark.parametrize("reading", ["cafe zum lowen", "Zum Löwen", "Café Zum Löwn", "金狮咖啡馆", "金狮", "the lion"])
def test_name_is_read_in_any_language_partly_and_misspelt(reading: str) -> None:
    assert ask([fact("cafe", (5, 5), names=NAMES)], "name", reading).stance == "supports"


@pytest.mark.parametrize("reading", ["Starbucks", "cafe", "zum", "银虎", "咖啡馆", "Zur Taube"])
def test_other_and_generic_names_are_unknown(reading: str) -> None:
    assert ask([fact("cafe", (5, 5), names=NAMES)], "name", reading).reason == "not_mapped"


def test_same_name_on_the_other_side_contradicts() -> None:
    evidence = ask([fact("cafe", (0, 58), names=NAMES)], "name", "Zum Löwen", type="bearing", bearing_deg=180)
    assert evidence.stance == "contradicts"


@given(st.text(alphabet="aZäÉßçñ ı金獅狮館㎐Ⅳ-'.,1", max_size=20))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
    assert not is_telling("")


# --- roads, junctions, buildings ------------------------------------------------------------------------------------

EAST_WEST = fact("street", (-60, 3), (60, 3), shape="line", osm_id="way/1")
NORTH = fact("street", (0, 3), (0, 60), shape="line", osm_id="way/2")
SOUTH = fact("street", (0, 3), (0, -60), shape="line", osm_id="way/3")
SPLIT = fact("street", (-60, 3), (0, 3), (60, 3), shape="line", osm_id="way/1")
CURVED = fact("street", (-60, -20), (-20, 0), (20, 0), (60, -20), shape="line", osm_id="way/4")


def test_road_axis_is_the_same_both_ways() -> None:
    for bearing in (90, 270, 75):
        assert ask([EAST_WEST], "road", "runs", type="along", bearing_deg=bearing).stance == "supports"
    assert ask([EAST_WEST], "road", "runs", type="along", bearing_deg=0).stance == "contradicts"
    assert ask([EAST_WEST, NORTH], "road", "runs", type="along", bearing_deg=0).stance == "supports"


def test_road_forms() -> None:
    assert ask([EAST_WEST], "road", "straight").stance == "supports"
    assert ask([EAST_WEST], "road", "curved").stance == "contradicts"
    assert ask([CURVED], "road", "curved").stance == "supports"
    assert ask([EAST_WEST], "road", "one_way").stance == "unknown"
    oneway = fact("street", (-60, 3), (60, 3), shape="line", tags={"oneway": "yes"})
    assert ask([oneway], "road", "one_way").stance == "supports"
    assert ask([fact("main_road", (-60, 3), (60, 3), shape="line")], "road", "wide").stance == "supports"
    assert ask([fact("alley", (-60, 3), (60, 3), shape="line")], "road", "wide").stance == "contradicts"
    assert ask([fact("alley", (-60, 3), (20, 3), shape="line")], "road", "dead_end").stance == "supports"


def test_junctions_are_told_by_their_arms() -> None:
    assert ask([SPLIT, NORTH, SOUTH], "junction", "crossroads").stance == "supports"
    assert ask([SPLIT, NORTH], "junction", "t_junction").stance == "supports"
    assert ask([SPLIT, NORTH], "junction", "crossroads").stance == "unknown"
    assert ask([EAST_WEST], "junction", "crossroads").stance == "contradicts"
    ring = [(12 * math.cos(a), 12 * math.sin(a)) for a in [i * math.pi / 6 for i in range(12)]]
    assert ask([fact("street", *ring, ring[0], shape="line")], "junction", "roundabout").stance == "supports"


def test_storeys_and_colour() -> None:
    corners = [(10, 10), (30, 10), (30, 30), (10, 30), (10, 10)]
    tags = {"building:levels": "4", "building:colour": "#c03028"}
    house = [fact("building", *corners, shape="area", tags=tags)]
    assert ask(house, "building", "storeys:5").stance == "supports"
    assert ask(house, "building", "storeys:12").stance == "contradicts"
    assert ask(house, "building", "colour:red").stance == "supports"
    assert ask(house, "building", "colour:blue").stance == "contradicts"
    assert ask([fact("building", *corners, shape="area")], "building", "colour:blue").stance == "unknown"


def test_area_with_a_hole_and_a_broken_ring_do_not_break_it() -> None:
    outer = tuple(at(*p) for p in [(-50, -50), (50, -50), (50, 50), (-50, 50), (-50, -50)])
    hole = tuple(at(*p) for p in [(-40, -40), (40, -40), (40, 40), (-40, 40), (-40, -40)])
    bow = tuple(at(*p) for p in [(0, 0), (20, 20), (20, 0), (0, 20), (0, 0)])
    ring = Fact(osm_id="way/1", kind="park", shape="area", parts=(outer, hole))
    assert FactIndex([ring], size_m=SIZE).distance[0] == pytest.approx(40.0)
    assert ask([Fact(osm_id="way/1", kind="park", shape="area", parts=(bow,))], "object", "park").stance == "supports"


def test_between_and_across() -> None:
    facts = [fact("cafe", (-20, 0), osm_id="node/1"), fact("bank", (20, 0), osm_id="node/2"), NORTH, SOUTH]
    assert ask(facts, "object", "cafe", type="between", anchor="bank").osm_ids == ("node/1", "node/2")
    assert ask(facts, "object", "cafe", type="across", anchor="bank").stance == "supports"
    assert ask(facts, "object", "cafe", type="across", anchor="hotel").stance == "unknown"


def test_check_all_keeps_order_and_ids() -> None:
    claims = [Claim(id=f"c{i}", span="", kind="object", value=v) for i, v in enumerate(["cafe", "river", "nonsense"])]
    answers = check_all(claims, FactIndex([fact("cafe", (1, 1))], size_m=SIZE))
    assert [a.claim_id for a in answers] == ["c0", "c1", "c2"]
    assert [a.stance for a in answers] == ["supports", "contradicts", "unknown"]
