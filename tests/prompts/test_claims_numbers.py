"""Numbers and distances as people say them, in English and Chinese."""

from __future__ import annotations

import pytest

from prompts.claims_.numbers import chinese, english, metres_en, metres_zh


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("a couple of", 2),
        ("half a", 0.5),
        ("two hundred and fifty", 250),
        ("twenty-five", 25),
        ("1,200", 1200),
        ("3.5", 3.5),
        ("a hundred", 100),
    ],
)
def test_english_numbers(words: str, number: float) -> None:
    assert english(words) == number


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("一百二", 120),
        ("两千", 2000),
        ("十二", 12),
        ("二十", 20),
        ("三百零五", 305),
        ("半", 0.5),
        ("12", 12),
        ("一百二十", 120),
    ],
)
def test_chinese_numbers(words: str, number: float) -> None:
    assert chinese(words) == number


def test_distance_units() -> None:
    assert metres_en("3", "blocks") == 300
    assert metres_zh("两", "公里") == 2000
