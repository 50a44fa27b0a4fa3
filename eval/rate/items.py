"""What raters see: one explanation of one system in one language, with its description, tile, verdict and claims."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from eval.explanations.cases import Case, World, png_of
from eval.explanations.reading import read_explanation
from eval.explanations.schema import LANGS, Explained, Problem
from prompts.wording import claim_en, claim_zh
from retriever.draw import draw_evidence
from retriever.types import Box, Record, Stance, Verdict, canonical_json, sha256_text

MARKS = ("right", "wrong", "cant_tell")
SCALES = ("correct", "complete", "clear", "useful")
GRADES = (1, 2, 3, 4, 5)
PICTURE_SIDE = 512
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*")
PageLang = Literal["en", "zh"]


@dataclass(frozen=True, kw_only=True)
class ItemClaim(Record):
    """One thing that the explanation says, to be marked."""

    id: str
    """``e1`` ... as :func:`eval.explanations.reading.read_explanation` numbers them, or ``s1`` ... for sentences of a
    text in which it reads nothing."""
    span: str
    stance: Stance | None
    """Where the explanation puts it; None for a sentence."""


@dataclass(frozen=True, kw_only=True)
class RateItem(Record):
    id: str
    """Says nothing about the system."""
    system: str
    query_id: str
    tile_id: str
    lang: PageLang
    """Of the explanation."""
    description: str
    verdict: Verdict | None
    explanation: str
    claims: tuple[ItemClaim, ...]
    location: str
    """Items of one location are resampled together."""
    picture: str
    """sha256 of the tile's PNG."""
    boxed: str
    """The same with boxes; equal to ``picture`` where the judgement names none."""
    boxes: tuple[tuple[Box, str, Stance], ...] = ()
    """Place in tile coordinates, words, stance."""
    check: bool = False
    """True: an attention check, whose explanation is known to be wrong here."""
    checked: str = ""
    """Why the check's explanation is wrong."""

    @property
    def case(self) -> tuple[str, str, str]:
        """Items of one case differ only in their system."""
        return self.query_id, self.tile_id, self.lang


Pictures = dict[str, bytes]


def items_of(
    judged: Sequence[Explained], world: World, langs: Iterable[str] = LANGS
) -> tuple[list[RateItem], Pictures, dict[str, Case], list[Problem]]:
    """Items, their pictures by sha256, the case of each item by its id, and what was left out and why."""
    items: dict[str, RateItem] = {}
    pictures: Pictures = {}
    cases: dict[str, Case] = {}
    problems: list[Problem] = []
    wanted = [lang for lang in LANGS if lang in set(langs)]
    for said in judged:
        case = world.case(said)
        if isinstance(case, Problem):
            problems.append(case)
            continue
        present = [lang for lang in wanted if lang in said.texts]
        if not present:
            problems.append(
                Problem(where=said.where, what=f"has no explanation in {' or '.join(wanted)}; nothing to rate")
            )
        for lang in present:
            item = _item(said, case, "en" if lang == "en" else "zh", pictures)
            items[item.id], cases[item.id] = item, case
    return list(items.values()), pictures, cases, problems


def _item(said: Explained, case: Case, lang: PageLang, pictures: Pictures) -> RateItem:
    text = said.texts[lang]
    boxes = _boxes(said, case, lang)
    plain, boxed = _pictures(case, boxes, pictures)
    content = [said.system, said.query_id, said.tile_id, lang, text, plain, boxed]
    return RateItem(
        id="i" + sha256_text(canonical_json(content))[:12],
        system=said.system,
        query_id=said.query_id,
        tile_id=said.tile_id,
        lang=lang,
        description=case.text,
        verdict=said.verdict,
        explanation=text,
        claims=claims_in(text),
        location=case.location,
        picture=plain,
        boxed=boxed,
        boxes=boxes,
    )


def claims_in(text: str) -> tuple[ItemClaim, ...]:
    """What an explanation asserts, or its sentences where nothing can be read out of it."""
    read = tuple(ItemClaim(id=a.id, span=a.span, stance=a.stance) for a in read_explanation(text).assertions)
    if read:
        return read
    sentences = [m[0].strip() for m in _SENTENCE.finditer(text) if m[0].strip(" .!?。！？")]
    return tuple(ItemClaim(id=f"s{i}", span=s, stance=None) for i, s in enumerate(sentences[:30], 1))


def _boxes(said: Explained, case: Case, lang: PageLang) -> tuple[tuple[Box, str, Stance], ...]:
    claims = {c.id: c for c in (*case.claims, *(said.claims or ()))}
    phrase = claim_en if lang == "en" else claim_zh
    return tuple(
        (e.region, phrase(claims[e.claim_id]) if e.claim_id in claims else "", e.stance)
        for e in said.evidence
        if e.region is not None
    )


def _pictures(case: Case, boxes: Sequence[tuple[Box, str, Stance]], pictures: Pictures) -> tuple[str, str]:
    """sha256 of the tile's picture without and with boxes; both are added to ``pictures``."""
    tile = case.image()
    plain = png_of(tile, PICTURE_SIDE)
    names = []
    for png in (plain, png_of(draw_evidence(tile, boxes), PICTURE_SIDE) if boxes else plain):
        names.append(hashlib.sha256(png).hexdigest())
        pictures[names[-1]] = png
    return names[0], names[1]


def known_wrong(
    item: RateItem, others: Sequence[RateItem], cases: Mapping[str, Case], pictures: Pictures
) -> RateItem | None:
    """``item`` with another place's explanation that the map contradicts here; None where none of ``others`` is.

    An explanation is known to be wrong where the map of *this* tile speaks against something that it asserts. Its boxes
    come along, so that a check looks like any other item.
    """
    here = cases[item.id]
    found = [
        (wrong, other)
        for other in others
        if other.lang == item.lang and other.location != item.location and other.explanation != item.explanation
        if (wrong := _contradicted(other.explanation, here))
    ]
    if not found:
        return None
    wrong, other = max(found, key=lambda pair: (len(pair[0]), pair[1].id))
    plain, boxed = _pictures(here, other.boxes, pictures)
    return replace(
        other,
        id="i" + sha256_text(f"check/{item.id}/{other.id}")[:12],
        system="",
        query_id=item.query_id,
        tile_id=item.tile_id,
        description=item.description,
        location=item.location,
        picture=plain,
        boxed=boxed,
        check=True,
        checked="; ".join(wrong[:4]),
    )


def _contradicted(text: str, case: Case) -> list[str]:
    """What a text asserts and the map of the case's tile says otherwise."""
    from retriever.oracle import check_all

    if case.facts is None:
        return []
    read = read_explanation(text).assertions
    found = {e.claim_id: e.stance for e in check_all([a.claim for a in read], case.index)}
    against: dict[str, Stance] = {"supports": "contradicts", "contradicts": "supports"}
    return [a.span for a in read if a.stance in against and found.get(a.claim.id) == against[a.stance]]
