"""Any text at all: nothing raises, every claim is well formed, and the end of a long one is read too."""

from __future__ import annotations

import random

from claims_kit import place
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.claims import extract_claims
from prompts.claims_.text import normalise
from retriever.kinds import kinds
from retriever.types import Claim

FORMS = {"straight", "curved", "dead_end", "one_way", "wide", "narrow", "runs"}

_WORDS = st.sampled_from(
    [
        "left",
        "of",
        "the",
        "to",
        "north",
        "church",
        "教堂",
        "的",
        "在",
        "左边",
        "我",
        "是",
        ",",
        ".",
        "。",
        "，",
        '"',
        "“",
        "”",
        "(",
        ")",
        "called",
        "Fleet",
        "Street",
        "路",
        "没有",
        "no",
        "I'm",
        "50",
        "m",
        "两百米",
        "between",
        "and",
        "along",
        "across",
        "facing",
        "storey",
        "red",
        "五层",
        "with",
        "behind",
        "叫",
        "'",
        "«",
        "\n",
        "\t",
        "北",
        "岸",
        "#",
        "C3",
        "behind",
        "it",
    ]
)


PIECES = (
    "both to the south", "315°:", "3 o'clock:", "?", "No.", "I'm outside of", "on that side", "300 metres back", "the",
    "bank", "Hill St.", "Red Lion", "，", "：", "左", "面向", "在左", "走到", "这里叫", "里头", "脚下是",
    "没有",
    "南偏西30度", "外墙米黄", "都在", "银行", "I don't think", "their", ";", ".", "\n", "°", "8", "where I am",
    "cnr", "一个叫", "见",
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.text(max_size=300), st.lists(_WORDS, max_size=60).map(" ".join), st.lists(_WORDS, max_size=60).map("".join)
    )
)
def test_no_text_raises_and_every_claim_is_well_formed(text: str) -> None:
    well_formed(text)


def test_no_mixture_of_what_the_rules_look_for_raises() -> None:
    draw = random.Random(5)
    for _ in range(400):
        well_formed(draw.choice(("", " ")).join(draw.choice(PIECES) for _ in range(draw.randint(1, 25))))


def well_formed(text: str) -> None:
    """What holds for the claims of any text."""
    claims = extract_claims(text)
    assert [c.id for c in claims] == [f"c{i + 1}" for i in range(len(claims))]
    for claim in claims:
        assert claim.span
        assert claim.span in text
        assert Claim.from_json(claim.to_json()) == claim
        assert claim.relation.bearing_deg is None or 0 <= claim.relation.bearing_deg < 360
        if claim.kind == "object" or (claim.kind == "road" and claim.value not in FORMS):
            assert claim.value in kinds()
        if claim.kind == "name":
            assert claim.value in text


@given(st.text(max_size=200))
def test_folding_keeps_every_position(text: str) -> None:
    assert len(normalise(text)) == len(text)


def test_ten_thousand_words_are_read_to_the_end() -> None:
    text = "I walked on and saw nothing new at all. " * 1120 + "On my left is a synagogue."
    assert place(text, "synagogue") == ("left", None)


def test_an_unpunctuated_text_is_read_to_the_end() -> None:
    text = "and so on and on " * 2500 + "there is a synagogue behind me"
    assert place(text, "synagogue") == ("behind", None)
