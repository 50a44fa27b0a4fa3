"""Paraphrases: good ones are taken, and those that drop, invent, flip or deny a claim are refused."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from annotate_fakes import FakeEndpoint, asked, config_file

from finetune.annotate.config import load_config
from finetune.annotate.desk import Desk
from finetune.annotate.store import opened
from finetune.data.paraphrase import read_sources, run_paraphrase
from finetune.data.same_claims import check, unread
from prompts.claims import extract_claims
from retriever.errors import SourceError
from retriever.main import main

TEXT = "There is a church on my left. A pharmacy is to the north. I see no tram stop. The sign says 'Hop Kee'."
GOOD = "On my left stands a church, and to the north there's a pharmacy. No tram stop here. A sign reads 'Hop Kee'."
ZH = "我左边有一座教堂。北边有一家药店。附近没有电车站。"
GOOD_ZH = "左边是一座教堂，北边能看到一家药店，没有电车站。"
BAD = {
    "drops": (GOOD.replace("and to the north there's a pharmacy", "and it is quiet"), "dropped"),
    "drops the name": (GOOD.replace("A sign reads 'Hop Kee'.", "There are signs."), "dropped"),
    "invents": (GOOD + " A fountain is behind me.", "invented"),
    "flips the side": (GOOD.replace("left", "right"), "changed"),
    "turns the compass": (GOOD.replace("north", "south"), "changed"),
    "affirms what was denied": (GOOD.replace("No tram stop here", "A tram stop is here"), "changed"),
    "renames": (GOOD.replace("Hop Kee", "Wing Wah"), "dropped"),
}


def test_a_file_without_descriptions_is_refused_and_a_line_separator_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("\n")
    with pytest.raises(SourceError, match="holds no descriptions"):
        read_sources(path)
    path.write_text(json.dumps({"text": "a red\u2028door", "lang": "en", "claims": []}, ensure_ascii=False))
    assert [s.text for s in read_sources(path)] == ["a red\u2028door"]


@pytest.mark.parametrize(("text", "new"), [(TEXT, GOOD), (ZH, GOOD_ZH), (TEXT, TEXT)])
def test_other_words_for_the_same_claims_hold(text: str, new: str) -> None:
    ledger = extract_claims(text)
    found = check(text, ledger, new)
    assert found.holds
    assert [dataclasses.replace(c, span="") for c in found.claims] == [dataclasses.replace(c, span="") for c in ledger]
    assert all(c.span in new for c in found.claims)


@pytest.mark.parametrize(("new", "why"), BAD.values(), ids=BAD)
def test_a_text_that_does_something_to_a_claim_does_not_hold(new: str, why: str) -> None:
    found = check(TEXT, extract_claims(TEXT), new)
    assert not found.holds
    assert getattr(found, why)
    assert found.claims == ()


def test_side_and_denial_in_chinese_are_checked() -> None:
    assert check(ZH, extract_claims(ZH), GOOD_ZH.replace("左边", "右边")).changed
    assert check(ZH, extract_claims(ZH), GOOD_ZH.replace("没有电车站", "有电车站")).changed


def test_a_turned_heading_turns_what_lies_left_of_it() -> None:
    text = "I am facing north. There is a church on my left."
    assert check(text, extract_claims(text), "Facing north, I have a church on my left.").holds
    assert check(text, extract_claims(text), "Facing south, I have a church on my left.").changed


def test_what_the_rules_cannot_read_must_stay_word_for_word() -> None:
    span = "a thingummy with knobs on to the left"
    ledger = [dataclasses.replace(extract_claims("There is a church on my left.")[0], span=span, value="museum")]
    text = f"Here is {span}."
    assert unread(text, ledger) == [span]
    assert check(text, ledger, f"Well, I can make out {span}, you know.").holds
    assert check(text, ledger, "Well, some thingummy is there.").dropped
    assert check(text, ledger, f"There is not {span}.").dropped


def answer(body: Any) -> dict[str, str]:
    said = asked(body)
    number = int(said[said.index("number ") + 7 :].split()[0].rstrip('.\\"'))
    return {"text": f"{list(REPLIES.values())[number]} I am number {number}."}


REPLIES = {"good": GOOD, **{name: text for name, (text, _) in BAD.items()}}


def described(path: Path, extra: Any = None) -> Path:
    rows = []
    for number in range(len(REPLIES)):
        text = f"{TEXT} I am number {number}."
        claims = [c.to_json() for c in extract_claims(text)]
        rows.append({"text": text, "lang": "en", "claims": claims, "truth": [True] * len(claims), "n": number})
    rows += extra or []
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return path


def rewrite(sources: Path, out: Path, url: str) -> dict[str, Any]:
    with opened(out.with_suffix(".sqlite")) as store:
        desk = Desk(load_config(config_file(out.with_suffix(".yaml"), url)), store)
        return asyncio.run(run_paraphrase(read_sources(sources), out, desk))


def test_an_endpoint_that_rewrites_well_and_badly_changes_only_the_good_ones(tmp_path: Path) -> None:
    mixed = {"text": "A church. 药店。", "lang": "mixed", "claims": []}
    source, out = described(tmp_path / "in.jsonl", [mixed]), tmp_path / "out.jsonl"
    before = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    with FakeEndpoint(say=answer).running() as server:
        result = rewrite(source, out, server.url)
        assert rewrite(source, out, server.url) == result
        assert server.finished == len(REPLIES)
    after = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [row["paraphrase"]["outcome"] for row in after] == [
        "accepted",
        *(why for _, why in BAD.values()),
        "language",
    ]
    assert after[0]["text"] == f"{GOOD} I am number 0."
    assert after[0]["paraphrase"]["original"] == before[0]["text"]
    assert all(claim["span"] in after[0]["text"] for claim in after[0]["claims"])
    for old, new in zip(before[1:], after[1:], strict=True):
        assert {k: v for k, v in new.items() if k != "paraphrase"} == old
        assert new["paraphrase"]["why"]
    assert after[0]["truth"] == before[0]["truth"]
    assert result["accepted_share"] == pytest.approx(1 / len(REPLIES))


def test_an_answer_that_is_the_original_is_no_paraphrase(tmp_path: Path) -> None:
    source = described(tmp_path / "in.jsonl")

    def parrot(body: Any) -> dict[str, str]:
        return {"text": json.loads(next(line for line in asked(body).splitlines() if line.startswith('"')))}

    with FakeEndpoint(say=parrot).running() as server:
        assert rewrite(source, tmp_path / "out.jsonl", server.url)["outcomes"] == {"unchanged": len(REPLIES)}


@pytest.mark.parametrize("line", ["{", '{"text": "", "lang": "en", "claims": []}', '{"text": "a", "lang": "en"}', "[]"])
def test_a_row_without_a_ledger_is_named(tmp_path: Path, line: str) -> None:
    path = described(tmp_path / "in.jsonl")
    path.write_text(path.read_text("utf-8") + line + "\n", "utf-8")
    with pytest.raises(SourceError, match=f"line {len(REPLIES) + 1} "):
        read_sources(path)


def test_the_command_says_what_it_would_spend_and_needs_a_budget_for_prices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = described(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    words = ["sightline", "data", "paraphrase", str(source), "--endpoint", "http://127.0.0.1:9/v1", "--model", "m"]
    words += ["--out", str(out), "--dry-run", "--json", "--answer-price", "2"]
    for more, code in (([], 2), (["--budget", "1"], 0)):
        monkeypatch.setattr("sys.argv", words + more)
        with pytest.raises(SystemExit) as end:
            main()
        assert (end.value.code or 0) == code
        said = capsys.readouterr()
        if code:
            assert "budget" in said.err
        else:
            plan = json.loads(said.out)
            assert plan["plan"][0]["calls"] == len(REPLIES)
            assert plan["money_at_most"] == pytest.approx(2 * plan["money"])
    assert not out.exists()
