"""Two annotators: what they agree on is a label, what they do not goes to people with the reason."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from annotate_fakes import GOOD, FakeEndpoint, config_file
from PIL import Image

from finetune.annotate.config import load_config
from finetune.annotate.desk import Desk, store_path
from finetune.annotate.disagree import languages_differ, opposed
from finetune.annotate.pairs import AnnotationRow, PairRow, alpha, pair_jobs, run_pairs
from finetune.annotate.queue import load
from finetune.annotate.rows import read_rows, write_rows
from finetune.annotate.store import opened
from prompts.annotate import CLOSING, PairAnswer, PairVerdict, read_pair
from retriever.errors import SightlineError, SourceError


def said(
    verdict: PairVerdict, en: str, zh: str, agree: list[str] | None = None, differ: list[str] | None = None
) -> Any:
    return {
        "agree": [{"en": p, "zh": ""} for p in agree or []],
        "differ": [{"en": p, "zh": ""} for p in differ or []],
        "verdict": verdict,
        "en": f"{en} {CLOSING[verdict][0]}",
        "zh": f"{zh}{CLOSING[verdict][1]}",
    }


CHURCH = said("match", "There is a church.", "有一座教堂。", agree=("the church",))
OTHER = {
    "same": (CHURCH, ()),
    "verdict": (said("no_match", "There is a church.", "有一座教堂。", agree=("the church",)), ("verdict_differs",)),
    "points": (said("match", "There is a church.", "有一座教堂。", differ=("the church",)), ("claims_differ",)),
    "denies": (said("match", "There is no church.", "没有教堂。"), ("claims_differ",)),
    "languages": (said("match", "There is a church.", "有一座加油站。", agree=("the church",)), ("languages_differ",)),
    "conclusion": ({**CHURCH, "zh": f"有一座教堂。{CLOSING['no_match'][1]}"}, ("incoherent",)),
    "form": ({**CHURCH, "en": "There is a church."}, ("unanswered",)),
}


def pairs_file(folder: Path) -> Path:
    """One pair for each way in which the second annotator can answer; the witness's words name it."""
    rows = []
    for number, name in enumerate(OTHER):
        for which, colour in (("g", (number * 20, 0, 0)), ("s", (0, number * 20, 0))):
            Image.new("RGB", (40, 40), colour).save(folder / f"{number}{which}.png")
        rows.append(PairRow(id=name, first=f"{number}g.png", second=f"{number}s.png", text=f"way {name} way"))
    write_rows(folder / "pairs.jsonl", rows)
    return folder / "pairs.jsonl"


def test_a_file_without_pairs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text("\n")
    with pytest.raises(SourceError, match="holds no pairs"):
        pair_jobs(tmp_path / "pairs.jsonl", tmp_path)


def second_differs(body: Any) -> Any:
    if body["model"] != "model-annotator_b":
        return CHURCH
    words = "".join(p.get("text", "") for p in body["messages"][-1]["content"])
    return OTHER[words.split(" way")[0].split("way ")[-1]][0]


def annotate(pairs: Path, run: Path, url: str, **options: Any) -> tuple[list[AnnotationRow], Desk]:
    with opened(store_path(run)) as store:
        desk = Desk(load_config(config_file(run / "c.yaml", url, **options)), store)
        return asyncio.run(run_pairs(pairs, run, desk, "en")), desk


def test_every_way_to_disagree_goes_to_people_with_its_reason(tmp_path: Path) -> None:
    pairs, run = pairs_file(tmp_path), tmp_path / "run"
    with FakeEndpoint(say=second_differs).running() as server:
        rows, _ = annotate(pairs, run, server.url)
        again, _ = annotate(pairs, run, server.url)
        # The answer in the wrong form was asked for once more.
        assert server.finished == 2 * len(OTHER) + 1
        assert max(server.sent.values()) == 1
    assert again == rows == read_rows(run / "annotations.jsonl", AnnotationRow)
    assert {row.id: row.why for row in rows} == {name: why for name, (_, why) in OTHER.items()}
    assert {row.id for row in rows if row.verdict is None} == {"verdict", "form"}
    queue = load(run / "queue.jsonl")
    assert [item.why for item in queue] == [why for _, why in OTHER.values() if why]
    assert all((run / image.path).is_file() for item in queue for image in item.images)
    assert all([i.role for i in item.images] == ["ground", "satellite"] for item in queue)
    assert queue[0].query == "way verdict way"
    assert [a.verdict for a in queue[0].answers] == ["match", "no_match"]
    assert [(c.value, c.polarity) for c in queue[0].claims] == [("church", True)]
    assert all(item.detail for item in queue)


def test_a_model_that_would_agree_with_itself_is_refused(tmp_path: Path) -> None:
    pairs, run = pairs_file(tmp_path), tmp_path / "run"
    run.mkdir()
    with pytest.raises(SightlineError, match="give annotator_a and annotator_b two models"):
        annotate(pairs, run, "http://127.0.0.1:9/v1", parts={"annotator_b": {"model": "model-annotator_a"}})


def test_one_annotators_budget_stop_loses_no_reply_of_the_other(tmp_path: Path) -> None:
    pairs, run = pairs_file(tmp_path), tmp_path / "run"
    run.mkdir()
    with FakeEndpoint(say=second_differs, delay_s=0.02).running() as server:
        rows, desk = annotate(pairs, run, server.url, budget=30.0)
        assert desk.budget.stopped is not None
        assert desk.budget.spent <= 30.0
        assert len(rows) < len(OTHER)
        rows, _ = annotate(pairs, run, server.url)
        assert len(rows) == len(OTHER)
        assert max(server.sent.values()) == 1


def test_alpha_is_that_of_the_definition_and_undefined_without_variety() -> None:
    def row(a: str | None, b: str | None) -> AnnotationRow:
        from finetune.annotate.queue import Answer

        answers = tuple(Answer(by="x", model="m", verdict=v) for v in (a, b))  # type: ignore[arg-type]
        return AnnotationRow(
            id="", first_sha256="", second_sha256="", verdict=None, en="", zh="", answers=answers, why=(), detail="",
            prompt="",
        )  # fmt: skip

    m, n = "match", "no_match"
    # Observed disagreement 1/4; expected 2 * 3 * 5 / (8 * 7): alpha = 1 - (1/4) / (30/56).
    assert alpha([row(m, m), row(n, n), row(n, n), row(m, n), row(m, None)]) == pytest.approx(1 - 0.25 / (30 / 56))
    assert alpha([row(m, m), row(m, m)]) is None
    assert alpha([row(m, n)] * 0) is None
    assert alpha([row(m, n)]) is None


def test_what_one_mentions_and_the_other_does_not_is_no_disagreement() -> None:
    a, b = read_pair(CHURCH), read_pair(said("match", "There is a bank.", "有一家银行。", agree=("the bank",)))
    assert opposed(a, b) == []
    assert opposed(a, dataclasses.replace(a, agree=(), differ=a.agree)) == ["object church"]
    good: PairAnswer = read_pair(GOOD["pair"])
    assert languages_differ(good) == []
    assert languages_differ(dataclasses.replace(good, zh="")) == ["only in English: object church"]


def test_a_missing_picture_and_a_repeated_id_are_named(tmp_path: Path) -> None:
    pairs = pairs_file(tmp_path)
    (tmp_path / "3g.png").unlink()
    with pytest.raises(SourceError, match=r"3g\.png"):
        pair_jobs(pairs, tmp_path / "run")
    pairs.write_text(pairs.read_text("utf-8").replace('"id":"verdict"', '"id":"same"'), "utf-8")
    with pytest.raises(SourceError, match="id twice"):
        pair_jobs(pairs, tmp_path / "run")
