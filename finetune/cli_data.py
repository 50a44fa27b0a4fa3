"""``sightline data ...``: the data that teaches and tests."""

from __future__ import annotations

import typer

data_app = typer.Typer(name="data", no_args_is_help=True, help="Build, convert and check training and test data.")


def register(app: typer.Typer) -> None:
    """Add the ``data`` group; every command of it imports its work only when it runs."""
    # One line for each file of commands: ``from finetune.cli_x import register as x; x(data_app)``.
    from finetune.cli_formats import register as formats

    formats(data_app)
    from finetune.cli_build import register as build

    build(data_app)
    from finetune.cli_data_views import register as views

    views(data_app)
    from finetune.cli_data_pairs import register as pairs

    pairs(data_app)
    from finetune.cli_paraphrase import register as paraphrase

    paraphrase(data_app)
    app.add_typer(data_app)
