"""The queue for people: what goes in comes out, once, also after a writer was killed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune.annotate.queue import REASONS, Answer, QueueImage, QueueItem, append, item_id, load
from retriever.errors import SourceError
from retriever.types import Claim, Relation

IMAGE = QueueImage(role="ground", sha256="ab" * 32, path="images/abab.png")
CLAIM = Claim(id="c1", span="no church", kind="object", value="church", relation=Relation(), polarity=False)
ANSWER = Answer(by="annotator_a", model="m", verdict="match", en="A church.", zh="教堂。", claims=(CLAIM,))


def item(query: str = "") -> QueueItem:
    return QueueItem(
        id=item_id("pair", (IMAGE,), (ANSWER,), query),
        task="pair",
        images=(IMAGE,),
        query=query,
        claims=(CLAIM,),
        answers=(ANSWER,),
        why=("verdict_differs",),
        detail="a says match",
    )


def test_what_is_queued_is_read_back_with_its_claims(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    assert append(path, [item(), item("药店")]) == 2
    assert load(path) == [item(), item("药店")]
    assert json.loads(path.read_text("utf-8").splitlines()[0])["claims"][0]["polarity"] is False


def test_the_same_item_is_queued_once(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    assert append(path, [item(), item()]) == 1
    assert append(path, [item(), item("b")]) == 1
    assert len(load(path)) == 2


def test_another_answer_is_another_item() -> None:
    other = Answer(by="annotator_a", model="m", verdict="no_match", en="A church.")
    assert item_id("pair", (IMAGE,), (ANSWER,)) != item_id("pair", (IMAGE,), (other,))
    assert item_id("pair", (IMAGE,), (ANSWER,)) == item_id("pair", (IMAGE,), (ANSWER,))


def test_a_line_that_a_killed_writer_left_is_cut_off_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    append(path, [item(), item("b")])
    path.write_bytes(path.read_bytes()[:-30])
    assert append(path, [item(), item("b")]) == 1
    assert load(path) == [item(), item("b")]


def test_damage_and_repetition_are_named(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    with pytest.raises(SourceError, match="cannot be read"):
        load(path)
    append(path, [item()])
    line = path.read_text("utf-8")
    path.write_text(line + line, "utf-8")
    with pytest.raises(SourceError, match="twice"):
        load(path)
    path.write_text(line + line.replace("verdict_differs", "boredom"), "utf-8")
    with pytest.raises(SourceError, match=r"line 2 .*boredom"):
        load(path)
    path.write_text(line.replace('["verdict_differs"]', "[]"), "utf-8")
    with pytest.raises(SourceError, match="does not say why"):
        load(path)


def test_every_reason_has_words_for_people() -> None:
    from typing import get_args

    from finetune.annotate.queue import Why

    assert set(get_args(Why)) == set(REASONS)
