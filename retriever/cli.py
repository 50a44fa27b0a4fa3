"""The retriever's commands."""

from __future__ import annotations

import typer

from retriever import cli_gallery, cli_index


def register(app: typer.Typer) -> None:
    cli_gallery.register(app)
    cli_index.register(app)
