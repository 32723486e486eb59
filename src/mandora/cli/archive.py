"""The command that works with an archive: ``mandora listen``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mandora.cli.app import Commands
from mandora.cli.console import load
from mandora.cli.options import BundleOption, ThreadsOption, open_model
from mandora.core.terminal import write_line

commands = Commands()


@commands.command()
def listen(
    settings: Annotated[
        Path, typer.Argument(help="TOML file: titles, ports, who may send, who gets results.")
    ],
    inbox: Annotated[Path, typer.Option(help="Folder for films and results.")],
    bundle: BundleOption = None,
    threads: ThreadsOption = 2,
) -> None:
    """Be a DICOM node: score the studies that an archive sends, and send results back.

    Runs until Ctrl-C. Nothing that was acknowledged is lost when it stops in any way: the next
    call with the same inbox continues.
    """
    from mandora.core.settings import ListenSettings

    run = load("archive.listen", "archive").listen
    given = ListenSettings.from_toml(settings)
    run(given, inbox, open_model(bundle), threads=threads, say=write_line)
