"""The command ``mandora intake``: whose films are these, and what do they show?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mandora.cli.app import Commands
from mandora.cli.console import EXIT_SOME_FAILED, fail
from mandora.cli.options import IdKeyOption, KeepIdsOption, ManifestOption, StrictOption
from mandora.core.terminal import printable, write_line

if TYPE_CHECKING:
    from mandora.datasets.intake.rows import Plan, PlannedFilm, Stated

commands = Commands()


@commands.command()
def intake(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(help="Films, DICOM files, zip archives, or folders of them."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV file for the plan, which is a manifest.")
    ] = None,
    manifest: ManifestOption = None,
    strict: StrictOption = False,
    keep_ids: KeepIdsOption = False,
    id_key: IdKeyOption = None,
) -> None:
    """Say whose films these are and what they show, before anything is scored.

    Prints patient, visit, limb and side of each film, with who says so, and reads no pixels.
    Correct the plan and give it to `mandora score --manifest`. Exit code 0: all films have a
    place, or only their picture can say it; 1: some are refused, each with its reason.
    """
    from mandora.core.files import make_output_folder, write_atomically
    from mandora.datasets.intake.plan import Intake, make_plan
    from mandora.datasets.intake.tables import plan_csv
    from mandora.scoring.summary import problem_line

    if not inputs and manifest is None:
        fail("name at least one film or folder, or use --manifest")
    how = Intake(manifest, strict, keep_ids, id_key)
    if out is not None:
        if out.is_dir():
            fail(f"{out} is a folder; name a CSV file for the plan")
        make_output_folder(out.parent)
        how = how.with_key_in(out.parent)
    plan = make_plan(inputs or [], how)
    for problem in plan.problems:
        write_line(problem_line(problem), err=True)
    _print_plan(plan)
    if out is not None:
        write_atomically(out, plan_csv(plan, out.parent).encode())
        write_line(f"plan: {out}")
    if plan.problems:
        raise typer.Exit(EXIT_SOME_FAILED)


def _print_plan(plan: Plan) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    films = [given for film in plan.films for given in film.also or (film,)]
    table = Table(title="Films", title_justify="left")
    for title in ("patient", "visit", "limb", "side", "file", "remarks"):
        table.add_column(title)
    for film in films:
        cells = [_cell(film.patient), _cell(film.visit, "–"), *_limb(film)]
        cells += [film.name, "; ".join(film.remarks)]
        table.add_row(*(Text(printable(cell, one_line=True)) for cell in cells))
    if films:
        Console(highlight=False).print(table)
    guessed = sum(film.guessed for film in films)
    count = len(films) + len(plan.problems)
    files = "1 file" if count == 1 else f"{count} files"
    write_line(
        f"{files}: {len(films) - guessed} placed, {guessed} left to the picture, "
        f"{len(plan.problems)} refused"
    )


def _limb(film: PlannedFilm) -> list[str]:
    return [
        f"{film.limb.value} ({film.limb.origin})" if film.limb else "? (picture)",
        f"{film.sides.value} ({film.sides.origin})" if film.sides else "? (picture)",
    ]


def _cell(stated: Stated[str] | None, missing: str = "?") -> str:
    return f"{stated.value} ({stated.origin})" if stated else missing
