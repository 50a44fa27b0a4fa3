"""What judges are shown: the explanations to be graded, and the controls that show whether a grade means anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from PIL import Image

from eval.explanations.baselines import oracle_template
from eval.explanations.cases import Case
from eval.explanations.judges import ControlKind, Item
from eval.explanations.schema import LANGS, Explained, Key
from eval.explanations.scoring import ScoredItem
from prompts.clients.base import ImagePart
from prompts.wording import template_explanation
from retriever.types import Stance

SIDE = 224
_OTHER: dict[Stance, Stance] = {"supports": "contradicts", "contradicts": "supports", "unknown": "unknown"}


def items_to_grade(scored: Sequence[ScoredItem]) -> list[Item]:
    """Every explanation of every system, in each language that it has."""
    found = []
    for s in scored:
        tile = tile_part(s.case)
        for lang, text in s.item.texts.items():
            found.append(
                Item(
                    system=s.item.system,
                    key=s.item.key,
                    lang=lang,
                    location=s.case.location,
                    description=s.case.text,
                    verdict=s.item.verdict,
                    explanation=text,
                    tile=tile,
                    family=s.item.family,
                )
            )
    return found


def sound_explanation(case: Case) -> Explained:
    """An explanation known to hold, with the true verdict where there is a label.

    The data set's own where the set also gives a wrong reason, so that style does not tell the two apart; else the
    map's words.
    """
    own = oracle_template(case)
    if all(lang in case.references and lang in case.wrong_reasons for lang in LANGS):
        return replace(own, texts=dict(case.references), verdict=case.label or own.verdict)
    if case.label in (None, own.verdict):
        return own
    stances = {claim_id: e.stance for claim_id, e in case.checked.items()}
    words = template_explanation(case.claims, stances, match=case.label == "match")
    return replace(own, texts={"en": words.en, "zh": words.zh}, verdict=case.label)


def control_items(cases: Sequence[Case], sound: Mapping[Key, Explained]) -> list[Item]:
    """For every case with a sound explanation that decides something: it, and its three controls, in both languages."""
    found = []
    for row, case in enumerate(cases):
        good = sound.get(case.key)
        decided = [e for e in case.checked.values() if e.stance != "unknown"]
        other = next((c for c in (*cases[row + 1 :], *cases[:row]) if c.location != case.location), None)
        if good is None or not decided or other is None:
            continue
        for lang in LANGS:
            text = good.texts[lang]
            shown: dict[ControlKind, tuple[str, ImagePart]] = {
                "sound": (text, tile_part(case)),
                "wrong tile": (text, tile_part(other)),
                "blank tile": (text, blank_part(case)),
                "wrong reason": (wrong_reason(case, good, lang), tile_part(case)),
            }
            found += [_item(case, good, lang, kind, words, tile) for kind, (words, tile) in shown.items()]
    return found


def _item(case: Case, good: Explained, lang: str, kind: ControlKind, words: str, tile: ImagePart) -> Item:
    return Item(
        system="control",
        key=case.key,
        lang=lang,
        location=case.location,
        description=case.text,
        verdict=good.verdict,
        explanation=words,
        tile=tile,
        control=kind,
    )


def wrong_reason(case: Case, good: Explained, lang: str) -> str:
    """The same verdict for reasons that do not hold: the data set's own beside the set's sound one, else the map's with
    every side exchanged."""
    if lang in case.wrong_reasons and good.texts[lang] == case.references.get(lang):
        return case.wrong_reasons[lang]
    stances = {claim_id: _OTHER[e.stance] for claim_id, e in case.checked.items()}
    match = {"match": True, "no_match": False}.get(good.verdict or "")
    words = template_explanation(case.claims, stances, match=match)
    return words.zh if lang == "zh" else words.en


def tile_part(case: Case) -> ImagePart:
    """The tile as judges see it."""
    return ImagePart.of(case.image().convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))


def blank_part(case: Case) -> ImagePart:
    """A map with nothing on it."""
    from retriever.draw import draw_tile

    return ImagePart.of(draw_tile((), size_m=case.size_m).resize((SIDE, SIDE), Image.Resampling.BOX))
