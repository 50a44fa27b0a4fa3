"""Overlap scores: identical Chinese scores 1, and CIDEr is that of the paper, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eval.explanations.cider import cider
from eval.explanations.overlap import METRICS, bert_score, meteor_variant, overlap, sentence_similarity, words
from eval.protocol import EvaluationError

ZH = [
    "描述与图块一致：北侧的咖啡馆和学校。因此两者很可能是同一地点。",
    "不一致：南侧的公园没有找到。因此两者不是同一地点。",
]
EN = [
    "Description and tile agree on the cafe to the north.",
    "They differ on the park to the south, so they are not the same.",
]


@pytest.mark.parametrize(("lang", "texts"), [("zh", ZH), ("en", EN)])
def test_identical_texts_score_one_on_every_metric(lang: str, texts: list[str]) -> None:
    for name, scores in overlap(texts, texts, lang).items():
        for score, text in zip(scores, texts, strict=True):
            n = len(words(text, lang))
            # METEOR as published takes off a little for the one chunk that identical texts are.
            wanted = 1 - 0.5 / n**3 if name == "METEOR" else 1.0
            assert score == pytest.approx(wanted, abs=1e-9), name


@pytest.mark.parametrize(("lang", "texts"), [("zh", ZH), ("en", EN)])
def test_other_texts_score_less_on_every_metric(lang: str, texts: list[str]) -> None:
    for name, scores in overlap(texts[::-1], texts, lang).items():
        assert all(score is not None and score < 0.9 for score in scores), name


def test_chinese_words_are_words_and_punctuation_is_none() -> None:
    assert words("北侧的咖啡馆，学校。", "zh")[-2:] == ["咖啡馆", "学校"]


def test_cider_by_hand() -> None:
    references = [["a", "b"], ["a", "c"]]
    # idf: "a" is in both (weight 0); "b", "c", "a b", "a c" are in one of two (log 2).
    assert cider([["a", "b"], ["a", "d"]], references) == [1.0, 0.0]
    # Unigrams of the hypothesis: b and d weigh log(2)/2 each, so the cosine with (b) is 1/sqrt 2; its one bigram
    # "b d" is not the reference's "a b": 0. The mean over n = 1, 2 is half of 1/sqrt 2.
    assert cider([["b", "d"], ["a", "c"]], references)[0] == pytest.approx(0.5 / math.sqrt(2))


def test_cider_is_undefined_with_nothing_to_weigh() -> None:
    assert cider([["a", "b"]], [["a", "b"]]) == [None]
    assert cider([], []) == []


class Letters:
    """An encoder whose tokens are letters."""

    name = "letters"

    def sentences(self, texts):
        rows = np.array([[t.count(c) for c in "abc"] for t in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def tokens(self, text):
        return np.eye(3, dtype=np.float32)[["abc".index(c) for c in text]] if text else np.zeros((0, 3), np.float32)


def test_bert_score_is_the_greedy_f_and_empty_texts_have_none() -> None:
    # Precision: both of "ab" have a partner only for a: 1/2. Recall: "a" is found, "c" is not: 1/2.
    assert bert_score(["ab", ""], ["ac", "a"], Letters()) == [0.5, None]
    assert sentence_similarity(["ab"], ["ac"], Letters()) == [pytest.approx(0.5)]


def test_the_meteor_variant_says_whether_synonyms_are_known() -> None:
    assert meteor_variant() in ("exact, stem and synonym", "exact and stem (no WordNet data here)")


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(EvaluationError, match="do not fit"):
        overlap(["a"], [], "en")
    assert set(METRICS) == {"BLEU", "ROUGE-L", "METEOR", "CIDEr", "chrF"}
