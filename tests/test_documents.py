"""The documents as a reader meets them: links and pictures lead somewhere, and tables have as many cells as columns."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("eval/**/*.md")])
FENCE = re.compile(r"^\s*(```|~~~)")
CODE = re.compile(r"(`+)(.+?)\1")
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?[^)]*\)|<(?:img|a)\b[^>]*?(?:src|href)=\"([^\"]+)\"")
RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(text: str) -> list[str]:
    """The document's lines, those of code blocks empty."""
    lines, inside = [], False
    for line in text.splitlines():
        fence = bool(FENCE.match(line))
        lines.append("" if inside or fence else line)
        inside ^= fence
    return lines


def anchors(text: str) -> set[str]:
    """The names under which a link finds the headings, as GitHub makes them."""
    named: list[str] = []
    for line in prose(text):
        if heading := re.match(r"#{1,6}\s+(.*?)[\s#]*$", line):
            slug = re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-")
            before = sum(bool(re.fullmatch(rf"{re.escape(slug)}(-\d+)?", other)) for other in named)
            named.append(f"{slug}-{before}" if before else slug)
    return set(named)


def dead(document: Path, text: str) -> list[str]:
    """Links of a document that lead nowhere in the repository; other sites' are not asked for."""
    found, plain = [], CODE.sub(lambda code: re.sub(r"[^\n]", "x", code[0]), "\n".join(prose(text)))
    for match in LINK.finditer(plain):
        target = unquote(match[1] or match[2])
        file, _, section = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (document.parent / file).resolve() if file else document
        there = path.is_relative_to(ROOT) and path.exists()
        if there and section:
            there = section in anchors(text if path == document else path.read_text(encoding="utf-8"))
        if not there:
            found.append(f"{plain.count(chr(10), 0, match.start()) + 1}: {target}")
    return found


def cells(row: str) -> int:
    # A bar parts cells even within code, unless it is escaped.
    return len(re.split(r"(?<!\\)\|", row.strip().removeprefix("|").removesuffix("|")))


def torn(text: str) -> list[str]:
    """Rows of tables, heads too, that have more or fewer cells than the rule below the head has columns."""
    found, lines = [], prose(text)
    for at, rule in enumerate(lines):
        if at and "|" in rule and RULE.match(rule):
            rows = [lines[at - 1], *takewhile(lambda row: row.strip().startswith("|"), lines[at + 1 :])]
            numbered = zip((at, *range(at + 2, len(lines) + 1)), rows, strict=False)
            found += [f"{n}: {cells(row)} of {cells(rule)}" for n, row in numbered if cells(row) != cells(rule)]
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_and_picture_is_there(document: Path) -> None:
    assert dead(document, document.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_row_of_a_table_has_its_columns(document: Path) -> None:
    assert torn(document.read_text(encoding="utf-8")) == []


def test_a_dead_link_and_a_torn_table_are_seen() -> None:
    said = (
        "# One, two\n[here](#one-two) ![no](images/none.png) [gone](nowhere.md#x) [up](../../etc)\n"
        "`[code](none.md)` [site](https://example.org/x) [other](docs/desk.md#no-such-heading) [a\nb](c.md)\n"
        "```\n[shown](none.md)\n```\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 |\n| `x \\| y` | 4 |\n| `x | y` | 5 |\n"
    )
    assert dead(ROOT / "README.md", said) == [
        "2: images/none.png", "2: nowhere.md#x", "2: ../../etc", "3: docs/desk.md#no-such-heading", "3: c.md",
    ]  # fmt: skip
    assert torn(said) == ["12: 1 of 2", "14: 3 of 2"]
