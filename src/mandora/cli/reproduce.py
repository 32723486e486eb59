"""The command ``mandora reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mandora.cli.app import Commands
from mandora.cli.console import EXIT_SOME_FAILED, Progress, fail, load
from mandora.cli.options import PresetOption, ReaderOption, SettingsOption, reader_weights
from mandora.core.terminal import write_line

commands = Commands()


@commands.command()
def reproduce(
    dataset: Annotated[
        Path | None, typer.Argument(help="Labelled data set; a simulated cohort if not given.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder; finished jobs in it are not run again.")
    ] = Path("reproduction"),
    preset: PresetOption = "fast",
    settings: SettingsOption = None,
    reader: ReaderOption = None,
    runner: Annotated[str, typer.Option(help="serial, processes or ray.")] = "processes",
    workers: Annotated[int, typer.Option(min=1, max=256, help="Jobs at a time.")] = 2,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="As small as possible: only to see whether it runs.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print jobs, hours and disk; run none.")
    ] = False,
) -> None:
    """Run the experiments of the paper and write a report: figures, tables, claims."""
    from mandora.core.parallel import RUNNERS, JobsFailed
    from mandora.core.settings import ReproduceSettings
    from mandora.core.settings import preset as named

    if runner not in RUNNERS:
        fail(f"--runner {runner}: use {', '.join(RUNNERS)}")
    claims = load("reproduce.claims", "train,explain")
    paper = load("reproduce.paper", "train,explain")
    with Progress(show=True) as progress:
        base = named(preset, ReproduceSettings)
        chosen = ReproduceSettings.from_toml(settings, base) if settings else base
        weights = tuple(reader_weights(reader).items())
        experiments = paper.Experiments(
            dataset,
            weights,
            out,
            paper.smoke(chosen) if smoke else chosen,
            workers,
            progress.report,
        )
        progress.report(str(experiments.plan(workers)))
        if plan:
            return
        try:
            path, verdicts = experiments.run(runner, workers, progress.report, progress.step)
        except JobsFailed as error:
            progress.warn(f"mandora: {error}")
            raise typer.Exit(EXIT_SOME_FAILED) from None
    for sort, found in claims.counts(verdicts).items():
        words = ", ".join(f"{outcome} {n}" for outcome, n in found.items())
        write_line(f"Claims ({sort}): {words}")
    write_line(f"Report: {path}")
