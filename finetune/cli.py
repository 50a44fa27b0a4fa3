"""``sightline train ...`` and ``sightline data ...``: how the models learned it."""

from __future__ import annotations

import importlib.util

import typer


def register(app: typer.Typer) -> None:
    """Add the training commands; torch is imported only when one runs."""
    train = typer.Typer(no_args_is_help=True, help="Train the shipped models.")
    app.add_typer(train, name="train")
    _register_encoder(train)
    from finetune.cli_data import register as register_data

    register_data(app)
    from finetune.cli_annotate import register as register_annotate

    register_annotate(app)
    from finetune.cli_crossencoder import register as register_cross_encoder

    register_cross_encoder(train)
    from finetune.cli_contrastive import register as register_contrastive

    register_contrastive(train)
    if importlib.util.find_spec("finetune.cli_judge"):
        from finetune.cli_judge import register as register_judge

        register_judge(train)

    if importlib.util.find_spec("finetune.cli_calibrate"):
        from finetune.cli_calibrate import register as register_calibrate

        register_calibrate(app)


def _register_encoder(train: typer.Typer) -> None:
    from finetune.encoder import cli

    train.command("tiles")(cli.tiles)
    train.command("texts")(cli.texts)
    train.command("merge")(cli.merge)
    train.command("sights")(cli.sights)
    train.command("encoder")(cli.encoder)
    train.command("export-encoder")(cli.export_encoder)
