"""Finding what a sentence of a reply rests on, in the thread's own state."""

from __future__ import annotations

from typing import Any

from agent.state import Json, State
from retriever.errors import SightlineError


class NoEvidence(SightlineError):
    """A sentence cites what the thread does not hold."""


def lookup(cite: str, state: State) -> Any:
    """The record behind a cite of :mod:`agent.phrasing`. Raises ``NoEvidence``; never gives None."""
    kind, _, name = cite.partition(":")
    finder = _FINDERS.get(kind)
    found = finder(name, state) if finder is not None else None
    if found is None:
        raise NoEvidence(f"nothing in the thread holds {cite!r}")
    return found


def _candidate(tile: str, state: State) -> Json | None:
    listed = (state.get("result") or {}).get("candidates", [])
    return next((c for c in listed if c["tile_id"] == tile), None)


def _evidence(name: str, state: State) -> Json | None:
    tile, claim, by = name.rsplit("/", 2)
    candidate = _candidate(tile, state)
    items = candidate["evidence"] if candidate else []
    return next((e for e in items if e["claim_id"] == claim and e["by"] == by), None)


def _posterior(name: str, state: State) -> float | None:
    result = state.get("result") or {}
    if name in ("outside", "elsewhere"):
        return result.get(f"{name}_probability")
    candidate = _candidate(name, state)
    return candidate["confidence"] if candidate else None


def _limit(name: str, state: State) -> Json | None:
    limits = state.get("limits") or []
    return limits[int(name) - 1] if 1 <= int(name) <= len(limits) else None


def _question(name: str, state: State) -> Json | None:
    question = state.get("question")
    return question if question and question["key"] == name else None


_FINDERS: dict[str, Any] = {
    "evidence": _evidence,
    "claim": lambda name, s: next((c for c in (s.get("result") or {}).get("claims", []) if c["id"] == name), None),
    "judgement": _candidate,
    "posterior": _posterior,
    "before": lambda name, s: (s.get("before") or {}) if (s.get("before") or {}).get("first") == name else None,
    "limit": _limit,
    "effect": lambda name, s: ((s.get("result") or {}).get("effects") or {}).get("clues", {}).get(name),
    "question": _question,
    "image": lambda name, s: next((pair for pair in s.get("images") or [] if pair[1] == name), None),
    "map": lambda name, s: s["act"] if s["act"]["kind"] in ("no_area", "which_area") else None,
    "desk": lambda name, s: s.get("act"),
}
