"""The commands about data sets: ``mandora check``, ``simulate`` and ``describe``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mandora.cli.app import Commands
from mandora.cli.console import EXIT_SOME_FAILED, Progress, fail
from mandora.cli.options import JsonOption, WorkersOption
from mandora.core.terminal import printable, write_line

if TYPE_CHECKING:
    from mandora.datasets.check.data_set import CheckReport
    from mandora.simulate.cohort.statistics import CohortSummary

commands = Commands()


@commands.command()
def simulate(
    out: Annotated[Path, typer.Option(help="Folder for the cohort.")],
    patients: Annotated[int, typer.Option(help="Number of patients, four films each.")] = 10,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    workers: WorkersOption = 1,
    visits: Annotated[
        int, typer.Option(help="Visits of each patient, about a year apart; damage increases.")
    ] = 1,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Films of both hands and of both feet as well.")
    ] = False,
    wide: Annotated[
        bool, typer.Option("--wide", help="Also poorly framed and exposed films, as in training.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty.")
    ] = False,
) -> None:
    """Write simulated patients in RA2 layout, with the truth about every joint."""
    from pydantic import ValidationError

    from mandora.core.settings import SimulateSettings
    from mandora.simulate.cohort.folder import LARGE_BYTES, estimate, simulate_cohort

    try:
        settings = SimulateSettings(
            patients=patients, visits=visits, seed=seed, pairs=pairs, wide=wide, workers=workers
        )
    except ValidationError as error:
        fail("; ".join(f"--{e['loc'][0]} {e['input']}: {e['msg']}" for e in error.errors()))
    with Progress(show=True) as progress:
        needed = estimate(settings)
        if needed.size_bytes > LARGE_BYTES:
            progress.warn(f"{patients} patients, visits: {visits}: this needs {needed}")
        simulate_cohort(
            settings, out, force=force, progress=lambda done: progress.step(done, patients)
        )
    write_line(f"{patients} patients, visits: {visits}: {out}")


@commands.command("describe")
def describe_folder(
    folder: Annotated[Path, typer.Argument(help="Folder of a simulated cohort.", metavar="DIR")],
    as_json: JsonOption = False,
) -> None:
    """Print what a simulated cohort contains, next to published numbers."""
    from mandora.simulate.cohort.statistics import describe_cohort

    summary = describe_cohort(folder)
    if as_json:
        write_line(summary.to_json())
    else:
        print_cohort(summary)


@commands.command("check")
def check_data(
    dataset: Annotated[
        Path, typer.Argument(help="Folder of a labelled data set, or its manifest.csv.")
    ],
    as_json: JsonOption = False,
    workers: WorkersOption = 1,
) -> None:
    """Report everything that is wrong with a labelled data set, before it is trained on.

    Exit code 0: no errors, perhaps warnings; 1: errors; 2: there is no data set at the path.
    """
    from mandora.datasets.check.data_set import check_dataset

    with Progress(show=not as_json) as progress:
        report = check_dataset(dataset, progress=progress.step, workers=workers)
    if as_json:
        write_line(report.to_json())
    else:
        print_check(report)
    if report.errors:
        raise typer.Exit(EXIT_SOME_FAILED)


def print_cohort(summary: CohortSummary) -> None:
    """What a simulated cohort contains, next to published numbers."""
    from rich.console import Console
    from rich.table import Table

    def table(title: str, *columns: str) -> Table:
        made = Table(title=title, title_justify="left")
        made.add_column("")
        for column in columns:
            made.add_column(column, justify="right")
        return made

    def cell(r: float | None, reason: str | None) -> str:
        return f"– ({reason})" if r is None else f"{r:.3f}"

    def number(value: float | None, form: str) -> str:
        return "–" if value is None else f"{value:{form}}"

    write_line(f"{summary.patients} patients, {summary.zeros:.1%} of the true grades are 0")
    zeros = table("Share of true grades that are 0", *summary.zeros_by_family)
    zeros.add_row("", *(f"{share:.3f}" for share in summary.zeros_by_family.values()))
    totals = table("True totals", *next(iter(summary.totals.values())))
    for name, quantiles in summary.totals.items():
        totals.add_row(name, *(f"{value:.1f}" for value in quantiles.values()))
    compared = table("Simulated and published", "simulated", "published")
    rows = {
        ("means", "mean of {}"): {k: f"{v:.1f}" for k, v in summary.means.items()},
        ("damaged", "{} above 0"): {k: f"{v:.1%}" for k, v in summary.damaged.items()},
        ("correlations", "r of totals, {}"): {
            k: cell(v.r, v.reason) for k, v in summary.correlations.items()
        },
        ("pairs", "mean r of {}"): {k: cell(v.r, v.reason) for k, v in summary.pairs.items()},
        ("readers", "r of the readers, {}"): {
            k: cell(v.r, v.reason) for k, v in summary.readers.items()
        },
    }
    for (group, words), values in rows.items():
        known = summary.published[group]
        for name in known:
            compared.add_row(words.format(name), values[name], known[name])
        compared.add_section()
    readers = table("The two readers", "r", "RMSE")
    for name, agreement in summary.readers.items():
        readers.add_row(name, cell(agreement.r, agreement.reason), f"{agreement.rmse:.3f}")
    shown = [zeros, totals, compared, readers]
    if summary.changes:
        changes = table(
            "Change since the first visit; SDC: smallest detectable change",
            "years", "mean", "SD", "> 0", "SDC", "≥ SDC",
        )  # fmt: skip
        for c in summary.changes:
            changes.add_row(
                f"{c.visit}: {c.total}", f"{c.years:.1f}", f"{c.mean:.2f}",
                number(c.sd, ".2f"), f"{c.progressed:.1%}", number(c.sdc, ".2f"),
                number(c.detectable, ".1%"),
            )  # fmt: skip
        shown.append(changes)
    for made in shown:
        Console(highlight=False).print(made)


def print_check(report: CheckReport) -> None:
    """Every finding of a data set, by severity and file, and what the data set contains."""
    from rich.console import Console

    from mandora.datasets.findings import Severity

    console = Console(highlight=False)
    for severity in Severity:
        found = [f for f in report.findings if f.severity is severity]
        if found:
            console.print(f"{severity.capitalize()}s", style="bold")
        file = None
        for finding in found:
            if finding.file != file:
                file = finding.file
                console.print(f"  {printable(file, one_line=True)}", markup=False, soft_wrap=True)
            row = "" if finding.row is None else f"row {finding.row}: "
            line = f"    {row}{finding.message} [{finding.code}]"
            console.print(printable(line), markup=False, soft_wrap=True)
    counts = {
        "patients": report.patients, "films": report.films, "pictures of joints": report.rois,
        "scores": report.scores, "marked joints": report.landmarks,
    }  # fmt: skip
    write_line(f"{report.layout}: {', '.join(f'{n} {name}' for name, n in counts.items())}")
    write_line(f"errors: {report.errors}, warnings: {report.warnings}, notes: {report.notes}")
