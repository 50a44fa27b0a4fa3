"""What was said on a thread, in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.desk import Desk
    from agent.state import State


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One turn as the page shows it."""

    number: int
    text: str
    en: str
    zh: str
    kind: str


async def exchanges(desk: Desk, thread: str) -> list[Exchange]:
    """The answered turns of a thread in order; empty for one in which nothing was said.

    ``Desk.history`` gives each reply in the language of its turn; the page can be switched, so it reads both.
    """
    found: dict[int, Exchange] = {}
    async for snapshot in desk.graph.aget_state_history({"configurable": {"thread_id": thread}}):
        state: State = snapshot.values
        number, reply = state.get("turn") or 0, state.get("reply")
        # The newest checkpoint of a turn comes first; one with a next node is of a turn that was not finished.
        if number and reply and not snapshot.next and number not in found:
            found[number] = Exchange(
                number=number, text=state.get("text") or "", en=reply["en"], zh=reply["zh"], kind=state["act"]["kind"]
            )
    return [found[number] for number in sorted(found)]
