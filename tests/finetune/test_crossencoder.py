"""What the cross-encoder is taught from: clues, listings, single clues with their truth, and how it is measured."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from random import Random

import numpy as np

from finetune.crossencoder.controls import beaten, by_place, shared_words
from finetune.crossencoder.pairs import Ground, data_hash, groups
from finetune.crossencoder.single import single_clues
from finetune.crossencoder.train import Recipe, blank, fit, listed, tokenizer_of
from prompts.claims import extract_claims
from prompts.listing import parse_listing
from prompts.pairing import clues
from retriever.models import TOKENIZER, find_model

LISTINGS = [
    "roads e-w; c street, cafe; n street, park; e pharmacy",
    "roads n-s; c main road, tram; s church; w park, water",
    "roads ne-sw; c street; nw bank, shop; se playground",
]


def ground(texts: list[str]) -> Ground:
    """Three tiles of one area, 200 m apart, and texts of the first."""
    return Ground(
        area=["a"] * 3,
        xy=np.array([[0.0, 0.0], [200.0, 0.0], [400.0, 0.0]]),
        listing=LISTINGS,
        holds=[frozenset(f"{e.kind} {p}" for e in parse_listing(x).entries for p in e.parts) for x in LISTINGS],
        members={"a": [0, 1, 2]},
        texts=[(0, text) for text in texts],
    )


def test_clues_are_in_the_words_of_a_listing_without_names_and_struck_claims() -> None:
    claims = extract_claims("A cafe to the north of me, no park here. The sign says 'Hop Kee'. A five-storey building.")
    said = clues(claims)
    assert "cafe n" in said
    assert "no park" in said
    assert "Hop" not in said
    assert "storey" not in said
    assert clues(extract_claims("北边有一家咖啡馆")) == "cafe n", "one clue is the same in both languages"
    assert clues([]) == ""


def test_single_clues_are_balanced_and_true() -> None:
    rows = single_clues(LISTINGS, n=400, most=4, seed=3)
    labels = np.array(rows["label"])
    assert 0.4 < labels.mean() < 0.6
    assert max(len(parse_listing(str(x)).entries) for x in rows["listing"]) <= 4
    for text, listing, label in zip(rows["text"], rows["listing"], rows["label"], strict=True):
        kinds = {e.kind.replace("_", " ") for e in parse_listing(str(listing)).entries}
        if str(text) in kinds:
            assert label == 1.0, f"{text} is in {listing}"
    assert single_clues(LISTINGS, n=400, most=4, seed=3) == rows


def test_groups_hold_the_true_tile_first_and_far_ones_after_it() -> None:
    found = groups(ground(["a cafe and a pharmacy here", "it is loud here"]), n=5, negatives=2, seed=1)
    assert [g.tiles[0] for g in found] == [0], "a text without a clue teaches nothing"
    assert set(found[0].tiles) == {0, 1, 2}
    table = listed(found, ground([]))
    assert table["docs"][0][0] == LISTINGS[0]
    assert table["labels"] == [[1.0, 0.0, 0.0]]
    assert groups(ground(["a cafe here"]), n=5, negatives=2, seed=1, longest=20) == []
    other = groups(ground(["a bank here"]), n=5, negatives=2, seed=1)
    assert data_hash(found, ground([])) != data_hash(other, ground([]))


def test_the_tokenizer_tells_clues_from_listing() -> None:
    tokenizer = tokenizer_of(find_model("sightline-mini") / TOKENIZER, 64)
    got = tokenizer("cafe n", LISTINGS[0])
    assert set(got["token_type_ids"]) == {0, 1}
    assert len(got["token_type_ids"]) == len(got["input_ids"])


def test_the_control_counts_what_the_listing_bears_out() -> None:
    right, wrong = LISTINGS[0], LISTINGS[1]
    assert shared_words("cafe n; road e-w", right) > shared_words("cafe n; road e-w", wrong)
    assert shared_words("no cafe", wrong) > shared_words("no cafe", right)


def test_the_share_beaten_counts_ties_half_and_its_interval_holds_the_mean() -> None:
    scores = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 2.0]])
    assert beaten(scores).tolist() == [1.0, 0.25, 0.25]
    mean, low, high = by_place(np.array([Random(i).random() for i in range(90)]), [i // 3 for i in range(90)])
    assert low < mean < high


def test_a_lesson_ends_with_its_rows_or_by_the_clock(tmp_path: Path) -> None:
    from sentence_transformers.cross_encoder.losses import ListNetLoss

    recipe = Recipe(width=32, heads=1, inner=32, max_length=32)
    model = blank(tmp_path / "start", recipe)
    rows = listed(groups(ground(["a cafe here", "a bank here", "by a church"]), n=3, negatives=2, seed=1), ground([]))
    loss = ListNetLoss(model, mini_batch_size=-1)
    before = model.predict([("cafe", LISTINGS[0])], show_progress_bar=False)[0]
    fit_one = partial(fit, model, rows, loss, tmp_path, recipe, batch=1, epochs=2.0, falling=True, lr=2e-3)
    assert fit_one(until=time.time() + 600) == 6
    assert fit_one(until=0.0) == 1, "it stops where the time is over"
    assert model.predict([("cafe", LISTINGS[0])], show_progress_bar=False)[0] != before
