"""The ``sightline`` command: every room registers its own sub-commands under ``sightline.commands``."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

import typer
from rich.console import Console
from rich.text import Text

from retriever.errors import SightlineError

app = typer.Typer(
    name="sightline",
    help="Find the place that a person describes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def build() -> typer.Typer:
    """The app with every room's commands registered once."""
    if not app.registered_commands and not app.registered_groups:
        for entry in sorted(entry_points(group="sightline.commands"), key=lambda e: e.name):
            entry.load()(app)
    return app


def main() -> None:
    """Run a command; a known error becomes one sentence and its exit code."""
    try:
        build()()
    except SightlineError as error:
        # A Text: square brackets in a path are no markup.
        said = Text.assemble(("sightline:", "bold red"), f" {error}")
        Console(stderr=True).print(said, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        Console(stderr=True).print("\nstopped; nothing that was finished is lost")
        sys.exit(130)


if __name__ == "__main__":
    main()
