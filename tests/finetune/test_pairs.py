"""Match and no-match pairs: labels by geometry, one thing changed, reasons that follow from the evidence."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune.data.pairs.checks import balance, leaks, plain, problems
from finetune.data.pairs.explaining import phrase
from finetune.data.pairs.making import Maker
from finetune.data.pairs.maps import map_pairs
from finetune.data.pairs.picking import Tiles
from finetune.data.pairs.witnesses import generated, hand_written
from retriever.build import build_gallery
from retriever.geo import distance_m
from retriever.pair_maps import query_map
from retriever.pairs import NEGATIVES, PairError, apply_change, facts_hash, read_pairs, shown_tile, to_line, write_pairs
from retriever.town import write_town
from retriever.types import Fact


class FakeLooks(Tiles):
    """Look-alikes without the encoder: vectors by seed."""

    def look(self, row):
        return np.random.default_rng(row).normal(size=8)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    osm = write_town(folder / "town.osm", seed=1007, blocks=4)
    return FakeLooks(build_gallery(folder / "town", osm=osm, gallery_id="town-1007", px=64))


@pytest.fixture(scope="module")
def made(tiles):
    groups = generated(tiles, n=24, seed=3, langs=("en", "zh"), wrong_share=0.0)
    return list(Maker(tiles, 3, "t").pairs(groups))


@pytest.fixture(scope="module")
def maps(tiles):
    return list(map_pairs(tiles, n=8, seed=3, prefix="t"))


def test_every_promise_holds_on_made_pairs(made, maps) -> None:
    assert len(made) > 60
    assert problems([*made, *maps]) == []


def test_matches_and_no_matches_are_as_many_in_each_language(made, maps) -> None:
    counts = balance([*made, *maps])
    assert {key.split("/")[0] for key in counts} == {"text", "map"}
    assert all(a == b > 0 for a, b in counts.values())


def test_every_kind_of_negative_is_made_about_equally_often(made) -> None:
    for lang in ("en", "zh"):
        kinds = Counter(p.negative for p in made if p.negative and p.query.lang == lang)
        assert set(kinds) == set(NEGATIVES)
        assert max(kinds.values()) - min(kinds.values()) <= 3


def test_a_wrong_tile_misses_the_point_and_a_neighbour_is_near(made) -> None:
    for pair in made:
        centre = float(distance_m(pair.lat, pair.lon, pair.tile.lat, pair.tile.lon))
        if pair.negative == "neighbour":
            assert 60 < centre < 250, pair.id
        if pair.negative in ("lookalike", "random"):
            assert centre > 150, pair.id


def test_the_checker_sees_a_broken_label_and_a_reason_that_is_right(made) -> None:
    neighbour = next(p for p in made if p.negative == "neighbour")
    match = next(p for p in made if p.label == "match" and p.wrong_reason)
    broken = [
        replace(neighbour, label="match", negative=None),
        replace(match, wrong_reason=replace(match.wrong_reason, said=match.wrong_reason.true)),
        replace(match, evidence=match.evidence[::-1][:1]),
    ]
    for pair in broken:
        assert problems([pair]), pair.id
    assert problems([match, match])


def test_a_counterfactual_text_differs_in_one_place_and_is_contradicted(made) -> None:
    chosen = [p for p in made if p.negative == "counterfactual_text"]
    assert len({p.changed.what for p in chosen}) > 1
    by_id = {p.id: p for p in made}
    for pair in chosen:
        true = by_id[pair.id[:-1] + "m"]
        assert pair.query.text == true.query.text.replace(pair.changed.before, pair.changed.after)
        assert pair.changed.before != pair.changed.after
        assert pair.tile.change is None
        old = next(c for c in true.claims if c.id == pair.changed.claim_id)
        new = next(c for c in pair.claims if c.id == pair.changed.claim_id)
        assert old != new


def test_a_counterfactual_tile_differs_in_one_object_and_the_text_is_the_same(made, tiles) -> None:
    chosen = [p for p in made if p.negative == "counterfactual_tile"]
    by_id = {p.id: p for p in made}
    for pair in chosen:
        assert pair.query == by_id[pair.id[:-1] + "m"].query
        before = tiles.gallery.facts(pair.tile.id)
        after = apply_change(before, pair.tile.change)
        different = {f.osm_id for f in set_of(before) ^ set_of(after)}
        assert different == {pair.changed.osm_id}
        assert facts_hash(after) == pair.tile.facts_sha256 != facts_hash(before)


def set_of(facts):
    return {Hashed(f) for f in facts}


class Hashed:
    """A fact that sets can hold."""

    def __init__(self, fact: Fact) -> None:
        self.fact, self.osm_id = fact, fact.osm_id

    def __hash__(self) -> int:
        return hash(self.osm_id)

    def __eq__(self, other) -> bool:
        return self.fact == other.fact


def test_the_changed_tile_is_drawn_with_its_change(made, tiles) -> None:
    pair = next(p for p in made if p.tile.change is not None)
    tile, picture = shown_tile(pair, tiles.gallery)
    assert picture.tobytes() != tiles.gallery.image(pair.tile.id).tobytes()
    assert facts_hash(tile.facts) == pair.tile.facts_sha256


def test_a_pair_refuses_a_gallery_that_is_another(made, tiles) -> None:
    pair = next(p for p in made if p.label == "match")
    other = replace(pair, tile=replace(pair.tile, facts_sha256="0" * 64))
    with pytest.raises(PairError, match="is not the one"):
        shown_tile(other, tiles.gallery)


def test_explanations_name_what_differs_in_both_languages_and_conclude_the_label(made) -> None:
    for pair in made:
        same = "同一地点" in pair.explanation.zh and "不是同一" not in pair.explanation.zh
        assert same == (pair.label == "match"), pair.id
        assert ("not" not in pair.explanation.en.rsplit(".", 2)[-2]) == (pair.label == "match"), pair.id
        against = {e.claim_id for e in pair.evidence if e.stance == "contradicts"}
        for said in pair.claims:
            if said.id in against:
                assert phrase(said, "en") in pair.explanation.en, pair.id
                assert phrase(said, "zh") in pair.explanation.zh, pair.id


def test_explanations_do_not_repeat_one_wording(made) -> None:
    openings = Counter(p.explanation.en[:18] for p in made)
    assert len(openings) >= 5
    assert max(openings.values()) < 0.6 * len(made)


def test_wrong_reasons_are_mostly_under_the_right_verdict(made) -> None:
    right = [p.wrong_reason.verdict == p.label for p in made if p.wrong_reason]
    assert 0.55 < np.mean(right) < 0.95
    assert all(p.wrong_reason.en != p.explanation.en for p in made if p.wrong_reason)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(made, tiles) -> None:
    groups = generated(tiles, n=6, seed=3, langs=("en", "zh"), wrong_share=0.0)
    again = [to_line(p) for p in Maker(tiles, 3, "t").pairs(groups)]
    assert again == [to_line(p) for p in made[: len(again)]]
    groups = generated(tiles, n=6, seed=4, langs=("en", "zh"), wrong_share=0.0)
    assert again != [to_line(p) for p in Maker(tiles, 4, "t").pairs(groups)]


def test_pairs_go_to_disk_and_back(made, tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.jsonl.xz"):
        sha256 = write_pairs(tmp_path / name, made)
        assert read_pairs(tmp_path / name) == made
        assert write_pairs(tmp_path / name, made) == sha256
    assert (tmp_path / "a.jsonl.xz").stat().st_size < (tmp_path / "a.jsonl").stat().st_size / 3


def test_a_damaged_file_names_its_line(made, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(to_line(made[0]) + '{"id": "x"}\n', encoding="utf-8")
    with pytest.raises(PairError, match=r"a\.jsonl:2"):
        read_pairs(path)
    with pytest.raises(PairError, match="cannot read"):
        read_pairs(tmp_path / "missing.jsonl")


def test_a_street_map_is_drawn_again_with_the_recorded_pixels(maps, tiles) -> None:
    for pair in maps[:6]:
        assert query_map(pair, tiles.gallery).size == (224, 224)
        assert pair.query.lang is None
        assert not pair.query.text
        wrong = replace(pair, query=replace(pair.query, offset_m=(1.0, 1.0)))
        with pytest.raises(PairError, match="other pixels"):
            query_map(wrong, tiles.gallery)


def test_an_unnamed_street_map_makes_no_claim_by_name(maps) -> None:
    assert {p.query.named for p in maps} == {True, False}
    for pair in maps:
        if not pair.query.named:
            assert not [c for c in pair.claims if c.kind == "name"]


def test_hand_written_texts_are_taken_as_they_are(tiles) -> None:
    lat, lon = tiles.gallery.lat[40] + 0.0001, tiles.gallery.lon[40]
    text = "I'm on a straight street, there's a cafe to the north and a park to the south of me."
    row = {"id": "hw-1", "text": text, "lang": "en", "lat": lat, "lon": lon, "named": False, "heading_deg": None}
    found = list(Maker(tiles, 3, "h").pairs([[w] for w in hand_written(tiles, [row])]))
    assert [p.label for p in found] == ["match", "no_match"]
    assert {p.query.text for p in found} == {text}
    assert {p.query.source for p in found} == {"hand"}
    assert found[1].negative != "counterfactual_text"


def test_a_leak_is_a_near_place_or_the_same_words(made) -> None:
    first = made[0]
    near = {"lat": first.lat + 0.001, "lon": first.lon}
    assert leaks(made, [near])
    assert leaks(made, [{"lat": None, "lon": None, "text": first.query.text.upper() + " !"}])
    assert not leaks(made, [{"lat": 48.1, "lon": 11.5, "text": "somewhere else"}])
    assert plain("A  b,C") == "a b c"
