"""The model and its lessons: word vectors, batches by length, stopping, going on, and the file that is written."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finetune.crossencoder import train as training
from finetune.crossencoder.lessons import ByLength, lesson
from finetune.crossencoder.model import blank, opened, tokenizer_of
from finetune.crossencoder.train import Recipe, train
from prompts.claims import extract_claims
from prompts.pairing import vocabulary
from retriever.errors import SourceError
from retriever.types import Fact

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
    one = partial(lesson, model, ROWS, batch=4, lr=1e-2, epochs=1.0, seed=1, save_steps=2)
    assert one(tmp_path / "a", until=0.0) == 1, "it stops where the time is over"
    assert one(tmp_path / "b", until=time.time() + 600) == 4
    after = model.predict(PAIR, show_progress_bar=False)[0]
    assert after != before
    fresh = blank(tmp_path / "start", width=16, heads=1, inner=16)
    steps = lesson(fresh, ROWS, tmp_path / "b", batch=4, lr=1e-2, epochs=1.0, until=time.time() + 600, seed=1)
    assert steps == 4
    assert fresh.predict(PAIR, show_progress_bar=False)[0] == pytest.approx(after, abs=1e-6), "from its checkpoint"


def test_between_the_lessons_the_model_is_made_less_sure(tmp_path: Path) -> None:
    from torch.nn import Identity

    model = blank(tmp_path, width=16, heads=1, inner=16)
    before = model.predict(PAIR, show_progress_bar=False, activation_fn=Identity())[0]
    training.soften(model, 0.25)
    after = model.predict(PAIR, show_progress_bar=False, activation_fn=Identity())[0]
    assert after == pytest.approx(0.25 * before, rel=1e-4)


def town(folder: Path) -> Path:
    """Twelve tiles in a row in each of two areas, with facts and texts."""
    kinds = ["cafe", "bank", "school", "pharmacy", "church", "hotel"]
    rows, said = [], []
    for number in range(24):
        here = [kinds[number % 6], kinds[(number + number // 6 + 1) % 6]]
        facts = [
            Fact(osm_id=f"node/{i}", kind=kind, shape="point", parts=(((0.5, 0.2 + 0.6 * i),),)).to_json()
            for i, kind in enumerate(here)
        ]
        split, name = ("train", "validation")[number // 12], f"t-{number}"
        rows.append(
            {"area": split, "tile_id": name, "split": split, "x": 200.0 * number, "y": 0.0, "facts": json.dumps(facts)}
        )
        said.append({"tile_id": name, "text": f"a {here[0]} to the north and a {here[1]} to the south of me"})
    pd.DataFrame(rows).to_parquet(folder / "tiles.parquet")
    (folder / "texts").mkdir()
    pd.DataFrame(said).to_parquet(folder / "texts" / "validation-000.parquet")
    lines = [{"row": i, "claims": [c.to_json() for c in extract_claims(x["text"])]} for i, x in enumerate(said)]
    (folder / "witnesses.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_a_training_writes_a_model_with_what_it_is_worth_and_a_second_start_writes_the_same(tmp_path: Path) -> None:
    data = town(tmp_path)
    recipe = Recipe(width=16, heads=1, inner=16, rule=64, entries=(2,), rounds=1, batch=16, asked=12)
    note = train(data, tmp_path / "run", recipe, command="sightline train cross-encoder")
    assert note["steps"] == {"rule-2": 4, "said": 3}
    assert (note["areas"], note["validation_areas"]) == (["train"], ["validation"])
    metrics = note["metrics"]
    assert (metrics["queries"], metrics["tiles"]) == (12, 10)
    assert metrics["oracle r@1"][0] > metrics["constant r@1"][0] == 0.0
    again = train(data, tmp_path / "run", recipe, command="sightline train cross-encoder")
    assert again == note
    other = train(data, tmp_path / "run", Recipe(**{**asdict(recipe), "lr": 1e-4}), command="x")
    assert other["metrics"] != note["metrics"], "another recipe goes on from no checkpoint of this one"


def test_what_is_written_reads_back_in_float16_and_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = blank(tmp_path / "start", width=16, heads=1, inner=16)
    expected = model.predict(PAIR, show_progress_bar=False)[0]
    training.save(model, tmp_path / "model", {"seed": 1})
    assert opened(tmp_path / "model").predict(PAIR, show_progress_bar=False)[0] == pytest.approx(expected, abs=1e-3)
    assert json.loads((tmp_path / "model" / "bundle.json").read_text()) == {"seed": 1}
    monkeypatch.setattr(training, "MAX_BYTES", 1000)
    with pytest.raises(SourceError, match="under 5 MB"):
        training.save(model, tmp_path / "model", {"seed": 1})
