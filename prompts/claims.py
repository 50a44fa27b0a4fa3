"""Free text to claims, without a model: English, simplified and traditional Chinese, and both mixed.

Rules and word lists only (:mod:`prompts.claims_`), so the same text always gives the same claims, in time linear in its
length. What the rules do not understand they leave out; nothing is guessed from world knowledge.
"""

from __future__ import annotations

from collections.abc import Iterable

from prompts.claims_ import chinese, english, forms, lexicon, naming, naming_zh
from prompts.claims_.build import claims_of
from prompts.claims_.clause import read_clause
from prompts.claims_.doubts import counts, distances, hedges, negations, refused
from prompts.claims_.groups import Group, Sentence
from prompts.claims_.marks import Mark, Place, without_overlaps
from prompts.claims_.text import Stretch, clauses, normalise, sentences
from retriever.types import Claim, Lang

MAX_CHARACTERS = 120_000
"""What lies beyond is not read: ten thousand English words are about half of it."""

_SIDED = ("left", "right", "front", "behind", "bearing")
_LATE = ("self", "neg", "hedge", "verb", "join")


def extract_claims(text: str, *, lang: Lang | None = None, turn: int = 0, first_id: int = 1) -> list[Claim]:
    """The checkable things that ``text`` says, in its order, with ids ``c<first_id>`` onwards.

    ``lang`` is accepted for symmetry with a model-backed extractor and not needed: both languages are always read.
    Every ``span`` is a substring of ``text``. An empty or wordless text gives an empty list; no text raises.
    """
    raw = text[:MAX_CHARACTERS]
    folded = normalise(raw)
    found: list[tuple[Stretch, Group]] = []
    headings: list[Mark] = []
    prior: Sentence | None = None
    grounds: set[str] = set()
    seen: dict[str, Place] = {}
    for sentence in sentences(folded):
        reader = Sentence(text=folded, grounds=grounds, seen=seen)
        if prior is not None:
            reader.prior, reader.before, reader.side = prior.last or prior.prior, prior.told, prior.side
            refused(folded, sentence.start, prior.told)
        marks = _marks(folded, raw, sentence)
        headings += [m for m in marks if m.role == "heading"]
        keep = [Stretch(start=m.start, end=m.end) for m in marks if m.role not in _LATE]
        for clause in clauses(folded, sentence, keep):
            found += [(clause, group) for group in _read(reader, clause, marks)]
        prior = reader
    return claims_of(raw, found, headings, turn=turn, first_id=first_id)


def _marks(text: str, raw: str, sentence: Stretch) -> list[Mark]:
    span = (sentence.start, sentence.end)
    cues = [*english.cues(text, *span), *chinese.cues(text, *span)]
    order: Iterable[Mark] = [
        *naming.announced(text, raw, *span),
        *(m for m in cues if m.role in ("dist", "heading")),
        *forms.roads(text, *span),
        *forms.buildings(text, *span),
        *naming.capitals(text, raw, *span),
        *naming.chains(text, raw, *span),
        *(m for m in cues if m.role in ("join", "self") and m.direct),
        *(
            m
            for m in cues
            if m.role == "dir" and (m.type in ("across", "along") or len(text[m.start : m.end].split()) > 2)
        ),
        *naming_zh.places_zh(text, raw, *span),
        *lexicon.find_kinds(text, *span),
        *(m for m in cues if m.role == "dir" and not m.direct),
        *(m for m in cues if m.role not in ("dist", "heading")),
    ]
    return without_overlaps(order)


def _read(reader: Sentence, clause: Stretch, marks: list[Mark]) -> list[Group]:
    inside = [m for m in marks if clause.start <= m.start and m.end <= clause.end]
    last = reader.last
    groups = read_clause(reader, clause, inside)
    distances(reader.text, inside, groups, reader, last)
    counts(reader.text, groups, clause.start)
    reader.denied = negations(reader.text, inside, groups, last, clause.end, denied=reader.denied)
    if reader.doubted:
        for thing in (m for g in groups for m in g.members):
            thing.hedge = True
    reader.stood = reader.stood or any(g.by_self for g in groups)
    reader.at_place = reader.at_place or any(g.by_self and not g.road and g.place.type == "here" for g in groups)
    reader.grounds |= {m.value for g in groups if g.place.type == "here" for m in g.members}
    reader.told += groups
    reader.side = next((g.place for g in reversed(groups) if g.place.type in _SIDED), reader.side)
    reader.seen |= {g.words: g.place for g in groups if g.place.type in _SIDED}
    reader.doubted = hedges(reader.text, inside, groups, last, clause.end)
    return groups
