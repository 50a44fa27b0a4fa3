"""How far the two annotators agree, before people revised and after, and how far each agrees with the people.

"After" puts a decision in place of what both annotators said of the same thing and leaves the rest as it was, so it
says how much disagreement is left in the data; it is 1 when everything in dispute is decided. What the annotators are
worth is told by their agreement with the people. A queue holds what they disagree on: its own alpha lies far
below that of all pairs, which is reported where the annotators' file of all pairs is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from finetune.annotate.pairs import AnnotationRow
from finetune.annotate.revise.board import Board, Decision, by_content, row_content
from finetune.annotate.revise.things import Side, ThingRow, annotators
from retriever.pages.alpha import Alpha, krippendorff_alpha

VERDICTS = ("match", "no_match")
SIDES = ("there", "not_there")
Units = dict[str, dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Alphas (nominal, interval by item) on verdicts and on claims that both annotators speak of."""

    verdicts_before: Alpha
    verdicts_after: Alpha
    claims_before: Alpha
    claims_after: Alpha
    with_people: Mapping[str, Alpha]
    """``annotator_a, verdicts`` ...: an annotator against what was decided."""
    all_pairs_before: Alpha | None
    """Verdicts over all pairs, queued or not; None without the annotators' file."""
    all_pairs_after: Alpha | None
    items: int
    decided: int
    dropped: int
    overruled: int
    """Decisions that a second person changed."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def agreement(board: Board, rows: Sequence[AnnotationRow] | None = None, *, seed: int = 0) -> Agreement:
    """``rows``: the annotators' file of all pairs."""
    verdicts, claims, home = _units(board)
    after_v, after_c = _after(board, verdicts, claims)
    people = {}
    for by in sorted({r for given in (*verdicts.values(), *claims.values()) for r in given}):
        said = _against(verdicts, _decided_verdicts(board), by)
        people[f"{by}, verdicts"] = krippendorff_alpha(said, VERDICTS, level="nominal", seed=seed)
        said = _against(claims, _decided_sides(board), by)
        people[f"{by}, claims"] = krippendorff_alpha(said, SIDES, level="nominal", items=home, seed=seed)
    before, after = _all_pairs(board, rows or [], None), _all_pairs(board, rows or [], after_v)
    return Agreement(
        verdicts_before=krippendorff_alpha(verdicts, VERDICTS, level="nominal", seed=seed),
        verdicts_after=krippendorff_alpha(after_v, VERDICTS, level="nominal", seed=seed),
        claims_before=krippendorff_alpha(claims, SIDES, level="nominal", items=home, seed=seed),
        claims_after=krippendorff_alpha(after_c, SIDES, level="nominal", items=home, seed=seed),
        with_people=people,
        all_pairs_before=krippendorff_alpha(before, VERDICTS, level="nominal", seed=seed) if rows else None,
        all_pairs_after=krippendorff_alpha(after, VERDICTS, level="nominal", seed=seed) if rows else None,
        items=len(board.items),
        decided=sum(board.done(i) for i in board.items),
        dropped=sum(d.do == "drop" for d in _verdicts(board).values()),
        overruled=_overruled(board),
    )


def _units(board: Board) -> tuple[Units, Units, dict[str, str]]:
    """Verdict units by item, claim units by item and thing (both with who said what), and the item of each claim."""
    verdicts: Units = {}
    claims: Units = {}
    home: dict[str, str] = {}
    for item in board.items.values():
        if item.task != "pair":
            continue
        verdicts[item.id] = {a.by: a.verdict for a in annotators(item) if a.verdict is not None}
        for row in board.things(item.id):
            unit = f"{item.id}/{row.id}"
            home[unit] = item.id
            claims[unit] = {by: side for by, side in row.sides if side is not None}
    return verdicts, claims, home


def _verdicts(board: Board) -> dict[str, Decision]:
    found = {i: board.decisions(i).get("verdict") for i in board.items}
    return {i: d for i, d in found.items() if d is not None}


def _decided_verdicts(board: Board) -> dict[str, str]:
    return {i: d.do for i, d in _verdicts(board).items() if d.do in VERDICTS}


def _decided_sides(board: Board) -> dict[str, str]:
    return {f"{i}/{row.id}": side for i in board.items for row, side in decided_sides(board, i)}


def decided_sides(board: Board, item: str) -> Iterator[tuple[ThingRow, Side]]:
    """What people decided of each thing: accepted, it is as proposed; rejected, the opposite; edited, as the words say.

    An edit that speaks of something else leaves the thing undecided.
    """
    decided = board.decisions(item)
    for row in board.things(item):
        d = decided.get(f"claim:{row.id}")
        if d is None:
            continue
        if d.do == "edit":
            claim = board.edited(item, f"claim:{row.id}", d.text)
            if f"{claim.kind} {claim.value.casefold()}" == row.id:
                yield row, "there" if claim.polarity else "not_there"
        elif d.do == "accept":
            yield row, row.proposed
        else:
            yield row, "not_there" if row.proposed == "there" else "there"


def _after(board: Board, verdicts: Units, claims: Units) -> tuple[Units, Units]:
    """With what people decided in place of what the annotators said; dropped items are no longer in the data."""
    dropped = {i for i, d in _verdicts(board).items() if d.do == "drop"}
    right, sides = _decided_verdicts(board), _decided_sides(board)
    after_v = {i: dict.fromkeys(g, right[i]) if i in right else g for i, g in verdicts.items() if i not in dropped}
    after_c = {
        u: dict.fromkeys(g, sides[u]) if u in sides else g
        for u, g in claims.items()
        if u.partition("/")[0] not in dropped
    }
    return after_v, after_c


def _against(units: Units, decided: Mapping[str, str], by: str) -> Units:
    return {u: {by: given[by], "people": decided[u]} for u, given in units.items() if by in given and u in decided}


def _all_pairs(board: Board, rows: Sequence[AnnotationRow], after: Units | None) -> Units:
    """Verdicts of all pairs by id; with ``after``, those of the queue as they stand after revision."""
    queued = by_content(board)
    units: Units = {}
    for row in rows:
        item = queued.get(row_content(row))
        if item is not None and after is not None:
            units[row.id] = after.get(item, {})
        else:
            units[row.id] = {a.by: a.verdict for a in row.answers if a.verdict is not None}
    return units


def _overruled(board: Board) -> int:
    last: dict[tuple[str, str], tuple[str, Any]] = {}
    changed = 0
    for e in board.log.entries():
        if e.field == "shown":
            continue
        before = last.get((e.item, e.field))
        changed += before is not None and before[0] != e.who and before[1] != e.value
        last[e.item, e.field] = (e.who, e.value)
    return changed
