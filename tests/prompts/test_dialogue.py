"""What an analyst's turn is taken for, in English, Chinese and both."""

from __future__ import annotations

import pytest
from dialogue_kit import TOLD, read
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.claims import extract_claims
from prompts.dialogue import TurnIntent, ranks, read_turn
from retriever.types import Claim


@pytest.fixture
def claims() -> list[Claim]:
    return extract_claims(TOLD)


INTENTS = [
    ("why this one?", "why_this"),
    ("why?", "why_this"),
    ("What makes you think it's the third?", "why_this"),
    ("为什么是这个", "why_this"),
    ("怎么判断的？", "why_this"),
    ("why not the second one?", "why_not"),
    ("why isn't it number 3", "why_not"),
    ("what's wrong with number 3?", "why_not"),
    ("为什么不是第二个", "why_not"),
    ("第二个为什么不对", "why_not"),
    ("why not 第三个?", "why_not"),
    ("compare 1 and 3", "compare"),
    ("what's the difference between the first and the second?", "compare"),
    ("第一个和第三个有什么区别？", "compare"),
    ("前两个比较一下", "compare"),
    ("what are you still unsure about?", "uncertain"),
    ("how confident are you", "uncertain"),
    ("还有什么不确定的？", "uncertain"),
    ("你有多大把握", "uncertain"),
    ("show me other candidates like this elsewhere", "more_elsewhere"),
    ("anything else?", "more_elsewhere"),
    ("还有别的地方吗", "more_elsewhere"),
    ("都不对，继续找", "more_elsewhere"),
    ("用中文再说一遍", "switch_language"),
    ("say it in English", "switch_language"),
    ("in both languages please", "switch_language"),
    ("Chinese please", "switch_language"),
    ("用English再说", "switch_language"),
    ("shorter please", "shorter"),
    ("简短一点", "shorter"),
    ("more detail please", "longer"),
    ("详细一点", "longer"),
    ("help", "help"),
    ("你能做什么", "help"),
    ("within 300 m of the cathedral", "limit_area"),
    ("only north of the tracks", "limit_area"),
    ("not on the river", "limit_area"),
    ("只在河以北找", "limit_area"),
    ("火车站300米以内", "limit_area"),
    ("There is also a tram line.", "add_clue"),
    ("旁边还有一个公园", "add_clue"),
    ("there's a sign in English next to a bench", "add_clue"),
    ("I don't know why but there were trees everywhere", "add_clue"),
    ("The building is longer than the church", "add_clue"),
    ("我 also see a playground", "add_clue"),
    ("I was north of the tracks", "add_clue"),
    ("start over: I'm next to a mosque", "new_description"),
    ("new search", "new_description"),
    ("重新开始", "new_description"),
    ("forget the bank", "retract_clue"),
    ("去掉银行那条", "retract_clue"),
    ("no, the pharmacy was on the right", "correct_clue"),
    ("不对，药店在右边", "correct_clue"),
    ("there was no church after all", "correct_clue"),
    ("the pharmacy isn't on the left, it's on the right", "correct_clue"),
    ("药店不在左边，在右边", "correct_clue"),
    ("asdf qwer", "unknown"),
    ("Yes", "unknown"),
    ("", "unknown"),
    ("好的", "unknown"),
]


@pytest.mark.parametrize(("text", "intent"), INTENTS)
def test_the_intent_of_a_turn(text: str, intent: str, claims: list[Claim]) -> None:
    assert read(text, claims).intent == intent


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("why not the second one?", (2,)),
        ("why this one?", (1,)),
        ("why not?", (2,)),
        ("为什么不是第四个", (4,)),
        ("compare 1 and 3", (1, 3)),
        ("compare the second with the fourth", (2, 4)),
        ("what's the difference between this and the third", (1, 3)),
        ("compare them", (1, 2)),
        ("第二个和第五个有什么不同", (2, 5)),
        ("why the last one?", (5,)),
    ],
)
def test_the_candidates_meant(text: str, found: tuple[int, ...], claims: list[Claim]) -> None:
    assert read(text, claims).ranks == found


def test_a_candidate_that_is_not_shown_is_named_as_such(claims: list[Claim]) -> None:
    turn = read("why not the ninth?", claims, shown=5)
    assert (turn.intent, turn.ranks, turn.beyond) == ("why_not", (), 9)


def test_a_floor_or_a_distance_is_no_rank() -> None:
    assert ranks("the second floor, 30 m", 5) == ()


@pytest.mark.parametrize(
    ("text", "language"),
    [("用中文再说一遍", "zh"), ("In English please", "en"), ("双语", "both"), ("repeat that in Chinese", "zh")],
)
def test_the_language_wished_for(text: str, language: str, claims: list[Claim]) -> None:
    assert read(text, claims).language == language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("within 300 m of the cathedral", {"radius_m": 300.0, "anchor": "church", "words": "cathedral"}),
        ("only north of the tracks", {"anchor": "railway", "bearing_deg": 0.0, "words": "tracks"}),
        ("not on the river", {"anchor": "river", "exclude": True, "words": "river"}),
        (
            "limit it to 500 metres around Alexanderplatz",
            {"radius_m": 500.0, "anchor": "Alexanderplatz", "anchor_is_name": True, "words": "Alexanderplatz"},
        ),
        ("只在河以北找", {"anchor": "river", "bearing_deg": 0.0, "words": "河"}),
        ("search within 200m of the second one", {"radius_m": 200.0, "rank": 2}),
        ("火车站300米以内", {"radius_m": 300.0, "anchor": "rail_station", "words": "火车站"}),
        (
            "between the park and the station",
            {"anchor": "park", "second": "rail_station", "words": "park", "second_words": "station"},
        ),
        (
            "在公园和车站之间",
            {"anchor": "park", "second": "rail_station", "words": "公园", "second_words": "车站"},
        ),
        ("不在河边", {"anchor": "river", "exclude": True, "words": "河边"}),
        ("铁路以北", {"anchor": "railway", "bearing_deg": 0.0, "words": "铁路"}),
        ("within 100 m of a park", {"radius_m": 100.0, "anchor": "park", "words": "park", "any_of": True}),
        (
            "it must be west of Market Street",
            {"anchor": "Market Street", "anchor_is_name": True, "bearing_deg": 270.0, "words": "Market Street"},
        ),
    ],
)
def test_the_area_in_words(text: str, expected: dict[str, object], claims: list[Claim]) -> None:
    area = read(text, claims).area
    assert area is not None
    given_ = {k: v for k, v in area.to_json().items() if v is not None and v is not False and v != ""}
    assert given_ == {"text": text, **expected}


TRAM = extract_claims("There is a tram line.")[0]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("yes", "yes"), ("Yes, there is", "yes"), ("有", "yes"), ("是的，有电车", "yes"),
        ("there is a tram line", "yes"),
        ("no", "no"), ("not that I saw", "no"), ("没有", "no"), ("there is no tram line", "no"),
        ("I don't know", "unknown"), ("不知道", "unknown"), ("no idea", "unknown"), ("没注意", "unknown"),
        ("what are you still unsure about?", None), ("还有什么不确定的？", None), ("no, there was a cafe", None),
        ("no, the pharmacy was on the right", None), ("why do you ask?", None), ("not on the river", None),
    ],
)  # fmt: skip
def test_what_answers_the_question_that_was_put(text: str, answer: str | None, claims: list[Claim]) -> None:
    turn = read_turn(text, shown=5, claims=claims, question=TRAM)
    assert (turn.answer, turn.intent == "answer") == (answer, answer is not None)


def test_without_a_question_yes_and_no_answer_nothing(claims: list[Claim]) -> None:
    assert {read(text, claims).intent for text in ("yes", "no", "有", "不知道")} == {"unknown"}


@pytest.mark.parametrize(
    ("text", "choice"),
    [("the second one", 2), ("第二个", 2), ("2", 2), ("any of them", 0), ("任意一个", 0), ("a cafe", None)],
)
def test_a_choice_among_what_was_offered(text: str, choice: int | None, claims: list[Claim]) -> None:
    assert read_turn(text, shown=5, claims=claims, options=3).choice == choice


@pytest.mark.parametrize(
    ("text", "turn"),
    [("go back", -1), ("undo that", -1), ("go back to turn 2", 2), ("回到第二轮", 2), ("go back two steps", -2),
     ("back to the beginning", 0), ("回到最初", 0)],
)  # fmt: skip
def test_going_back(text: str, turn: int, claims: list[Claim]) -> None:
    read_back = read(text, claims)
    assert (read_back.intent, read_back.to_turn) == ("go_back", turn)


@pytest.mark.parametrize(
    ("text", "title"), [("call this thread Harbour East", "Harbour East"), ("把这个对话命名为 港口案", "港口案")]
)
def test_a_thread_is_named_in_words(text: str, title: str, claims: list[Claim]) -> None:
    assert read(text, claims).title == title


def test_new_clues_get_new_ids_and_the_next_turn(claims: list[Claim]) -> None:
    turn = read("There is also a tram line along the street.", claims)
    assert [(c.id, c.value, c.turn) for c in turn.claims] == [("c6", "tram", 1)]


def test_the_first_words_are_a_description() -> None:
    turn = read_turn(TOLD, shown=0, claims=())
    assert turn.intent == "new_description"
    assert turn.claims == tuple(extract_claims(TOLD))


def test_a_long_description_with_a_question_in_it_stays_a_description() -> None:
    text = "I wondered why not a soul was there, but " + "there is a bank on my left and a church behind me, " * 5
    assert read_turn(text, shown=5, claims=extract_claims(TOLD)).intent == "add_clue"


@settings(max_examples=50, deadline=None)
@given(st.one_of(st.text(max_size=120), st.lists(st.sampled_from([t for t, _ in INTENTS]), max_size=3).map(" ".join)))
def test_any_turn_is_read_and_survives_json(text: str) -> None:
    turn = read_turn(text, shown=3, claims=extract_claims(TOLD))
    assert TurnIntent.from_json(turn.to_json()) == turn
    assert all(1 <= r <= 3 for r in turn.ranks)
