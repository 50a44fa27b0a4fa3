"""A turn's claims as a chat model reads them, where the settings name one; the rules read them otherwise."""

from __future__ import annotations

from agent.context import Context
from agent.state import State
from retriever.types import Claim, Usage

READ = ("description", "clue")
"""What a model reads. Corrections, answers and edits lean on the claims before them, which the rules compare."""


def claims_notes(state: State) -> list[str]:
    """Of a turn's notes, who read its claims, where a model was to."""
    return [note for note in state.get("notes") or [] if note.startswith("the claims were read by")]


async def heard(change: State, context: Context) -> State:
    """What a turn changes, with its new claims read by the model, and who read them in the notes.

    A model that fails costs the turn nothing but its time: the rules' claims stay, and the note says why.
    """
    act = change.get("act") or {}
    if context.claims_client is None or act.get("kind") != "search" or act.get("why") not in READ:
        return change
    if not change.get("words"):
        return change
    from prompts.claims_ import amend
    from prompts.claims_model import extract_or_rules

    turn, client = change["turn"], context.claims_client()
    before = [c for c in map(Claim.from_json, change["claims"]) if c.turn != turn or c.asked]
    try:
        read = await extract_or_rules(client, change["words"][-1], turn=turn, first_id=amend.next_id(before))
    finally:
        await client.close()
    told = [*before, *read.claims]
    usage = Usage.from_json(change.get("usage") or {}) + read.usage
    notes = [*(change.get("notes") or []), read.note]
    return {**change, "claims": [c.to_json() for c in told], "notes": notes, "usage": usage.to_json()}
