"""Which language a text is in: enough to choose extraction rules and the language of a reply."""

from __future__ import annotations

import re

from retriever.types import Lang

_HAN = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[A-Za-z]{2,}")


def language(text: str) -> Lang:
    """``zh`` where Chinese characters carry the text, ``mixed`` where both do, ``en`` otherwise.

    >>> language("I see a pharmacy"), language("左边有药店"), language("左边有一家 Starbucks 咖啡店")
    ('en', 'zh', 'zh')
    """
    han, words = len(_HAN.findall(text)), len(_WORD.findall(text))
    if han == 0:
        return "en"
    return "zh" if han >= 3 * words else "mixed"
