"""The commands themselves: what they print, what they write, how they end."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
from desk_fakes import FakeGallery, FakeJudge, FakeRetriever
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from agent import batch, cli_locate, doctor, opening
from agent.context import Context
from agent.rerankers import Kit, create
from retriever.errors import SightlineError

TEXT = "There is a pharmacy and a cafe here."
judges: dict[str, Any] = {}


@pytest.fixture
def app(gallery: FakeGallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The commands over the small gallery, with the judge that stands in ``judges["now"]``."""
    judges["now"] = FakeJudge()

    @contextmanager
    def open_fake(path: Path, settings: Any, *, say: Any, images: Any = None) -> Iterator[Context]:
        kit = Kit(judge=judges["now"], why_no_judge="no server is there")
        made = create(settings.reranker, kit)
        yield Context(
            gallery=gallery,  # type: ignore[arg-type]
            retriever=FakeRetriever(gallery),
            kit=kit,
            reranker=made,
            model="fake-1",
            shortlist=settings.shortlist,
            top=settings.top,
            images=images or {},
            image_folder=settings.folder("images"),
        )

    monkeypatch.setattr(opening, "open_context", open_fake)
    monkeypatch.setenv("SIGHTLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "140")
    made = typer.Typer()
    cli_locate.register(made)
    return made


def run(app: typer.Typer, *args: str, stdin: str | None = None) -> Any:
    return CliRunner().invoke(app, list(args), input=stdin)


def test_json_goes_alone_to_standard_output(app: typer.Typer) -> None:
    done = run(app, "locate", TEXT, "--gallery", "g", "--json", "--top", "2")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["candidates"][0]["tile_id"] == "t-a"
    assert sum(c["explanation"] is not None for c in result["candidates"]) == 2
    assert result["thread"]


def test_the_screen_shows_description_ledger_candidates_reasons_and_a_picture(app: typer.Typer, tmp_path: Path) -> None:
    done = run(app, "locate", TEXT, "--gallery", "g")
    assert done.exit_code == 0, done.output
    for words in (TEXT, "the pharmacy", "t-a", "match", "吻合", "Seen on t-a.", "见于 t-a。", "Outside this gallery"):
        assert words in done.stdout
    pictures = list((tmp_path / "data" / "pictures").rglob("*.png"))
    assert len(pictures) == 1
    assert Image.open(pictures[0]).size == (64, 64)


@pytest.mark.parametrize(("lang", "there", "gone"), [("en", "Seen on t-a.", "见于"), ("zh", "见于 t-a。", "Seen on")])
def test_the_language_of_the_answer(app: typer.Typer, lang: str, there: str, gone: str) -> None:
    done = run(app, "locate", TEXT, "--gallery", "g", "--lang", lang)
    assert there in done.stdout
    assert gone not in done.stdout


def test_a_dead_server_ends_well_and_is_said_clearly(app: typer.Typer) -> None:
    judges["now"] = FakeJudge(down=True)
    done = run(app, "locate", TEXT, "--gallery", "g")
    assert done.exit_code == 0
    assert "All candidates: not judged: the model server" in done.stdout


def test_reasons_that_could_not_be_had_are_said_below_the_template(app: typer.Typer) -> None:
    judges["now"] = FakeJudge(babbles=True)
    done = run(app, "locate", TEXT, "--gallery", "g")
    assert "the judge gave no reasons: the model's answer is not JSON" in done.stdout


def test_a_hung_up_judge_never_becomes_a_score(app: typer.Typer) -> None:
    judges["now"] = None
    result = json.loads(run(app, "locate", TEXT, "--gallery", "g", "--json").stdout)
    assert {c["error"] for c in result["candidates"]} == {"not judged: no server is there"}
    assert {c["verdict"] for c in result["candidates"]} == {None}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["locate", "--gallery", "g"], "either a description"),
        (["locate", TEXT, "--gallery", "g", "--batch", "q.jsonl"], "either a description"),
        (["locate", "--gallery", "g", "--batch", "q", "--out", "r", "--json"], "--batch and --json"),
        (["locate", "--gallery", "g", "--batch", "q", "--out", "r", "--lang", "zh"], "--batch and --lang"),
        (["locate", "--gallery", "g", "--batch", "q", "--out", "r", "--image", "map=x"], "--batch and --image"),
        (["locate", TEXT, "--gallery", "g", "--reranker", "magic"], "known are"),
        (["locate", TEXT, "--gallery", "g", "--lang", "fr"], "setting lang"),
        (["locate", TEXT, "--gallery", "g", "--within", "somewhere"], "no area"),
        (["locate", TEXT, "--gallery", "g", "--image", "map=/nowhere.png"], "cannot be read"),
        (["locate", TEXT, "--gallery", "g", "--image", "radar=x.png"], "VIEW=FILE"),
        (["locate", " ", "--gallery", "g"], "description is empty"),
        (["chat", "--gallery", "g", "--thread", "nobody"], "no thread 'nobody'"),
    ],
)
def test_wrong_use_is_one_sentence(app: typer.Typer, args: list[str], message: str) -> None:
    done = run(app, *args, stdin="")
    assert isinstance(done.exception, SightlineError)
    assert message in str(done.exception)


def test_a_picture_that_is_none_is_refused(app: typer.Typer, tmp_path: Path) -> None:
    fake = tmp_path / "x.png"
    fake.write_bytes(b"not a picture")
    done = run(app, "locate", TEXT, "--gallery", "g", "--image", f"map={fake}")
    assert isinstance(done.exception, SightlineError)


def queries(path: Path, *lines: Any) -> Path:
    path.write_text("".join((json.dumps(li) if isinstance(li, dict) else li) + "\n" for li in lines), encoding="utf-8")
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_batch_answers_every_line_and_a_bad_one_costs_one_line(app: typer.Typer, tmp_path: Path) -> None:
    asked = queries(
        tmp_path / "q.jsonl",
        {"id": "a", "text": TEXT, "lang": "en"},
        "{ not json",
        {"id": "b", "text": "左边有药店，右边有咖啡馆。", "lang": "zh"},
        {"id": "c"},
        {"id": "a", "text": "again"},
        {"id": 7, "text": "a church"},
    )
    out = tmp_path / "r.jsonl"
    done = run(app, "locate", "--batch", str(asked), "--out", str(out), "--gallery", "g", "--top", "0")
    assert done.exit_code == 0, done.output
    found = {r["query_id"]: r for r in rows(out)}
    assert set(found) == {"a", "b", "7", "line 2", "line 4", "line 5"}
    assert [found[i]["candidates"][0]["tile_id"] for i in ("a", "b")] == ["t-a", "t-a"]
    assert "not JSON" in found["line 2"]["error"]
    assert "repeats the id 'a'" in found["line 5"]["error"]


def test_batch_goes_on_where_it_was_killed_and_asks_nothing_twice(app: typer.Typer, tmp_path: Path) -> None:
    lines = [{"id": str(i), "text": TEXT} for i in range(4)]
    asked, out = queries(tmp_path / "q.jsonl", *lines), tmp_path / "r.jsonl"
    command = ["locate", "--batch", str(asked), "--out", str(out), "--gallery", "g", "--top", "0", "--shortlist", "3"]
    assert run(app, *command).exit_code == 0
    whole = out.read_text(encoding="utf-8")
    kept = whole.splitlines(keepends=True)
    out.write_text("".join(kept[:2]) + kept[2][: len(kept[2]) // 2], encoding="utf-8")
    judges["now"].calls.clear()
    assert run(app, *command).exit_code == 0
    assert [r["query_id"] for r in rows(out)] == ["0", "1", "2", "3"]
    assert len(judges["now"].calls) == 2 * 3
    judges["now"].calls.clear()
    assert run(app, *command).exit_code == 0
    assert judges["now"].calls == []


def test_batch_refuses_to_mix_methods_in_one_file(app: typer.Typer, tmp_path: Path) -> None:
    asked, out = queries(tmp_path / "q.jsonl", {"id": "a", "text": TEXT}), tmp_path / "r.jsonl"
    command = ["locate", "--batch", str(asked), "--out", str(out), "--gallery", "g"]
    assert run(app, *command).exit_code == 0
    done = run(app, *command, "--reranker", "identity")
    assert "another run" in str(done.exception)


def test_a_damaged_line_in_the_middle_is_no_kill(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    out.write_text('{"query_id": "a"}\n{"query_id\n{"query_id": "c"}\n')
    with pytest.raises(SightlineError, match="line 2"):
        list(batch.repair(out))


def test_a_conversation_from_a_pipe(app: typer.Typer) -> None:
    words = "There is a pharmacy here.\nThere is also a cafe.\nwhy not the second one?\n用中文再说一遍\n/quit\n"
    done = run(app, "chat", "--gallery", "g", stdin=words)
    assert done.exit_code == 0, done.output
    second = re.search(r"Number 2 \((t-\w+)\)", done.stdout)
    assert second, done.stdout
    assert f"第 2 个（{second[1]}）" in done.stdout.split("> 用中文再说一遍")[1]


def test_a_thread_goes_on_in_another_process(app: typer.Typer) -> None:
    first = json.loads(run(app, "locate", TEXT, "--gallery", "g", "--json").stdout)
    done = run(app, "chat", "--gallery", "g", "--thread", first["thread"], stdin="why this one?\n")
    assert done.exit_code == 0, done.output
    assert "Number 1 (t-a)" in done.stdout


def test_a_turn_that_cannot_be_done_does_not_end_the_conversation(app: typer.Typer) -> None:
    words = f"{TEXT}\nonly within 50 m of 10.000, 10.000\nwhy this one?\n"
    done = run(app, "chat", "--gallery", "g", stdin=words)
    assert done.exit_code == 0, done.output
    assert "no tile of the gallery" in done.stdout
    assert "Number 1 (t-a)" in done.stdout


@pytest.mark.parametrize("odd", ["[/b]", "[red]"])
def test_square_brackets_in_what_is_said_are_words_and_not_markup(app: typer.Typer, odd: str) -> None:
    text = f"There is a {odd}pharmacy and a cafe here, it says {odd} on a sign called '{odd} Pharmacy'."
    done = run(app, "locate", text, "--gallery", "g[/b]")
    assert done.exit_code == 0, done.output
    assert odd in done.stdout
    piped = run(app, "chat", "--gallery", "g", stdin=f"{text}\nwhy this one?\n")
    assert piped.exit_code == 0, piped.output
    assert piped.stdout.count(odd) > 2


def test_square_brackets_in_a_finding_or_a_file_name_are_shown_as_they_are() -> None:
    screen = Console(file=io.StringIO(), width=140)
    doctor.show([doctor.Finding(name="own files", status="note", found="/data/[/b]", todo="make [red]room")], screen)
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "/data/[/b]" in shown
    assert "[red]room" in shown


def test_a_thread_that_began_with_an_image_goes_on_without_the_option(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def encode_images(pictures: list[Image.Image]) -> np.ndarray:
        seen.extend(picture.getpixel((0, 0)) for picture in pictures)
        return np.ones((1, 2), dtype=np.float32)

    index = SimpleNamespace(scores=lambda vector: np.arange(10, dtype=np.float32).reshape(2, 5)[:1])
    monkeypatch.setattr(FakeRetriever, "dense", (SimpleNamespace(encode_images=encode_images), index), raising=False)
    Image.new("RGB", (20, 20), (200, 10, 10)).save(tmp_path / "a.png")
    image = f"map={tmp_path / 'a.png'}"
    first = json.loads(run(app, "locate", TEXT, "--gallery", "g", "--json", "--image", image).stdout)
    (tmp_path / "a.png").unlink()
    command = ["chat", "--gallery", "g", "--thread", first["thread"]]
    done = run(app, *command, stdin="There is also a church.\n")
    assert done.exit_code == 0, done.output
    assert seen == [(200, 10, 10)] * 2
    kept = next((tmp_path / "data" / "images").glob("*.png"))
    kept.write_bytes(b"no picture")
    assert "cannot be read" in run(app, *command, stdin="There is also a fountain.\n").stdout
    kept.unlink()
    assert "no longer in the image store" in run(app, *command, stdin="There is also a fountain.\n").stdout


def test_an_area_limit_given_with_a_thread_holds_from_the_next_turn_on(app: typer.Typer, gallery: FakeGallery) -> None:
    first = json.loads(run(app, "locate", TEXT, "--gallery", "g", "--json").stdout)
    limit = f"{gallery.lat[4]},{gallery.lon[4]},70m"
    command = ["chat", "--gallery", "g", "--thread", first["thread"], "--within", limit]
    done = run(app, *command, stdin="There is also a church.\nsearch everywhere\n")
    assert done.exit_code == 0, done.output
    limited, everywhere = done.stdout.split("> search everywhere")
    assert f"within {limit[:12]}" in limited
    assert "t-b" not in limited.split("> There is also")[1]
    assert "t-b" in everywhere
