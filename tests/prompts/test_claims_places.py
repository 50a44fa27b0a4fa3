"""Where free text puts a thing: a case per phenomenon, English and Chinese alike, with what must not be read so."""

from __future__ import annotations

import pytest
from claims_kit import only, place

from prompts.claims import extract_claims
from prompts.claims_.compass import bearing_en, bearing_zh


@pytest.mark.parametrize(
    ("word", "degrees"),
    [
        ("NNE", 22.5),
        ("east-south-east", 112.5),
        ("north north west", 337.5),
        ("north-west by west", 303.75),
        ("north by east", 11.25),
        ("just west of north", 348.75),
        ("southeastern", 135.0),
        ("upward", None),
        ("north by lamp", None),
    ],
)
def test_english_compass_words_are_degrees(word: str, degrees: float | None) -> None:
    assert bearing_en(word) == degrees


@pytest.mark.parametrize(
    ("word", "degrees"),
    [
        ("北偏西", 337.5),
        ("东北偏东", 67.5),
        ("西北偏北", 337.5),
        ("南南东", 157.5),
        ("西西南", 247.5),
        ("北偏东30度", 30.0),
        ("中", None),
        ("", None),
    ],
)
def test_chinese_compass_words_are_degrees(word: str, degrees: float | None) -> None:
    assert bearing_zh(word) == degrees


COMPASS = [
    ("A cafe twelve metres east-south-east.", "cafe", 112.5),
    ("The bank is north-north-west, about thirty metres.", "bank", 337.5),
    ("I think there's a school south-west too.", "school", 225.0),
    ("There's a post office NNE of me.", "post_office", 22.5),
    ("The cinema is over the road, west-south-west.", "cinema", 247.5),
    ("The Plough, our pub, is to the north.", "bar", 0.0),
    ("The school is north of us, or rather north-east.", "school", 45.0),
    ("The town hall takes up the whole east side.", "townhall", 90.0),
    ("North side: a chapel.", "church", 0.0),
    ("Directly east, across the road, there's a mosque.", "mosque", 90.0),
    ("There's a church across the road to the north.", "church", 0.0),
    ("On a bearing of 240 degrees there is a tower.", "tower", 240.0),
    ("I'm in a square. The library is on the north side of the square.", "library", 0.0),
    ("To my east lies a canal, and beyond the canal a museum.", "museum", 90.0),
    ("药店在东南偏东九米左右。", "pharmacy", 112.5),
    ("西北两步就有长椅。", "bench", 315.0),
    ("北偏西十八米是喷泉。", "fountain", 337.5),
    ("往南十来米就是教堂。", "church", 180.0),
    ("马路对面偏北一点有家电影院。", "cinema", 0.0),
    ("北边偏东有座塔。", "tower", 22.5),
    ("我在桥上，桥东头有个雕像。", "memorial", 90.0),
    ("我在广场上，法院在广场南侧。", "townhall", 180.0),
    ("往西北看，有一座教堂。", "church", 315.0),
]


@pytest.mark.parametrize(("text", "value", "degrees"), COMPASS)
def test_a_compass_word_places_a_thing(text: str, value: str, degrees: float) -> None:
    assert place(text, value) == ("bearing", degrees)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("The road to the bank turns north.", "bank"),
        ("A bank, and we so went on.", "bank"),
        ("There's a hotel by the north gate.", "hotel"),
        ("A school on West Street.", "school"),
        ("我住在北京路的酒店。", "hotel"),
        ("地铁站的西出口有家银行。", "bank"),
    ],
)
def test_what_only_looks_like_a_bearing_is_none(text: str, value: str) -> None:
    assert place(text, value)[1] is None


HEADED = [
    ("I'm walking sort of west-north-west. A bank is on my right.", "right", 22.5),
    ("Camera faces just west of north. Left: a bank.", "left", 258.75),
    ("The photo was taken from a bridge looking north-east. Left of frame: a bank.", "left", 315.0),
    ("If you face east the bank is on your right.", "right", 180.0),
    ("With my back to the north, I have a bank on my left.", "left", 90.0),
    ("Jogging along the canal south, a bank behind me.", "behind", 0.0),
    ("I'm facing 270 degrees. A bank straight ahead.", "front", 270.0),
    ("I'm facing east, a bank at two o'clock.", "right", 150.0),
    ("Heading south, a cafe on my left, then a bank.", "left", 90.0),
    ("Heading south, a cafe on my left and a bank next to it.", "left", 90.0),
    ("Going north; the cafe, the bar and the bank are on my left.", "left", 270.0),
    ("我骑在路上，朝东南。左边是银行。", "left", 45.0),
    ("车头朝南偏西，身后是银行。", "behind", 22.5),
    ("照片朝东南拍摄，右侧为银行。", "right", 225.0),
    ("我背朝北站着，左边是银行。", "left", 90.0),
    ("我面朝北，两点钟方向是银行。", "right", 60.0),
    ("我面朝西，银行、面包店和健身房都在我左边。", "left", 180.0),
]


@pytest.mark.parametrize(("text", "kind", "degrees"), HEADED)
def test_a_heading_turns_sides_into_bearings(text: str, kind: str, degrees: float) -> None:
    assert place(text, "bank") == (kind, degrees)


@pytest.mark.parametrize(
    "text",
    [
        "A street running north to south. A bank on my left.",
        "One-way, going west. A bank on my left.",
        "东边是一条往南开的小街。左边是银行。",
        "单行往西，左边是银行。",
        "银行在我左边，酒店朝南。",
    ],
)
def test_how_a_street_or_a_house_lies_is_no_heading_of_the_witness(text: str) -> None:
    assert place(text, "bank") == ("left", None)


def test_a_one_way_street_runs_where_it_leads() -> None:
    assert only("One-way, going west.", "runs").relation.bearing_deg == 270.0
    assert only("单行往北。", "runs").relation.bearing_deg == 0.0


HERE = [
    ("Footpath through a wood, a stream to the north.", "footway"),
    ("Footpath through a wood, a stream to the north.", "forest"),
    ("Jogging north on a footway.", "footway"),
    ("Heading south on the footway of Long Bridge.", "Long Bridge"),
    ("Walking east down Mercer Lane.", "Mercer Lane"),
    ("Mill Lane, where it meets Hope Street.", "Hope Street"),
    ("Corner of Elm Street and Pond Road, T-junction.", "t_junction"),
    ("Caller is at the bus stop.", "bus_stop"),
    ("Our house is the third one on Alder Lane.", "Alder Lane"),
    ("中山北路一段135巷，單行。", "中山北路一段135巷"),
    ("车停在天津街，双向的。", "天津街"),
    ("房子在一栋十二层住宅楼里。", "storeys:12"),
    ("我在一家意大利餐厅外面。", "restaurant"),
    ("沿着人民路走。", "人民路"),
]


@pytest.mark.parametrize(("text", "value"), HERE)
def test_what_the_witness_is_on_or_at_is_here(text: str, value: str) -> None:
    assert only(text, value).relation.type == "here"


def test_a_road_that_is_named_later_is_not_where_the_witness_is() -> None:
    assert only("There's a bank. Mill Lane has shops.", "Mill Lane").relation.type != "here"
    assert only("Mill Lane off Hope Street.", "Hope Street").relation.type != "here"


def test_an_hour_is_a_direction_and_no_count() -> None:
    claim = only("At nine o'clock there's a church.", "church")
    assert (claim.relation.type, claim.count) == ("left", None)


NAMES = [
    ("We stand by London Wall.", "London Wall"),
    ("I'm on Old Street.", "Old Street"),
    ("North Bridge Road is busy.", "North Bridge Road"),
    ("Leon is behind me.", "Leon"),
    ("Bottom of Huggin Hill.", "Huggin Hill"),
    ("Jaeger那家服装店在东边。", "Jaeger"),
    ("The Crown在西边。", "The Crown"),
    ("往东走二十米就是St. John Street。", "St. John Street"),
]


@pytest.mark.parametrize(("text", "name"), NAMES)
def test_a_word_with_a_capital_of_its_own_may_open_a_name(text: str, name: str) -> None:
    assert [c.value for c in extract_claims(text) if c.kind == "name"] == [name]


@pytest.mark.parametrize(
    "text",
    [
        "Ahead, there's a bank.",
        "Fire station on the right.",
        "The sign says two kilometres to the motorway.",
        "An Italian Restaurant.",
        "NNE of me is a bank.",
    ],
)
def test_what_is_no_name(text: str) -> None:
    assert [c.value for c in extract_claims(text) if c.kind == "name"] == []
