"""Scoring a chat model's readings: kept, gone on with, and never a failure taken for a reading."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.claims import table
from benchmarks.claims_by_model import load_kept, read_all, text_key
from prompts.clients import ChatReply, ChatRequest
from prompts.clients.recorded import Answer, RecordedClient
from retriever.errors import ReplyError, ServerUnavailable, SightlineError

TEXTS = ["A bank. ", "A school.\u2028Yes.", "A park."]


class Reader(RecordedClient):
    """Reads banks, schools and parks, but for the texts in ``failing``."""

    def __init__(self, failing: dict[str, Answer] | None = None) -> None:
        super().__init__(self._read, name="reader")
        self.failing = failing or {}

    def _read(self, request: ChatRequest) -> Answer:
        asked = request.messages[1].parts[0].text  # type: ignore[union-attr]
        for text, answer in self.failing.items():
            if text in asked:
                return answer
        place = {"type": "near", "bearing_deg": None, "distance_m": None, "anchor": None}
        rest = {"kind": "object", "relation": place, "count": None, "polarity": True, "hedge": False}
        rows = [{"span": text, "value": text.split()[1][:-1], **rest} for text in TEXTS if text in asked]
        return ChatReply(text=json.dumps({"claims": rows}))


async def test_a_broken_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "kept.jsonl"
    with pytest.raises(ServerUnavailable, match="gone"):
        await read_all(Reader({"park": ServerUnavailable("gone")}), TEXTS, path)
    with path.open("a", encoding="utf-8") as out:
        out.write('{"key": "cut o')
    reader = Reader()
    found = await read_all(reader, TEXTS, path)
    assert len(reader.requests) == 1, "only what was missing is asked for"
    assert [found[text_key(reader, text)][0].value for text in TEXTS] == ["bank", "school", "park"]
    assert load_kept(path) == found


async def test_an_unusable_answer_counts_as_nothing_read_and_is_not_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = Reader({"park": ChatReply(text="Lovely!")})
    found = await read_all(reader, TEXTS, tmp_path / "kept.jsonl")
    assert found[text_key(reader, "A park.")] == []
    assert "1 unusable answers" in capsys.readouterr().out
    assert len(load_kept(tmp_path / "kept.jsonl")) == 2
    near = [{"kind": "object", "value": value, "relation": {"type": "near"}} for value in ("bank", "park")]
    rows = [{"text": text, "claims": [claim]} for text, claim in zip((TEXTS[0], TEXTS[2]), near, strict=True)]
    counts = table(rows, lambda text: found[text_key(reader, text)])
    assert counts["all"].tolist() == [[1, 1, 1], [0, 0, 1]]


async def test_a_model_without_one_usable_answer_is_an_error_and_not_a_score(tmp_path: Path) -> None:
    with pytest.raises(ReplyError, match="no answer of reader was usable"):
        await read_all(Reader(dict.fromkeys(TEXTS, ChatReply(text="{}"))), TEXTS, tmp_path / "kept.jsonl")


def test_a_damaged_file_is_told_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    path.write_text('{"key": 1}\n', encoding="utf-8")
    with pytest.raises(SightlineError, match="line 1 of"):
        load_kept(path)
