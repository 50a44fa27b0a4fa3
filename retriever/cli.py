"""The retriever's commands."""

from __future__ import annotations

from importlib.util import find_spec

import typer

from retriever import cli_gallery


def register(app: typer.Typer) -> None:
    cli_gallery.register(app)
    if find_spec("retriever.cli_index") is not None:
        from retriever.cli_index import register as register_index

        register_index(app)
