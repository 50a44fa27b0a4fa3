"""The verdict's fit: found back where it is known, never on test areas, and no posterior moves because of it."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from agent.confidence import load
from agent.judge import Judge
from agent.verdict_fit import NO_FIT, VerdictFit, stored_fit
from eval.testset import FROZEN
from finetune.calibrate_carry import fitted_name
from finetune.calibrate_verdict import Case, fit, is_validation, read_cases, save
from finetune.cli_calibrate import register
from prompts.clients.recorded import RecordedClient
from retriever.errors import ModelError, SightlineError
from retriever.pair_frozen import load_frozen
from retriever.pairs import Pair, write_pairs
from retriever.posterior import MAX_LOGIT, Features, Prior, Weights

NAME = "m+judge/v2@12345678"


def crowded(n: int, *, slope: float = 4.0, offset: float = 1.0, seed: int = 0) -> list[Case]:
    """Probabilities crowded a little under one half, whose labels follow a known fit."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-offset / slope, 0.4, n)
    match = rng.random(n) < 1 / (1 + np.exp(-(slope * z + offset)))
    return [
        Case(p=float(1 / (1 + np.exp(-v))), match=bool(m), place=f"p{i // 2}", area="moscow")
        for i, (v, m) in enumerate(zip(z, match, strict=True))
    ]


def test_a_known_fit_is_found_back_and_makes_verdicts_right() -> None:
    found = fit(crowded(4000))
    assert found.slope == pytest.approx(4.0, abs=0.4)
    assert found.offset == pytest.approx(1.0, abs=0.15)
    assert found.threshold == pytest.approx(1 / (1 + math.exp(0.25)), abs=0.01)
    assert found.accuracy > found.accuracy_before + 0.05
    assert found.nll < found.nll_before


def test_a_judge_that_knows_nothing_gets_no_confident_verdicts() -> None:
    rng = np.random.default_rng(1)
    blind = [dataclasses.replace(c, match=bool(rng.random() < 0.5)) for c in crowded(2000)]
    found = fit(blind)
    fitted = VerdictFit(slope=found.slope, offset=found.offset)
    assert all(abs(fitted(c.p) - 0.5) < 0.1 for c in blind)


def test_a_fit_keeps_the_order_and_knows_its_threshold() -> None:
    fitted = VerdictFit(slope=3.0, offset=0.6)
    ps = [0.2, 0.4, 0.45, 0.46, 0.5, 0.9]
    assert sorted(ps, key=fitted) == ps
    assert fitted(fitted.threshold) == pytest.approx(0.5)
    assert [NO_FIT(p) for p in ps] == ps
    for slope in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="slope"):
            VerdictFit(slope=slope)


def test_areas_that_may_be_fitted_on() -> None:
    assert all(is_validation(a) for a in ("moscow", "boston_beacon_hill", "town-2000", "town-2099"))
    assert not any(is_validation(a) for a in ("london", "town-3000", "town-1000", "monaco", "town-x"))


@pytest.fixture(scope="module")
def some() -> list[Pair]:
    return [p for p in load_frozen(FROZEN).pairs if p.query.view == "text"][:160]


def written(folder: Path, pairs: list[Pair], area: str) -> tuple[Path, Path]:
    """Pairs said to be of an area, and answers of a judge that is right at 0.45."""
    moved = [dataclasses.replace(p, area=area) for p in pairs]
    write_pairs(folder / "pairs.jsonl", moved)
    rows = [
        {"pair_id": p.id, "by": "x", "judge": f"vllm:{NAME}", "p": 0.47 if p.label == "match" else 0.43, "verdict": "x"}
        for p in moved
    ]
    rows[0] = {"pair_id": moved[0].id, "by": "x", "error": "it said nothing"}
    (folder / "answers.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return folder / "pairs.jsonl", folder / "answers.jsonl"


def test_test_areas_few_pairs_and_two_judges_are_refused(some: list[Pair], tmp_path: Path) -> None:
    pairs, answers = written(tmp_path, some, "london")
    with pytest.raises(SightlineError, match="london is no validation area"):
        read_cases([pairs], [answers])
    pairs, answers = written(tmp_path, some[:40], "moscow")
    with pytest.raises(SightlineError, match="too few"):
        read_cases([pairs], [answers])
    pairs, answers = written(tmp_path, some, "moscow")
    answers.write_text(answers.read_text().replace(f"vllm:{NAME}", "vllm:other", 1), encoding="utf-8")
    with pytest.raises(SightlineError, match="several judges"):
        read_cases([pairs], [answers])


@pytest.mark.parametrize("p", [None, "0.5", True, math.nan, 1.2])
def test_a_probability_that_is_none_is_refused(some: list[Pair], tmp_path: Path, p: object) -> None:
    pairs, answers = written(tmp_path, some, "moscow")
    rows = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    rows[5]["p"] = p
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(SightlineError, match="is no number from 0 to 1"):
        read_cases([pairs], [answers])


def test_a_pair_that_is_answered_twice_is_refused(some: list[Pair], tmp_path: Path) -> None:
    pairs, answers = written(tmp_path, some, "moscow")
    with pytest.raises(SightlineError, match="a second time"):
        read_cases([pairs], [answers, answers])


def test_the_command_writes_what_the_judge_then_uses(some: list[Pair], tmp_path: Path) -> None:
    pairs, answers = written(tmp_path, some, "moscow")
    out = tmp_path / "confidence.json"
    out.write_text(json.dumps({"fits": [posterior_fit()], "kept": 1}), encoding="utf-8")
    arguments = [
        "calibrate",
        "verdict",
        "--pairs",
        pairs,
        "--answers",
        answers,
        "--out",
        out,
        "--gates",
        tmp_path / "g",
    ]
    app = typer.Typer()
    register(app)
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    assert "carried over" in done.output
    fitted = stored_fit(f"transformers:{NAME}", out)
    assert 0.43 < fitted.threshold < 0.47
    assert fitted(0.47) > 0.52
    assert fitted(0.43) < 0.48
    row = json.loads(out.read_text())["verdicts"][0]
    assert row["provenance"]["pairs"] == len(some) - 1
    assert row["provenance"]["areas"] == ["moscow"]
    assert json.loads(out.read_text())["kept"] == 1


def posterior_fit() -> dict[str, object]:
    weights = Weights(match=1.4, elsewhere=0.3, outside=-0.2, nest=0.3).to_json()
    return {"judge": NAME, "encoder": "e", "weights": weights, "provenance": {"queries": 9, "areas": ["moscow"]}}


def test_the_posterior_stays_where_it_was(tmp_path: Path) -> None:
    out, gates = tmp_path / "confidence.json", tmp_path / "gate.json"
    out.write_text(json.dumps({"fits": [posterior_fit()]}), encoding="utf-8")
    gate = {"judge": NAME, "encoder": "e", "gate": {"margin": 1.0}, "provenance": {}}
    gates.write_text(json.dumps({"gates": [gate]}), encoding="utf-8")
    found = fit(crowded(400))
    for _ in range(2):  # a second fit replaces the copies of the first
        assert save(out, gates, found, NAME, {"areas": ["moscow"]}) == 2
    assert [f["judge"] for f in json.loads(out.read_text())["fits"]].count(NAME) == 1
    assert len(json.loads(out.read_text())["fits"]) == len(json.loads(gates.read_text())["gates"]) == 2

    fitted = VerdictFit(slope=found.slope, offset=found.offset)
    name = f"{NAME}+verdict@{fitted.id}"
    assert name == fitted_name(NAME, found.slope, found.offset)
    prior = Prior.of(np.random.default_rng(0).normal(size=50))
    plain = {f"t{i}": Features(retrieval=2.0 - i, p_match=0.4 + 0.02 * i) for i in range(5)}
    moved = {t: dataclasses.replace(f, p_match=fitted(f.p_match)) for t, f in plain.items()}
    before, after = load(NAME, "e", out).posterior(plain, prior), load(name, "e", out).posterior(moved, prior)
    assert after.calibrated
    assert after.outside == pytest.approx(before.outside, abs=1e-6)
    for tile, p in before.cells.items():
        assert after.cells[tile] == pytest.approx(p, abs=1e-6)


def test_where_the_posterior_moves_it_moves_as_much_as_is_said(tmp_path: Path) -> None:
    out, slope, offset = tmp_path / "confidence.json", 4.0, 1.0
    found = dataclasses.replace(fit(crowded(400)), slope=slope, offset=offset)
    out.write_text(json.dumps({"fits": [posterior_fit()]}), encoding="utf-8")
    save(out, tmp_path / "gate.json", found, NAME, {})
    fitted, prior = VerdictFit(slope=slope, offset=offset), Prior.of(np.random.default_rng(0).normal(size=50))

    def ratio(judge: str, ps: tuple[float | None, float]) -> float:
        """Nats by which the first cell stands over the second."""
        features = {f"t{i}": Features(retrieval=1.0, p_match=p) for i, p in enumerate(ps)}
        cells = load(judge, "e", out).posterior(features, prior).cells
        return math.log(cells["t0"] / cells["t1"])

    name = fitted_name(NAME, slope, offset)
    assert ratio(name, (None, fitted(0.4))) - ratio(NAME, (None, 0.4)) == pytest.approx(-1.4 * offset / slope)
    for p in (0.02, 0.95):
        assert abs(slope * math.log(p / (1 - p)) + offset) > MAX_LOGIT
        beyond = slope * math.log(p / (1 - p)) + offset - math.copysign(MAX_LOGIT, p - 0.5)
        moved = ratio(name, (fitted(p), fitted(0.4))) - ratio(NAME, (p, 0.4))
        assert moved == pytest.approx(-1.4 / slope * beyond)


def test_a_judge_without_a_fit_is_as_it_was_and_a_broken_file_is_said_so(tmp_path: Path) -> None:
    assert stored_fit(NAME, tmp_path / "none.json") is NO_FIT
    path = tmp_path / "confidence.json"
    path.write_text(json.dumps({"fits": []}), encoding="utf-8")
    assert stored_fit(NAME, path) is NO_FIT
    path.write_text(json.dumps({"verdicts": [{"judge": NAME, "slope": -2, "offset": 0}]}), encoding="utf-8")
    with pytest.raises(ModelError, match="calibrate verdict"):
        stored_fit(NAME, path)
    client = RecordedClient(lambda request: "x", name="fake")
    assert Judge(client).name == Judge(client).plain_name
    assert Judge(client, fit=VerdictFit(slope=2.0)).name != Judge(client).name
