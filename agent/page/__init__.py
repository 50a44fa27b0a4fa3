"""The analyst's page: conversation, map, candidates, evidence, in English and Chinese. :func:`mount` serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from agent.settings import Settings


def mount(app: FastAPI, settings: Settings) -> None:
    """Puts the page at ``/`` of the application that :func:`agent.api.app.create_app` gave. Call it last."""
    # NiceGUI takes a second to import, which commands that serve nothing should not wait for.
    from agent.page.app import mount as really

    really(app, settings)
