"""Case files from the terminal: exported, verified and replayed, and nonsense in one said plainly."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from case_kit import context_of, rewritten, town, town_case
from desk_fakes import FakeJudge

from agent.casefile import CaseError, replay_case
from agent.casefile.replay import Replay
from agent.desk import Desk, open_desk
from retriever.main import main

pytestmark = pytest.mark.usefixtures("quick_papers")


def test_the_terminal_fails_where_something_differs(
    case_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, "replay", str(case_path), "--backend", "none") == 0
    assert "The verdicts come out again." in capsys.readouterr().out
    forged = tmp_path / "forged.zip"
    forged.write_bytes(rewritten(town_case(), posterior=lambda p: {**p, "outside": p["outside"] + 0.3}))
    assert _run(monkeypatch, "replay", str(forged), "--backend", "none", "--json") == 1
    found = Replay.from_json(json.loads(capsys.readouterr().out))
    assert found.largest == pytest.approx(0.3)


def test_the_terminal_exports_verifies_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from agent.settings import Settings

    monkeypatch.setenv("SIGHTLINE_DATA_DIR", str(tmp_path / "data"))

    async def told_once() -> None:
        async with open_desk(context_of(town(), FakeJudge(), tmp_path), Settings().database()) as desk:
            await Desk.locate(desk, "There is a bakery here.", thread="abc")

    asyncio.run(told_once())
    gallery, out = str(town().path), tmp_path / "case.zip"
    assert _run(monkeypatch, "export", "abc", "--gallery", gallery, "--out", str(out)) == 0
    assert _run(monkeypatch, "case", "verify", str(out)) == 0
    capsys.readouterr()
    assert _run(monkeypatch, "export", "abc", "--gallery", gallery, "--out", str(out)) == 2
    assert "--force" in capsys.readouterr().err
    assert _run(monkeypatch, "export", "nobody", "--gallery", gallery, "--out", str(tmp_path / "n.zip")) == 2
    assert "no thread" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", None), ("weights", {"match": "x"}), ("prior", {}), ("prior", {"n": 0}), ("effects", []),
        ("outside", "x"), ("outside", None), ("prior", [1]),
    ],
)  # fmt: skip
async def test_nonsense_in_a_whole_archive_is_said_plainly(tmp_path: Path, name: str, value: Any) -> None:
    path = tmp_path / "odd.zip"
    path.write_bytes(rewritten(town_case(), posterior=lambda p: {**p, name: value}))
    if name == "effects":
        assert (await replay_case(path)).reproduced
        return
    with pytest.raises(CaseError, match="no case file does"):
        await replay_case(path)


async def test_a_folder_is_no_case(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="cannot be read"):
        await replay_case(tmp_path)


def _run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["sightline", *words])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
