"""The command ``mandora reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mandora.cli.console import EXIT_SOME_FAILED, Progress, fail, lacks_packages
from mandora.cli.train import PresetOption, SettingsOption, reader_weights
from mandora.core.terminal import write_line


def reproduce(
    dataset: Annotated[
        Path | None, typer.Argument(help="Labelled data set; a simulated cohort if absent.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder; what is done there is not done again.")] = Path(
        "reproduction"
    ),
    preset: PresetOption = "fast",
    settings: SettingsOption = None,
    reader: Annotated[
        list[str] | None,
        typer.Option(help="NAME=WEIGHT of a reader in the training label; may be repeated."),
    ] = None,
    runner: Annotated[str, typer.Option(help="serial, processes or ray.")] = "processes",
    workers: Annotated[int, typer.Option(min=1, max=256, help="Jobs at a time.")] = 2,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="As small as can be: to see whether it runs.")
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
    try:
        from mandora.reproduce.claims import counts
        from mandora.reproduce.paper import Experiments
        from mandora.reproduce.paper import smoke as smaller
    except ImportError as error:
        lacks_packages("reproduce", error, "train,explain")
    with Progress(show=True) as progress:
        base = named(preset, ReproduceSettings)
        chosen = ReproduceSettings.from_toml(settings, base) if settings else base
        weights = tuple(reader_weights(reader).items())
        experiments = Experiments(
            dataset, weights, out, smaller(chosen) if smoke else chosen, workers, progress.report
        )
        progress.report(str(experiments.plan(workers)))
        if plan:
            return
        try:
            path, verdicts = experiments.run(runner, workers, progress.report, progress.step)
        except JobsFailed as error:
            progress.warn(f"mandora: {error}")
            raise typer.Exit(EXIT_SOME_FAILED) from None
    for sort, found in counts(verdicts).items():
        words = ", ".join(f"{outcome} {n}" for outcome, n in found.items())
        write_line(f"Claims ({sort}): {words}")
    write_line(f"Report: {path}")
