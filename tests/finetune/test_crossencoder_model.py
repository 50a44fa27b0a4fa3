"""The model and its lessons: word vectors, batches by length, stopping, going on, and the file that is written."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from finetune.crossencoder import train as training
from finetune.crossencoder.lessons import ByLength, lesson
from finetune.crossencoder.model import blank, opened, tokenizer_of
from prompts.pairing import vocabulary
from retriever.errors import SourceError

ROWS: dict[str, list[object]] = {
    "clue": ["cafe.n", "cafe.n", "no park", "no park"] * 4,
    "listing": ["cafe.n street.c", "street.c", "street.c", "park.n street.c"] * 4,
    "label": [1.0, 0.0, 1.0, 0.0] * 4,
}
PAIR = [("cafe.n", "cafe.n street.c")]


def test_the_tokenizer_has_a_token_for_each_word_and_tells_clue_from_listing() -> None:
    tokenizer = tokenizer_of(64)
    got = tokenizer("no cafe.n", "road.e-w street.c nonsense")
    assert got["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert tokenizer.convert_ids_to_tokens(got["input_ids"])[4:7] == ["road.e-w", "street.c", "[UNK]"]
    known = tokenizer.get_vocab()
    assert all(word in known for word in vocabulary())


def test_a_word_begins_as_its_thing_in_its_part(tmp_path: Path) -> None:
    model = blank(tmp_path, width=16, heads=1, inner=16)
    words = model.model.bert.embeddings.word_embeddings.weight.detach().numpy()
    at = tokenizer_of(64).get_vocab()
    shift = words[at["cafe.n"]] - words[at["cafe"]]
    assert shift == pytest.approx(words[at["bank.n"]] - words[at["bank"]], abs=1e-6)
    south = words[at["cafe.s"]] - words[at["cafe"]]
    assert south == pytest.approx(-shift, abs=1e-6), "the compass is a circle"


def test_batches_hold_every_row_once_and_listings_of_like_length() -> None:
    lengths = np.random.default_rng(1).integers(1, 50, size=1000)
    table = {"listing": [" ".join(["street.c"] * int(n)) for n in lengths]}
    sampler = ByLength(table, 16, False)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 63
    assert sorted(row for batch in batches for row in batch) == list(range(1000))
    assert np.mean([np.ptp(lengths[batch]) for batch in batches]) < 5
    sampler.set_epoch(1)
    assert list(sampler) != batches


def test_a_lesson_ends_with_its_rows_or_by_the_clock_and_goes_on_where_it_was(tmp_path: Path) -> None:
    model = blank(tmp_path / "start", width=16, heads=1, inner=16)
    before = model.predict(PAIR, show_progress_bar=False)[0]
    one = partial(lesson, model, ROWS, batch=4, lr=1e-2, falling=False, epochs=1.0, seed=1, save_steps=2)
    assert one(tmp_path / "a", until=0.0) == 1, "it stops where the time is over"
    assert one(tmp_path / "b", until=time.time() + 600) == 4
    after = model.predict(PAIR, show_progress_bar=False)[0]
    assert after != before
    fresh = blank(tmp_path / "start", width=16, heads=1, inner=16)
    steps = lesson(
        fresh, ROWS, tmp_path / "b", batch=4, lr=1e-2, falling=False, epochs=1.0, until=time.time() + 600, seed=1
    )
    assert steps == 4
    assert fresh.predict(PAIR, show_progress_bar=False)[0] == pytest.approx(after, abs=1e-6), "from its checkpoint"


def test_what_is_written_reads_back_in_float16_and_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = blank(tmp_path / "start", width=16, heads=1, inner=16)
    expected = model.predict(PAIR, show_progress_bar=False)[0]
    training.save(model, tmp_path / "model", {"seed": 1})
    assert opened(tmp_path / "model").predict(PAIR, show_progress_bar=False)[0] == pytest.approx(expected, abs=1e-3)
    assert json.loads((tmp_path / "model" / "bundle.json").read_text()) == {"seed": 1}
    monkeypatch.setattr(training, "MAX_BYTES", 1000)
    with pytest.raises(SourceError, match="under 5 MB"):
        training.save(model, tmp_path / "model", {"seed": 1})
