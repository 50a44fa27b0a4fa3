"""What can be taken away from a thread, as a file."""

from __future__ import annotations

import importlib.util
import json
import re
from typing import TYPE_CHECKING

from agent.page.past import geojson

if TYPE_CHECKING:
    from agent.page.desk_page import DeskPage


def forms() -> tuple[str, ...]:
    """What is offered; the case file where that part of the agent is installed."""
    case = ("case", "kml") if importlib.util.find_spec("agent.casefile") else ()
    return (*case, "geojson", "json")


async def save(page: DeskPage, form: str) -> None:
    """Hands the browser the file. Raises ``SightlineError`` where nothing was said yet."""
    from nicegui import ui

    data = await page.session.export()
    name = f"sightline-{_plain(page.session.title)}"
    made = geojson(data) if form == "geojson" else data
    ending = "geojson" if form == "geojson" else "json"
    text = json.dumps(made, ensure_ascii=False, indent=1)
    ui.download.content(text.encode(), f"{name}.{ending}", "application/geo+json" if ending == "geojson" else "")
    page.talk.tell(page.say("exported", name=f"{name}.{ending}"))


def _plain(title: str) -> str:
    """A title as part of a file name that every system takes."""
    return re.sub(r"[^\w]+", "-", title).strip("-")[:40] or "thread"
