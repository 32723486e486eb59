"""The commands ``mandora bundle …``: look at, check and make models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mandora import __version__
from mandora.cli.app import Commands
from mandora.cli.console import EXIT_SOME_FAILED, load
from mandora.cli.evaluate import calibrate
from mandora.cli.options import open_model
from mandora.core.errors import InputError
from mandora.core.terminal import write_line

commands = Commands(help="Look at, check and make model bundles.", no_args_is_help=True)
commands.command("calibrate")(calibrate)


@commands.command("make")
def bundle_make(
    run: Annotated[Path, typer.Argument(help="Folder of a finished training run.")],
    out: Annotated[Path, typer.Option(help="Folder for the bundle.")],
    name: Annotated[str, typer.Option(help="Name of the model.")] = "mandora-fast",
    version: Annotated[str, typer.Option(help="Version of the model.")] = __version__,
    licence: Annotated[
        str | None,
        typer.Option(help="SPDX id of the weights' licence; that of the films if not given."),
    ] = None,
    licence_note: Annotated[str, typer.Option(help="What the licence means, in words.")] = "",
) -> None:
    """Put a training run's networks, trees and card into a bundle."""
    from mandora.model.bundle import Licence

    bundles = load("training.bundles", "train")
    given = Licence(spdx=licence, note=licence_note) if licence else None
    made = bundles.make_bundle(run, out, name, version, given)
    write_line(f"{made.folder}  sha256 {made.sha256}")


@commands.command("verify")
def bundle_verify(
    path: Annotated[
        Path | None, typer.Argument(help="Folder; the packaged model if not given.")
    ] = None,
) -> None:
    """Check every file of a bundle against its hash. Exit code 1 if anything is wrong."""
    from mandora.model.bundle import default_bundle, verify_bundle

    try:
        problems = verify_bundle(path or default_bundle())
    except InputError as error:
        problems = [str(error)]
    for problem in problems:
        write_line(problem, err=True)
    if problems:
        raise typer.Exit(EXIT_SOME_FAILED)
    write_line("the bundle is complete and unchanged")


@commands.command("show")
def bundle_show(
    path: Annotated[
        Path | None, typer.Argument(help="Folder; the packaged model if not given.")
    ] = None,
) -> None:
    """Describe a bundle: what it takes, what it was trained on, under which licence."""
    from mandora.model.bundle import describe

    write_line(describe(open_model(path)))


@commands.command("migrate")
def bundle_migrate(
    path: Annotated[Path, typer.Argument(help="Folder of a bundle of an earlier version.")],
) -> None:
    """Bring the contract of an earlier bundle to this version. Its scores stay the same."""
    from mandora.model.bundle import migrate_bundle

    made = migrate_bundle(path)
    write_line(f"{made.folder}  sha256 {made.sha256}")
