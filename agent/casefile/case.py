"""A case file read again: its documents, and a gallery and a judge that answer from it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

from agent.casefile.archive import read
from agent.casefile.check import Verified, verify_bytes
from agent.casefile.errors import CaseError
from agent.judged import Reasons
from agent.kept import KeptReasons, KeptScore
from agent.ledger import active
from agent.rerankers.gate import FittedGate
from retriever.errors import GalleryError, ReplyError
from retriever.types import Candidate, Claim, Evidence, Explanation, Fact, Tile

Json = dict[str, Any]
DOCUMENTS = (
    "case", "query", "claims", "candidates", "evidence", "explanations", "posterior", "tiles", "trace", "versions",
)  # fmt: skip
_MAX_PIXELS = 4096 * 4096


@dataclass(frozen=True, kw_only=True)
class Case:
    """The documents of a whole, unchanged case file."""

    verified: Verified
    entries: Mapping[str, bytes]
    case: Json
    query: Json
    claims: tuple[Claim, ...]
    candidates: list[Json]
    """As they were listed, with ``evidence``, ``explanation`` and ``explanation_error`` joined by tile id."""
    posterior: Json
    tiles: Mapping[str, Tile]
    trace: Json
    versions: Json

    @property
    def standing(self) -> list[Claim]:
        """The claims that counted."""
        return active(self.claims)

    @property
    def gate(self) -> FittedGate | None:
        """The gate that the order went through; None where the method has none, or the file is older than such notes.

        Raises ``KeyError``, ``TypeError`` or ``ValueError`` where it is none.
        """
        kept = self.case.get("gate")
        return None if kept is None else FittedGate.from_json(kept)

    @property
    def reasons(self) -> Reasons:
        """How the judge was asked to explain; files from before this was recorded had it write."""
        kept: Reasons = self.case.get("reasons", "written")
        if kept not in get_args(Reasons):
            raise ValueError(f"{kept!r} is no way to explain")
        return kept

    @property
    def result(self) -> Json:
        """The answer in the form of :func:`agent.nodes.result_json`, as far as it is told from."""
        return {
            "query_id": self.query["id"],
            "text": self.query["text"],
            "gallery": self.case["gallery"],
            "claims": [c.to_json() for c in self.claims],
            "candidates": self.candidates,
            "shown": self.case["shown"],
            "outside_probability": self.posterior["outside"],
            "elsewhere_probability": self.posterior["elsewhere"],
            "confidence": {"calibrated": self.posterior["calibrated"], "note": self.posterior["note"]},
            "effects": self.posterior["effects"],
            "method": self.case["method"],
            "gate": self.case.get("gate"),
            "reasons": self.reasons,
            "judge": self.case["judge"],
            "encoder": self.case["encoder"],
            "usage": self.trace["usage"],
        }


def open_case(path: Path | str, *, key: Path | None = None, digest: str | None = None) -> Case:
    """The case in a file. Raises ``CaseError``, and ``Tampered`` where it is not as it was written."""
    verified, entries = verify_bytes(read(path), where=str(path), key=key, digest=digest)
    try:
        return case_of(entries, verified)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise CaseError(f"{path} is whole, but not a case that this Sightline can read ({error!r:.120})") from None


def case_of(entries: Mapping[str, bytes], verified: Verified) -> Case:
    """The documents of checked entries. Raises ``KeyError``, ``TypeError`` or ``ValueError`` where they do not fit."""
    found: dict[str, Any] = {name: json.loads(entries[f"{name}.json"]) for name in DOCUMENTS}
    words, evidence = found["explanations"], found["evidence"]
    candidates = []
    for candidate in found["candidates"]:
        tile = candidate["tile_id"]
        joined = {"evidence": [Evidence.from_json(e).to_json() for e in evidence[tile]]}
        joined |= {"explanation": words[tile]["written"], "explanation_error": words[tile]["error"]}
        candidates.append({**candidate, **joined})
    tiles = {t["id"]: Tile.from_json(t) for t in found["tiles"]}
    if [c["rank"] for c in candidates] != list(range(1, len(candidates) + 1)) or not candidates:
        raise ValueError("its candidates are not numbered from 1")
    if set(tiles) != {c["tile_id"] for c in candidates} or len(tiles) != len(candidates):
        raise ValueError("its candidates and its tiles are not the same")
    return Case(
        verified=verified, entries=entries, candidates=candidates, tiles=tiles,
        claims=tuple(Claim.from_json(c) for c in found["claims"]),
        **{name: found[name] for name in ("case", "query", "posterior", "trace", "versions")},
    )  # fmt: skip


class ArchiveGallery:
    """The tiles of a case as a gallery: pictures as the judge was shown them, facts as the map had them."""

    def __init__(self, case: Case) -> None:
        self._case = case
        gallery = case.case["gallery"]
        self.id, self.sha256, self.view = str(gallery["id"]), str(gallery["sha256"]), gallery["view"]
        self.size_m, self.stride_m = float(gallery["size_m"]), float(gallery["stride_m"])
        self.px = int(gallery["px"])
        self.ids = sorted(case.tiles)
        self.lat = np.array([case.tiles[i].lat for i in self.ids])
        self.lon = np.array([case.tiles[i].lon for i in self.ids])
        self._entries = {c["tile_id"]: c["picture"] for c in case.candidates}

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, tile_id: str) -> int:
        """Position in ``ids``. Raises ``GalleryError`` for a stranger."""
        self.tile(tile_id)
        return self.ids.index(tile_id)

    def tile(self, tile_id: str) -> Tile:
        """Raises ``GalleryError`` for a tile that the case does not hold."""
        if tile_id not in self._case.tiles:
            raise GalleryError(f"the case file holds no tile {tile_id!r}")
        return self._case.tiles[tile_id]

    def facts(self, tile_id: str) -> tuple[Fact, ...] | None:
        return self.tile(tile_id).facts

    def png(self, tile_id: str) -> bytes | None:
        """The picture's bytes; None for a tile that had none."""
        entry = self._entries.get(tile_id)
        return None if entry is None else self._case.entries.get(entry)

    def image(self, tile_id: str) -> Image.Image:
        """The picture as the judge was shown it. Raises ``GalleryError`` where the case holds none."""
        png = self.png(tile_id)
        if png is None:
            raise GalleryError(f"the case file holds no picture of the tile {tile_id!r}")
        try:
            with Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
                if picture.width * picture.height > _MAX_PIXELS:
                    raise ValueError(f"{picture.width} x {picture.height} pixels are too many")
                return picture.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise GalleryError(f"the picture of {tile_id!r} in the case file cannot be read ({error})") from None


class ArchiveJudge:
    """Gives the answers that the case holds. What was not asked then raises ``ReplyError``."""

    def __init__(self, case: Case) -> None:
        self._found = {c["tile_id"]: c for c in case.candidates}

    async def score(self, tile: Tile, png: bytes, claims: Sequence[Claim]) -> KeptScore:
        """The archived probability."""
        found = self._found[tile.id]
        if found["score"] is None or found["score_kind"] != "p_match":
            raise ReplyError("the case file holds no probability for it")
        return KeptScore(p_match=float(found["score"]))

    async def explain(self, tile: Tile, png: bytes, claims: Sequence[Claim], verdict_p: float) -> KeptReasons:
        """The archived evidence of the model and its words; the template's words where it had none that fitted."""
        found = self._found[tile.id]
        if found["explanation_error"] is not None:
            raise ReplyError(str(found["explanation_error"]))
        seen = tuple(e for e in map(Evidence.from_json, found["evidence"]) if e.by == "model")
        if not found["explanation"]:
            raise ReplyError("the case file holds no reasons for it")
        return KeptReasons(evidence=seen, explanation=Explanation.from_json(found["explanation"]))


def candidates_then(case: Case) -> list[Candidate]:
    """The shortlist as retrieval gave it, by rank."""
    found = [
        Candidate(tile_id=c["tile_id"], score=c["features"]["retrieval"], rank=c["retrieval_rank"])
        for c in case.candidates
    ]
    return sorted(found, key=lambda c: c.rank)
