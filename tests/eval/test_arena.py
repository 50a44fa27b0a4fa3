"""The arena end to end on a small real gallery: frozen, resumed, refused, explained."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from arena_kit import LOAD, call, config, lines_of

from agent.confidence import Confidence
from agent.confidence import load as load_confidence
from agent.rerankers import ContractError
from agent.rerankers.identity import Identity
from eval.arena.config import read_config
from eval.arena.frozen import load
from eval.arena.models import opened
from eval.arena.records import read_runs
from eval.arena.run import run
from eval.protocol import EvaluationError
from retriever.errors import SightlineError
from retriever.gallery import Gallery
from retriever.types import Candidate, Claim, Judgement, Query, Ranking, Usage

pytestmark = pytest.mark.usefixtures("one_encoder")


def test_a_second_start_judges_nothing_and_repairs_a_half_written_line(arena_gallery: Gallery, tmp_path: Path) -> None:
    path = config(arena_gallery, tmp_path)
    call("run", str(path))
    rankings = tmp_path / "out/sets/town/oracle.rankings.jsonl"
    whole = rankings.read_bytes()
    rankings.write_bytes(whole[:-40])
    assert json.loads(call("run", str(path), "--json").stdout)["judged"] == 1
    again = [json.loads(x) for x in lines_of(tmp_path, "oracle")]
    assert [x.get("query_id") for x in again] == [json.loads(x).get("query_id") for x in whole.splitlines()]
    assert json.loads(call("run", str(path), "--json").stdout)["judged"] == 0


def test_only_tiles_of_queries_still_to_do_are_looked_at(
    arena_gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[set[str]] = []

    async def look(bench: Any, tiles: Any) -> None:
        looked.append(set(tiles))

    monkeypatch.setattr("eval.arena.run.look_ahead", look)
    parts = {"judge": {"backend": "none", "looks": "once"}}
    made = read_config(config(arena_gallery, tmp_path, methods=[{"name": "identity", "limit": 2}], **parts))
    run(made)
    frozen = load(tmp_path / "out" / "sets" / "town")
    first, *later = ({c.tile_id for c in asked.candidates} for asked in frozen.order()[:3])
    assert looked == [first | later[0]]
    run(made)
    assert looked[1] == set()
    run(read_config(config(arena_gallery, tmp_path, methods=[{"name": "identity", "limit": 3}], **parts)))
    assert looked[2] == later[1]
    assert [path.name for path in (tmp_path / "out/sets/town").glob("*.rankings.jsonl")] == ["identity.rankings.jsonl"]


def test_a_row_names_weights_and_gate_and_is_calibrated_only_where_it_looks_at_the_map(
    arena_gallery: Gallery, tmp_path: Path
) -> None:
    wide = {"name": "cascade", "label": "wide", "options": {"margin": 2.5}}
    run(read_config(config(arena_gallery, tmp_path, methods=["identity", "oracle", "cascade", wide])))
    heads, lines = {}, {}
    for name in ("identity", "oracle", "cascade", "wide"):
        head, *rest = map(json.loads, lines_of(tmp_path, name))
        heads[name], lines[name] = head["header"], rest
    assert heads["identity"]["gate"] == heads["oracle"]["gate"] == ""
    assert heads["cascade"]["gate"].startswith("margin 1.09861")
    assert heads["wide"]["gate"].startswith("margin 2.5")
    fitted = load_confidence("none", heads["oracle"]["encoder"])
    assert fitted.calibrated
    assert heads["oracle"]["weights"] == fitted.told != Confidence().told
    assert {x["sure"]["calibrated"] for x in lines["oracle"]} == {True}
    assert {x["sure"]["calibrated"] for x in lines["identity"]} == {False}


def test_a_methods_own_reasons_need_the_judge_and_are_its_headers(
    arena_gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = [{"name": "identity", "top": 1}, {"name": "oracle", "top": 0}]
    run(read_config(config(arena_gallery, tmp_path, methods=methods, explain={"top": 0})))
    assert json.loads(lines_of(tmp_path, "identity")[0])["header"]["explainer"] == "none"
    assert json.loads(lines_of(tmp_path, "oracle")[0])["header"]["explainer"] == ""

    def none(settings: Any, *, say: Any) -> Any:
        return SimpleNamespace(judge=None, why="nobody")

    monkeypatch.setattr("agent.opening.open_bench", none)
    asked = {"backend": "vllm"}
    quiet = read_config(config(arena_gallery, tmp_path, methods=methods[1:], explain={"top": 3}, judge=asked))
    with opened(quiet, quiet.methods, LOAD("sightline-mini"), print) as models:
        assert models.judge == "none", "no method asks for a judge or explains a tile"
    loud = read_config(config(arena_gallery, tmp_path, methods=methods, explain={"top": 0}, judge=asked))
    with (
        pytest.raises(EvaluationError, match="need a judge"),
        opened(loud, loud.methods, LOAD("sightline-mini"), print),
    ):
        pass


SLOW = """
import asyncio, sys
from pathlib import Path
from agent.rerankers.identity import Identity
plain = Identity.rerank
async def slow(self, *given):
    await asyncio.sleep(0.3)
    return await plain(self, *given)
Identity.rerank = slow
from eval.arena.config import read_config
from eval.arena.run import run
run(read_config(Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_and_asks_nothing_twice(arena_gallery: Gallery, tmp_path: Path) -> None:
    path = config(arena_gallery, tmp_path, methods=["identity"])
    rankings = tmp_path / "out/sets/town/identity.rankings.jsonl"
    child = subprocess.Popen([sys.executable, "-c", SLOW, str(path)], cwd=Path(__file__).parents[2])
    while child.poll() is None and not (rankings.exists() and rankings.read_bytes().count(b"\n") >= 3):
        time.sleep(0.02)
    assert child.poll() is None, "killed in the middle, not at its end"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    there = rankings.read_bytes().count(b"\n") - 1
    done = run(read_config(path))
    assert 0 < there < 8
    assert (done.kept, done.judged) == (there, 8 - there)
    ids = [json.loads(x)["query_id"] for x in lines_of(tmp_path, "identity")[1:]]
    assert len(ids) == len(set(ids)) == 8


class Foreign(Identity):
    """Gives back a tile of its own invention."""

    async def rerank(
        self, query: Query, claims: Sequence[Claim], candidates: Sequence[Candidate], gallery: Any
    ) -> Ranking:
        rest = tuple(Judgement(tile_id=c.tile_id, score=0.0) for c in candidates[1:])
        mine = Judgement(tile_id="elsewhere", score=1.0)
        return Ranking(query_id=query.id, method=self.name, judgements=(mine, *rest), usage=Usage())


def test_a_method_that_returns_a_strange_tile_breaks_the_run_by_name(
    arena_gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.rerankers.identity.Identity", Foreign)
    with pytest.raises(ContractError, match="'elsewhere', a tile that it was not given"):
        run(read_config(config(arena_gallery, tmp_path)))


def test_a_method_that_fails_is_counted_and_asked_again_only_when_told(
    arena_gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(arena_gallery, tmp_path, methods=["identity"])
    plain = Identity.rerank

    async def failing(self: Any, query: Query, *given: Any) -> Ranking:
        if query.id == "a":
            raise ZeroDivisionError("by a plugin")
        return await plain(self, query, *given)

    monkeypatch.setattr(Identity, "rerank", failing)
    assert run(read_config(path)).failed == 1
    monkeypatch.setattr(Identity, "rerank", plain)
    assert run(read_config(path)).judged == 0
    call("report", str(tmp_path / "out"))
    row = next(x for x in (tmp_path / "out/report/report.md").read_text().splitlines() if x.startswith("| identity |"))
    assert [c.strip() for c in row.split("|")[3:6]] == ["4", "2", "1"], "N, locations, failed"
    assert run(read_config(path), retry=True).judged == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"methods": ["clairvoyant"]}, "no method 'clairvoyant'; known are .*cascade.*yesno"),
        ({"methods": ["identity", "identity"]}, "two methods are called 'identity'"),
        ({"candidates": {"mode": "psychic"}}, "'fused', 'dense' or 'names'"),
        ({"sets": []}, "sets"),
        ({"colour": "blue"}, "colour"),
        ({"methods": [{"name": "identity", "label": "../x"}]}, "cannot name a file"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(
    arena_gallery: Gallery, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(SightlineError, match=says):
        read_config(config(arena_gallery, tmp_path, **change))


def test_an_option_that_a_method_does_not_know_is_refused(arena_gallery: Gallery, tmp_path: Path) -> None:
    path = config(arena_gallery, tmp_path, methods=[{"name": "identity", "options": {"speed": 3}}])
    with pytest.raises(EvaluationError, match="speed"):
        run(read_config(path))


def test_removed_places_are_gone_from_the_candidates_and_never_right(arena_gallery: Gallery, tmp_path: Path) -> None:
    run(read_config(config(arena_gallery, tmp_path)))
    frozen = load(tmp_path / "out/sets/town")
    from eval.arena.confident import sureness
    from retriever.geo import distance_m

    row = {t: n for n, t in enumerate(frozen.places.ids)}
    for asked in (a for a in frozen.asked if a.removed):
        for c in asked.candidates:
            lat, lon = frozen.places.lat[row[c.tile_id]], frozen.places.lon[row[c.tile_id]]
            assert distance_m(asked.located.lat, asked.located.lon, float(lat), float(lon)) >= 120
    _, runs = read_runs([tmp_path / "out"])
    found = sureness(runs, "oracle")
    assert found is not None
    assert (len(found.p), found.removed) == (8, 4)
    assert found.right.sum() <= 4


def test_freezing_apart_makes_the_candidates_that_a_run_takes_up(arena_gallery: Gallery, tmp_path: Path) -> None:
    path = config(arena_gallery, tmp_path)
    made = call("freeze", str(path))
    assert made.exit_code == 0
    assert "town: 8 queries" in made.stdout
    frozen = load(tmp_path / "out" / "sets" / "town")
    assert not list((tmp_path / "out" / "sets" / "town").glob("*.rankings.jsonl"))
    call("run", str(path), "--sets", "town", "--only", "identity")
    assert load(tmp_path / "out" / "sets" / "town").sha256 == frozen.sha256
    assert json.loads(lines_of(tmp_path, "identity")[0])["header"]["candidates_sha256"] == frozen.sha256
    strange = call("run", str(path), "--sets", "village")
    assert "no set 'village'; it has town" in str(strange.exception)


def test_candidates_of_another_reading_of_the_texts_are_refused(
    arena_gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(arena_gallery, tmp_path)
    call("freeze", str(path))
    monkeypatch.setattr("prompts.claims.extract_claims", lambda text, **_: [])
    refused = call("freeze", str(path))
    assert "claims_sha256 differ" in str(refused.exception)
