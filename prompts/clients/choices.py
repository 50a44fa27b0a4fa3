"""From the log-probabilities of tokens to those of the choices, normalised over the choices alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from retriever.errors import ReplyError

FLOOR = -50.0
"""For a choice that the server gave no finite value: e to this is nothing, and stays a number."""


class SplitChoice(ReplyError):
    """A choice is more than one token of the model, so no one token can stand for it."""

    @classmethod
    def of(cls, word: str, tokens: int, model: str) -> SplitChoice:
        return cls(f"the choice {word!r} is {tokens} tokens of {model}, and must be one")


def normalise(logits: Mapping[str, float]) -> dict[str, float]:
    """Log-softmax over the values, whatever constant they share.

    >>> {k: round(v, 3) for k, v in normalise({"yes": 1.0, "no": 1.0}).items()}
    {'yes': -0.693, 'no': -0.693}
    """
    top = max(logits.values())
    if not math.isfinite(top):
        raise ReplyError("the model gave no finite probability for any of the choices")
    finite = {word: max(value - top, FLOOR) if not math.isnan(value) else FLOOR for word, value in logits.items()}
    total = math.log(sum(math.exp(value) for value in finite.values()))
    return {word: value - total for word, value in finite.items()}


def from_allowed(pairs: Iterable[tuple[str, float]], ids: Mapping[str, int]) -> dict[str, float]:
    """From a server that was held to the choices' token ids: every token is named ``token_id:N``."""
    found = dict(pairs)
    values = {word: found.get(f"token_id:{number}") for word, number in ids.items()}
    missing = [word for word, value in values.items() if value is None]
    if missing:
        raise ReplyError(
            f"the server left out the choice {missing[0]!r}; start vLLM with --logprobs-mode processed_logprobs"
        )
    return normalise({word: value for word, value in values.items() if value is not None})


def from_top(pairs: Sequence[tuple[str, float]], choices: Sequence[str]) -> dict[str, float]:
    """From a server's most likely first tokens.

    Spellings of one word (``Yes``, `` yes``) add up. A choice that is not among them gets the smallest value shown,
    which is the most that it can have.
    """
    mass = dict.fromkeys(choices, 0.0)
    by_word = {word.casefold(): word for word in choices}
    for token, value in pairs:
        word = by_word.get(token.strip().casefold())
        if word is not None:
            mass[word] += math.exp(value)
    if not any(mass.values()):
        raise ReplyError(f"the model wanted to say none of {', '.join(choices)}")
    least = math.exp(min(value for _, value in pairs))
    return normalise({word: math.log(max(m or least, 1e-30)) for word, m in mass.items()})
