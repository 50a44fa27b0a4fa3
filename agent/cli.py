"""Commands of this room: asking, talking, serving the judge, and looking after the installation."""

from __future__ import annotations

import typer

from agent import cli_api, cli_case, cli_locate, cli_serve


def register(app: typer.Typer) -> None:
    """Add the room's commands to ``sightline``."""
    cli_locate.register(app)
    cli_serve.register(app)
    cli_api.register(app)
    cli_case.register(app)
