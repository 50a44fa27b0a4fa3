"""Claims from free text: a case per phenomenon."""

from __future__ import annotations

import pytest
from claims_kit import bench, only, place

from prompts.claims import extract_claims

PLACES = [
    ("On my left is a pharmacy.", "pharmacy", "left", None),
    ("There's a drugstore to my right-hand side.", "pharmacy", "right", None),
    ("Behind me there are two pubs.", "bar", "behind", None),
    ("A fountain is straight ahead.", "fountain", "front", None),
    ("Facing the church, I wait.", "church", "front", None),
    ("I'm standing with my back to the museum.", "museum", "behind", None),
    ("There is a bank and a bakery on my left.", "bank", "left", None),
    ("On my left, a bank, a bakery and a gym.", "gym", "left", None),
    ("To the NE there is a school.", "school", "bearing", 45.0),
    ("A temple stands north-west of me.", "temple", "bearing", 315.0),
    ("The station is 200 m south.", "rail_station", "bearing", 180.0),
    ("I am north of the river.", "river", "bearing", 180.0),
    ("I'm on the south bank of the canal.", "river", "bearing", 0.0),
    ("I'm facing north. The bank is on my left.", "bank", "left", 270.0),
    ("The bank is on my left. I'm heading south-east.", "bank", "left", 45.0),
    ("I'm walking west, a hotel behind me.", "hotel", "behind", 90.0),
    ("I'm standing in front of a cinema.", "cinema", "here", None),
    ("We're outside the town hall.", "townhall", "here", None),
    ("I'm in a narrow alley.", "alley", "here", None),
    ("In front of the library there's a statue.", "memorial", "near", None),
    ("There's a park across the street.", "park", "across", None),
    ("Opposite the mosque.", "mosque", "across", None),
    ("I'm running along the canal.", "river", "along", None),
    ("The street is lined with trees.", "tree", "along", None),
    ("I'm between a bank and a bakery.", "bank", "between", None),
    ("我的左边是药店。", "pharmacy", "left", None),
    ("药店在我右手边。", "pharmacy", "right", None),
    ("后面有一座桥。", "bridge", "behind", None),
    ("正前方是喷泉。", "fountain", "front", None),
    ("东南方向有一所学校。", "school", "bearing", 135.0),
    ("教堂在北边。", "church", "bearing", 0.0),
    ("我在河的南边。", "river", "bearing", 0.0),
    ("我面朝北，左边是银行。", "bank", "left", 270.0),
    ("往东走，右前方是酒店。", "hotel", "right", 135.0),
    ("我站在电影院门口。", "cinema", "here", None),
    ("我在图书馆前面。", "library", "here", None),
    ("马路对面有家面包店。", "bakery", "across", None),
    ("我在公园和学校之间。", "park", "between", None),
    ("马路两边种满了树。", "tree", "along", None),
    ("背对教堂，左边是银行。", "church", "behind", None),
    ("我在藥房門口。", "pharmacy", "here", None),
    ("往北走两百米就是警察局。", "police", "bearing", 0.0),
    ("The bakery isn't on the left, it's on the right.", "bakery", "right", None),
    ("Looking north I see a marina.", "water", "bearing", 0.0),
    ("I'm looking north, a marina on my left.", "water", "left", 270.0),
    ("I'm about 100 yards north of the fire station.", "fire_station", "bearing", 180.0),
    ("The church faces the river.", "river", "near", None),
    ("我 now 在一个 church 前面。", "church", "here", None),
]


@pytest.mark.parametrize(("text", "value", "kind", "bearing"), PLACES)
def test_a_thing_is_placed_where_the_witness_puts_it(text: str, value: str, kind: str, bearing: float | None) -> None:
    assert place(text, value) == (kind, bearing)


def test_a_direction_between_two_things_does_not_place_them_about_the_witness() -> None:
    claim = only("The pharmacy is north of the church.", "pharmacy")
    assert (claim.relation.type, claim.relation.bearing_deg, claim.relation.anchor) == ("near", None, "church")
    claim = only("教堂的北边有一个小公园。", "park")
    assert (claim.relation.type, claim.relation.anchor) == ("near", "church")


def test_between_and_across_carry_the_other_thing() -> None:
    assert only("I'm between a bank and a bakery.", "bank").relation.anchor == "bakery"
    assert only("河对岸有一座寺庙。", "temple").relation.anchor == "river"


NAMES = [
    ("There's a pub called The Old Bell.", "The Old Bell"),
    ("I'm on Karl-Marx-Straße.", "Karl-Marx-Straße"),
    ("I am walking down Fleet Street.", "Fleet Street"),
    ("the sign says 'Hop Kee'", "Hop Kee"),
    ("i'm on queen street", "queen street"),
    ("a bar named red lion on the corner", "red lion"),
    ("There's St. Mary's Church to the south.", "St. Mary's Church"),
    ("opposite a starbucks", "starbucks"),
    ("I see a 7-Eleven.", "7-Eleven"),
    ("我在南京西路上。", "南京西路"),
    ("招牌寫著「全家」。", "全家"),
    ("有家饭馆叫老地方。", "老地方"),
    ("路牌写着“平江路”", "平江路"),
    ("旁边是麦当劳。", "麦当劳"),
    ("我在忠孝東路上。", "忠孝東路"),
]


@pytest.mark.parametrize(("text", "name"), NAMES)
def test_a_name_is_read_as_the_sign_shows_it(text: str, name: str) -> None:
    assert name in [c.value for c in extract_claims(text) if c.kind == "name"]


@pytest.mark.parametrize(
    "text",
    [
        "Yes. No. Maybe.",
        "I think The building is Turkish.",
        "My name is Peter.",
        "On Monday I was in London.",
        "一条大马路",
    ],
)
def test_ordinary_capitals_and_words_are_no_names(text: str) -> None:
    assert [c.value for c in extract_claims(text) if c.kind == "name"] == []


def test_a_name_goes_where_its_thing_goes() -> None:
    assert place('Behind me is a hotel called "Miramar".', "Miramar") == ("behind", None)
    assert place("我左边有一家酒店，名字叫海景。", "海景") == ("left", None)


ROADS = [
    ("The street runs east-west.", "runs", 90.0),
    ("The road runs from north-west to south-east.", "runs", 135.0),
    ("这条路南北走向。", "runs", 0.0),
    ("It's a dead end.", "dead_end", None),
    ("A one-way street.", "one_way", None),
    ("单行道，很窄。", "one_way", None),
    ("The street is rather narrow.", "narrow", None),
    ("路很宽。", "wide", None),
    ("The road bends.", "curved", None),
]


@pytest.mark.parametrize(("text", "value", "axis"), ROADS)
def test_road_forms_and_axes(text: str, value: str, axis: float | None) -> None:
    claim = only(text, value)
    assert (claim.kind, claim.relation.bearing_deg) == ("road", axis)


def test_a_road_that_lies_in_a_compass_direction_is_no_axis() -> None:
    claim = only("To the west there is a motorway.", "motorway")
    assert (claim.kind, claim.relation.type, claim.relation.bearing_deg) == ("object", "bearing", 270.0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("I'm at a crossroads.", "crossroads"),
        ("在十字路口", "crossroads"),
        ("a T-junction", "t_junction"),
        ("丁字路口", "t_junction"),
        ("前面是环岛", "roundabout"),
    ],
)
def test_junctions(text: str, value: str) -> None:
    assert only(text, value).kind == "junction"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A five-storey brick building.", {"storeys:5"}),
        ("a yellow four-story hotel", {"colour:yellow", "storeys:4"}),
        ("一栋十层的白色大楼", {"storeys:10", "colour:white"}),
        ("外墙是蓝色的", {"colour:blue"}),
        ("a red car and a blue sign on the ground floor", set()),
        ("店在二楼，第三层", set()),
    ],
)
def test_building_looks(text: str, values: set[str]) -> None:
    assert {c.value for c in extract_claims(text) if c.kind == "building"} == values


@pytest.mark.parametrize(
    ("text", "value", "metres"),
    [
        ("a bank about 50 metres ahead", "bank", 50.0),
        ("a church 80 feet away", "church", 24.4),
        ("Half a block to my right there is a laundromat", "laundry", 50.0),
        ("The museum is a couple of blocks north", "museum", 200.0),
        ("the station, 5 minutes' walk away", "rail_station", 400.0),
        ("20 steps from here is a kiosk", "convenience", 15.0),
        ("前方一百五十米有银行", "bank", 150.0),
        ("公园离这里两公里", "park", 2000.0),
        ("五十步外有个邮筒", "post_box", 37.5),
    ],
)
def test_distances(text: str, value: str, metres: float) -> None:
    assert only(text, value).relation.distance_m == pytest.approx(metres)


def test_the_width_of_a_street_is_no_distance() -> None:
    assert only("a bank on a street 8 metres wide", "bank").relation.distance_m is None
    assert only("街宽约八米，旁边是银行", "bank").relation.distance_m is None


@pytest.mark.parametrize(
    ("text", "value", "count"),
    [
        ("two towers", "tower", 2),
        ("三棵树", "tree", 3),
        ("a couple of cafes", "cafe", 2),
        ("a church", "church", None),
        ("一座教堂", "church", None),
    ],
)
def test_counts(text: str, value: str, count: int | None) -> None:
    assert only(text, value).count == count


@pytest.mark.parametrize(
    ("text", "value", "there"),
    [
        ("There isn't a church.", "church", False),
        ("no trees here", "tree", False),
        ("I can't see any bus stop", "bus_stop", False),
        ("There's no bank but there is an ATM.", "atm", True),
        ("Not far from here is a mosque.", "mosque", True),
        ("I'm not sure about the school.", "school", True),
        ("没有红绿灯", "traffic_signals", False),
        ("不是药店，是诊所", "clinic", True),
        ("原来有个邮局，现在没有了", "post_office", False),
        ("不远处有座塔", "tower", True),
    ],
)
def test_negation(text: str, value: str, there: bool) -> None:
    assert only(text, value).polarity is there


@pytest.mark.parametrize(
    ("text", "value", "hedged"),
    [
        ("Maybe a museum to the north.", "museum", True),
        ("I think im near the university, theres a library", "university", True),
        ("I think im near the university, theres a library", "library", False),
        ("好像有一座桥", "bridge", True),
        ("左边是桥，可能还有公园", "bridge", False),
        ("a bank", "bank", False),
    ],
)
def test_hedges(text: str, value: str, hedged: bool) -> None:
    assert only(text, value).hedge is hedged


def test_what_is_said_twice_is_one_claim_and_the_placed_one_stays() -> None:
    claims = extract_claims("There is a church. The church is on my left. On my left is a church.")
    assert [(c.value, c.relation.type) for c in claims] == [("church", "left")]


def test_ids_turns_and_order() -> None:
    claims = extract_claims("A bank. A park.", turn=3, first_id=7)
    assert [(c.id, c.value, c.turn) for c in claims] == [("c7", "bank", 3), ("c8", "park", 3)]


@pytest.mark.parametrize("text", ["", "   \n", "!!!", "hello how are you", "你好", "北--white" * 300, "-white" * 300])
def test_nothing_said_gives_no_claims(text: str) -> None:
    assert extract_claims(text) == []


def test_traditional_and_simplified_text_say_the_same() -> None:
    a = extract_claims("左邊是藥房，對面有間圖書館，沒有紅綠燈。")
    b = extract_claims("左边是药房，对面有间图书馆，没有红绿灯。")
    assert [bench.key(c) for c in a] == [bench.key(c) for c in b]
    assert all(c.span in "左邊是藥房，對面有間圖書館，沒有紅綠燈。" for c in a)
