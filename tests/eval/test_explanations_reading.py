"""Explanations are read back to what they assert, in both languages and in free text."""

from __future__ import annotations

import pytest

from eval.explanations.phrases import exact_phrase, read_phrase, split_list
from eval.explanations.reading import read_explanation
from prompts.wording import claim_en, claim_zh, explain
from retriever.geo import POINTS_EN
from retriever.kinds import kinds
from retriever.types import Claim, Relation


def claim(kind: str, value: str, bearing: float | None = None, *, polarity: bool = True) -> Claim:
    relation = Relation(type="near" if bearing is None else "bearing", bearing_deg=bearing)
    return Claim(id="c1", span="", kind=kind, value=value, relation=relation, polarity=polarity)  # type: ignore[arg-type]


def asserted(text: str) -> list[tuple[str, str, str, bool]]:
    return [(a.stance, a.claim.kind, a.claim.value, a.claim.polarity) for a in read_explanation(text).assertions]


def test_every_kind_is_read_back_from_both_wordings_with_its_direction_and_polarity() -> None:
    for kind in kinds():
        for polarity in (True, False):
            for bearing in (None, *(45.0 * i for i in range(len(POINTS_EN)))):
                said = claim("object", kind, bearing, polarity=polarity)
                for words in (claim_en(said), claim_zh(said)):
                    found = exact_phrase(words)
                    assert found is not None, words
                    assert (found.value, found.polarity, found.relation.bearing_deg) == (kind, polarity, bearing), words


@pytest.mark.parametrize(
    "said",
    [
        claim("name", "Pret, a Manger and Co. Ltd"),
        claim("name", "龙记"),
        claim("road", "runs", 135.0),
        claim("road", "dead_end"),
        claim("junction", "roundabout", 270.0),
        claim("building", "storeys:12"),
        claim("building", "colour:beige", 90.0),
    ],
)
def test_names_roads_junctions_and_buildings_are_read_back(said: Claim) -> None:
    for words in (claim_en(said), claim_zh(said)):
        (found,) = read_phrase(words)
        wanted = (said.kind, said.value, said.relation.bearing_deg)
        assert (found.kind, found.value, found.relation.bearing_deg) == wanted


def test_a_joint_inside_a_name_splits_no_list() -> None:
    assert split_list('the name "Fish, Chips and Co", the cafe and the park') == [
        'the name "Fish, Chips and Co"',
        "the cafe",
        "the park",
    ]
    assert split_list("名称“和平、路”和公园") == ["名称“和平、路”", "公园"]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(("match", "verdict"), [(True, "match"), (False, "no_match"), (None, "cannot_tell")])
def test_the_published_form_is_read_back_whole(lang: str, match: bool | None, verdict: str) -> None:
    claims = [
        claim("object", "cafe", 0.0),
        claim("name", "St. Mary. No 5"),
        claim("object", "park", 180.0),
        claim("object", "tram", polarity=False),
        claim("junction", "crossroads"),
    ]
    claims = [Claim.from_json({**c.to_json(), "id": f"c{i}"}) for i, c in enumerate(claims)]
    stances = {"c0": "supports", "c1": "supports", "c2": "contradicts", "c3": "contradicts", "c4": "unknown"}
    en, zh = explain(claims, stances, match=match)  # type: ignore[arg-type]
    read = read_explanation(en if lang == "en" else zh)
    assert [(a.claim.value, a.stance) for a in read.assertions] == [(c.value, stances[c.id]) for c in claims]
    assert [a.claim.polarity for a in read.assertions] == [c.polarity for c in claims]
    assert read.concludes == verdict


def test_free_english_is_read_by_its_cues() -> None:
    assert asserted("The tile shows a cafe to the north but no park.") == [
        ("supports", "object", "cafe", True),
        ("supports", "object", "park", False),
    ]
    assert asserted("The description mentions a park, but the tile shows none.") == [
        ("contradicts", "object", "park", True)
    ]
    assert asserted("The description mentions a park and a school.") == []
    assert asserted("It cannot be told whether there is a church.") == [("unknown", "object", "church", True)]


def test_free_chinese_is_read_by_its_cues() -> None:
    assert asserted("图中北边有一家咖啡馆，但没有公园。") == [
        ("supports", "object", "cafe", True),
        ("supports", "object", "park", False),
    ]
    assert asserted("描述中提到公园，但图块上没有。") == [("contradicts", "object", "park", True)]
    assert asserted("两者不一致：学校。") == [("contradicts", "object", "school", True)]


def test_a_denial_in_a_list_stays_with_its_item() -> None:
    found = asserted("第二幅图上有没有池塘、南侧的花店和南侧的学校。")
    assert [(value, polarity) for _, _, value, polarity in found] == [
        ("water", False),
        ("florist", True),
        ("school", True),
    ]


@pytest.mark.parametrize("text", ["", "   ", "!!!", "<script>alert(1)</script>", "“" * 3000, "a, " * 5000, "不" * 9000])
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert isinstance(read_explanation(text).assertions, tuple)
