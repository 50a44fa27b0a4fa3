"""CIDEr (Vedantam et al., arXiv 1411.5726, equation 1 to 3): cosine of tf-idf n-gram vectors, averaged over n = 1..4.

On the paper's own scale, 0..1 (the released code multiplies by 10). Document frequencies are counted over the
references of the set that is scored, so a phrase that every explanation has weighs nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

MAX_N = 4

Grams = Counter[tuple[str, ...]]


def cider(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> list[float | None]:
    """Per pair of token lists [N], in the given order; one reference each.

    None where no n-gram of the reference weighs anything (fewer than two references, or all alike): there is nothing to
    compare by. A length n that the reference has no weighing n-gram of is left out of its average.
    """
    total = math.log(len(references)) if references else 0.0
    found: list[list[float]] = [[] for _ in references]
    for n in range(1, MAX_N + 1):
        grams = [_grams(tokens, n) for tokens in references]
        frequency = Counter(gram for counted in grams for gram in counted)
        for row, tokens in enumerate(hypotheses):
            wanted = _weigh(grams[row], frequency, total)
            if any(wanted.values()):
                found[row].append(_cosine(_weigh(_grams(tokens, n), frequency, total), wanted))
    return [sum(row) / len(row) if row else None for row in found]


def _grams(tokens: Sequence[str], n: int) -> Grams:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _weigh(grams: Grams, frequency: Counter[tuple[str, ...]], total: float) -> dict[tuple[str, ...], float]:
    """Term frequency times inverse document frequency; an n-gram in no reference counts as in one."""
    length = sum(grams.values())
    return {g: c / length * (total - math.log(max(1, frequency[g]))) for g, c in grams.items()}


def _cosine(a: dict[tuple[str, ...], float], b: dict[tuple[str, ...], float]) -> float:
    lengths = math.hypot(*a.values()) * math.hypot(*b.values()) if a and b else 0.0
    return sum(v * b.get(g, 0.0) for g, v in a.items()) / lengths if lengths else 0.0
