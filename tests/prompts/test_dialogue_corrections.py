"""Turns that change what was said before: corrected sides and things, denials, and what is taken back."""

from __future__ import annotations

import pytest
from dialogue_kit import TOLD, ids, read

from prompts.claims import extract_claims
from retriever.types import Claim


@pytest.fixture
def claims() -> list[Claim]:
    return extract_claims(TOLD)


@pytest.mark.parametrize("text", ["no, the pharmacy was on the right", "不对，药店在右边", "No, on the right."])
def test_a_corrected_side_turns_the_bearing_and_takes_the_name_along(text: str, claims: list[Claim]) -> None:
    turn = read(text, claims)
    assert turn.claim_ids == ids(claims, "pharmacy", "Boots")
    assert [(c.value, c.relation.type, c.relation.bearing_deg) for c in turn.claims] == [
        ("pharmacy", "right", 90.0),
        ("Boots", "right", 90.0),
    ]
    assert [c.id for c in turn.claims] == ["c6", "c7"]


@pytest.mark.parametrize("text", ["Actually it was a clinic, not a pharmacy.", "不是药店，是诊所"])
def test_another_thing_takes_the_place_of_the_denied_one(text: str, claims: list[Claim]) -> None:
    turn = read(text, claims)
    assert turn.claim_ids == ids(claims, "pharmacy")
    assert [(c.value, c.relation.type, c.polarity) for c in turn.claims] == [("clinic", "left", True)]


def test_a_denial_replaces_the_claim(claims: list[Claim]) -> None:
    turn = read("there was no church after all", claims)
    assert turn.claim_ids == ids(claims, "church")
    assert [(c.value, c.polarity) for c in turn.claims] == [("church", False)]


def test_a_corrected_heading_turns_every_side(claims: list[Claim]) -> None:
    turn = read("I was facing south, not north", claims)
    assert turn.claim_ids == ids(claims, "pharmacy", "Boots", "church")
    assert [c.relation.bearing_deg for c in turn.claims] == [90.0, 90.0, 0.0]


def test_a_misread_name_is_replaced(claims: list[Claim]) -> None:
    turn = read("Sorry, the sign said Bootz", claims)
    assert (turn.claim_ids, [c.value for c in turn.claims]) == (ids(claims, "Boots"), ["Bootz"])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("forget the bank", {"bank"}),
        ("忘掉教堂", {"church"}),
        ("ignore c3", {"church"}),
        ("scrap everything", {"pharmacy", "Boots", "church", "bank", "one_way"}),
    ],
)
def test_what_is_taken_back(text: str, values: set[str], claims: list[Claim]) -> None:
    assert {c.value for c in claims if c.id in read(text, claims).claim_ids} == values


def test_taking_that_back_means_the_latest_clue(claims: list[Claim]) -> None:
    later = extract_claims("There is a mosque.", turn=1, first_id=6)
    assert read("take that back", claims + later).claim_ids == ("c6",)


def test_struck_claims_are_not_corrected_again(claims: list[Claim]) -> None:
    struck = [Claim.from_json({**c.to_json(), "status": "struck"}) for c in claims]
    assert read("no, the pharmacy was on the right", struck).intent == "add_clue"
