"""Descriptions: their ledgers are true, their words are where the ledger says, and they are of one language."""

import dataclasses
import re
from collections import Counter
from functools import cache
from random import Random
from typing import get_args

import pytest
import shapely

from finetune.data import naming
from finetune.data.descriptions import Description, Length, Standpoint, describe, fact_index, standpoints
from finetune.data.speak_en import article, plural
from finetune.data.speak_zh import number
from finetune.data.spin import bank, expand, parse
from retriever.kinds import kinds
from retriever.oracle import FactIndex, check
from retriever.types import Claim, Fact, Lang, Tile

SIZE = 120.0
Pairs = tuple[tuple[Tile, Description], ...]
PLACES = (
    "cafe", "pharmacy", "bank", "bakery", "hotel", "church", "school", "bus_stop", "fountain", "tree", "bench",
    "post_box", "museum", "restaurant", "clothes", "parking", "toilets", "tram_stop",
)  # fmt: skip
NAMES = {"": "Zum Goldenen Löwen", "en": "Golden Lion", "zh": "金狮咖啡馆"}


def line(kind: str, number: int, *points: tuple[float, float], **extra: object) -> Fact:
    parts = (tuple((x / SIZE + 0.5, 0.5 - y / SIZE) for x, y in points),)
    return Fact(osm_id=f"way/{number}", kind=kind, shape="line", parts=parts, **extra)  # type: ignore[arg-type]


def house(number: int, x: float, y: float, rng: Random) -> Fact:
    corners = [(x, y), (x + 14, y), (x + 14, y + 14), (x, y + 14), (x, y)]
    tags = {"building:levels": str(rng.randint(1, 9)), "building:colour": rng.choice(("red", "#f0f0f0", "yellow"))}
    parts = (tuple((cx / SIZE + 0.5, 0.5 - cy / SIZE) for cx, cy in corners),)
    return Fact(osm_id=f"way/{number}", kind="building", shape="area", parts=parts, tags=tags)


@cache
def town_tile(seed: int) -> Tile:
    """A crossing of two streets with houses, shops, a park or a river: different for every seed."""
    rng = Random(seed)
    x, y = rng.uniform(-25, 25), rng.uniform(-25, 25)
    facts = [
        line("street", 1, (-66, y), (x, y), (66, y + rng.uniform(-8, 8)), names={"": "Lindenallee", "zh": "椴树大街"}),
        line("main_road", 2, (x, -66), (x, y), names={"": "Hafenstraße"}, tags={"oneway": "yes"}),
        line(rng.choice(("street", "alley")), 3, (x, y), (x, 66), names={"": "Quergasse"}),
        line("footway", 4, (-66, -50), (66, -45)),
    ]
    facts += [house(100 + i, rng.uniform(-60, 46), rng.uniform(-60, 46), rng) for i in range(7)]
    for i in range(14):
        place = (rng.random(), rng.random())
        names = NAMES if rng.random() < 0.5 else {}
        facts.append(Fact(osm_id=f"node/{i}", kind=rng.choice(PLACES), shape="point", parts=((place,),), names=names))
    if seed % 2:
        facts.append(line("river", 5, (-66, 40), (0, 44), (66, 50), names={"": "Ache"}))
    return Tile(
        id=f"town-{seed}", view="map", lat=48.1, lon=11.5, bounds=(11.4992, 48.0995, 11.5008, 48.1005), gsd_m=0.27,
        image="", image_sha256="", facts=tuple(facts),
    )  # fmt: skip


@cache
def some(
    lang: Lang, named: bool = True, wrong_share: float = 0.0, tiles: int = 24
) -> tuple[tuple[Tile, Description], ...]:
    made = []
    for seed in range(tiles):
        tile = town_tile(seed)
        for point in standpoints(tile, size_m=SIZE, rng=Random(seed), n=3):
            for length in get_args(Length):
                text = describe(
                    tile, point, size_m=SIZE, seed=seed, lang=lang, named=named, length=length, wrong_share=wrong_share
                )
                made.append((tile, text))
    return tuple(made)


LANGS: tuple[Lang, ...] = ("en", "zh", "mixed")


@pytest.mark.parametrize("lang", LANGS)
def test_true_claims_are_not_contradicted_by_the_oracle(lang: Lang) -> None:
    stances = Counter(check(claim, fact_index(tile, SIZE)).stance for tile, text in some(lang) for claim in text.claims)
    assert stances.total() > 1000
    assert stances["contradicts"] <= 0.03 * stances.total()
    assert stances["supports"] >= 0.75 * stances.total()


@pytest.mark.parametrize("lang", LANGS)
def test_wrong_details_are_marked_and_not_borne_out_by_the_map(lang: Lang) -> None:
    pairs = some(lang, wrong_share=0.3, tiles=8)
    wrong = [(tile, claim) for tile, text in pairs for claim, so in zip(text.claims, text.truth, strict=True) if not so]
    assert len(wrong) > 30
    assert all(check(claim, fact_index(tile, SIZE)).stance != "supports" for tile, claim in wrong)


@pytest.mark.parametrize("lang", LANGS)
def test_ledger_lines_up_and_spans_are_the_texts_own_words(lang: Lang) -> None:
    for tile, text in some(lang, wrong_share=0.1, tiles=24):
        n = len(text.claims)
        assert n == len(text.truth) == len(text.osm_ids) == len(text.bearings) == len(text.distances)
        assert [c.id for c in text.claims] == [f"c{i + 1}" for i in range(n)]
        ids = {f.osm_id for f in tile.facts or ()}
        for claim, objects in zip(text.claims, text.osm_ids, strict=True):
            assert claim.span
            assert claim.span in text.text
            assert set(objects) <= ids
            assert claim.kind != "object" or claim.value in kinds()
            if claim.kind == "name":
                assert claim.value.casefold() in claim.span.casefold()


@pytest.mark.parametrize("lang", LANGS)
def test_masked_texts_hold_no_proper_name(lang: Lang) -> None:
    for tile, text in some(lang, named=False, tiles=24):
        names = {n.casefold() for f in tile.facts or () for n in f.names.values()}
        assert not any(name in text.text.casefold() for name in names)
        assert all(c.kind != "name" for c in text.claims)


def test_chinese_has_no_english_but_names_and_english_no_chinese_but_names() -> None:
    latin, han = re.compile(r"[A-Za-zäöüß]{2,}"), re.compile(r"[\u4e00-\u9fff]")
    for _, text in some("zh", named=False, tiles=24):
        assert not latin.search(text.text.replace("ATM", "")), text.text
    for _, text in some("en", named=False, tiles=24):
        assert not han.search(text.text), text.text
    assert any(latin.search(text.text) and han.search(text.text) for _, text in some("mixed", named=False, tiles=5))


def test_same_seed_same_text_and_other_seed_other_text() -> None:
    tile = town_tile(3)
    point = standpoints(tile, size_m=SIZE, rng=Random(0), n=1)[0]
    first = describe(tile, point, size_m=SIZE, seed=1)
    assert first == describe(tile, point, size_m=SIZE, seed=1)
    assert len({describe(tile, point, size_m=SIZE, seed=s).text for s in range(20)}) == 20
    assert Description.from_json(first.to_json()) == first


def test_a_stated_heading_turns_left_and_right_into_compass_bearings() -> None:
    seen = 0
    for _, text in some("en"):
        for claim in text.claims:
            if claim.relation.type not in ("left", "right", "front", "behind"):
                continue
            offset = {"front": 0, "right": 90, "behind": 180, "left": 270}[claim.relation.type]
            if text.heading_deg is None:
                assert claim.relation.bearing_deg is None
            else:
                assert claim.relation.bearing_deg == (text.heading_deg + offset) % 360
                seen += 1
    assert seen > 100


def test_what_is_hidden_is_not_spoken_of() -> None:
    tile = town_tile(1)
    facts = tile.facts or ()
    point = standpoints(tile, size_m=SIZE, rng=Random(0), n=1)[0]
    for seed in range(20):
        text = describe(
            tile,
            point,
            size_m=SIZE,
            seed=seed,
            length="long",
            wrong_share=0.0,
            visible=[f.kind != "tree" for f in facts],
        )
        assert all(c.value != "tree" for c in text.claims)


def test_lengths_have_their_humps() -> None:
    by_length: dict[int, list[int]] = {}
    for i, (_, text) in enumerate(some("en")):
        by_length.setdefault(i % 3, []).append(len(re.findall(r"\w+|[^\w\s]", text.text)))
    short, medium, long = (sum(v) / len(v) for _, v in sorted(by_length.items()))
    assert short < 50 < 80 < medium < 115 < 120 < long < 175
    assert max(max(v) for v in by_length.values()) <= 340


def test_standing_points_lie_on_streets_inside_the_cell() -> None:
    tile = town_tile(2)
    index = fact_index(tile, SIZE)
    points = standpoints(tile, size_m=SIZE, rng=Random(5), n=50)
    assert len(points) == 50
    roads = index.of_kinds(frozenset({"street", "main_road", "alley", "footway"}))
    for p in points:
        assert max(abs(p.x), abs(p.y)) <= 30.0
        assert min(index.geometry[r].distance(shapely.Point(p.x, p.y)) for r in roads) < 6.0
        assert abs(p.lat - tile.lat) < 0.0004


def test_a_place_with_nothing_mapped_gives_no_standing_point_and_a_bare_text() -> None:
    bare = dataclasses.replace(town_tile(0), id="bare", facts=())
    assert standpoints(bare, size_m=SIZE, rng=Random(0), n=3) == []
    assert describe(bare, Standpoint(0.0, 0.0, 0.0, 0.0), size_m=SIZE, seed=0).claims == ()


def test_misread_names_can_still_be_recognised() -> None:
    rng = Random(0)
    read = [naming.as_read("Brauhaus zum Alten Markt", rng, exact=0.0) for _ in range(50)]
    assert len(set(read)) > 15
    claims = [Claim(id="c1", span="", kind="name", value=name) for name in read]
    fact = Fact(
        osm_id="node/1", kind="bar", shape="point", parts=(((0.5, 0.5),),), names={"": "Brauhaus zum Alten Markt"}
    )

    assert all(check(c, FactIndex([fact], size_m=SIZE)).stance == "supports" for c in claims)


@pytest.mark.parametrize(
    ("word", "expected"), [("pharmacy", "pharmacies"), ("church", "churches"), ("bus stop", "bus stops")]
)
def test_plurals(word: str, expected: str) -> None:
    assert plural(word) == expected


def test_articles_and_numerals() -> None:
    assert [article(w) for w in ("ATM", "university", "bench", "steps", "sea", "office")] == [
        "an ATM", "a university", "a bench", "some steps", "the sea", "an office",
    ]  # fmt: skip
    assert [number(n, True) for n in (2, 10, 12, 20, 45)] == ["二", "十", "十二", "二十", "四十五"]


def test_templates_expand_and_broken_ones_are_refused() -> None:
    assert expand(parse("[a|a] <x>[!|!]"), Random(0), {"x": "b"}) == "a b!"
    for broken in ("[a|b", "a]b", "<x"):
        with pytest.raises(ValueError, match="phrase"):
            parse(broken)


def test_both_banks_have_the_same_lists() -> None:
    needed = {
        f"pos.{key}" for key in ("left", "right", "front", "behind", "compass", "clock", "near", "here", "across")
    }
    for lang in ("en", "zh"):
        assert all(key in bank(lang) for key in needed)
