"""Files of judgements: one JSON object per line, ours or another system's (``docs/explanations.md`` has the schema).

Three shapes are told apart by their keys, line by line: a flat judgement (``tile_id``), a ``Ranking`` (``judgements``)
and the whole answer of ``sightline locate --batch`` (``candidates``). A line that is none of them costs that line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from eval.explanations.phrases import read_phrase
from retriever.types import Box, Claim, Evidence, Stance, Usage, Verdict

LANGS = ("en", "zh")
MAX_TEXT = 20_000
"""Characters of one explanation; a longer one is no explanation."""

Key = tuple[str, str]
"""Query id and tile id: what a judgement is about."""


@dataclass(frozen=True, kw_only=True)
class Explained:
    """One verdict of one system with its reasons."""

    system: str
    query_id: str
    tile_id: str
    verdict: Verdict | None
    confidence: float | None = None
    """0..1, that this tile is the place."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Explanation by language, ``en`` and/or ``zh``."""
    evidence: tuple[Evidence, ...] = ()
    claims: tuple[Claim, ...] | None = None
    """The ledger that ``evidence`` speaks of, where the file gives one."""
    query: str | None = None
    label: Verdict | None = None
    location: str | None = None
    family: str | None = None
    """Family of the model that wrote it, for the panel's own-family flag."""
    baseline: bool = False
    """Its worth is known beforehand: it is there for others to be read by, and is not among the ten worst."""
    usage: Usage | None = None
    where: str = ""

    @property
    def key(self) -> Key:
        return self.query_id, self.tile_id


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something in a file that was left out, and why."""

    where: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Everything that could be read, and what could not."""

    items: tuple[Explained, ...]
    problems: tuple[Problem, ...]

    @property
    def systems(self) -> list[str]:
        return list(dict.fromkeys(item.system for item in self.items))


def read_judgements(paths: Sequence[Path]) -> Judged:
    """All files together. Nothing raises but a bug: what cannot be read becomes a :class:`Problem`."""
    items: dict[tuple[str, str, str], Explained] = {}
    problems: list[Problem] = []
    for path in paths:
        shapes: set[str] = set()
        for where, shape, found in _read(path):
            shapes.add(shape)
            for item in found:
                if isinstance(item, Problem):
                    problems.append(item)
                elif (item.system, *item.key) in items:
                    problems.append(Problem(where=where, what=f"repeats {item.system} on {item.key}; the first stands"))
                else:
                    items[(item.system, *item.key)] = item
        problems += _of_file(path, shapes - {""})
    return Judged(items=tuple(items.values()), problems=tuple(problems))


def _of_file(path: Path, shapes: set[str]) -> Iterator[Problem]:
    if not shapes:
        yield Problem(where=str(path), what="holds no judgements; see docs/explanations.md for the schema")
    if len(shapes) > 1:
        yield Problem(
            where=str(path), what=f"mixes the schemas {', '.join(sorted(shapes))}; each line was read as its own"
        )


def _read(path: Path) -> Iterator[tuple[str, str, list[Explained | Problem]]]:
    """``(file:line, shape, what the line holds)``."""
    try:
        # Not splitlines: a text may hold U+2028, which is no end of a line in JSONL.
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        yield str(path), "", [Problem(where=str(path), what=f"cannot be read ({error}); the other files stand")]
        return
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            shape, found = _line(json.loads(line, parse_constant=_no_constant), path.stem, where)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            why = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
            shape, found = "", [Problem(where=where, what=f"is no judgement ({why}); correct or delete the line")]
        yield where, shape, found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _line(row: Any, stem: str, where: str) -> tuple[str, list[Explained | Problem]]:
    if not isinstance(row, dict):
        raise TypeError("it must be a JSON object")
    for shape, entries in (("answer", "candidates"), ("ranking", "judgements")):
        if entries in row:
            return shape, list(_many(row, row[entries], stem, where))
    if "tile_id" in row:
        return "judgement", [_one(row, row, str(row.get("system") or stem), where)]
    if row.get("error"):
        return "", [Problem(where=where, what=f"is a failed query ({str(row['error'])[:120]})")]
    raise ValueError("neither tile_id, nor judgements, nor candidates")


def _many(row: Mapping[str, Any], entries: Any, stem: str, where: str) -> Iterator[Explained | Problem]:
    system = str(row.get("system") or stem)
    if not isinstance(entries, list):
        raise TypeError("its list of tiles is no list")
    for place, entry in enumerate(entries):
        try:
            item = _one(entry, row, system, where)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            yield Problem(where=where, what=f"tile {place + 1} is no judgement ({error!s:.160}); the others stand")
            continue
        # What the whole answer cost is counted once.
        yield item if place == 0 else replace(item, usage=None)


def _one(entry: Mapping[str, Any], row: Mapping[str, Any], system: str, where: str) -> Explained:
    verdict = entry.get("verdict")
    if verdict is not None and verdict not in get_args(Verdict):
        raise ValueError(f"verdict {verdict!r} is none of {', '.join(get_args(Verdict))}")
    label = entry.get("label", row.get("label"))
    if label is not None and label not in ("match", "no_match"):
        raise ValueError(f"label {label!r} is neither match nor no_match")
    claims = None if row.get("claims") is None else tuple(Claim.from_json(c) for c in row["claims"])
    evidence, claims = _evidence(entry.get("evidence") or (), claims)
    query = row.get("text", row.get("query"))
    return Explained(
        system=system,
        query_id=_text(row["query_id"], "query_id"),
        tile_id=_text(entry["tile_id"], "tile_id"),
        verdict=verdict,
        confidence=_share(entry.get("confidence", entry.get("score") if entry is row else None)),
        texts=_texts(entry.get("explanation"), row),
        evidence=evidence,
        claims=claims,
        query=None if query is None else str(query),
        label=label,
        location=None if row.get("location") is None else str(row["location"]),
        family=None if row.get("family") is None else str(row["family"]),
        baseline=row.get("baseline") is True,
        usage=_usage(row),
        where=where,
    )


def _text(value: Any, name: str) -> str:
    if not isinstance(value, (str, int)) or isinstance(value, bool) or not str(value).strip():
        raise ValueError(f"{name} must be a string")
    return str(value)


def _share(value: Any) -> float | None:
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or not 0 <= value <= 1
    ):
        raise ValueError(f"confidence {value!r} is not between 0 and 1")
    return float(value)


def _texts(said: Any, row: Mapping[str, Any]) -> dict[str, str]:
    """By language. A bare string is in the line's ``explanation_lang``, or in the script that it is written in."""
    if isinstance(said, str):
        chinese = sum("一" <= c <= "鿿" for c in said)
        said = {str(row.get("explanation_lang") or ("zh" if 4 * chinese > len(said) else "en")): said}
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        raise TypeError("explanation is neither a text nor an object with en and zh")
    found = {lang: said[lang] for lang in LANGS if said.get(lang) is not None}
    for lang, text in found.items():
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise ValueError(f"explanation.{lang} is no text of at most {MAX_TEXT} characters")
    return {lang: text.strip() for lang, text in found.items() if text.strip()}


def _evidence(
    rows: Sequence[Any], claims: tuple[Claim, ...] | None
) -> tuple[tuple[Evidence, ...], tuple[Claim, ...] | None]:
    """Evidence by claim id; a foreign system may give the claim in ``words``, which then joins the ledger."""
    found: list[Evidence] = []
    ledger = list(claims or ())
    for row in rows:
        claim_id = row.get("claim_id")
        if claim_id is None:
            read = read_phrase(_text(row["words"], "evidence.words"))
            if not read:
                continue
            claim_id = f"w{len(ledger) + 1}"
            ledger.append(replace(read[0], id=claim_id))
        stance = row.get("stance", "supports")
        if stance not in get_args(Stance):
            raise ValueError(f"stance {stance!r} is none of {', '.join(get_args(Stance))}")
        by = "map" if row.get("by") == "map" else "model"
        found.append(Evidence(claim_id=str(claim_id), stance=stance, region=_box(row.get("region")), by=by))  # type: ignore[arg-type]
    return tuple(found), tuple(ledger) if ledger or claims is not None else None


def _box(value: Any) -> Box | None:
    if value is None:
        return None
    x0, y0, x1, y1 = (float(v) for v in value)
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise ValueError(f"region {list(value)} is not x0 < x1, y0 < y1 within 0..1")
    return x0, y0, x1, y1


def _usage(row: Mapping[str, Any]) -> Usage | None:
    given = row.get("usage")
    if not isinstance(given, Mapping):
        return None
    seconds = given.get("seconds") or {}
    whole = (
        {"all": float(seconds)} if isinstance(seconds, (int, float)) else {str(k): float(v) for k, v in seconds.items()}
    )
    counts = {k: int(given.get(k) or 0) for k in ("calls", "prompt_tokens", "completion_tokens")}
    return Usage(**counts, seconds=whole)
