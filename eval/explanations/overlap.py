"""Level 5: likeness to a reference text, for comparison with older papers only. A fluent wrong reason scores high here.

Chinese is cut into words (jieba) or characters (sacrebleu's ``zh``): identical Chinese scores 1.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eval.explanations.cider import cider
from eval.protocol import EvaluationError

Floats32 = NDArray[np.float32]
Scores = list[float | None]
_CJK = re.compile(r"[一-鿿]")


class TextEncoder(Protocol):
    """Vectors of whole texts and of their tokens."""

    name: str
    """Whose and which weights, for the report."""
    languages: frozenset[str]
    """What it reads; texts in another language are not scored with it."""

    def sentences(self, texts: Sequence[str]) -> Floats32:
        """float32 [B, D], rows of length 1."""
        ...

    def tokens(self, text: str) -> Floats32:
        """float32 [L, D], rows of length 1; L may be 0."""
        ...


def words(text: str, lang: str) -> list[str]:
    """Tokens for the n-gram scores: jieba's words in Chinese, words and numbers in English; no punctuation.

    >>> words("The café, 2 doors on.", "en")
    ['the', 'café', '2', 'doors', 'on']
    """
    parts = _jieba().cut(text.lower()) if lang == "zh" or _CJK.search(text) else re.findall(r"\w+", text.lower())
    return [p for p in parts if re.search(r"\w", p)]


@cache
def _jieba() -> Any:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    return jieba


class _Words:
    """rouge-score's tokenizer, with Chinese."""

    def __init__(self, lang: str) -> None:
        self.lang = lang

    def tokenize(self, text: str) -> list[str]:
        return words(text, self.lang)


class _NoSynonyms:
    """Stands for WordNet where its data is not installed: a word is its own only synonym."""

    def synsets(self, word: str) -> list[Any]:
        return []


def bleu(hypotheses: Sequence[str], references: Sequence[str], lang: str) -> Scores:
    """Sentence BLEU of sacrebleu (effective order, ``zh`` or ``13a`` tokens), 0..1."""
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize="zh" if lang == "zh" else "13a", effective_order=True)
    return [metric.sentence_score(h, [r]).score / 100 for h, r in zip(hypotheses, references, strict=True)]


def chrf(hypotheses: Sequence[str], references: Sequence[str], lang: str) -> Scores:
    """Sentence chrF2 of sacrebleu, 0..1."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    return [metric.sentence_score(h, [r]).score / 100 for h, r in zip(hypotheses, references, strict=True)]


def rouge_l(hypotheses: Sequence[str], references: Sequence[str], lang: str) -> Scores:
    """ROUGE-L F of rouge-score over :func:`words`."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], tokenizer=_Words(lang))
    return [float(scorer.score(r, h)["rougeL"].fmeasure) for h, r in zip(hypotheses, references, strict=True)]


def meteor(hypotheses: Sequence[str], references: Sequence[str], lang: str) -> Scores:
    """METEOR of nltk over :func:`words`; identical texts of n words score 1 - 0.5 / n^3. See :func:`meteor_variant`."""
    from nltk.translate.meteor_score import single_meteor_score

    wordnet = _wordnet() or _NoSynonyms()
    return [
        float(single_meteor_score(words(r, lang), words(h, lang), wordnet=wordnet))
        for h, r in zip(hypotheses, references, strict=True)
    ]


def meteor_variant() -> str:
    """Which METEOR this machine computes: synonyms need WordNet's data, which is never fetched."""
    return "exact, stem and synonym" if _wordnet() is not None else "exact and stem (no WordNet data here)"


@cache
def _wordnet() -> Any | None:
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        return None
    return wordnet


def cider_words(hypotheses: Sequence[str], references: Sequence[str], lang: str) -> Scores:
    """:func:`eval.explanations.cider.cider` over :func:`words`."""
    return cider([words(h, lang) for h in hypotheses], [words(r, lang) for r in references])


def bert_score(hypotheses: Sequence[str], references: Sequence[str], encoder: TextEncoder) -> Scores:
    """BERTScore F (arXiv 1904.09675, greedy cosine matching, no idf, no rescaling) with the encoder's own tokens."""
    return [_greedy(encoder.tokens(h), encoder.tokens(r)) for h, r in zip(hypotheses, references, strict=True)]


def _greedy(a: Floats32, b: Floats32) -> float | None:
    if not len(a) or not len(b):
        return None
    near = a @ b.T
    p, r = float(near.max(axis=1).mean()), float(near.max(axis=0).mean())
    return 2 * p * r / (p + r) if p + r > 0 else 0.0


def sentence_similarity(hypotheses: Sequence[str], references: Sequence[str], encoder: TextEncoder) -> Scores:
    """Cosine of whole-text vectors: what GLEAM's explanations were scored by (with Sentence-BERT)."""
    if not hypotheses:
        return []
    a, b = encoder.sentences(hypotheses), encoder.sentences(references)
    return [float(v) for v in (a * b).sum(axis=1)]


METRICS: dict[str, Callable[[Sequence[str], Sequence[str], str], Scores]] = {
    "BLEU": bleu,
    "ROUGE-L": rouge_l,
    "METEOR": meteor,
    "CIDEr": cider_words,
    "chrF": chrf,
}


def overlap(
    hypotheses: Sequence[str], references: Sequence[str], lang: str, encoder: TextEncoder | None = None
) -> dict[str, Scores]:
    """Every overlap score of texts of one language [N] with their references [N]. Raises where the lengths differ."""
    if len(hypotheses) != len(references):
        raise EvaluationError(f"{len(hypotheses)} texts do not fit {len(references)} references")
    found = {name: metric(hypotheses, references, lang) for name, metric in METRICS.items()}
    if encoder is not None and lang in encoder.languages:
        found["BERTScore"] = bert_score(hypotheses, references, encoder)
        found["sentence similarity"] = sentence_similarity(hypotheses, references, encoder)
    return found
