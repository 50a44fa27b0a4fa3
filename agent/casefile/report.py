"""The report as one HTML file: no script, nothing from elsewhere, every text escaped."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

from agent.casefile.case import Case
from agent.casefile.locator import WIDTH, locator_of
from agent.casefile.pictures import jpeg_bytes
from agent.casefile.words import words

Json = dict[str, Any]
LARGE, SMALL = 760, 150
"""Pixels of the pictures of leading candidates and of the others."""


def html_report(view: Json, case: Case) -> bytes:
    """UTF-8. Prints on A4 and Letter; English and Chinese beside each other."""

    def image(entry: str | None, side: int) -> str:
        if entry is None or entry not in case.entries:
            return ""
        return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes(case.entries[entry], side)).decode()

    locator = locator_of(case)
    page = _template().render(
        v=view, w=words(), locator=locator, width=WIDTH, height=locator.height, image=image, large=LARGE, small=SMALL
    )
    return str(page).encode()


@cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent
    env = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return env.get_template("report.html.jinja")
