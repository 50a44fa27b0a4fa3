"""Where the witness stands, labels for directions, and what one clause says for another: a case for each phenomenon."""

from __future__ import annotations

import pytest
from claims_kit import only

from prompts.claims import extract_claims

AT_IT = [
    ("I'm standing outside the post office.", "post_office"),
    ("Waiting at the gate of the school.", "school"),
    ("We are sheltering under a railway bridge.", "bridge"),
    ("I work above the bakery.", "bakery"),
    ("Meet me in front of the town hall.", "townhall"),
    ("The pub is where I'm standing.", "bar"),
    ("The Old Crown is the pub I'm outside of.", "bar"),
    ("I walked to the bakery, that's where I am.", "bakery"),
    ("I'm sitting on the steps of a library.", "library"),
    ("Then we turned into a pedestrian street.", "pedestrian_street"),
    ("Lost in the market.", "market"),
    ("Picnic spot's under the viaduct.", "bridge"),
    ("Our office is the tall glass one.", "office"),
    ("My building's the nine-storey one, grey.", "storeys:9"),
    ("我到火车站了，左边是银行。", "rail_station"),
    ("刚走进一家超市。", "supermarket"),
    ("困在地下通道里了。", "footway"),
    ("咱们在图书馆大厅见。", "library"),
    ("肯德基门口等你。", "肯德基"),
    ("这里叫人民广场。", "人民广场"),
    ("这商场好大。", "supermarket"),
    ("我在书店二楼，窗外有棵树。", "books"),
    ("脚下是一条步行街。", "pedestrian_street"),
    ("我家是那栋六层的楼。", "storeys:6"),
    ("滨江公园里头，风很大。", "park"),
    ("You'll find me at the bus stop opposite the town hall.", "bus_stop"),
    ("I'm leaning against a wall.", "wall"),
    ("Town square. Church north side.", "square"),
    ("我从地铁站出来，现在在一座教堂前面。", "church"),
    ("车子抛锚在国道上。", "main_road"),
    ("Just off the High Street, in an alley between a bank and a bookshop.", "alley"),
]


@pytest.mark.parametrize(("text", "value"), AT_IT)
def test_the_witness_is_at_it(text: str, value: str) -> None:
    assert only(text, value).relation.type == "here"


NOT_AT_IT = [
    ("I went past a bakery and then a bank.", "bank"),
    ("Sat in the park by the lake.", "water"),
    ("There is a lawn close to where I am.", "grass"),
    ("你走到邮局再左拐。", "post_office"),
    ("我看到一家银行。", "bank"),
    ("走到头是一家药店。", "pharmacy"),
    ("图书馆里很安静。", "library"),
    ("这里有一家银行。", "bank"),
    ("我住在图书馆隔壁。", "library"),
]


@pytest.mark.parametrize(("text", "value"), NOT_AT_IT)
def test_a_thing_passed_or_seen_is_not_where_the_witness_is(text: str, value: str) -> None:
    assert only(text, value).relation.type == "near"


LABELS = [
    ("At 10 o'clock a church.", "church", "left", None),
    ("12 o'clock: roundabout. 5 o'clock: petrol station.", "fuel", "behind", None),
    ("Heading 225. 3 o'clock: mosque.", "mosque", "right", 315.0),
    ("315°: a tower. 180°: a canal.", "river", "bearing", 180.0),
    ("Bearing 045: a church.", "church", "bearing", 45.0),
    ("Left-hand frontage: bank, hairdresser.", "hairdresser", "left", None),
    ("Left is just a long wall.", "wall", "left", None),
    ("Vanishing point: a domed church.", "church", "front", None),
    ("The drone faces south. School on the left.", "school", "left", 90.0),
    ("Driving north. Church on the left, about 100 yards back.", "church", "behind", 180.0),
    ("Diagonally opposite me is a bank.", "bank", "across", None),
    ("There's a taxi rank across the way.", "taxi", "across", None),
    ("Two o'clock from me there's a mosque.", "mosque", "right", None),
    ("Walked out of the museum and I'm looking straight at a fountain.", "fountain", "front", None),
    ("You'll find me at the bus stop opposite the town hall.", "townhall", "across", None),
    ("A garage up the lane to the west.", "car_service", "bearing", 270.0),
    ("At the crossroads. NE corner: bank.", "bank", "bearing", 45.0),
    ("Clock tower north side.", "tower", "bearing", 0.0),
    ("Looking north-west: left, a bank; right, a park.", "park", "right", 45.0),
    ("I'm looking at a museum right behind me.", "museum", "behind", None),
    ("左：学校；右：药店；前：十字路口。", "pharmacy", "right", None),
    ("三点钟方向：教堂；九点钟：公园。", "park", "left", None),
    ("方位角120度，水塔。", "tower", "bearing", 120.0),
    ("银行在左，药店在右。", "bank", "left", None),
    ("面向：北。左手边：超市。", "supermarket", "left", 270.0),
    ("画面左三分之一是教堂。", "church", "left", None),
    ("窗户朝南，左边是学校。", "school", "left", 90.0),
    ("东侧酒店，西侧停车场。", "hotel", "bearing", 90.0),
    ("斜对过有家药店。", "pharmacy", "across", None),
    ("往左是家花店。", "florist", "left", None),
    ("右舍鞋店。", "clothes", "right", None),
    ("I'm in 星巴克, bank 在 south 那边.", "bank", "bearing", 180.0),
]


@pytest.mark.parametrize(("text", "value", "kind", "bearing"), LABELS)
def test_directions_written_as_labels(text: str, value: str, kind: str, bearing: float | None) -> None:
    relation = only(text, value).relation
    assert (relation.type, relation.bearing_deg) == (kind, bearing)


SEVERAL = [
    ("Two pubs, the Bell and the Crown Inn, both to the south.", "bar", "bearing"),
    ("There's a cafe and a florist, they're both behind me.", "cafe", "behind"),
    ("There's a florist and a bakery. All on the left though.", "florist", "left"),
    ("A hotel to my right, a launderette also on that side.", "laundry", "right"),
    ("药店和银行都在马路对面。", "pharmacy", "across"),
    ("I'm at the gate of the park. The park is west of the museum.", "museum", "bearing"),
]


@pytest.mark.parametrize(("text", "value", "kind"), SEVERAL)
def test_one_clause_places_the_things_of_another(text: str, value: str, kind: str) -> None:
    assert only(text, value).relation.type == kind


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("I don't think there is a hotel here.", "hotel"),
        ("Library? No, I can't see one.", "library"),
        ("I want the train station but I not see.", "rail_station"),
        ("医院？没有。", "hospital"),
        ("我没觉得附近有学校。", "school"),
    ],
)
def test_a_denial_in_another_clause(text: str, value: str) -> None:
    claim = only(text, value)
    assert (claim.polarity, claim.relation.type) == (False, "near")


def test_no_as_an_answer_denies_nothing_that_follows() -> None:
    found = {c.value: c.polarity for c in extract_claims("Church? No. Mosque ahead.")}
    assert found == {"church": False, "mosque": True}
    assert only("No answer at the consulate.", "embassy").polarity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A two-storey pub painted green.", "colour:green"),
        ("Five-storey block, cream render.", "colour:beige"),
        ("A courthouse to the east, beige.", "colour:beige"),
        ("北面六层住宅，外墙米黄。", "colour:beige"),
        ("后面是居民楼，黄色，九层。", "colour:yellow"),
        ("东面市政厅，灰色五层。", "colour:grey"),
        ("A library opposite, single storey.", "storeys:1"),
        ("The street, narrow, bends off to the right.", "narrow"),
        ("巷子窄到只能过一个人。", "narrow"),
        ("Cars go in one direction only.", "one_way"),
    ],
)
def test_what_a_building_or_road_is_like(text: str, value: str) -> None:
    assert only(text, value).polarity


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("The Helix Bridge is on my right.", "The Helix Bridge"),
        ("Cnr Joy St and Hope St. Dry cleaner opposite.", "Joy St"),
        ("I'm on Sendlinger Straße.", "Sendlinger Straße"),
        ("Hotel St. Gothard on my right.", "Hotel St. Gothard"),
        ("I'm near the Red Lion, a pub.", "Red Lion"),
        ("Swatch directly south, twelve metres.", "Swatch"),
    ],
)
def test_names(text: str, name: str) -> None:
    assert name in [c.value for c in extract_claims(text) if c.kind == "name"]


def test_a_describing_word_is_no_name() -> None:
    found = [c.value for c in extract_claims("Brick church ahead. Pumping station behind. 北侧药店。")]
    assert found == ["church", "pharmacy"]
