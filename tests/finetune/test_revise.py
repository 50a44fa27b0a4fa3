"""Revising what two annotators disagree on: decisions, agreement before and after, exports, and the real page."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from finetune.annotate.disagree import read_back
from finetune.annotate.pairs import AnnotationRow
from finetune.annotate.queue import Answer, QueueImage, QueueItem, append, item_id
from finetune.annotate.revise.agreement import agreement
from finetune.annotate.revise.board import Board, RevisionError
from finetune.annotate.revise.export import export, revised
from finetune.annotate.revise.things import things
from finetune.annotate.rows import read_rows, write_rows
from prompts.annotate import CLOSING
from retriever.pages import driver

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>"
EN = {"match": "Both show a church and a park.", "no_match": "The second shows a church but no park."}
ZH = {"match": "两者都有教堂和公园。", "no_match": "第二幅有教堂，没有公园。"}


def answer(by: str, verdict: str) -> Answer:
    match = verdict == "match"
    closing = CLOSING["match" if match else "no_match"]
    en = f"{EN[verdict]} {closing[0]}"
    return Answer(
        by=by, model=f"model of {by}", verdict="match" if match else "no_match", en=en, zh=ZH[verdict] + closing[1],
        claims=read_back(EN[verdict]),
    )  # fmt: skip


def pair(run: Path, n: int, verdicts: tuple[str, str], query: str = "by the church") -> tuple[QueueItem, AnnotationRow]:
    images = []
    for role in ("ground", "satellite"):
        out = io.BytesIO()
        Image.new("RGB", (40, 30), (n * 20, 100, 200 if role == "ground" else 20)).save(out, "PNG")
        sha = hashlib.sha256(out.getvalue()).hexdigest()
        (run / "images").mkdir(exist_ok=True)
        (run / "images" / f"{sha}.png").write_bytes(out.getvalue())
        images.append(QueueImage(role=role, sha256=sha, path=f"images/{sha}.png"))
    answers = tuple(answer(by, v) for by, v in zip(("annotator_a", "annotator_b"), verdicts, strict=True))
    agreed = verdicts[0] == verdicts[1]
    item = QueueItem(
        id=item_id("pair", images, answers, query), task="pair", images=tuple(images), en=answers[0].en,
        zh=answers[0].zh, query=query, verdict=answers[0].verdict if agreed else None, claims=answers[0].claims,
        answers=answers, why=("verdict_differs",), detail="they differ",
    )  # fmt: skip
    row = AnnotationRow(
        id=f"p{n}", first_sha256=images[0].sha256, second_sha256=images[1].sha256, verdict=item.verdict,
        en=item.en if agreed else "", zh=item.zh if agreed else "", answers=answers,
        why=() if agreed else ("verdict_differs",), detail="", prompt="t",
    )  # fmt: skip
    return item, row


def run_of(run: Path) -> Board:
    """Four pairs in the queue, two of each verdict by the first annotator, and four on which both agree."""
    queued = [pair(run, n, ("match", "no_match") if n % 2 else ("no_match", "match")) for n in range(4)]
    agreed = [pair(run, n, ("match", "match") if n % 2 else ("no_match", "no_match")) for n in range(4, 8)]
    append(run / "queue.jsonl", [item for item, _ in queued])
    write_rows(run / "annotations.jsonl", [row for _, row in (*queued, *agreed)])
    board = Board(run / "queue.jsonl", run / "revision.sqlite", make=True)
    board.add_revisers(["anna", "ben"])
    return board


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return run_of(tmp_path)


def decide_all(board: Board, item: str, verdict: str, who: str = "anna") -> None:
    board.decide(who, item, "verdict", verdict)
    for field in board.fields(item)[1:]:
        board.decide(who, item, field, "accept")


def test_both_annotators_sides_stand_beside_each_thing(board: Board) -> None:
    item = next(iter(board.items.values()))
    assert {row.id: row.sides for row in things(item)} == {
        "object church": (("annotator_a", "there"), ("annotator_b", "there")),
        "object park": (("annotator_a", "not_there"), ("annotator_b", "there")),
    }


def test_the_accepted_text_is_that_of_the_decided_verdict(board: Board) -> None:
    item = next(iter(board.items))
    assert board.missing(item) == ["verdict", "claim:object church", "claim:object park", "en", "zh"]
    decide_all(board, item, "match")
    assert board.done(item)
    assert board.decisions(item)["en"].text == f"{EN['match']} {CLOSING['match'][0]}"
    board.decide("ben", item, "verdict", "no_match")
    assert board.missing(item) == ["en", "zh"]
    board.decide("ben", item, "en", "accept")
    board.decide("ben", item, "zh", "reject")
    assert board.decisions(item)["en"].text == f"{EN['no_match']} {CLOSING['no_match'][0]}"
    assert [(e.who, e.field) for e in board.log.entries(item=item)][-3:] == [
        ("ben", "verdict"), ("ben", "en"), ("ben", "zh"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "do", "text", "why"),
    [
        ("verdict", "accept", "", "can be match"),
        ("claim:object river", "accept", "", "nothing called"),
        ("claim:object park", "edit", "lovely weather", "one claim"),
        ("claim:object park", "edit", "a park and a church", "one claim"),
        ("en", "edit", "  ", "must not be empty"),
        ("en", "edit", f"No. {CLOSING['no_match'][0]}", "concludes the other verdict"),
    ],
)
def test_a_decision_that_does_not_fit_is_refused_and_not_written(
    board: Board, field: str, do: str, text: str, why: str
) -> None:
    item = next(iter(board.items))
    board.decide("anna", item, "verdict", "match")
    before = board.log.head()
    with pytest.raises(RevisionError, match=why):
        board.decide("anna", item, field, do, text)
    assert board.log.head() == before


def test_a_decision_can_be_taken_back(board: Board) -> None:
    item = next(iter(board.items))
    board.decide("anna", item, "verdict", "match")
    board.decide("anna", item, "verdict", None)
    assert "verdict" in board.missing(item)
    assert [e.value for e in board.log.entries(item=item)] == [{"do": "match"}, None]


def test_others_are_led_to_other_items(board: Board) -> None:
    first, second = list(board.items)[:2]
    board.show("anna", first)
    assert board.next_open("anna") == first
    assert board.next_open("ben") == second


def test_agreement_before_and_after_is_the_known_one(board: Board) -> None:
    rows = read_rows(board.folder / "annotations.jsonl", AnnotationRow)
    before = agreement(board, rows)
    # Four pairs, always opposed, each verdict as often: 1 - 1 / (2 * 4 * 4 / (8 * 7)) = -0.75.
    assert before.verdicts_before.value == pytest.approx(-0.75)
    assert before.verdicts_after.value == pytest.approx(-0.75)
    # Of eight pairs half opposed: 1 - (8 / 16) / (2 * 8 * 8 / (16 * 15)) = 0.0625.
    assert before.all_pairs_before is not None
    assert before.all_pairs_before.value == pytest.approx(0.0625)
    truth = ["match", "no_match", "match", "no_match"]
    for item, verdict in zip(board.items, truth, strict=True):
        decide_all(board, item, verdict)
    after = agreement(board, rows)
    assert after.verdicts_before.value == pytest.approx(-0.75)
    assert after.verdicts_after.value == pytest.approx(1)
    assert after.all_pairs_after is not None
    assert after.all_pairs_after.value == pytest.approx(1)
    # The second annotator was right on all four, the first on none.
    assert after.with_people["annotator_b, verdicts"].value == pytest.approx(1)
    assert after.with_people["annotator_a, verdicts"].value == pytest.approx(-0.75)
    assert (after.items, after.decided, after.dropped, after.overruled) == (4, 4, 0, 0)
    board.decide("ben", next(iter(board.items)), "verdict", "drop")
    dropped = agreement(board, rows)
    assert (dropped.dropped, dropped.overruled, dropped.verdicts_after.units) == (1, 1, 3)


def test_export_writes_the_annotators_file_anew(board: Board, tmp_path: Path) -> None:
    first, second, third, _ = board.items
    decide_all(board, first, "match")
    board.decide("ben", first, "claim:object park", "edit", "no park")
    board.decide("ben", first, "en", "edit", f"Edited. {CLOSING['match'][0]}")
    board.decide("anna", second, "verdict", "drop")
    decide_all(board, third, "match")
    board.decide("anna", third, "claim:object park", "reject")
    written = {p.name for p in export(board, tmp_path / "out")}
    assert written == {"revisions.jsonl", "audit.jsonl", "annotations.revised.jsonl"}
    rows = {r.id: r for r in read_rows(tmp_path / "out" / "annotations.revised.jsonl", AnnotationRow)}
    assert set(rows) == {"p0", "p2", "p3", "p4", "p5", "p6", "p7"}
    assert (rows["p0"].verdict, rows["p0"].en, rows["p0"].why) == ("match", f"Edited. {CLOSING['match'][0]}", ())
    assert rows["p0"].detail.startswith("revised by anna, ben at 20")
    assert rows["p3"].verdict is None
    found = {r.id: r for r in revised(board)}
    assert [(c.value, c.polarity) for c in found[first].claims] == [("church", True), ("park", False)]
    assert (found[second].status, found[second].en) == ("dropped", "")
    assert [c.value for c in found[third].claims] == ["church"]
    assert found[third].rejected == ("object park",)
    log = [json.loads(line) for line in (tmp_path / "out" / "audit.jsonl").read_text("utf-8").splitlines()]
    assert log[-1]["hash"] == board.log.head()[1]
    assert {e["who"] for e in log} == {"anna", "ben"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if driver.chromium_path() is None:
        pytest.skip("there is no Chromium to open the page with")
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with driver.chromium() as opened:
        yield opened


def opened(browser: Browser, link: str) -> Page:
    page = browser.new_page()
    page.goto(link)
    page.wait_for_selector("[data-test=place]")
    driver.connected(page)
    return page


@pytest.mark.slow
def test_the_page_by_keyboard_through_edit_reload_kill_and_languages(browser: Browser, tmp_path: Path) -> None:
    board = run_of(tmp_path)
    hostile, _ = pair(tmp_path, 9, ("match", "no_match"), query=HOSTILE)
    rest = [i.to_json() for i in board.items.values()]
    (tmp_path / "queue.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [hostile.to_json(), *rest]), "utf-8")
    command = ["annotate", "revise", tmp_path, "--port", 0]
    with driver.served(command) as server:
        page, ben = opened(browser, server.links["anna"]), opened(browser, server.links["ben"])
        assert HOSTILE in page.inner_text("main")
        assert page.evaluate("window.pwned") is None
        assert page.inner_text("[data-test=place]") == "1 of 5"
        assert ben.inner_text("[data-test=place]") == "2 of 5"
        ben.close()
        page.keyboard.type("maxe")
        page.wait_for_selector("textarea:focus")
        page.keyboard.press("Control+Home")
        page.keyboard.type("Jump and mind. ")
        page.wait_for_timeout(600)
        page.reload()
        page.wait_for_selector("textarea")
        driver.connected(page)
        assert page.input_value("textarea").startswith("Jump and mind. Both show")
        page.focus("textarea")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("textarea", state="detached")
        page.keyboard.type("a")
        page.wait_for_function("document.querySelector('[data-test=state]').innerText.startsWith('All decided')")
        server.kill()
        page.close()
    again = Board(tmp_path / "queue.jsonl", tmp_path / "revision.sqlite")
    decided = again.decisions(hostile.id)
    assert {f: d.do for f, d in decided.items()} == {
        "verdict": "match", "claim:object church": "accept", "claim:object park": "reject", "en": "edit",
        "zh": "accept",
    }  # fmt: skip
    assert decided["en"].text.startswith("Jump and mind. Both show")
    assert again.log.verify() is None
    with driver.served(command) as server:
        page = opened(browser, server.links["anna"])
        assert page.inner_text("[data-test=done]") == "1 done"
        page.keyboard.press("l")
        page.wait_for_function("document.documentElement.lang === 'zh-CN'")
        assert "您的决定" in page.inner_text("main")
        page.keyboard.type("je")
        page.wait_for_selector("textarea:focus")
        page.keyboard.press("Escape")
        page.wait_for_selector("textarea", state="detached")
        # Ben has just looked at the second one.
        assert page.inner_text("[data-test=place]").startswith("第 3 项")
        page.click("footer button >> nth=0")
        page.wait_for_function("document.querySelector('[data-test=place]').innerText.startsWith('第 2 项')")
        page.close()
