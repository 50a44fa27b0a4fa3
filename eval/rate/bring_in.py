"""Ratings that were made or edited outside the page, into the study: what fits is written, what does not is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.explanations.humans import ItemKey, Rating, read_ratings
from eval.explanations.schema import Problem
from eval.protocol import EvaluationError
from eval.rate.items import RateItem
from eval.rate.study import Study


def bring_in(study: Study, paths: Sequence[Path]) -> tuple[int, list[Problem]]:
    """Marks that were new or different, and the lines and ratings that could not be taken; the rest stands.

    A rating replaces, field by field, what its rater marked before; the log keeps both.
    """
    ratings, problems = read_ratings(paths)
    by_key = {_key(i): i for i in study.items.values() if not i.check}
    lists = {(a.rater, a.item) for a in study.assignments()}
    written = 0
    for rating in ratings:
        item = by_key.get(rating.item)
        what = f"{rating.rater} on {' / '.join(rating.item)}"
        if item is None or (rating.rater, item.id) not in lists:
            why = "is in no list of this study" if item else "is about an explanation that this study does not have"
            problems.append(Problem(where=what, what=f"{why}; the others stand"))
            continue
        try:
            written += _write(study, item, rating)
        except EvaluationError as error:
            problems.append(Problem(where=what, what=f"{error}; the others stand"))
    return written, problems


def _key(item: RateItem) -> ItemKey:
    return item.system, item.query_id, item.tile_id, item.lang


def _write(study: Study, item: RateItem, rating: Rating) -> int:
    """All of one rating or nothing."""
    before = study.marked(rating.rater, item.id)
    by_span = {c.span: c.id for c in item.claims}
    fields: list[tuple[str, object]] = []
    for name, mark in rating.marks.items():
        claim = name if any(c.id == name for c in item.claims) else by_span.get(name)
        if claim is None:
            raise EvaluationError(f"the explanation has no claim {name!r}")
        if before.claims.get(claim) != mark:
            fields.append((f"claim:{claim}", mark))
    fields += [(f"scale:{s}", g) for s, g in rating.scales.items() if before.scales.get(s) != g]
    study.mark_all(rating.rater, item.id, fields)
    return len(fields)
