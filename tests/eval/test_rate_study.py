"""A study without a browser: who gets what, what is written, what comes out, and what people edit by hand."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from rate_study_kit import ITEMS, RATERS, TEXT, item, rate_all, study_of

from eval.explanations.humans import read_ratings
from eval.protocol import EvaluationError
from eval.rate import export
from eval.rate.adjudicate import decided, disputes, give_out
from eval.rate.bring_in import bring_in
from eval.rate.items import SCALES
from eval.rate.plan import Rater, make_plan, read_raters
from eval.rate.report import report


def test_overlap_and_balance_are_as_designed() -> None:
    plan = make_plan(ITEMS, RATERS, {}, {}, overlap=0.3, checks=0, seed=4)
    given = Counter(i for ids in plan.assignments.values() for i in ids)
    by_id = {i.id: i for i in ITEMS}
    assert set(given) == set(by_id)
    for lang, readers in (("en", 3), ("zh", 2)):
        of = [i for i in ITEMS if i.lang == lang]
        assert Counter(given[i.id] for i in of) == {readers: 12, 1: 28}
        assert {i.id for i in of if given[i.id] == readers} == {i.id for i in of if i.id in plan.shared}
        alone = Counter(
            name
            for name, ids in plan.assignments.items()
            for i in ids
            if by_id[i].lang == lang and i not in plan.shared
        )
        assert max(alone.values()) - min(alone.values()) <= 2
    assert not [i for i in plan.assignments["ben"] if by_id[i].lang == "zh"]
    for ids in plan.assignments.values():
        assert Counter(by_id[i].system for i in ids)["good"] == len(ids) / 2
    orders = {tuple(i for i in ids if i in plan.shared and "-en" in i) for ids in plan.assignments.values()}
    assert len(orders) == 3


def test_the_same_seed_gives_the_same_plan_and_another_another() -> None:
    plans = [make_plan(ITEMS, RATERS, {}, {}, overlap=0.3, checks=0, seed=s).assignments for s in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


@pytest.mark.parametrize("text", ["", "anna,anna", "anna:fr", "an na", "../x"])
def test_raters_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(EvaluationError, match="--raters"):
        read_raters(text)


def test_a_language_that_nobody_reads_is_refused() -> None:
    with pytest.raises(EvaluationError, match="nobody of --raters reads zh"):
        make_plan(ITEMS, [Rater(name="ben", langs=("en",))], {}, {}, overlap=1, checks=0, seed=0)


def test_only_marks_that_fit_are_written(tmp_path: Path) -> None:
    study = study_of(tmp_path, [item(0, "good")], (Rater(name="anna"),))
    before = study.log.head()
    for field, value in [
        ("claim:e9", "right"), ("claim:e1", "maybe"), ("scale:correct", 6), ("scale:correct", True),
        ("scale:correct", "3"), ("scale:charm", 3), ("mood", "good"), ("", None),
    ]:  # fmt: skip
        with pytest.raises(EvaluationError, match="nothing was written"):
            study.mark("anna", "i-good-0-en", field, value)
    for who, what in [("ben", "i-good-0-en"), ("anna", "elsewhere")]:
        with pytest.raises(EvaluationError, match="not given"):
            study.mark(who, what, "claim:e1", "right")
    assert study.log.head() == before


def test_a_mark_can_be_changed_and_both_stay_in_the_log(tmp_path: Path) -> None:
    study = study_of(tmp_path, [item(0, "good")], (Rater(name="anna"),))
    study.mark("anna", "i-good-0-en", "claim:e1", "right")
    study.mark("anna", "i-good-0-en", "claim:e1", "wrong")
    assert study.marked("anna", "i-good-0-en").claims == {"e1": "wrong"}
    assert [e.value for e in study.log.entries(item="i-good-0-en")] == ["right", "wrong"]
    assert study.missing("anna", "i-good-0-en") == ["claim:e2", *(f"scale:{s}" for s in SCALES)]


def test_time_at_work_leaves_breaks_out(tmp_path: Path) -> None:
    study = study_of(tmp_path, [item(0, "good")], (Rater(name="anna"),))
    moments = [("shown", True, "00:00"), ("claim:e1", "right", "00:10"), ("claim:e2", "right", "20:00"),
               ("shown", True, "21:00"), ("scale:clear", 3, "21:07")]  # fmt: skip
    for field, value, at in moments:
        study.mark("anna", "i-good-0-en", field, value, at=f"2026-01-01T00:{at}.000000+00:00")
    assert study.marked("anna", "i-good-0-en").seconds == pytest.approx(17)


def test_a_changed_item_and_a_changed_mark_are_found(tmp_path: Path) -> None:
    study = study_of(tmp_path, [item(0, "good")], (Rater(name="anna"),))
    study.mark("anna", "i-good-0-en", "claim:e1", "right")
    assert study.tampered() is None
    study.db.execute("UPDATE items SET json = replace(json, 'good', 'best')")
    assert "items" in str(study.tampered())
    study.db.execute("UPDATE items SET json = replace(json, 'best', 'good')")
    study.db.executescript("DROP TRIGGER log_is_never_changed")
    study.db.execute("UPDATE log SET value = '\"wrong\"' WHERE field = 'claim:e1'")
    assert "was changed" in str(study.tampered())


def test_disputes_go_to_a_third_rater_who_has_not_seen_the_item(tmp_path: Path) -> None:
    items = [item(c, "good") for c in range(4)]
    study = study_of(tmp_path, items, (Rater(name="anna"), Rater(name="ben")))
    study.add_rater(Rater(name="cho"))
    study.add_rater(Rater(name="dora", langs=("zh",)))
    for n, i in enumerate(items):
        rate_all(study, "anna", i.id, "right", 4)
        rate_all(study, "ben", i.id, "right" if n else "wrong", 4 if n < 3 else 2)
    assert {d.item: d.points for d in disputes(study)} == {
        items[0].id: ("claim:e1", "claim:e2"),
        items[3].id: tuple(f"scale:{s}" for s in SCALES),
    }
    assert give_out(study) == {items[0].id: "cho", items[3].id: "cho"}
    assert give_out(study) == {}
    assert decided(study)[items[0].id]["claim:e1"] == "cant_tell"
    rate_all(study, "cho", items[0].id, "wrong", 1)
    assert [d.decided_by for d in disputes(study)] == ["cho", None]
    stands = decided(study)[items[0].id]
    assert (stands["claim:e1"], stands["scale:clear"]) == ("wrong", 4)


def test_an_adjudicators_word_stands_and_counts_in_no_agreement(tmp_path: Path) -> None:
    items = [item(c, s) for c in range(6) for s in ("good", "bad")]
    study = study_of(tmp_path, items, (Rater(name="anna"), Rater(name="ben")))
    for n, i in enumerate(items):
        rate_all(study, "anna", i.id, "right" if n % 3 else "wrong", 4)
        rate_all(study, "ben", i.id, "right", 4)
    before = report(study).agreement["claims"]
    with pytest.raises(EvaluationError, match="someone else"):
        give_out(study, "anna")
    given = give_out(study, "judy")
    assert set(given.values()) == {"judy"}
    for i in given:
        rate_all(study, "judy", i, "wrong", 1)
        assert decided(study)[i] == {"claim:e1": "wrong", "claim:e2": "wrong", **{f"scale:{s}": 1 for s in SCALES}}
    assert report(study).agreement["claims"] == before


def test_exports_hold_every_mark(tmp_path: Path) -> None:
    items = [item(0, "=cmd()", "en"), item(1, "bad")]
    study = study_of(tmp_path, items, (Rater(name="anna"), Rater(name="ben")))
    rate_all(study, "anna", items[0].id, "right", 5)
    study.mark("ben", items[1].id, "claim:e2", "cant_tell")
    path = tmp_path / "ratings.jsonl"
    path.write_text(export.to_jsonl(study), "utf-8")
    ratings, problems = read_ratings([path])
    assert not problems
    assert {(r.rater, r.item[0]): dict(r.marks) for r in ratings} == {
        ("anna", "=cmd()"): {"e1": "right", "e2": "right"},
        ("ben", "bad"): {"e2": "cant_tell"},
    }
    rows = list(csv.DictReader(io.StringIO(export.to_csv(study))))
    assert Counter(r["rater"] for r in rows) == {"anna": 6, "ben": 1}
    assert rows[0]["system"] == "'=cmd()"
    assert {r["span"] for r in rows if r["field"] == "claim:e1"} == {"the pharmacy"}
    task = next(t for t in export.to_label_studio(study) if t["data"]["system"] == "=cmd()")
    results = task["annotations"][0]["result"]
    labels = [r["value"] for r in results if r["type"] == "labels"]
    assert [TEXT[v["start"] : v["end"]] for v in labels] == ["the pharmacy", "the park"]
    assert {r["from_name"]: r["value"]["rating"] for r in results if r["type"] == "rating"} == dict.fromkeys(SCALES, 5)
    names = {r["from_name"] for r in results}
    assert all(f'name="{name}"' in export.LABEL_CONFIG for name in names)


def test_a_file_edited_by_hand_costs_only_what_is_wrong(tmp_path: Path) -> None:
    items = [item(c, "good") for c in range(4)]
    study = study_of(tmp_path, items, (Rater(name="anna"), Rater(name="ben")))
    good = {"system": "good", "query_id": "q0", "tile_id": "t-r0c0", "lang": "en", "rater": "anna"}
    second = {**good, "query_id": "q1", "tile_id": "t-r1c0"}
    lines = [
        json.dumps({**good, "claims": [{"id": "e1", "mark": "Right"}, {"span": "the park", "mark": "can't tell"}]}),
        '{"system": "good", "query_id": ',
        json.dumps({**second, "scales": {"correct": 7}}),
        json.dumps({**second, "claims": [{"id": "e7", "mark": "right"}], "scales": {"clear": 2}}),
        json.dumps({**good, "rater": "mallory", "scales": {"clear": 2}}),
        json.dumps({**good, "system": "unknown", "scales": {"clear": 2}}),
        json.dumps({**good, "query_id": "q2", "tile_id": "t-r2c0", "scales": {"clear": 2}}),
    ]
    path = tmp_path / "edited.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    written, problems = bring_in(study, [path])
    assert written == 3
    said = " ".join(f"{p.where}: {p.what}" for p in problems)
    assert len(problems) == 5
    for expected in ("edited.jsonl:2", "7 is no whole number", "no claim 'e7'", "mallory", "does not have"):
        assert expected in said
    assert study.marked("anna", items[0].id).claims == {"e1": "right", "e2": "cant_tell"}
    assert not study.marked("anna", items[1].id).scales
    assert study.marked("anna", items[2].id).scales == {"clear": 2}
    assert bring_in(study, [path])[0] == 0


def test_ratings_survive_export_and_import_into_a_fresh_study(tmp_path: Path) -> None:
    items = [item(c, s) for c in range(3) for s in ("good", "bad")]
    (tmp_path / "a").mkdir()
    first, second = (study_of(tmp_path / part, items, RATERS[::2]) for part in ("a", "b"))
    for n, i in enumerate(items):
        rate_all(first, "anna", i.id, ("right", "wrong", "cant_tell")[n % 3], 1 + n % 5)
    path = tmp_path / "r.jsonl"
    path.write_text(export.to_jsonl(first), "utf-8")
    written, problems = bring_in(second, [path])
    assert (written, problems) == (36, [])
    assert [m.claims for m in first.all_marked()] == [m.claims for m in second.all_marked()]
