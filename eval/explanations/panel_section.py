"""Level 4 in the report: judges, their controls, their agreement with people, and the mean of those who are fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from eval.bootstrap import Interval, bootstrap_mean
from eval.explanations.agreement import Agreement, agreement, item_key, people_alpha
from eval.explanations.humans import ItemKey, Rating, scale_means
from eval.explanations.judges import CONTROL_SCALE, CONTROLS, Bench, panel_mean
from eval.explanations.schema import LANGS, Key
from eval.explanations.sections import Grid, Section, cell, plain
from prompts.rubric import Rubric

PANEL = 3
"""Fewer judges than this are no panel."""


def panel_section(
    benches: Sequence[Bench],
    ratings: Sequence[Rating],
    quality: Mapping[ItemKey, float],
    rubric: Rubric,
    scales: Sequence[str],
    systems: Sequence[str],
    places: Mapping[Key, str] | None = None,
) -> Section:
    """Everything about the judges. ``quality``: the share borne out by item, the yardstick where no people have rated.

    ``places``: location by query and tile, for the people's own agreement.
    """
    text = [f"Rubric {rubric.id} ({rubric.sha256[:12]}); grades 1 to 5, each asked in two orders and averaged."]
    if len(benches) < PANEL:
        text.append(f"{len(benches)} judge(s) are no panel: at least {PANEL} of different families are needed.")
    for bench in benches:
        if bench.problem:
            text.append(f"{bench.member.name}: {bench.failed} grades missing. {bench.problem}")
    if not ratings:
        text.append("No people's ratings were given, so agreement with people is unknown for every judge.")
    grids = [_controls(benches), _grades(benches, ratings, quality, scales, systems)]
    people = [(s, people_alpha(ratings, s, places)) for s in scales]
    said = [f"{scale} {plain(alpha)}" for scale, alpha in people if alpha is not None]
    if said:
        text.append("Krippendorff's alpha among the people themselves (ordinal): " + "; ".join(said) + ".")
    return Section(title="4. Judges", text=text, grids=[*grids, _means(benches, scales, systems), _cost(benches)])


def _controls(benches: Sequence[Bench]) -> Grid:
    header = ["judge", "language", *(f"sound above {kind}" for kind in CONTROLS), "order effect", "fit"]
    rows = []
    for bench in benches:
        for lang in sorted({g.item.lang for g in bench.grades}):
            shares = [cell(bench.controls.get((lang, kind))) for kind in CONTROLS]
            effect = plain(bench.order_effect(lang))
            verdict = f"UNFIT: {bench.unfit[lang]}" if lang in bench.unfit else "fit"
            rows.append([_named(bench), lang, *shares, effect, verdict])
    return Grid(header=header, rows=rows)


def _named(bench: Bench) -> str:
    return f"{bench.member.name} ({bench.member.note})" if bench.member.note else bench.member.name


def _grades(
    benches: Sequence[Bench],
    ratings: Sequence[Rating],
    quality: Mapping[ItemKey, float],
    scales: Sequence[str],
    systems: Sequence[str],
) -> Grid:
    header = ["judge", "language", "scale", *systems, "alpha with people", "Spearman with people"]
    header.append("Spearman with borne out")
    rows, people = [], scale_means(ratings)
    for bench in benches:
        for lang in LANGS:
            for scale in scales:
                mine = [g for g in bench.grades if g.item.control is None and (g.item.lang, g.scale) == (lang, scale)]
                if not any(g.value is not None for g in mine):
                    continue
                shown = [_grade(bench, s, lang, scale) for s in systems]
                graded = {item_key(g.item.system, *g.item.key, lang): g for g in mine if g.value is not None}
                values = {k: float(g.value or 0.0) for k, g in graded.items()}
                places = {k: g.item.location for k, g in graded.items()}
                with_people = _with(values, {k: v[scale] for k, v in people.items() if scale in v}, places)
                with_claims = _with(values, quality, places) if scale == CONTROL_SCALE else None
                rows.append([bench.member.name, lang, scale, *shown, *_shown(with_people), _rank(with_claims)])
    return Grid(header=header, rows=rows)


def _grade(bench: Bench, system: str, lang: str, scale: str) -> str:
    mine = [
        g
        for g in bench.grades
        if g.item.control is None and (g.item.system, g.item.lang, g.scale) == (system, lang, scale)
    ]
    mean = _mean([(g.value, g.item.location) for g in mine if g.value is not None])
    if mean is None:
        return "-"
    own = ", OWN FAMILY" if any(bench.own_family(g.item) for g in mine) else ""
    unfit = ", unfit" if lang in bench.unfit else ""
    return f"{plain(mean)}{own}{unfit}"


def _mean(values: Sequence[tuple[float, str]]) -> Interval | None:
    """Of values with their locations."""
    return bootstrap_mean(np.array([v for v, _ in values]), [place for _, place in values]) if values else None


def _with(
    values: Mapping[ItemKey, float], others: Mapping[ItemKey, float], places: Mapping[ItemKey, str]
) -> Agreement | None:
    keys = sorted(values.keys() & others.keys())
    if not keys:
        return None
    return agreement(
        np.array([values[k] for k in keys]), np.array([others[k] for k in keys]), [places[k] for k in keys]
    )


def _shown(found: Agreement | None) -> list[str]:
    if found is None:
        return ["no people", "no people"]
    return [plain(found.alpha, "not defined"), _rank(found)]


def _rank(found: Agreement | None) -> str:
    return "-" if found is None else plain(found.spearman, "not defined")


def _means(benches: Sequence[Bench], scales: Sequence[str], systems: Sequence[str]) -> Grid:
    """Mean over the fit judges, without own families."""
    places = {(g.item.system, g.item.key): g.item.location for b in benches for g in b.grades if not g.item.control}
    rows = []
    for lang in LANGS:
        fit = sum(lang not in b.unfit for b in benches)
        for scale in scales:
            means = panel_mean(benches, scale, lang)
            by = {s: [(v, places[key]) for key, v in means.items() if key[0] == s] for s in systems}
            rows.append([f"panel of {fit} fit", lang, scale, *(plain(_mean(by[s])) for s in systems)])
    return Grid(header=["judge", "language", "scale", *systems], rows=rows)


def _cost(benches: Sequence[Bench]) -> Grid:
    """What the grading took, answers out of the cache included."""
    names = ("calls", "prompt_tokens", "completion_tokens", "seconds")
    rows = [[b.member.name, *(f"{b.usage.get(n, 0.0):.0f}" for n in names), str(b.failed)] for b in benches]
    return Grid(header=["judge", *(n.replace("_", " ") for n in names), "grades missing"], rows=rows)


def quality_by_item(scores: Mapping[tuple[str, Key, str], float]) -> dict[ItemKey, float]:
    """Scores by (system, judgement, language), keyed as people's ratings are."""
    return {item_key(system, *key, lang): value for (system, key, lang), value in scores.items()}
