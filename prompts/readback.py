"""Reading an explanation back: does each language say what the evidence says?

Works on the published form that :mod:`prompts.wording` writes and the judge is taught: one sentence for what agrees,
one for what differs, one for what cannot be settled. Text in any other form is not accepted as read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from prompts.wording import claim_en, claim_zh
from retriever.types import Claim, Stance

_EN = re.compile(
    r"^Description and tile agree on (?P<supports>.+?)\.(?: They differ on (?P<contradicts>.+?)\.)?"
    r"(?: The tile cannot settle (?P<unknown>.+?)\.)? So (?P<verdict>[^.]+)\.$"
)
_ZH = re.compile(
    r"^描述与图块(?:一致：(?P<supports>.+?)|没有可核对的一致之处)。(?:不一致：(?P<contradicts>.+?)。)?"
    r"(?:图块无法判断：(?P<unknown>.+?)。)?因此(?P<verdict>[^。]+)。$"
)


def agrees(en: str, zh: str, claims: Sequence[Claim], stances: Mapping[str, Stance]) -> bool:
    """Whether both texts, read back, put every claim where the evidence puts it and nothing else."""
    return _holds(en, claims, stances, _EN, claim_en, ", | and ") and _holds(
        zh, claims, stances, _ZH, claim_zh, "、|和"
    )


def _holds(
    text: str,
    claims: Sequence[Claim],
    stances: Mapping[str, Stance],
    pattern: re.Pattern[str],
    phrase: Callable[[Claim], str],
    joints: str,
) -> bool:
    match = pattern.match(text.strip())
    if match is None:
        return False
    for stance in get_args(Stance):
        body = match[stance] or ""
        wanted = [phrase(c) for c in claims if stances.get(c.id, "unknown") == stance]
        if _phrases("" if body == "nothing that can be checked" else body, wanted, joints) != sorted(wanted):
            return False
    return True


def _phrases(body: str, wanted: Sequence[str], joints: str) -> list[str] | None:
    """The wanted phrases that fill the body, with repeats; None where anything else is said."""
    rest, found = body, []
    for text in sorted(set(wanted), key=len, reverse=True):
        found += [text] * rest.count(text)
        rest = rest.replace(text, "\0")
    return None if re.sub(rf"\0|{joints}", "", rest).strip() else sorted(found)
