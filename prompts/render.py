"""Turning tiles, listings and claims into the judge's messages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from prompts.clients.base import ImagePart, Message, Part, TextPart, neutralise
from prompts.listing import AXES, PARTS, Entry, Listing, list_facts
from retriever.errors import ModelError
from retriever.geo import POINTS_SHORT, octant
from retriever.types import Claim, Fact

_FIELDS = ("id", "system", "look", "score", "explain", "yes", "no")


@dataclass(frozen=True, kw_only=True)
class Template:
    """The judge's prompt, checked when it is loaded; ``sha256`` goes into every result."""

    id: str
    system: str
    look: str
    score: str
    explain: str
    yes: str
    no: str
    sha256: str
    heat: str = ""
    """What is said of a second picture before the claims, the tile under its heat; empty for templates without."""

    @property
    def reasons_first(self) -> bool:
        """Whether the claims are explained before the verdict is asked for."""
        return "«claims»" in self.explain

    @property
    def direct(self) -> bool:
        """Whether claims are judged on the picture at once, without a listing of the tile before them."""
        return not self.look


@cache
def load_template(name: str = "judge") -> Template:
    """Raises :class:`ModelError` when a field is missing or the claims have no place to stand."""
    path = Path(__file__).with_name("templates") / f"{name}.yaml"
    raw = path.read_bytes()
    data: Mapping[str, str] = yaml.safe_load(raw)
    missing = [f for f in _FIELDS if not isinstance(data.get(f), str)]
    if missing or sum(str(data[f]).count("«claims»") for f in ("score", "explain")) != 1:
        raise ModelError(
            f"The template {path.name} lacks {', '.join(missing) or '«claims», once, in score or explain'}; "
            "restore the file."
        )
    words = {f: data[f] for f in _FIELDS}
    return Template(**words, heat=str(data.get("heat", "")), sha256=hashlib.sha256(raw).hexdigest())


def claim_line(claim: Claim, number: int) -> str:
    """One claim as the judge reads it: ``c1: no cafe n``."""
    return f"c{number}: {claim_words(claim)}"


def claim_words(claim: Claim) -> str:
    """A claim in the words of a listing, so that the two can be compared."""
    bearing = claim.relation.bearing_deg
    if claim.kind == "name":
        what = f'name "{quoted(claim.value)}"'
    elif claim.kind == "road" and claim.value == "runs":
        return "road" if bearing is None else f"road {AXES[round((bearing % 180.0) / 45.0) % 4]}"
    elif claim.kind in ("building", "junction"):
        what = f"{claim.kind} {claim.value}"
    else:
        what = claim.value.replace("_", " ")
    where = "" if bearing is None else f" {POINTS_SHORT[octant(bearing)]}"
    return ("" if claim.polarity else "no ") + what + where


def quoted(name: str) -> str:
    """A name that cannot leave its quotes or its line, at most 60 characters."""
    return neutralise(" ".join(name.replace('"', "'").replace(";", ",").split()))[:60]


def claims_block(claims: Sequence[Claim]) -> str:
    return "\n".join(claim_line(claim, i) for i, claim in enumerate(claims, 1))


def look_messages(image: ImagePart, template: Template) -> list[Message]:
    """``[system, user(image, question)]``: the part that all questions about a tile share."""
    return [
        Message(role="system", parts=(TextPart(text=template.system),)),
        Message(role="user", parts=(image, TextPart(text=template.look))),
    ]


def score_messages(
    image: ImagePart, listing: str, claims: Sequence[Claim], template: Template, heat: ImagePart | None = None
) -> list[Message]:
    """The claims after the tile's listing, or, by a template that is ``direct``, right behind the picture.

    ``heat``: the second picture that a template with ``heat`` shows. Raises ``ModelError`` where one is there without
    the other.
    """
    question = template.score.replace("«claims»", claims_block(claims))
    if template.direct:
        system, _ = look_messages(image, template)
        return [system, Message(role="user", parts=(image, TextPart(text=question)))]
    return [
        *look_messages(image, template),
        Message(role="assistant", parts=(TextPart(text=listing),)),
        Message(role="user", parts=_asked_with(question, template, heat)),
    ]


def _asked_with(question: str, template: Template, heat: ImagePart | None) -> tuple[Part, ...]:
    """The question, behind the heat where the template shows one."""
    if bool(template.heat) != (heat is not None):
        raise ModelError(f"the template {template.id} {'needs' if template.heat else 'has no place for'} a heat map")
    if heat is None:
        return (TextPart(text=question),)
    return (heat, TextPart(text=f"{template.heat}\n{question}"))


def stance_messages(
    image: ImagePart,
    listing: str,
    claims: Sequence[Claim],
    at: int,
    template: Template,
    heat: ImagePart | None = None,
) -> list[Message]:
    """The score question broken off behind claim ``at`` (from 0): what follows is that claim's stance.

    The judge is trained to know the stance there (``finetune/judge/encode.py``). Each of these questions begins with
    the one before it, so a server with prefix caching reads every claim once.
    """
    before, _ = template.score.split("«claims»")
    return [
        *look_messages(image, template),
        Message(role="assistant", parts=(TextPart(text=listing),)),
        Message(role="user", parts=_asked_with(before + claims_block(claims[: at + 1]), template, heat)),
    ]


def reasons_messages(image: ImagePart, listing: str, claims: Sequence[Claim], template: Template) -> list[Message]:
    """The first question of a template that asks for reasons first."""
    question = template.explain.replace("«claims»", claims_block(claims))
    return [
        *look_messages(image, template),
        Message(role="assistant", parts=(TextPart(text=listing),)),
        Message(role="user", parts=(TextPart(text=question),)),
    ]


def verdict_messages(
    image: ImagePart, listing: str, claims: Sequence[Claim], reply: str, template: Template
) -> list[Message]:
    """The verdict asked for behind the reasons that the model gave."""
    return [
        *reasons_messages(image, listing, claims, template),
        Message(role="assistant", parts=(TextPart(text=reply),)),
        Message(role="user", parts=(TextPart(text=template.score),)),
    ]


FACT_NAMES = 8
"""Named things that a listing made from facts holds: a city tile has up to seventy, and the window ends before them."""


def facts_listing(facts: Sequence[Fact], claims: Sequence[Claim], *, size_m: float, most: int = FACT_NAMES) -> Listing:
    """The listing of a tile by the map, with names: what the judge is shown in place of its own look.

    At most ``most`` names: those that the claims ask for first (in the language they ask in), then the map's order. A
    thing mapped in pieces is one entry. Names are data: they cannot leave their quotes.
    """
    asked = [c.value.casefold() for c in claims if c.kind == "name"]
    told = [replace(f, names={"": _label(f, asked)}) if f.names else f for f in facts]
    listing = list_facts(told, size_m=size_m, names=True)
    merged: dict[tuple[str, str], set[str]] = {}
    for entry in listing.entries:
        if entry.name:
            merged.setdefault((quoted(entry.name), entry.kind), set()).update(entry.parts)
    wanted = sorted(merged, key=lambda key: not _is_asked(key[0], asked))[:most]
    named = [
        Entry(kind=kind, parts=tuple(p for p in PARTS if p in merged[name, kind]), name=name)
        for name, kind in merged
        if (name, kind) in wanted
    ]
    return Listing(entries=(*(e for e in listing.entries if not e.name), *named), axes=listing.axes)


def _label(fact: Fact, asked: Sequence[str]) -> str:
    names = list(fact.names.values())
    return next((n for n in names if _is_asked(n, asked)), fact.names.get("") or names[0])


def _is_asked(name: str, asked: Sequence[str]) -> bool:
    own = name.casefold()
    return any(value in own or own in value for value in asked)


def explain_messages(
    image: ImagePart,
    listing: str,
    claims: Sequence[Claim],
    *,
    match: bool,
    template: Template,
    heat: ImagePart | None = None,
) -> list[Message]:
    """The score question with its answer, and the question for the reasons."""
    return [
        *score_messages(image, listing, claims, template, heat),
        Message(role="assistant", parts=(TextPart(text=template.yes if match else template.no),)),
        Message(role="user", parts=(TextPart(text=template.explain),)),
    ]
