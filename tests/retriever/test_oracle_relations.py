"""The oracle's relations against brute force: samples of where the witness may stand, no polygons."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from retriever.kinds import kinds
from retriever.oracle import FactIndex, check
from retriever.oracle.generality import akin, satisfying
from retriever.types import Claim, Evidence, Fact, Relation

SIZE = 120.0
SLACK = 25.0
coordinate = st.floats(-58, 58, allow_nan=False)
point = st.tuples(coordinate, coordinate)


def at(x: float, y: float) -> tuple[float, float]:
    return x / SIZE + 0.5, 0.5 - y / SIZE


def thing(kind: str, *points: tuple[float, float], number: int = 1, **tags: str) -> Fact:
    shape = ("point", "line", "area")[min(2, len(points) - 1)]
    return Fact(osm_id=f"node/{number}", kind=kind, shape=shape, parts=(tuple(at(*p) for p in points),), tags=tags)  # type: ignore[arg-type]


def ask(facts: list[Fact], kind: str, value: str, count: int | None = None, **relation: object) -> Evidence:
    claim = Claim(id="c1", span="", kind=kind, value=value, count=count, relation=Relation(**relation))  # type: ignore[arg-type]
    return check(claim, FactIndex(facts, size_m=SIZE))


def witnesses(radius: float) -> list[tuple[float, float]]:
    rings = [(r * radius / 5, 2 * math.pi * k / 48) for r in range(6) for k in range(48)]
    return [(r * math.cos(a), r * math.sin(a)) for r, a in rings]


def crosses(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float]) -> bool:
    """Whether the segments ab and cd cross, by the signs of areas."""

    def side(p: tuple[float, float], q: tuple[float, float], r: tuple[float, float]) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


@settings(max_examples=150, deadline=None)
@given(place=point, start=point, end=point)
def test_across_the_street_agrees_with_trying_every_witness(
    place: tuple[float, float], start: tuple[float, float], end: tuple[float, float]
) -> None:
    assume(math.dist(start, end) > 5)
    facts = [thing("hotel", place), thing("street", start, end, number=2)]
    stance = ask(facts, "object", "hotel", type="across").stance
    assert stance != "contradicts"
    if math.hypot(*place) <= 84 and any(crosses(w, place, start, end) for w in witnesses(SLACK - 1)):
        assert stance == "supports"
    if math.hypot(*place) > 86 or _gap(start, end, place) > 3:
        assert stance == "unknown"


def _gap(start: tuple[float, float], end: tuple[float, float], place: tuple[float, float]) -> float:
    """How near a street comes to any line from a witness to the thing; sampled, no farther off than 3 m."""
    street = [(start[0] + (end[0] - start[0]) * t / 60, start[1] + (end[1] - start[1]) * t / 60) for t in range(61)]
    ways = [
        (w[0] + (place[0] - w[0]) * t / 30, w[1] + (place[1] - w[1]) * t / 30)
        for w in witnesses(SLACK)[::2]
        for t in range(31)
    ]
    return float(np.hypot(*(np.array(street)[:, None] - np.array(ways)[None]).T).min())


@settings(max_examples=150, deadline=None)
@given(a=point, b=point)
def test_between_two_things_means_that_the_line_from_one_to_the_other_passes_the_witness(
    a: tuple[float, float], b: tuple[float, float]
) -> None:
    nearest = min(math.hypot(a[0] + (b[0] - a[0]) * t / 400, a[1] + (b[1] - a[1]) * t / 400) for t in range(401))
    stance = ask([thing("cafe", a), thing("bank", b, number=2)], "object", "cafe", type="between", anchor="bank").stance
    if nearest < SLACK - 0.5:
        assert stance == "supports"
    if nearest > SLACK + 0.5:
        assert stance == "unknown"


@settings(max_examples=100, deadline=None)
@given(places=st.lists(point, max_size=7), count=st.integers(2, 6), bearing=st.integers(0, 359))
def test_a_count_is_borne_out_by_so_many_on_that_side(
    places: list[tuple[float, float]], count: int, bearing: int
) -> None:
    facts = [thing("tree", p, number=i) for i, p in enumerate(places)]

    def there(slack: float) -> int:
        return sum(
            math.hypot(x, y) <= slack
            or abs((math.degrees(math.atan2(x, y)) - bearing + 180) % 360 - 180)
            <= 45 + math.degrees(math.asin(min(1.0, slack / math.hypot(x, y))))
            for x, y in places
        )

    stance = ask(facts, "object", "tree", count=count, type="bearing", bearing_deg=bearing).stance
    assert (stance == "supports") or there(SLACK - 0.5) < count
    assert (stance != "supports") or there(SLACK + 0.5) >= count
    assert stance != "contradicts"


@settings(max_examples=100, deadline=None)
@given(
    start=point, length=st.floats(15, 60), axis=st.floats(0, 179.9), said=st.integers(0, 359),
)  # fmt: skip
def test_a_streets_direction_is_that_of_the_line(
    start: tuple[float, float], length: float, axis: float, said: int
) -> None:
    end = (start[0] + length * math.sin(math.radians(axis)), start[1] + length * math.cos(math.radians(axis)))
    assume(shapely.LineString([start, end]).distance(shapely.Point(0, 0)) < 50)
    stance = ask([thing("street", start, end)], "road", "runs", type="along", bearing_deg=said).stance
    off = abs(axis - said) % 180
    off = min(off, 180 - off)
    if off < 34.5:
        assert stance == "supports"
    elif off > 50.5:
        assert stance == "contradicts"
    elif 35.5 < off < 49.5:
        assert stance == "unknown"


@settings(max_examples=100, deadline=None)
@given(
    mapped=st.lists(st.none() | st.integers(1, 30), min_size=1, max_size=4), said=st.integers(1, 30),
)  # fmt: skip
def test_storeys_fit_one_house_in_view_or_none_of_those_that_are_described(mapped: list[int | None], said: int) -> None:
    houses = [
        thing("building", (i * 9 - 20, 5), (i * 9 - 14, 5), (i * 9 - 14, 11), (i * 9 - 20, 5), number=i,
              **({} if floors is None else {"building:levels": str(floors)}))
        for i, floors in enumerate(mapped)
    ]  # fmt: skip
    stance = ask(houses, "building", f"storeys:{said}").stance
    fits = [None if m is None else abs(m - said) <= max(1, 0.15 * said) for m in mapped]
    expected = "supports" if True in fits else "contradicts" if None not in fits else "unknown"
    assert stance == expected


@pytest.mark.parametrize(
    ("mapped", "said", "stance"),
    [("white", "white", "supports"), ("#fdf5e6", "white", "supports"), ("cream", "yellow", "supports"),
     ("#336699", "blue", "supports"), ("red", "blue", "contradicts"), ("#111", "white", "contradicts"),
     ("plaid", "white", "unknown")],
)  # fmt: skip
def test_colours_are_names_or_codes_and_neighbours_pass(mapped: str, said: str, stance: str) -> None:
    corners = ((-5.0, 5.0), (5.0, 5.0), (5.0, 15.0), (-5.0, 5.0))
    house = thing("building", *corners, **{"building:colour": mapped})
    assert ask([house], "building", f"colour:{said}").stance == stance


def test_every_kind_is_true_of_itself_and_akin_to_what_satisfies_it() -> None:
    for word in kinds():
        assert word in satisfying(word)
        assert satisfying(word) <= akin(word) <= set(kinds())
    assert satisfying("nonsense") == frozenset()
    assert "pharmacy" in satisfying("shop")
    assert "shop" not in satisfying("pharmacy")


def test_absence_counts_only_where_nothing_akin_is_mapped() -> None:
    street = thing("street", (-50.0, 0.0), (50.0, 0.0), number=9)
    for word, kind in kinds().items():
        if kind.complete and kind.group != "road":
            assert ask([street], "object", word).stance == "contradicts", word
            near = next((k for k in sorted(akin(word) - satisfying(word)) if k not in ("street",)), None)
            if near:
                assert ask([street, thing(near, (30.0, 30.0))], "object", word).stance != "contradicts", (word, near)
