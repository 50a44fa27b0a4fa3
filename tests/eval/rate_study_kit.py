"""A made-up study of two systems and its raters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.rate.items import SCALES, RateItem, claims_in
from eval.rate.plan import Rater, make_plan
from eval.rate.study import Study

RATERS = (Rater(name="anna"), Rater(name="ben", langs=("en",)), Rater(name="cho"))
TEXT = "Description and tile agree on the pharmacy and the park. So they probably show the same place."


def item(case: int, system: str, lang: str = "en", **more: Any) -> RateItem:
    return RateItem(
        id=f"i-{system}-{case}-{lang}", system=system, query_id=f"q{case}", tile_id=f"t-r{case}c0",
        lang="zh" if lang == "zh" else "en", description="by the pharmacy", verdict="match", explanation=TEXT,
        claims=claims_in(TEXT), location=f"place{case}", picture="p", boxed="p", **more,
    )  # fmt: skip


ITEMS = [item(c, s, lang) for c in range(20) for s in ("good", "bad") for lang in ("en", "zh")]


def study_of(path: Path, items: list[RateItem], raters: tuple[Rater, ...] = RATERS, overlap: float = 1.0) -> Study:
    plan = make_plan(items, raters, {}, {}, overlap=overlap, checks=0, seed=1)
    return Study.make(path / "study.sqlite", items, {"p": b"png"}, raters, plan, {"seed": 1})


def rate_all(study: Study, rater: str, item_id: str, mark: str, grade: int) -> None:
    fields: list[tuple[str, Any]] = [(f"claim:{c.id}", mark) for c in study.items[item_id].claims]
    study.mark_all(rater, item_id, fields + [(f"scale:{s}", grade) for s in SCALES])
