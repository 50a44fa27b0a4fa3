"""How well claims are read from free text: precision, recall and F1 on annotated descriptions.

The texts and their annotations were written by a language model that saw map facts and tiles.

    python -m benchmarks.claims [--split heldout] [--file FILE...] [--model URL NAME] [--annotator FILE]

With ``--model`` a chat model is scored beside the rules on the same texts (:mod:`benchmarks.claims_by_model`). With
``--annotator`` another annotation of the same texts stands beside them: how far two annotators agree.

A claim counts as found when kind, value, polarity and place all agree: the place is the octant of its bearing where
there is one (for a road the axis, so that 90 and 270 agree), else the type of its relation. Intervals are 95 %
bootstrap intervals over descriptions. Counts, distances and hedges are scored apart, on the claims that were found.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prompts.claims import extract_claims
from retriever.geo import octant
from retriever.types import Claim

FILE = Path(__file__).resolve().parent.parent / "tests" / "data" / "claims_annotated.jsonl"
KEPT = Path("runs/claims/readings.jsonl")
KINDS = ("object", "name", "road", "junction", "building")
Key = tuple[str, str, str, bool]
Reader = Callable[[str], Sequence[Claim]]


def load(path: Path, split: str | None = None) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [row for row in rows if split in (None, "all") or row["split"] == split]


def gold(row: Mapping[str, Any]) -> list[Claim]:
    return [Claim.from_json({"id": f"g{i}", "span": "", **claim}) for i, claim in enumerate(row["claims"])]


def key(claim: Claim, *, place: bool = True, at_is_near: bool = False) -> Key:
    """What must agree for two claims to be the same. ``at_is_near``: being at a thing counts as being near it."""
    value = re.sub(r"[\W_]+", "", claim.value).casefold() if claim.kind == "name" else claim.value
    bearing = claim.relation.bearing_deg
    where: str = claim.relation.type
    if at_is_near and where == "here":
        where = "near"
    if bearing is not None:
        where = (
            f"axis {octant(bearing) % 4}" if claim.kind == "road" and where not in _SIDES else f"to {octant(bearing)}"
        )
    return claim.kind, value, where if place else "", claim.polarity


_SIDES = ("left", "right", "front", "behind")


def tally(found: Iterable[Key], wanted: Iterable[Key]) -> dict[str, np.ndarray]:
    """By kind ``[hits, found, wanted]`` int64; one key may be wanted twice."""
    f, w = Counter(found), Counter(wanted)
    out = {}
    for kind in KINDS:
        hits = sum(min(n, f[k]) for k, n in w.items() if k[0] == kind)
        out[kind] = np.array(
            [hits, sum(n for k, n in f.items() if k[0] == kind), sum(n for k, n in w.items() if k[0] == kind)]
        )
    return out


def prf(counts: np.ndarray) -> np.ndarray:
    """``[..., 3]`` hits, found, wanted to ``[..., 3]`` precision, recall, F1; 0 where there is nothing."""
    hits, found, wanted = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    p, r = hits / np.maximum(found, 1), hits / np.maximum(wanted, 1)
    return np.stack([p, r, 2 * hits / np.maximum(found + wanted, 1)], axis=-1)


def table(rows: Sequence[Mapping[str, Any]], read: Reader = extract_claims, **options: bool) -> dict[str, np.ndarray]:
    """By kind and ``all``: counts of each description, ``[N, 3]``; ``options`` as for :func:`key`."""
    each = [
        tally((key(c, **options) for c in read(row["text"])), (key(c, **options) for c in gold(row))) for row in rows
    ]
    out = {kind: np.array([t[kind] for t in each]) for kind in KINDS}
    return {**out, "all": np.sum(list(out.values()), axis=0)}


def interval(counts: np.ndarray, *, samples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of F1 over descriptions (``counts [N, 3]``)."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(counts), (samples, len(counts)))
    f1 = prf(counts[picks].sum(axis=1))[:, 2]
    low, high = np.quantile(f1, [0.025, 0.975])
    return float(low), float(high)


def markdown(rows: Sequence[Mapping[str, Any]], title: str, read: Reader = extract_claims) -> str:
    counts = table(rows, read)
    lines = [
        f"### {title} (N = {len(rows)} descriptions)",
        "",
        "| kind | claims | precision | recall | F1 | 95 % interval |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for kind in (*KINDS, "all"):
        p, r, f = prf(counts[kind].sum(axis=0))
        low, high = interval(counts[kind])
        lines.append(f"| {kind} | {counts[kind][:, 2].sum()} | {p:.3f} | {r:.3f} | {f:.3f} | {low:.3f} to {high:.3f} |")
    for name, options in (("at it and near it as one", {"at_is_near": True}), ("place ignored", {"place": False})):
        looser = table(rows, read, **options)["all"]
        p, r, f = prf(looser.sum(axis=0))
        low, high = interval(looser)
        lines.append(f"| all, {name} | {looser[:, 2].sum()} | {p:.3f} | {r:.3f} | {f:.3f} | {low:.3f} to {high:.3f} |")
    return "\n".join([*lines, "", *_apart(rows, read)])


def _apart(rows: Sequence[Mapping[str, Any]], read: Reader) -> list[str]:
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for row in rows:
        found = {key(c): c for c in read(row["text"])}
        for claim in gold(row):
            twin = found.get(key(claim))
            if twin is None:
                continue
            for name, a, b in (
                ("distance", claim.relation.distance_m, twin.relation.distance_m),
                ("count", claim.count, twin.count),
                ("hedge", claim.hedge or None, twin.hedge or None),
            ):
                if a is not None or b is not None:
                    total[name] += 1
                    right[name] += a == b or (isinstance(a, float) and isinstance(b, float) and abs(a - b) <= 0.1 * a)
    return [f"- {name}: {right[name]} of {total[name]} agree (of the found claims that carry one)" for name in total]


def misses(rows: Sequence[Mapping[str, Any]], read: Reader = extract_claims) -> str:
    """Each description with what was missed (-) and invented (+)."""
    out = []
    for row in rows:
        f, w = Counter(key(c) for c in read(row["text"])), Counter(key(c) for c in gold(row))
        if f != w:
            out += [f"{row['id']}: {row['text']}", *(f"  - {k}" for k in (w - f)), *(f"  + {k}" for k in (f - w))]
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--file", type=Path, nargs="+", default=[FILE])
    parser.add_argument("--split", choices=["dev", "heldout", "all"], default="all")
    parser.add_argument("--misses", action="store_true", help="also list every difference")
    parser.add_argument("--model", nargs=2, metavar=("URL", "NAME"), help="a chat model, scored beside the rules")
    parser.add_argument(
        "--annotator", type=Path, help="another annotation of these texts, joined by id, scored likewise"
    )
    parser.add_argument("--kept", type=Path, default=KEPT, help="where the model's readings are kept")
    args = parser.parse_args()
    rows = [row for path in args.file for row in load(path, args.split)]
    if not rows:
        parser.error(f"no description of the split {args.split} in {', '.join(map(str, args.file))}")
    try:
        other = annotated(rows, args.annotator) if args.annotator else None
    except (OSError, ValueError) as error:
        parser.error(f"--annotator: {error}")
    report(rows, args.split, with_misses=args.misses)
    if other:
        report(rows, f"{args.split}, {args.annotator.stem}", other, with_misses=args.misses)
    if args.model:
        from benchmarks.claims_by_model import readings

        url, name = args.model
        report(rows, f"{args.split}, {name}", readings(rows, url, name, args.kept), with_misses=args.misses)


def annotated(rows: Sequence[Mapping[str, Any]], path: Path) -> Reader:
    """Another annotation of the same texts as if it were a reader. Raises ``ValueError`` where it leaves one out."""
    others = {row["id"]: gold(row) for row in load(path)}
    if left := [row["id"] for row in rows if row["id"] not in others]:
        raise ValueError(f"{path} leaves out {len(left)} of {len(rows)} texts, the first is {left[0]}")
    by_text = {row["text"]: others[row["id"]] for row in rows}
    return lambda text: by_text[text]


def report(
    rows: Sequence[Mapping[str, Any]], title: str, read: Reader = extract_claims, *, with_misses: bool = False
) -> None:
    print(markdown(rows, title, read))
    for lang in ("en", "zh", "mixed"):
        part = [row for row in rows if row["lang"] == lang]
        if not part:
            continue
        counts = table(part, read)["all"]
        p, r, f = prf(counts.sum(axis=0))
        low, high = interval(counts)
        print(f"- {lang} (N = {len(part)}): precision {p:.3f}, recall {r:.3f}, F1 {f:.3f} ({low:.3f} to {high:.3f})")
    if with_misses:
        print("\n" + misses(rows, read))


if __name__ == "__main__":
    main()
