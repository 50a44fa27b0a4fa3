"""What can be taken away from a thread, as a file: the case file, its report and maps alone, and all as JSON."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.page.desk_page import DeskPage
    from agent.page.session import Session

FORMS = ("case", "report", "geojson", "kml", "json")
_ENTRY = {"report": "report.pdf", "geojson": "candidates.geojson", "kml": "candidates.kml"}
"""Where each form lies in the case file."""
_ENDING = {"case": "zip", "report": "pdf"}
_TYPE = {
    "case": "application/zip", "report": "application/pdf", "geojson": "application/geo+json",
    "kml": "application/vnd.google-earth.kml+xml", "json": "application/json",
}  # fmt: skip


async def made(session: Session, form: str) -> bytes:
    """The file's bytes. Raises ``SightlineError`` where nothing was said yet, or nothing searched for."""
    if form == "json":
        return json.dumps(await session.export(), ensure_ascii=False, indent=1).encode()
    case = await session.case()
    if form == "case":
        return case
    with zipfile.ZipFile(io.BytesIO(case)) as archive:
        return archive.read(_ENTRY[form])


async def save(page: DeskPage, form: str) -> None:
    """Hands the browser the file. Raises as :func:`made` does."""
    from nicegui import ui

    name = f"sightline-{_plain(page.titled(page.session.title))}.{_ENDING.get(form, form)}"
    data = await made(page.session, form)
    with page.root:
        ui.download.content(data, name, _TYPE[form])
        page.talk.tell(page.say("exported", name=name))


def _plain(title: str) -> str:
    """A title as part of a file name that every system takes."""
    return re.sub(r"[^\w]+", "-", title).strip("-")[:40] or "thread"
