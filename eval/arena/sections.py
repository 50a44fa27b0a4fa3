"""The report's tables, as text."""

from __future__ import annotations

from collections.abc import Sequence

from eval.arena import confident, measuring, verdicts
from eval.arena.measuring import Board
from eval.arena.records import MethodRun, SetRun
from eval.bootstrap import Interval
from eval.explanations.sections import Grid, Section
from eval.report import metres, percent

HARM = -0.02
"""Lower bound of the change in recall@1 that counts as no harm."""
LET_THROUGH = 0.20


def main_sections(boards: Sequence[Board], *, seed: int) -> list[Section]:
    """One table per set and group."""
    header = ["method", "saw", "N", "locations", "failed", *measuring.SHOWN, "median m", "recall@1 minus reference"]
    sections = []
    for b in boards:
        rows = [
            [
                x.key,
                x.saw,
                str(x.n),
                str(x.locations),
                str(x.failed),
                *(percent(x.values[k]) for k in measuring.SHOWN),
                metres(x.median_m),
                percent(x.change) if x.change else "-",
            ]
            for x in measuring.lines(b, seed=seed)
        ]
        text = [
            "Full gallery; percent with the 95 % interval by location; controls are ranked over all tiles with ties "
            f"against them, methods order the frozen candidates. Reference: {b.reference}, over the queries that both "
            "answered. A failed query counts as a miss everywhere."
        ]
        sections.append(Section(title=f"Results: {b.title}", text=text, grids=[Grid(header=header, rows=rows)]))
    return sections


def split_section(b: Board, *, seed: int) -> Section:
    """English against Chinese, named against masked."""
    cuts = measuring.splits(b)
    found = {name: {x.key: x for x in measuring.lines(b, mask, seed=seed)} for name, mask in cuts.items()}
    rows = []
    for key in b.entries:
        for metric in ("recall@1", "contains@1", "MRR"):
            cells = [
                f"{percent(found[name][key].values[metric])} (N={found[name][key].n})" if key in found[name] else "-"
                for name in cuts
            ]
            rows.append([key, metric, *cells])
    return Section(
        title=f"Languages and names: {b.title}",
        text=["Masked: the text holds no name of a place, street or sign."],
        grids=[Grid(header=["method", "metric", *cuts], rows=rows)],
    )


def harm_section(title: str, b: Board, runs: Sequence[SetRun], *, seed: int) -> Section:
    """The promise that reranking does no harm, held against the numbers."""
    rows = []
    for x in measuring.lines(b, seed=seed):
        if x.change is None or b.entries[x.key].control:
            continue
        changed, first, n = order_changes(runs, x.key)
        if not n:
            continue
        rows.append(
            [
                x.key,
                str(x.n),
                percent(x.change),
                "yes" if x.change.low >= HARM else "no",
                f"{100 * changed / n:.1f}",
                f"{100 * first / n:.1f}",
                "yes" if changed / n >= LET_THROUGH else "no",
            ]
        )
    text = [
        f"No harm: the lower 95 % bound of the change in recall@1 against {b.reference} is at least "
        f"{100 * HARM:.0f} points. Orders let through: queries whose order is not that of the retrieval scores."
    ]
    header = ["method", "N", "recall@1 change", "no harm", "orders changed %", "first tile changed %", "at least 20 %"]
    return Section(title=f"Harm: {title}", text=text, grids=[Grid(header=header, rows=rows)])


def order_changes(runs: Sequence[SetRun], key: str) -> tuple[int, int, int]:
    """Queries whose order, whose first tile, differs from that by retrieval score; and how many there are."""
    changed = first = n = 0
    for run in runs:
        method = run.methods.get(key)
        for asked in run.frozen.asked:
            line = None if asked.removed or method is None else method.answered(asked.query.id)
            if line is not None and line["judgements"]:
                before = [c.tile_id for c in sorted(asked.candidates, key=lambda c: (-c.score, c.rank, c.tile_id))]
                after = [j["tile_id"] for j in line["judgements"]]
                n += 1
                changed += before != after
                first += before[0] != after[0]
    return changed, first, n


def verdict_section(title: str, runs: Sequence[SetRun], *, seed: int) -> Section:
    """F1 of "match"."""
    found = verdicts.verdict_scores(runs, seed=seed)
    rows = [
        [
            v.key,
            str(v.pairs),
            str(v.positives),
            "-" if v.precision is None else percent(v.precision),
            "-" if v.recall is None else percent(v.recall),
            "-" if v.f1 is None else f"{100 * v.f1:.1f} [{100 * (v.f1_low or 0):.1f}, {100 * (v.f1_high or 0):.1f}]",
            str(v.undecided),
        ]
        for v in found
    ]
    if found:
        pairs, positives = found[0].pairs, found[0].positives
        share = positives / max(pairs, 1)
        always = f"{100 * 2 * share / (1 + share):.1f}"
        rows.append(["always match", str(pairs), str(positives), f"{100 * share:.1f}", "100.0", always, "0"])
    text = [
        f"Candidates with a label: a match has its centre within {verdicts.MATCH_M} m of the point, no match has its "
        f"edge at least {verdicts.APART_M:.0f} m away from it, others are not counted. Verdicts are those that the "
        "desk shows: the judge's, moved by the map where the method looks at the map. Undecided counts as not found."
    ]
    header = ["method", "pairs", "matches", "precision", "recall", "F1", "undecided"]
    return Section(title=f"Verdicts: {title}", text=text, grids=[Grid(header=header, rows=rows)])


def _share(c: confident.Calibrated) -> str:
    """For how many answers the weights were fitted; an answer about nothing that could be checked is none of them."""
    return {0: "no", c.n: "yes"}.get(c.calibrated, f"{c.calibrated} of {c.n}")


def confidence_section(title: str, found: Sequence[confident.Calibrated]) -> Section:
    """Calibration of the first answer."""
    rows = []
    for c in found:
        aims = (
            c.smooth_ece.value <= 0.05,
            c.auroc is not None and c.auroc.value >= 0.75,
            c.brier.value < c.base_brier,
            c.half_error.value <= c.error.value / 2,
        )
        rows.append(
            [
                c.key,
                f"{c.n} ({c.removed})",
                _share(c),
                percent(c.error),
                _number(c.smooth_ece),
                _number(c.brier),
                f"{c.base_brier:.3f}",
                "-" if c.auroc is None else _number(c.auroc),
                percent(c.half_error),
                "/".join("yes" if aim else "no" for aim in aims),
            ]
        )
    text = [
        "The posterior of the first tile's cell against whether that cell holds the point. N (removed): queries, among "
        "them those whose true place was taken out of the gallery, which no answer can get right. Weights fitted: on "
        "validation areas for these models. Aims, in this order: smooth ECE at most 0.05, AUROC at least 0.75, Brier "
        "better than the base rate's, and among the half answered most confidently at most half the overall error."
    ]
    header = ["method", "N (removed)", "weights fitted", "error %", "smooth ECE", "Brier", "base rate's Brier", "AUROC"]
    header += ["error % of the surer half", "aims"]
    return Section(title=f"Confidence: {title}", text=text, grids=[Grid(header=header, rows=rows)])


def _number(i: Interval) -> str:
    return f"{i.value:.3f} [{i.low:.3f}, {i.high:.3f}]"


def counterfactual_section(runs: Sequence[SetRun], *, seed: int) -> Section | None:
    """Whether the confidence follows the evidence."""
    rows = [
        [m.change, str(m.share.n), percent(m.share), f"{m.mean_before:.3f}", f"{m.mean_after:.3f}"]
        for m in confident.moved(runs, seed=seed)
    ]
    failed = sum("error" in row for run in runs for row in run.counterfactuals)
    if not rows and not failed:
        return None
    text = [
        "The posterior of the true cell before and after one change; the right way is down. The other candidates keep "
        f"their map evidence and are not looked at by the judge. {failed} queries failed."
    ]
    header = ["change", "N", "moved down %", "mean before", "mean after"]
    return Section(title="Counterfactuals of the confidence", text=text, grids=[Grid(header=header, rows=rows)])


def test_section(b: Board, *, seed: int) -> Section:
    """What is more than chance."""
    rows = [
        [t.metric, t.a, t.b, str(t.difference.n), percent(t.difference), f"{t.p:.4f}", f"{t.p_holm:.4f}"]
        for t in measuring.paired_tests(b, seed=seed)
    ]
    text = [
        "Sign-flip tests over locations, two-sided, over the queries that both rows answered; p (Holm) is corrected "
        f"over all {len(rows)} tests of this table."
    ]
    header = ["metric", "method", "against", "N", "difference, points", "p", "p (Holm)"]
    return Section(title=f"Paired tests: {b.title}", text=text, grids=[Grid(header=header, rows=rows)])


def provenance_section(runs: Sequence[SetRun], command: str) -> Section:
    """Everything that a row depends on."""
    about = ["set", "group", "gallery", "gallery sha256", "tiles", "queries", "candidates", "seed", "candidates sha256"]
    header = ["set", "method", "options", "saw", "prompt", "model", "adapter", "encoder", "seed", "confidence"]
    header += ["weights", "gate", "explained by", "made by", "reprinted by"]
    rows = [[run.frozen.name, *_made(method), command] for run in runs for method in run.methods.values()]
    return Section(
        title="Where every row comes from",
        text=[
            "Control rows (random, constant, names only, oracle only, dense, fused) use no judge and no prompt. "
            "Weights: the confidence's, by hash. Explained by: who gives reasons; 'read' where they are read off it."
        ],
        grids=[Grid(header=about, rows=[_asked_of(run) for run in runs]), Grid(header=header, rows=rows)],
    )


def _asked_of(run: SetRun) -> list[str]:
    """A set's queries and candidates."""
    h, located = run.frozen.header, len(run.frozen.located)
    return [
        run.frozen.name,
        run.frozen.group,
        h["gallery"]["id"],
        h["gallery"]["sha256"][:10],
        str(h["gallery"]["tiles"]),
        f"{located} + {len(run.frozen.asked) - located} removed",
        f"{h['mode']}, pool {h['pool']}, k {h['k']}",
        str(h["seed"]),
        run.frozen.sha256[:10],
    ]


def _made(method: MethodRun) -> list[str]:
    """What made a method's lines; what runs of before did not write down is "-"."""
    m = method.header
    prompts = sorted({str(x.get("prompt") or "") for x in method.lines.values()} - {""})
    return [
        method.key,
        ", ".join(f"{k}={v}" for k, v in m["options"].items()) or "-",
        str(m["saw"]),
        ", ".join(prompts) or "-",
        str(m["judge"]),
        str(m["adapter"] or "-"),
        *(str(m[name]) for name in ("encoder", "seed", "confidence")),
        *(str(m.get(name) or "-") for name in ("weights", "gate", "explainer")),
        str(m["made_by"]),
    ]
