"""What the cross-encoder is taught from: clues, listings, single clues with their truth, and how it is measured."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest

from finetune.crossencoder.controls import added_up, beaten, by_place, evaluate, measured, shared_words
from finetune.crossencoder.mapped import by_map
from finetune.crossencoder.pairs import Ground, Group, ground_of, groups, load, read_texts, witnesses
from finetune.crossencoder.silence import fitted, unsaid
from finetune.crossencoder.single import as_said, by_rule
from finetune.crossencoder.train import data_hash
from prompts.claims import extract_claims
from prompts.listing import parse_listing
from prompts.pairing import clues, each_clue, listing_words, vocabulary
from retriever.errors import SourceError
from retriever.types import Fact

LISTINGS = [
    "roads e-w; c street, cafe; n street, park; e pharmacy",
    "roads n-s; c main road, tram; s church; w park, water",
    "roads ne-sw; c street; nw bank, shop; se playground",
]


def ground() -> Ground:
    """Three tiles of one area, 200 m apart."""
    return ground_of(["a"] * 3, np.array([[0.0, 0.0], [200.0, 0.0], [400.0, 0.0]]), LISTINGS)


def said(*texts: str) -> list[Group]:
    """The texts, each said at the first tile, with the two others."""
    given = [(0, tuple(extract_claims(text))) for text in texts]
    return groups(ground(), given, negatives=2, seed=1)


class Overlap:
    """In the place of a model: whether the listing has the clue's last word."""

    def predict(self, pairs: list[tuple[str, str]], **_: object) -> np.ndarray:
        assert len(set(pairs)) == len(pairs), "no pair is read twice"
        return np.array([1.0 if clue.split()[-1] in listing.split() else -1.0 for clue, listing in pairs])


def test_clues_are_in_the_words_of_a_listing_without_names_and_struck_claims() -> None:
    claims = extract_claims("A cafe to the north of me, no park here. The sign says 'Hop Kee'. A five-storey building.")
    text = clues(claims)
    assert "cafe n" in text
    assert "no park" in text
    assert "Hop" not in text
    assert "storey" not in text
    assert clues(extract_claims("北边有一家咖啡馆")) == "cafe n", "one clue is the same in both languages"
    assert clues([]) == ""


def test_each_clue_and_each_listing_is_of_the_vocabulary() -> None:
    text = (
        "I stand on a footpath, the road runs from south-west to north-east. No park here. A cafe to the north, a "
        "T-junction ahead. The sign says 'Hop Kee'. A five-storey building. It is a dead end, quite narrow."
    )
    found = each_clue(extract_claims(text))
    assert {"footway.c", "road.ne-sw", "cafe.n", "dead_end.c"} <= set(found)
    assert any(clue.startswith("no park") for clue in found)
    assert any(clue.startswith("t_junction") for clue in found)
    words = {word for clue in found for word in clue.split()}
    assert words <= set(vocabulary())
    assert not any("Hop" in clue or "storey" in clue for clue in found)
    assert list(each_clue(extract_claims("北边有一家咖啡馆"))) == ["cafe.n"], "one clue is the same in both languages"
    shown = listing_words(parse_listing(LISTINGS[0] + '; "Hop Kee" restaurant n'))
    assert shown == "road.e-w street.c street.n park.n pharmacy.e cafe.c", "a name is no word of a listing"
    assert set(shown.split()) <= set(vocabulary())
    assert listing_words(parse_listing("nothing")) in vocabulary()


def test_drawn_clues_are_balanced_and_true() -> None:
    rows = by_rule(ground().listing, n=400, most=4, seed=3)
    labels = np.array(rows["label"])
    assert 0.4 < labels.mean() < 0.6
    whole = {listing_words(listing) for listing in ground().listing}
    assert max(len({w.partition(".")[0] for w in str(x).split()} - {"road"}) for x in rows["listing"]) <= 4
    assert whole & set(by_rule(ground().listing, n=400, most=9, seed=3)["listing"]), "tiles as they are, too"
    for clue, shown, label in zip(rows["clue"], rows["listing"], rows["label"], strict=True):
        if str(clue) in str(shown).split():
            assert label == 1.0, f"{clue} is in {shown}"
    assert by_rule(ground().listing, n=400, most=4, seed=3) == rows


def test_a_clue_that_was_said_stands_once_with_its_tile_and_once_with_another() -> None:
    rows = as_said(ground(), said("a cafe and a pharmacy here", "no church to the south"), seed=1)
    shown = [listing_words(listing) for listing in ground().listing]
    assert rows["label"] == [1.0, 0.0] * 3
    assert rows["clue"][::2] == rows["clue"][1::2]
    assert set(rows["listing"][::2]) == {shown[0]}
    assert set(rows["listing"][1::2]) <= set(shown[1:])
    other = as_said(ground(), said("a bank here"), seed=1)
    assert data_hash({"said": rows}) != data_hash({"said": other})


def test_groups_hold_the_true_tile_first_and_far_ones_after_it() -> None:
    found = said("a cafe and a pharmacy here", "it is loud here")
    assert [g.tiles[0] for g in found] == [0], "a text without a clue teaches nothing"
    assert set(found[0].tiles) == {0, 1, 2}
    near = ground_of(["a"] * 3, np.array([[0.0, 0.0], [100.0, 0.0], [400.0, 0.0]]), LISTINGS)
    assert groups(near, [(0, found[0].claims)], negatives=2, seed=1) == [], "a tile nearby may hold the place too"


def folder_of(tmp_path: Path) -> Path:
    """A folder of three tiles of two splits with facts, texts and witnesses."""
    facts = [[Fact(osm_id="node/1", kind=kind, shape="point", parts=(((0.5, 0.1),),)).to_json()] for kind in
             ("cafe", "bank", "school")]  # fmt: skip
    table = pd.DataFrame(
        {
            "area": ["a", "b", "a"], "tile_id": ["a-1", "b-1", "a-2"], "split": ["train", "validation", "train"],
            "x": [0.0, 0.0, 500.0], "y": [0.0, 0.0, 0.0], "facts": [json.dumps(f) for f in facts],
        }
    )  # fmt: skip
    table.to_parquet(tmp_path / "tiles.parquet")
    (tmp_path / "texts").mkdir()
    said_there = pd.DataFrame({"tile_id": ["b-1", "b-1"], "text": ["a bank north of me", "it is loud here"]})
    said_there.to_parquet(tmp_path / "texts" / "validation-000.parquet")
    lines = [{"row": row, "lang": "en", "claims": [c.to_json() for c in extract_claims("a school")]} for row in (1, 2)]
    (tmp_path / "witnesses.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines), encoding="utf-8")
    return tmp_path


def test_tiles_and_what_was_said_at_them_are_joined_by_row_and_id(tmp_path: Path) -> None:
    folder, kept = folder_of(tmp_path), tmp_path / "kept"
    ground = load(folder, "train", kept)
    assert (ground.row, [listing_words(x) for x in ground.listing]) == ([0, 2], ["cafe.n", "school.n"])
    assert [at for at, _ in witnesses(folder, ground, kept, seed=1)] == [1], "row 2 is the second tile of its split"
    held = load(folder, "validation", kept)
    found = read_texts(folder, "validation", held, n=5, seed=1)
    assert [(at, list(each_clue(claims))) for at, claims in found] == [(0, ["bank.n"])]
    assert len(load(folder, "train", kept, most=1).row) == 1


def test_the_oracle_checks_claims_on_the_map_with_names_and_without(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    ground = load(folder, "train", tmp_path / "kept")
    claims = tuple(extract_claims("A cafe to the north of me, a sign that says 'Blue Door'."))
    assert any(claim.kind == "name" for claim in claims)
    rows = by_map(folder, ground, [Group(claims=claims, tiles=(0, 1))])
    at_cafe, at_school = rows["oracle without names"][0]
    assert at_cafe > at_school, "row 0 has the cafe"
    named = pd.read_parquet(folder / "tiles.parquet")
    named.loc[2, "facts"] = named.loc[2, "facts"].replace('"names": {}', '"names": {"": "Blue Door"}')
    named.to_parquet(folder / "tiles.parquet")
    again = by_map(folder, ground, [Group(claims=claims, tiles=(0, 1))])
    assert again["oracle without names"].tolist() == rows["oracle without names"].tolist()
    assert again["oracle"][0, 1] > rows["oracle"][0, 1], "a name that the map knows there counts"


def test_listings_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, kept = folder_of(tmp_path), tmp_path / "kept"
    first = load(folder, "train", kept)
    monkeypatch.setattr("finetune.crossencoder.pairs.list_facts", lambda *_, **__: pytest.fail("made again"))
    assert load(folder, "train", kept).listing == first.listing


def test_a_folder_without_tiles_or_texts_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="train tiles"):
        load(tmp_path, "train", tmp_path)
    folder = folder_of(tmp_path)
    held = load(folder, "train", tmp_path / "kept")
    with pytest.raises(SourceError, match="no texts of the split train"):
        read_texts(folder, "train", held, n=5, seed=1)
    with pytest.raises(SourceError, match="no tiles of the split test"):
        load(folder, "test", tmp_path / "kept")


def test_the_control_counts_what_the_listing_bears_out() -> None:
    right, wrong = LISTINGS[0], LISTINGS[1]
    assert shared_words("cafe n; road e-w", right) > shared_words("cafe n; road e-w", wrong)
    assert shared_words("no cafe", wrong) > shared_words("no cafe", right)


def test_a_description_is_worth_what_its_clues_are_worth() -> None:
    found = said("a pharmacy to the east", "a park to the north, and a street here")
    told = evaluate(added_up(Overlap(), found, ground()), found, ground())
    assert (told["queries"], told["tiles"], told["places"]) == (2, 3, 1)
    assert told["model r@1"] == [1.0, 1.0, 1.0]
    assert told["constant r@1"][0] == 0.0, "ties count against the true tile"
    assert told["constant auroc"][0] == 0.5


def test_what_no_clue_names_is_counted_and_weighed() -> None:
    found = said("a pharmacy to the east and no park here")
    assert unsaid(found, ground())[0].tolist() == [2.0, 4.0, 4.0] or found[0].tiles != (0, 1, 2)
    rng = np.random.default_rng(1)
    missing = rng.integers(0, 9, size=(400, 5)).astype(float)
    scores = rng.normal(size=(400, 5))
    best = (2.0 * scores - 0.6 * missing + rng.gumbel(size=(400, 5))).argmax(axis=1)
    for table in (scores, missing):
        table[np.arange(400), 0], table[np.arange(400), best] = (
            table[np.arange(400), best].copy(), table[np.arange(400), 0].copy(),
        )  # fmt: skip
    assert fitted(scores, missing) == pytest.approx(0.3, abs=0.06)
    assert fitted(scores, -missing) == 0.0, "silence never speaks for a tile"


def test_the_share_beaten_counts_ties_half_and_its_interval_holds_the_mean() -> None:
    scores = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 2.0]])
    assert beaten(scores).tolist() == [1.0, 0.25, 0.25]
    mean, low, high = by_place(np.array([Random(i).random() for i in range(90)]), [i // 3 for i in range(90)])
    assert low < mean < high
    rows = {"model": scores, "shared words": scores[::-1], "rule": scores}
    told = measured(rows, [0, 1, 2])
    assert told["model - rule auroc"] == [0.0, 0.0, 0.0]
    assert told["model - shared words auroc"][0] == pytest.approx(0.0)
