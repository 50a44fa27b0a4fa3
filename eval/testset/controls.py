"""Rows that every table of the frozen set has: what chance, a constant, names, the map and the text alone get.

``names only`` and ``oracle only`` read the evidence that the set carries: the map's, on the claims that the set lists.
For generated texts these claims are the generator's own, so nothing is lost in reading the text; for hand-written ones
they are what the extractor reads. Both are upper bounds for a system that must read and look for itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from eval.testset.predictions import Prediction
from retriever.pairs import Pair
from retriever.types import Stance, Verdict

_WORTH: dict[Stance, float] = {"supports": 1.0, "contradicts": -1.0, "unknown": 0.0}
FOLDS = 5


def _told(pair: Pair, verdict: Verdict, score: float, stances: dict[str, Stance] | None = None) -> Prediction:
    return Prediction(pair_id=pair.id, verdict=verdict, score=score, stances=stances or {})


def chance(pairs: Sequence[Pair], seed: int) -> list[Prediction]:
    """A coin for every pair."""
    rng = random.Random(f"testset chance {seed}")
    scores = [rng.random() for _ in pairs]
    return [_told(p, "match" if s >= 0.5 else "no_match", s) for p, s in zip(pairs, scores, strict=True)]


def constant(pairs: Sequence[Pair], seed: int) -> list[Prediction]:
    """Always "no match", as an untuned model leans."""
    return [_told(p, "no_match", 0.0) for p in pairs]


def names_only(pairs: Sequence[Pair], seed: int) -> list[Prediction]:
    """Names said and found on the tile less those found out of place; no name found is no match."""
    kinds = {p.id: {c.id: c.kind for c in p.claims} for p in pairs}
    found = []
    for pair in pairs:
        score = sum(_WORTH[e.stance] for e in pair.evidence if kinds[pair.id][e.claim_id] == "name")
        found.append(_told(pair, "match" if score > 0 else "no_match", score))
    return found


def oracle_share(pairs: Sequence[Pair], seed: int) -> list[Prediction]:
    """Claims supported less contradicted, of all; a match above one half, the product's own rule for map evidence."""
    found = []
    for pair in pairs:
        share = sum(_WORTH[e.stance] for e in pair.evidence) / max(1, len(pair.evidence))
        found.append(_told(pair, "match" if share > 0.5 else "no_match", share, _stances(pair)))
    return found


def oracle_strict(pairs: Sequence[Pair], seed: int) -> list[Prediction]:
    """The same share, but one contradicted claim is enough for no match."""
    found = []
    for pair, loose in zip(pairs, oracle_share(pairs, seed), strict=True):
        against = sum(e.stance == "contradicts" for e in pair.evidence)
        score = (loose.score or 0.0) - 2.0 * bool(against)
        found.append(_told(pair, "match" if score > 0.5 else "no_match", score, _stances(pair)))
    return found


def _stances(pair: Pair) -> dict[str, Stance]:
    return {e.claim_id: e.stance for e in pair.evidence}


def text_only(pairs: Sequence[Pair], seed: int) -> list[Prediction]:
    """Can the label be read off the text? Logistic regression on its letters, trained on other places of this set.

    Five folds by location. Pictures have no text and get one half. Anything clearly above one half is a leak.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.model_selection import GroupKFold  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]

    written = [p for p in pairs if p.query.view == "text"]
    scores = {p.id: 0.5 for p in pairs}
    places = [p.place for p in written]
    if len(set(places)) >= FOLDS:
        texts = np.array([p.query.text for p in written], dtype=object)
        labels = np.array([p.label == "match" for p in written])
        for train, test in GroupKFold(FOLDS).split(texts, labels, places):
            model = make_pipeline(
                TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), min_df=3, sublinear_tf=True),
                LogisticRegression(max_iter=500, random_state=seed),
            )
            model.fit(texts[train], labels[train])
            for row, p in zip(test, model.predict_proba(texts[test])[:, 1], strict=True):
                scores[written[row].id] = float(p)
    return [_told(p, "match" if scores[p.id] > 0.5 else "no_match", scores[p.id]) for p in pairs]


CONTROLS: dict[str, tuple[str, Callable[[Sequence[Pair], int], list[Prediction]]]] = {
    "random": ("nothing", chance),
    "constant": ("nothing", constant),
    "text only": ("text", text_only),
    "names only": ("names in facts", names_only),
    "oracle only": ("facts, the set's claims", oracle_share),
    "oracle only, one contradiction refuses": ("facts, the set's claims", oracle_strict),
}
"""Row -> what it saw, and how it answers."""
