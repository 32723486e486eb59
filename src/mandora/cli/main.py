"""The program ``mandora``: its commands, a family in each module of this folder.

Commands are thin: each calls one Python function. Heavy packages are imported inside them, so
that ``mandora --help`` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mandora import __version__
from mandora.cli import (
    archive,
    bench,
    bundle,
    data,
    evaluate,
    intake,
    reproduce,
    score,
    train,
)
from mandora.cli.app import Commands
from mandora.cli.console import EXIT_INTERRUPTED, INTERRUPTED, NOTICE
from mandora.core.terminal import replace_unencodable, write_line

app = Commands(
    name="mandora",
    help=f"Sharp/van der Heijde scores from radiographs of hands and feet. {NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for family in (score, intake, data, evaluate, reproduce, archive):
    app.add_typer(family.commands)
app.add_typer(train.commands, name="train")
app.add_typer(bundle.commands, name="bundle")
app.add_typer(bench.commands, name="bench")


def _show_version(value: bool) -> None:
    if value:
        write_line(f"mandora {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run the program; Ctrl-C keeps what is finished."""
    replace_unencodable()
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        write_line(INTERRUPTED, err=True)
        sys.exit(EXIT_INTERRUPTED)
