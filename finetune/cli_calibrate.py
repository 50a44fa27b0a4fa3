"""``sightline calibrate queries``, ``fit``, ``gate`` and ``verdict``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from retriever.errors import SightlineError

PARAMETERS = Path(__file__).parent.parent / "agent" / "models" / "confidence.json"
GATE = PARAMETERS.with_name("gate.json")


def register(app: typer.Typer) -> None:
    """Adds the ``calibrate`` commands."""
    group = typer.Typer(no_args_is_help=True, help="Fit the confidence to the models in use, on validation areas.")
    group.command("queries")(queries)
    group.command("fit")(fit)
    group.command("gate")(gate)
    group.command("verdict")(verdict)
    app.add_typer(group, name="calibrate")


def queries(
    gallery: Annotated[Path, typer.Argument(help="The gallery of a validation area.")],
    out: Annotated[Path, typer.Option(help="The query file to write.")],
    n: Annotated[int, typer.Option(min=1, help="How many descriptions.")] = 300,
    seed: Annotated[int, typer.Option(help="Draws places and wording.")] = 0,
    area: Annotated[str | None, typer.Option(help="Name of the area; the gallery's id by default.")] = None,
) -> None:
    """Write descriptions of random places of a gallery, half English, half Chinese, half of them without names."""
    from finetune.calibrate_queries import write_queries
    from retriever.gallery import Gallery

    opened = Gallery.open(gallery)
    written = write_queries(opened, out, n=n, seed=seed, area=area or opened.id)
    Console(stderr=True).print(f"{written} queries in {out}")


def fit(
    rankings: Annotated[list[Path], typer.Option(help="What `sightline locate --batch` wrote; may be repeated.")],
    query_files: Annotated[list[Path], typer.Option("--queries", help="Its queries, in the same order.")],
    out: Annotated[Path, typer.Option(help="The parameter file.")] = PARAMETERS,
    seed: Annotated[int, typer.Option()] = 0,
    outside_share: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share whose true place is removed.")] = 0.2,
) -> None:
    """Fit the posterior's weights to rankings of places that are known."""
    from finetune import calibrate

    if len(rankings) != len(query_files):
        raise SightlineError(f"{len(rankings)} ranking files and {len(query_files)} query files: give one for each")
    cases: list[calibrate.Case] = []
    models: dict[str, str] = {}
    for ranking, asked in zip(rankings, query_files, strict=True):
        found, made_by = calibrate.read_cases(ranking, asked, seed=seed, outside_share=outside_share)
        if models and dict(made_by) != models:
            raise SightlineError(f"{ranking} was made by other models than {rankings[0]}; fit them apart")
        models = dict(made_by)
        cases += found
    fitted = calibrate.fit(cases, seed=seed)
    provenance = {
        "queries": len(cases),
        "areas": sorted({c.area for c in cases}),
        "seed": seed,
        "outside_share": outside_share,
        "rankings_sha256": [hashlib.sha256(p.read_bytes()).hexdigest() for p in rankings],
    }
    calibrate.save(out, fitted, models, provenance)
    Console().print_json(json.dumps({**models, "weights": fitted.weights.to_json(), **provenance}))
    Console().print(
        f"held-out nats per query {fitted.held_out_nll:.3f} (defaults {fitted.default_nll:.3f}), "
        f"held-out calibration error {fitted.ece:.3f}, N = {len(cases)}; written to {out}"
    )


def gate(
    rankings: Annotated[list[Path], typer.Option(help="What `sightline locate --batch` wrote; may be repeated.")],
    query_files: Annotated[list[Path], typer.Option("--queries", help="Its queries, in the same order.")],
    duels: Annotated[Path | None, typer.Option(help="Duels of near-ties, JSONL; without them no weight.")] = None,
    out: Annotated[Path, typer.Option(help="The gate's file.")] = GATE,
    parameters: Annotated[Path, typer.Option(help="The confidence fitted for the same models.")] = PARAMETERS,
    alpha: Annotated[float, typer.Option(min=0.001, max=0.5, help="Share of queries that may be harmed.")] = 0.02,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Fit the gate of `cascade` by conformal risk control to rankings of places that are known."""
    from finetune import calibrate_gate

    if len(rankings) != len(query_files):
        raise SightlineError(f"{len(rankings)} ranking files and {len(query_files)} query files: give one for each")
    cases, models = calibrate_gate.read_ordered(rankings, query_files, parameters)
    weight, fought = calibrate_gate.duel_weight(duels, seed=seed)
    fitted = calibrate_gate.fit(cases, alpha=alpha, duel_weight=weight)
    provenance = {
        "queries": len(cases),
        "areas": sorted({c.area for c in cases}),
        "alpha": alpha,
        "seed": seed,
        "duels": fought,
        "rankings_sha256": [hashlib.sha256(p.read_bytes()).hexdigest() for p in rankings],
    }
    calibrate_gate.save(out, fitted, models, provenance)
    Console().print(
        f"margin {fitted.gate.margin} nats, weight of duels {fitted.gate.duel_weight} ({fought} fought); of {fitted.n} "
        f"queries {fitted.changed} orders changed, {fitted.helped} helped, {fitted.harmed} harmed; each area behind "
        f"the others' margin: {fitted.held_out_helped} helped, {fitted.held_out_harmed} harmed; written to {out}"
    )


def verdict(
    pairs: Annotated[list[Path], typer.Option(help="Pairs of validation areas (`sightline data pairs`).")],
    answers: Annotated[
        list[Path], typer.Option(help="What `sightline eval testset --pairs ... --judge ...` answered to them.")
    ],
    out: Annotated[Path, typer.Option(help="The parameter file.")] = PARAMETERS,
    gates: Annotated[Path, typer.Option(help="The gates' file; a gate of this judge is carried over.")] = GATE,
    seed: Annotated[int, typer.Option(help="Draws the folds.")] = 0,
) -> None:
    """Fit where the judge's verdict turns: slope and offset on its log-odds, from pairs of validation areas."""
    from finetune import calibrate_verdict

    cases, judge = calibrate_verdict.read_cases(pairs, answers)
    fitted = calibrate_verdict.fit(cases, seed=seed)
    provenance = {
        "pairs": len(cases),
        "areas": sorted({c.area for c in cases}),
        "places": len({c.place for c in cases}),
        "seed": seed,
        "pairs_sha256": [hashlib.sha256(p.read_bytes()).hexdigest() for p in pairs],
        "answers_sha256": [hashlib.sha256(p.read_bytes()).hexdigest() for p in answers],
    }
    carried = calibrate_verdict.save(out, gates, fitted, judge, provenance)
    Console().print_json(json.dumps({"judge": judge, **fitted.to_json(), **provenance}))
    Console().print(
        f"the verdict turns at p = {fitted.threshold:.4f}; held out, "
        f"right {100 * fitted.accuracy_before:.1f} -> {100 * fitted.accuracy:.1f} %, "
        f"cannot tell {100 * fitted.undecided_before:.1f} -> {100 * fitted.undecided:.1f} %, "
        f"nats per pair {fitted.nll_before:.4f} -> {fitted.nll:.4f}, N = {len(cases)}; "
        f"{carried} fits of this judge carried over; written to {out}"
    )
