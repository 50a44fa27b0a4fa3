"""The fit finds back the weights that made the data, and what it is given wrong it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.calibrate import NAMES, Case, Table, fit, nll, read_cases, save
from retriever.errors import SightlineError
from retriever.posterior import Features, Prior, Weights, log_weights

TRUE = Weights(retrieval=1.5, match=1.2, ledger=0.9, names=2.0, elsewhere=0.0, outside=-1.0, nest=0.5)


def synthetic(n: int, seed: int) -> list[Case]:
    """Queries whose truth is drawn from the posterior itself, under the weights ``TRUE``."""
    rng = np.random.default_rng(seed)
    cases = []
    for i in range(n):
        z = np.sort(rng.normal(size=200))[::-1]
        prior = Prior.of(z)
        features = tuple(
            Features(
                retrieval=prior.z(float(s)),
                p_match=float(rng.uniform(0.02, 0.98)),
                ledger=float(rng.integers(-3, 4)),
                names=float(rng.integers(0, 2)),
            )
            for s in z[:8]
        )
        logs = log_weights(TRUE, features, prior)
        p = np.exp(logs - np.logaddexp.reduce(logs))
        cases.append(
            Case(query_id=str(i), area="toy", features=features, prior=prior, truth=int(rng.choice(len(p), p=p)))
        )
    return cases


@pytest.mark.slow
def test_the_fit_finds_the_weights_back_and_is_calibrated() -> None:
    cases = synthetic(600, 1)
    found = fit(cases)
    for name in ("match", "ledger", "names"):
        assert getattr(found.weights, name) == pytest.approx(getattr(TRUE, name), rel=0.35)
    assert found.weights.nest == pytest.approx(TRUE.nest, abs=0.2)
    assert found.nll <= nll(TRUE, cases) + 0.01
    assert found.held_out_nll < found.default_nll
    assert found.ece < 0.08


def test_a_feature_that_says_nothing_gets_little_weight() -> None:
    rng = np.random.default_rng(5)
    prior = Prior.of(rng.normal(size=50))
    cases = [
        Case(
            query_id=str(i),
            area="toy",
            features=tuple(Features(retrieval=1.0, p_match=float(rng.uniform(0.02, 0.98))) for _ in range(4)),
            prior=prior,
            truth=int(rng.integers(0, 4)),
        )
        for i in range(150)
    ]
    assert fit(cases).weights.match < 0.25


def test_the_fast_likelihood_equals_the_slow_one() -> None:
    cases = synthetic(20, 4)
    short = Case(query_id="s", area="toy", features=cases[0].features[:2], prior=cases[0].prior, truth=3)
    none = Case(query_id="n", area="toy", features=(), prior=cases[0].prior, truth=0)
    mixed = [*cases, short, none]
    for weights in (Weights(), TRUE, Weights(retrieval=0.0)):
        x = np.array([getattr(weights, name) for name in NAMES])
        assert Table.of(mixed).nll(x) == pytest.approx(nll(weights, mixed), abs=1e-9)


def test_too_few_queries_are_refused() -> None:
    with pytest.raises(SightlineError, match="too few"):
        fit(synthetic(10, 0))


def row(query_id: str, **changes: Any) -> dict[str, Any]:
    near = {"lat": 50.0, "lon": 8.0, "features": Features(retrieval=2.0, p_match=0.7).to_json()}
    far = {"lat": 50.01, "lon": 8.0, "features": Features(retrieval=1.0, p_match=0.2).to_json()}
    made: dict[str, Any] = {
        "query_id": query_id,
        "gallery": {"id": "toy"},
        "judge": {"backend": "vllm", "model": "mini-1"},
        "encoder": "enc-1",
        "prior": Prior.of(np.linspace(-1, 1, 20)).to_json(),
        "candidates": [far, near],
    }
    return {**made, **changes}


def pair(folder: Path, rows: list[dict[str, Any]], lat: float = 50.0001) -> tuple[Path, Path]:
    rankings, queries = folder / "r.jsonl", folder / "q.jsonl"
    rankings.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    asked = [{"id": r["query_id"], "text": "x", "lat": lat, "lon": 8.0} for r in rows]
    queries.write_text("".join(json.dumps(q) + "\n" for q in asked), encoding="utf-8")
    return rankings, queries


def test_truth_is_the_candidate_whose_cell_holds_the_place(tmp_path: Path) -> None:
    rankings, queries = pair(tmp_path, [row("a")])
    cases, models = read_cases(rankings, queries, outside_share=0.0)
    assert (cases[0].truth, cases[0].area) == (1, "toy")
    assert models == {"judge": "mini-1", "encoder": "enc-1"}


def test_a_place_on_no_candidate_is_elsewhere(tmp_path: Path) -> None:
    rankings, queries = pair(tmp_path, [row("a")], lat=50.005)
    assert read_cases(rankings, queries, outside_share=0.0)[0][0].truth == 2


def test_a_removed_place_is_outside_and_its_tiles_are_gone(tmp_path: Path) -> None:
    rankings, queries = pair(tmp_path, [row("a")])
    case = read_cases(rankings, queries, outside_share=1.0)[0][0]
    assert (len(case.features), case.truth) == (1, 2)


def test_mixed_models_strange_answers_and_damaged_files_are_refused(tmp_path: Path) -> None:
    other = row("b", judge={"backend": "vllm", "model": "mini-2"})
    rankings, queries = pair(tmp_path, [row("a"), other])
    with pytest.raises(SightlineError, match="mixes"):
        read_cases(rankings, queries)
    queries.write_text("")
    with pytest.raises(SightlineError, match="does not ask"):
        read_cases(rankings, queries)
    rankings.write_text("{")
    with pytest.raises(SightlineError, match="JSON lines"):
        read_cases(rankings, queries)


def test_a_fit_replaces_the_earlier_one_of_the_same_models_only(tmp_path: Path) -> None:
    found = fit(synthetic(60, 2))
    path = tmp_path / "confidence.json"
    save(path, found, {"judge": "a", "encoder": "e"}, {"queries": 60})
    save(path, found, {"judge": "b", "encoder": "e"}, {"queries": 60})
    save(path, found, {"judge": "a", "encoder": "e"}, {"queries": 99})
    fits = json.loads(path.read_text(encoding="utf-8"))["fits"]
    assert sorted((f["judge"], f["provenance"]["queries"]) for f in fits) == [("a", 99), ("b", 60)]
