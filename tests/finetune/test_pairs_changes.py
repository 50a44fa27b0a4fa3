"""How a text or a tile is changed in one thing, so that a pair no longer matches: sides, things, streets, shapes."""

from __future__ import annotations

from random import Random

import pytest

from finetune.data.pairs.texts import counterfactual_text
from finetune.data.pairs.tiles import counterfactual_tile
from retriever.oracle import FactIndex, check
from retriever.pairs import Change, apply_change
from retriever.types import Claim, Fact, Relation

SIZE = 120.0


def point(osm_id: str, kind: str, x: float, y: float) -> Fact:
    return Fact(osm_id=osm_id, kind=kind, shape="point", parts=(((x, y),),))


def line(osm_id: str, kind: str, *points: tuple[float, float]) -> Fact:
    return Fact(osm_id=osm_id, kind=kind, shape="line", parts=(points,))


def claim(kind: str, bearing: float | None, span: str) -> Claim:
    relation = Relation(type="near" if bearing is None else "bearing", bearing_deg=bearing)
    return Claim(id="c1", span=span, kind="object", value=kind, relation=relation)


def test_a_direction_is_turned_in_both_languages() -> None:
    facts = [point("node/1", "fountain", 0.5, 0.05), line("way/2", "street", (0.0, 0.5), (1.0, 0.5))]
    index = FactIndex(facts, size_m=SIZE)
    for lang, span, after in (
        ("en", "A fountain lies to the North-East of me", "A fountain lies to the South-West of me"),
        ("zh", "东北边有一座喷泉", "西南边有一座喷泉"),
    ):
        text = f"... {span}. ..."
        said = claim("fountain", 22.0, span)
        assert check(said, index).stance == "supports"
        texts = {
            found[2].after
            for seed in range(20)
            if (found := counterfactual_text(text, lang, [said], index, Random(seed), heading=False))
        }
        assert after in texts


def test_another_thing_takes_its_own_article_and_measure_word() -> None:
    green = Fact(osm_id="way/1", kind="park", shape="area", parts=(((0.4, 0.3), (0.6, 0.3), (0.6, 0.4), (0.4, 0.3)),))
    facts = [green, line("way/2", "street", (0.0, 0.5), (1.0, 0.5))]
    index = FactIndex(facts, size_m=SIZE)
    spans = {"en": "there is a park nearby", "zh": "附近有一座公园"}
    for lang, span in spans.items():
        for seed in range(12):
            found = counterfactual_text(
                f"{span}。", lang, [claim("park", None, span)], index, Random(seed), heading=False
            )
            assert found is not None
            assert "park" not in found[0]
            assert "一座" not in found[0]
            assert check(found[1][0], index).stance == "contradicts"


@pytest.mark.parametrize(
    ("lang", "span", "after"),
    [
        ("en", "the road runs East-West", "the road runs North-South"),
        ("zh", "街道南北走向", "街道东西走向"),
        ("en", "it goes from south to north", "it goes from west to east"),
    ],
)
def test_a_street_is_turned_and_said_in_the_usual_order(lang: str, span: str, after: str) -> None:
    axis = 90.0 if "East" in span else 0.0
    ends = ((0.0, 0.5), (1.0, 0.5)) if axis else ((0.5, 0.0), (0.5, 1.0))
    index = FactIndex([line("way/2", "street", *ends)], size_m=SIZE)
    said = Claim(
        id="c1", span=span, kind="road", value="runs", relation=Relation(type="along", bearing_deg=axis)
    )  # fmt: skip
    found = counterfactual_text(f"{span}.", lang, [said], index, Random(1), heading=False)
    assert found is not None
    assert found[2].after == after
    assert found[1][0].relation.bearing_deg == 90.0 - axis


def test_left_and_right_are_left_alone_without_a_heading() -> None:
    facts = [point("node/1", "fountain", 0.95, 0.5)]
    index = FactIndex(facts, size_m=SIZE)
    said = Claim(
        id="c1", span="a fountain on my right", kind="object", value="fountain",
        relation=Relation(type="right", bearing_deg=90.0),
    )  # fmt: skip
    for heading, wanted in ((False, 0), (True, 1)):
        found = [
            f
            for seed in range(10)
            if (f := counterfactual_text("a fountain on my right.", "en", [said], index, Random(seed), heading=heading))
        ]
        assert any(f[2].what == "direction" for f in found) == bool(wanted)


def test_what_nobody_said_is_not_changed_on_the_tile() -> None:
    facts = [point("node/1", "fountain", 0.5, 0.1), point("node/2", "cafe", 0.9, 0.9)]
    found = counterfactual_tile(facts, [claim("fountain", 0.0, "x")], size_m=SIZE, rng=Random(1))
    assert found is not None
    assert found[1].osm_id == "node/1"
    assert found[1].what == "moved"
    assert counterfactual_tile(facts, [claim("bank", 0.0, "x")], size_m=SIZE, rng=Random(1)) is None


@pytest.mark.parametrize(("kind", "shape"), [("railway", "line"), ("park", "area"), ("cafe", "point")])
def test_what_is_added_has_the_shape_of_its_kind(kind: str, shape: str) -> None:
    change = Change(what="added", claim_id="c1", before="", after=kind, osm_id="added/1", xy=(0.5, 0.5))
    assert apply_change((), change)[0].shape == shape
