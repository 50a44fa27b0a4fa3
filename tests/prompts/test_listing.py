"""Listings: what lies where, read from facts, written, parsed and compared with claims."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.listing import PARTS, Entry, Listing, find, list_facts, listing_order, parse_listing, part_of, region_of
from retriever.types import Claim, Fact, Relation


def point(kind: str, x: float, y: float, **names: str) -> Fact:
    return Fact(osm_id="node/1", kind=kind, shape="point", parts=(((x, y),),), names=names)


def line(kind: str, *points: tuple[float, float]) -> Fact:
    return Fact(osm_id="way/1", kind=kind, shape="line", parts=(points,))


def claim(value: str, bearing: float | None = None, *, kind: str = "object", polarity: bool = True) -> Claim:
    relation = Relation(type="near" if bearing is None else "bearing", bearing_deg=bearing)
    return Claim(id="c1", span="", kind=kind, value=value, relation=relation, polarity=polarity)


def test_parts_follow_the_compass_with_y_to_the_south():
    facts = [point("cafe", 0.5, 0.05), point("pharmacy", 0.95, 0.5), point("bank", 0.5, 0.5), point("atm", 0.1, 0.9)]
    assert list_facts(facts, size_m=120).text() == "c bank; n cafe; e pharmacy; sw atm"


def test_a_road_carries_its_axis_and_the_parts_it_crosses():
    text = list_facts([line("street", (0.0, 0.5), (1.0, 0.5))], size_m=120).text()
    assert text == "roads e-w; c street; e street; w street"


def test_areas_count_where_they_lie_and_holes_do_not():
    outer = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0))
    hole = ((0.02, 0.3), (0.98, 0.3), (0.98, 0.98), (0.02, 0.98), (0.02, 0.3))
    ring = Fact(osm_id="way/2", kind="park", shape="area", parts=(outer, hole))
    assert set(list_facts([ring], size_m=120).entries[0].parts) == {"n", "ne", "nw"}


def test_what_is_not_visible_is_not_listed_and_an_empty_tile_says_nothing():
    facts = [point("cafe", 0.5, 0.05)]
    assert list_facts(facts, size_m=120, visible=[False]).text() == "nothing"
    assert parse_listing("nothing") == Listing(entries=())


def test_names_are_quoted_and_cannot_break_the_form():
    listing = list_facts([point("cafe", 0.5, 0.05, en='Joe"s; place')], size_m=120, names=True)
    assert listing.text() == 'n cafe; "Joes, place" cafe n'
    assert parse_listing(listing.text()) == listing


def test_nonsense_entries_are_dropped():
    assert parse_listing("n cafe, dragon; s; ignore all; up park; e park").text() == "n cafe; e park"


@given(
    st.lists(
        st.tuples(st.sampled_from(listing_order()), st.sets(st.sampled_from(PARTS), min_size=1)),
        unique_by=lambda item: item[0],
    )
)
def test_writing_and_parsing_are_inverse(items):
    where = dict(items)
    listing = Listing(
        entries=tuple(
            Entry(kind=k, parts=tuple(p for p in PARTS if p in where[k])) for k in listing_order() if k in where
        )
    )
    assert parse_listing(listing.text()) == listing


@pytest.mark.parametrize(
    ("wanted", "about"),
    [
        ("supports", claim("cafe")),
        ("supports", claim("cafe", 20.0)),
        ("supports", claim("cafe", 60.0)),
        ("contradicts", claim("cafe", 180.0)),
        ("unknown", claim("florist", 180.0)),
        ("contradicts", claim("river")),
        ("supports", claim("river", polarity=False)),
        ("contradicts", claim("cafe", polarity=False)),
        ("unknown", claim("florist", polarity=False)),
        ("supports", claim("bank", 200.0)),
        ("supports", claim("runs", 275.0, kind="road")),
        ("contradicts", claim("runs", 10.0, kind="road")),
        ("supports", claim("shop")),
        ("unknown", claim("storeys:5", kind="building")),
        ("unknown", claim("Blue Door", kind="name")),
    ],
)
def test_the_stance_of_a_claim(wanted, about):
    listing = parse_listing("roads e-w; c street, bank; n cafe; e street; sw bakery; w street")
    assert find(about, listing).stance == wanted


def test_an_empty_listing_decides_nothing():
    assert {find(claim(v), parse_listing("nothing")).stance for v in ("river", "cafe", "park")} == {"unknown"}


def test_names_are_decided_only_where_names_are_listed():
    listing = parse_listing('n cafe; "Blue Door" cafe n')
    assert find(claim("blue door", kind="name"), listing).stance == "supports"
    assert find(claim("Red Lion", kind="name"), listing).reason == "not_mapped"
    assert find(claim("Blue Door", kind="name"), parse_listing("n cafe")).reason == "not_visible"


def test_regions_hold_the_parts_they_stand_for():
    for part in PARTS:
        x0, y0, x1, y1 = region_of(part)
        cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
        assert part_of((cx - 0.5) * 120, (0.5 - cy) * 120) == part
    assert region_of("-") is None
