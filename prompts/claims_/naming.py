"""Names as signs show them: quoted, announced ("called ..."), capitalised, with a street's ending, or a known chain."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prompts.claims_ import numbers
from prompts.claims_.lexicon import LONGEST_EN, lexicon, words
from prompts.claims_.marks import Mark
from prompts.claims_.text import WORD
from retriever.kinds import kinds

_QUOTED = re.compile(r"[“\"「『《〈]([^“”\"「」『』《》〈〉\n]{1,48})[”\"」』》〉]|(?<![\w'])'([^'\n]{2,40})'(?![\w])")
_BRACKETED = re.compile(r"\(([A-ZÀ-Þ][\w'’-]*(?:\s[A-ZÀ-Þ][\w'’-]*){0,3})\)")
_SPEECH = re.compile(r"\b(?:said|asked|told|replied|thought|shouted)\s*[:,]?\s*$|说[:：]?\s*$", re.I)
_ANNOUNCED = re.compile(
    r"(?:\b(?:called|named|labell?ed|titled|(?:it|sign|which|that|board|plaque|signs|awning)\s+(?:on\s+(?:it|top)\s+)?(?:that\s+)?(?:says|reads|said|reading|saying)|(?<!my\s)name\s+is|names\s+is)\s+(?-i:the\s+)?)",
    re.I,
)
_FIGURE = re.compile(rf"{numbers.NUMBER_EN}[\s-]*(?:k?m\b|met|kilomet|miles?\b|yards?\b|feet\b|min)", re.I)
_ANNOUNCED_ZH = re.compile(
    r"(?:名叫|名为|叫做|叫作|(?<![喊吼呼大])叫|(?:招牌|牌子|路牌|门牌|店名|名字|站名)?(?:上)?(?:写着|写的是|写的|标着)|招牌是|店名是|名字是|路牌是|站名是)(?:是)?[:：]?\s*"
)
_NAME_ZH = re.compile(r"[A-Za-z0-9一-鿿·&'’ -]{1,16}")
_END_ZH = re.compile(r"的|这|那|，|,|就|在|是|旁|对面|左|右|前面|后面|附近|吧|呢|啊|了")
_TOKEN = re.compile(r"[A-Za-zÀ-ɏ0-9][A-Za-zÀ-ɏ0-9'&@-]*|&")
_STREET_LOWER = re.compile(
    r"\b(?:on|in|along|at|of|down|off|and|onto|into|from|up)\s+((?:[a-zà-ɏ'-]+\s+){1,2}(?:street|road|avenue|lane|square|boulevard|place|terrace|drive))\b"
)
_STREET_GERMAN = re.compile(
    r"\b(?:[A-ZÄÖÜ][\wäöüß]*-)*[A-ZÄÖÜ]?[\wäöüß]*(?i:straße|strasse|str\.|platz|allee|gasse|damm|weg|ufer|brücke|markt)\b"
)


def _name(start: int, end: int, value: str, *, linked: bool = False) -> Mark:
    return Mark(start=start, end=end, role="thing", kind="name", value=value, linked=linked)


def announced(text: str, raw: str, start: int, end: int) -> Iterator[Mark]:
    """Quoted names and those after "called", "sign says", 叫, 写着."""
    part = text[start:end]
    for match in _QUOTED.finditer(part):
        inner = match[1] or match[2]
        at = start + match.start() + match.group().index(inner)
        if not _SPEECH.search(part[: match.start()]) and len(inner.split()) <= 6:
            yield _name(at, at + len(inner), raw[at : at + len(inner)].strip(), linked=True)
    for match in _BRACKETED.finditer(part):
        if not {w.lower() for w in match[1].split()} & lexicon().not_names:
            at = start + match.start(1)
            yield _name(at - 1, at + len(match[1]) + 1, raw[at : at + len(match[1])], linked=True)
    for match in _ANNOUNCED.finditer(part):
        if _FIGURE.match(text, start + match.end()):
            continue
        found = _after(text, raw, start + match.end(), end)
        if found:
            yield found
    for match in _ANNOUNCED_ZH.finditer(part):
        tail = _NAME_ZH.match(text, start + match.end(), end)
        if tail is None:
            continue
        stop = _END_ZH.search(tail.group(), 1)
        length = stop.start() if stop else len(tail.group().rstrip())
        at = tail.start()
        if length >= 2 and not re.match(r"[什啥不]|[一两三几][家个条座]|救", tail.group()):
            yield _name(at, at + length, raw[at : at + length].strip(), linked=True)


def _after(text: str, raw: str, start: int, end: int) -> Mark | None:
    tokens = list(_TOKEN.finditer(text, start, min(end, start + 48)))
    if not tokens or re.search(r"[^\s]", text[start : tokens[0].start()]):
        return None
    used: list[re.Match[str]] = []
    capital = tokens[0].group()[0].isupper()
    for token in tokens:
        word = token.group()
        gap = text[used[-1].end() : token.start()] if used else " "
        goes_on = word[0].isupper() or word[0].isdigit() or word.lower() in lexicon().cues["connectors"]
        stopped = gap.startswith(".") and len(used[-1].group()) > 3
        if gap.strip(" .") or stopped or (capital and not goes_on):
            break
        if not capital and (word.lower() in lexicon().cues["name_stops"] or len(used) == 3):
            break
        used.append(token)
    used = _trim(used)
    return _name(used[0].start(), used[-1].end(), raw[used[0].start() : used[-1].end()], linked=True) if used else None


def _trim(tokens: list[re.Match[str]]) -> list[re.Match[str]]:
    while tokens and tokens[-1].group().lower() in lexicon().cues["connectors"]:
        tokens = tokens[:-1]
    return tokens


def chains(text: str, raw: str, start: int, end: int) -> Iterator[Mark]:
    """Known chains, in any case of letters unless their name is a word too."""
    table = lexicon()
    tokens = list(WORD.finditer(text, start, end))
    for i, first in enumerate(tokens):
        for n in range(min(LONGEST_EN, len(tokens) - i), 0, -1):
            last = tokens[i + n - 1]
            if last.end() - first.start() > 30:
                continue
            piece = text[first.start() : last.end()]
            cased = table.brands_en.get(words(piece))
            if (
                piece in table.brands_zh
                or (cased is False)
                or (
                    cased
                    and piece[0].isupper()
                    and (_mid(text, first.start(), start) or _IS_THERE.match(text, last.end()))
                )
            ):
                yield _name(first.start(), last.end(), raw[first.start() : last.end()])
                break


def _mid(text: str, at: int, start: int) -> bool:
    return bool(text[start:at].strip(" \"'“("))


def capitals(text: str, raw: str, start: int, end: int) -> Iterator[Mark]:
    """Capitalised runs; a leading common word of a sentence is left out, as is a text written all in capitals."""
    part = text[start:end]
    letters = [c for c in part if c.isalpha() and c.isascii()]
    for match in _STREET_GERMAN.finditer(part):
        led = re.search(r"[A-ZÀ-Þ][\w'’-]+\s$", part[: match.start()])
        if match.group()[0].isupper() and len(match.group()) > 5 and not led:
            yield _name(start + match.start(), start + match.end(), raw[start + match.start() : start + match.end()])
    if letters and sum(c.isupper() for c in letters) > 0.8 * len(letters) and len(letters) > 14:
        return
    run: list[re.Match[str]] = []
    for token in [*_TOKEN.finditer(text, start, end), None]:
        if token is not None and _continues(text, run, token):
            run.append(token)
            continue
        yield from _run(text, raw, run, start)
        run = [token] if token is not None and token.group()[0].isupper() else []
    for match in _STREET_LOWER.finditer(part):
        if (
            match[1].split()[-2] not in lexicon().cues["generic_before_street"]
            and match[1].split()[0] not in lexicon().cues["generic_before_street"]
        ):
            yield _name(
                start + match.start(1), start + match.end(1), raw[start + match.start(1) : start + match.end(1)]
            )


def _continues(text: str, run: list[re.Match[str]], token: re.Match[str]) -> bool:
    if not run:
        return False
    gap, word = text[run[-1].end() : token.start()], token.group()
    if "." in gap and _names_street(run) and _kind_next(text, token):
        return False
    if gap.strip(" .") or len(gap) > 2 or ("." in gap and len(run[-1].group()) > 3):
        return False
    return word[0].isupper() or word[0].isdigit() or word.lower() in lexicon().cues["connectors"]


def _kind_next(text: str, token: re.Match[str]) -> bool:
    """ "Cambridge St. Dry cleaner ...": another thing begins; "Hotel St. Gothard" goes on."""
    following = words(text[token.start() : token.start() + 40])
    return any(following[:n] in lexicon().en for n in (3, 2, 1))


def _run(text: str, raw: str, run: list[re.Match[str]], start: int) -> Iterator[Mark]:
    skip = lexicon().not_names
    run = _trim(run)
    while (
        run
        and run[0].group().lower() in skip
        and not _own_article(text, run, start)
        and not _opens_name(text, run, start)
    ):
        run = _lead(run[1:])
    while run and run[-1].group().lower() in lexicon().cues["never_last"]:
        run = _trim(run[:-1])
    for piece in _parted(run):
        yield from _one(text, raw, piece, start)


def _own_article(text: str, run: list[re.Match[str]], start: int) -> bool:
    """A capital in mid-sentence, before two words with capitals, or anywhere among Chinese: The Old Bell."""
    if run[0].group().lower() != "the" or len(run) < 2:
        return False
    two = len(run) > 2 and run[1].group()[0].isupper() and run[1].group().lower() not in lexicon().not_names
    return two or _mid(text, run[0].start(), start) or _before_han(text, run[-1].end())


def _opens_name(text: str, run: list[re.Match[str]], start: int) -> bool:
    """London Wall, North Bridge Road; in mid-sentence Old Street and Park Lane as well."""
    word, table = run[0].group().lower(), lexicon()
    if len(run) < 2 or not run[1].group()[0].isupper() or word not in table.within_names:
        return False
    if run[1].group().lower() in table.not_names - table.within_names:
        return False
    rest = words(" ".join(t.group() for t in run[1:]))
    if word in table.nations:
        return rest not in table.en
    return word in table.proper or _mid(text, run[0].start(), start)


def _lead(run: list[re.Match[str]]) -> list[re.Match[str]]:
    while run and (run[0].group().lower() in lexicon().cues["connectors"] or not run[0].group()[0].isupper()):
        run = run[1:]
    return run


def _names_street(run: list[re.Match[str]]) -> bool:
    return len(run) > 1 and run[-1].group().lower().rstrip(".") in lexicon().cues["street_endings"]


def _chain(run: list[re.Match[str]]) -> bool:
    return words(" ".join(t.group() for t in run)) in lexicon().brands_en


def _parted(run: list[re.Match[str]]) -> Iterator[list[re.Match[str]]]:
    """ "Mill Lane and Hope Street" are two."""
    cut = [
        i for i, t in enumerate(run) if t.group() in ("and", "und") and (_names_street(run[:i]) or _chain(run[i + 1 :]))
    ]
    if cut:
        yield run[: cut[0]]
        yield from _parted(run[cut[0] + 1 :])
    elif run:
        yield run


def _one(text: str, raw: str, run: list[re.Match[str]], start: int) -> Iterator[Mark]:
    if not run:
        return
    first, last = run[0].start(), run[-1].end()
    piece = words(text[first:last])
    known = lexicon().en.get(piece)
    if known is not None or len(piece) == 0 or (len(run) == 1 and len(run[0].group()) < 2):
        return
    if len(run) == 1 and not _mid(text, first, start) and not _announces(text, first, last):
        return
    if re.search(r"\b(?:my\s+name\s+is|i'?m|i\s+am)\s+$", text[max(start, first - 14) : first], re.I):
        return
    if len(run) == 1 and re.search(r"\bin\s+$|(?<!across)\s+from\s+$|\bof\s+$", text[max(start, first - 14) : first]):
        return
    if (
        raw[last - 2 : last] in ("'s", "’s")
        and piece not in lexicon().brands_en
        and piece[0] != "st"
        and re.match(r"\s+[a-z]", text[last : last + 2])
    ):
        last -= 2
    named = _name(first, last, raw[first:last])
    head = lexicon().en.get(piece[-1:]) if len(piece) > 1 else None
    if (
        head
        and kinds().get(head)
        and head not in _ANYTHING
        and (kinds()[head].group in ("place", "transport") or piece[-1] in ("park", "bridge", "cemetery"))
        and not _names_street(run)
    ):
        named.head = head
    yield named


_ANYTHING = {"restaurant", "supermarket", "hairdresser", "shop", "gift", "clothes", "butcher", "furniture"}
"""Kinds that a name's last word does not state: a Hill Tavern or a Mercer Grocery may be anything by now."""


def _before_han(text: str, end: int) -> bool:
    return bool(re.match(r"\s?[一-鿿]", text[end : end + 2]))


_IS_THERE = re.compile(
    r"\s+(?:on|to)\s+(?:my|the|your)\s+(?:left|right)\b|'s\s+the\b|\s+(?:(?:just|directly|due|immediately|straight)\s+)+(?:north|south|east|west)|(?:\s+is|'s)\s+(?:(?:right|just|directly|straight|also|about)\s+)*(?:behind|ahead|in\s+front|on\s+(?:my|the)|to\s+(?:my|the)|at\s+my|opposite|across|next\s+to"
    r"|\w+\s+(?:m|met\w+)\b|north|south|east|west)\b"
)  # fmt: skip


def _announces(text: str, first: int, end: int) -> bool:
    """A single capitalised word that opens a sentence is a name if a sign's noun, nothing or its place follows."""
    following = re.match(r"\s+([a-z]+)", text[end : end + 24])
    if following and (*words(text[first:end]), following[1]) in lexicon().en:
        return False
    if _IS_THERE.match(text, end) or _before_han(text, end):
        return True
    return bool(re.match(r"\s*(?:$|[.,，。]|station|church|pub|hotel|café|cafe)", text[end : end + 9]))
