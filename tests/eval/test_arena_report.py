"""Reports of the arena, several runs beside each other, and what goes out to other tools and comes in from them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from arena_kit import call, config, queries
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agent.rerankers import ContractError
from eval.arena import plots
from eval.arena.config import read_config
from eval.arena.records import read_runs
from eval.arena.run import run
from eval.protocol import EvaluationError
from retriever.gallery import Gallery

pytestmark = pytest.mark.usefixtures("one_encoder")


def test_run_then_report_with_every_section(arena_gallery: Gallery, tmp_path: Path) -> None:
    made = call("run", str(config(arena_gallery, tmp_path)), "--json")
    assert json.loads(made.stdout)["judged"] == 3 * 8, (
        "two methods and a shuffle on 4 queries and 4 without their place"
    )
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "sets").rglob("*")}
    shown = call("report", str(tmp_path / "out"), "--browse", "8", "--json")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "sets").rglob("*")} == before, "a report only reads"
    paths = json.loads(shown.stdout)
    text = Path(paths["markdown"]).read_text(encoding="utf-8")
    for title in (
        "Results",
        "Languages and names",
        "Harm",
        "Verdicts",
        "Confidence",
        "Cost",
        "Position",
        "Paired",
        "Reasons",
    ):
        assert f"\n## {title}" in text
    for row in ("random", "constant", "names only", "oracle only", "fused", "identity", "oracle"):
        assert f"| {row} |" in text
    assert "4 + 4 removed" in text
    assert "sightline arena run CONFIG" in text
    assert len(list((tmp_path / "out/report/pictures").glob("*.png"))) == 3
    assert len(list((tmp_path / "out/report/queries").glob("0*.html"))) == 8 == paths["pages"]


def test_pages_are_offline_and_hostile_text_is_escaped(arena_gallery: Gallery, tmp_path: Path) -> None:
    call("run", str(config(arena_gallery, tmp_path)))
    call("report", str(tmp_path / "out"), "--browse", "8")
    pages = list((tmp_path / "out" / "report").rglob("*.html"))
    assert len(pages) == 10
    hostile = 0
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text
        assert "http" not in text.replace("http-equiv", "")
        assert "default-src 'none'" in text
        hostile += "&lt;script&gt;alert(1)" in text
    assert hostile == 3, "two pages of the query (with and without its place) and the index"


def test_a_report_reads_past_a_half_written_line(arena_gallery: Gallery, tmp_path: Path) -> None:
    call("run", str(config(arena_gallery, tmp_path)))
    rankings = tmp_path / "out/sets/town/oracle.rankings.jsonl"
    cut = rankings.read_bytes()[:-40]
    rankings.write_bytes(cut)
    _, (found,) = read_runs([tmp_path / "out"])
    assert len(found.methods["oracle"].lines) == 7
    assert rankings.read_bytes() == cut


def test_two_runs_over_different_candidates_are_refused(arena_gallery: Gallery, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, k in ((one, 4), (two, 3)):
        folder.mkdir()
        run(read_config(config(arena_gallery, folder, methods=["identity"], candidates={"k": k})))
    with pytest.raises(EvaluationError, match="other candidates"):
        read_runs([one / "out", two / "out"])
    with pytest.raises(EvaluationError, match="another label"):
        read_runs([one / "out", one / "out"])
    with pytest.raises(EvaluationError, match="k differ"):
        run(read_config(config(arena_gallery, one, methods=["identity"], candidates={"k": 3})))


def test_two_runs_over_the_same_candidates_stand_side_by_side(arena_gallery: Gallery, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, method in ((one, "identity"), (two, "shuffle")):
        folder.mkdir()
        run(read_config(config(arena_gallery, folder, methods=[method])))
    _, (found,) = read_runs([one / "out", two / "out"])
    assert set(found.methods) == {"identity", "shuffle"}


@pytest.mark.parametrize("format_", ["trec", "rank_llm"])
def test_what_goes_out_comes_in_as_the_same_order(arena_gallery: Gallery, tmp_path: Path, format_: str) -> None:
    run(read_config(config(arena_gallery, tmp_path)))
    out, file = str(tmp_path / "out"), tmp_path / "run.txt"
    assert call("export", out, "--method", "oracle", "--format", format_, "--out", str(file)).exit_code == 0
    made = call("import", str(file), "--run", out, "--label", "theirs", "--format", format_, "--saw", "facts")
    assert made.exit_code == 0, made.output
    _, (found,) = read_runs([tmp_path / "out"])
    orders = [
        {q: [j["tile_id"] for j in x["judgements"]] for q, x in found.methods[key].lines.items()}
        for key in ("oracle", "theirs")
    ]
    assert orders[0] == orders[1]
    call("report", out)
    assert "| theirs | facts |" in (tmp_path / "out/report/report.md").read_text()


def test_imports_are_held_to_the_candidates(arena_gallery: Gallery, tmp_path: Path) -> None:
    run(read_config(config(arena_gallery, tmp_path)))
    out, file = str(tmp_path / "out"), tmp_path / "run.txt"
    call("export", out, "--out", str(file))
    text = file.read_text()
    first = text.split()[2]
    file.write_text(text.replace(first, "atlantis"))
    assert isinstance(call("import", str(file), "--run", out, "--label", "x").exception, ContractError)
    file.write_text("\n".join(x for x in text.splitlines() if not x.startswith("a Q0") or " 1 " in x))
    with pytest.raises(ContractError, match="lost the tile"):
        raise call("import", str(file), "--run", out, "--label", "x").exception  # type: ignore[misc]
    assert call("import", str(file), "--run", out, "--label", "x", "--partial").exit_code == 0
    file.write_text("a Q0 tile 1\n")
    assert "TREC line" in str(call("import", str(file), "--run", out, "--label", "y").exception)
    file.write_text("zz" + text)
    assert "does not ask" in str(call("import", str(file), "--run", out, "--label", "y").exception)
    assert "no method 'nobody'" in str(call("export", out, "--method", "nobody", "--out", str(file)).exception)


def test_sets_that_no_method_has_ranked_are_not_pooled_with_those_that_some_have(
    arena_gallery: Gallery, tmp_path: Path
) -> None:
    asked = [str(queries(tmp_path))]
    sets = [{"name": n, "group": "both", "gallery": str(arena_gallery.path), "queries": asked} for n in "ab"]
    path = config(arena_gallery, tmp_path, sets=sets)
    assert call("freeze", str(path)).exit_code == 0
    assert call("run", str(path), "--only", "identity", "--sets", "a").exit_code == 0
    out = tmp_path / "out"
    assert call("report", str(out)).exit_code == 0
    text = (out / "report" / "report.md").read_text(encoding="utf-8")
    assert "Not pooled, since no method has ranked them yet: b." in text
    assert "| fused | pixels, names | 8 |" not in text
    assert call("run", str(path), "--only", "identity", "--sets", "b").exit_code == 0
    assert call("report", str(out)).exit_code == 0
    text = (out / "report" / "report.md").read_text(encoding="utf-8")
    assert "Not pooled" not in text
    assert "| fused | pixels, names | 8 |" in text


def test_names_of_points_that_nearly_coincide_do_not_cover_each_other() -> None:
    figure = Figure(figsize=(9.0, 3.6), dpi=plots.DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    at = {
        "identity": (0.0, 25.8),
        "oracle": (0.0, 25.6),
        "cascade": (10.0, 25.3),
        "posterior": (10.0, 25.3),
        "erm": (5, 7),
    }
    for ax in figure.subplots(1, 2, sharey=True):
        for x, y in at.values():
            ax.plot(x, y, "o")
        ax.set_xscale("symlog", linthresh=1)
    for ax in figure.axes:
        plots._name_points(ax, at)
    canvas.draw()
    for ax in figure.axes:
        boxes = [text.get_window_extent() for text in ax.texts]
        assert len(boxes) == len(at)
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
