"""The commands that try a model: ``mandora evaluate`` and ``mandora bundle calibrate``."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from mandora.cli.console import Progress, fail, lacks_packages, one_of
from mandora.core.terminal import write_line

DatasetArgument = Annotated[
    Path, typer.Argument(help="Labelled data set whose patients the model has not seen.")
]
BundleArgument = Annotated[Path, typer.Argument(help="Folder of a model bundle, or `default`.")]
ThreadsOption = Annotated[int, typer.Option(min=1, max=256, help="Processor threads.")]


def evaluate(
    bundle: BundleArgument,
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="Folder for metrics.json and the page.")],
    threads: ThreadsOption = 2,
) -> None:
    """Try a model on a labelled data set: metrics.json, tables, a page with the worst films."""
    run = _evaluation("evaluation.evaluate")
    with Progress(show=True) as progress:
        page = run.evaluate(
            _bundle(bundle), _dataset(dataset), out, threads, progress.step, progress.warn
        )
    write_line(f"Page: {page}")


class Calibrated(StrEnum):
    """What ``mandora bundle calibrate`` can set alone."""

    THRESHOLDS = "thresholds"
    INTERVALS = "intervals"


def calibrate(
    bundle: BundleArgument,
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="Folder for the new bundle.")],
    only: Annotated[
        str | None, typer.Option(help="Set `thresholds` or `intervals` alone; both if absent.")
    ] = None,
    other: Annotated[
        list[Path] | None,
        typer.Option(help="Films, or folders of films, that show neither hand nor foot."),
    ] = None,
    level: Annotated[
        float, typer.Option(min=0.5, max=0.99, help="Share of the truths that intervals hold.")
    ] = 0.9,
    threads: ThreadsOption = 2,
) -> None:
    """Measure a bundle's thresholds and intervals on films that neither trained nor test it.

    Thresholds: from which fit on a film counts as showing a hand or foot. Intervals: how far its
    scores are from the labels.
    """
    from mandora.datasets.film_files import find_films
    from mandora.model.bundle import threshold_lines
    from mandora.model.calibration import with_calibration
    from mandora.scoring.pipeline import Pipeline

    wanted = one_of("--only", Calibrated, only)
    conformal, limits = _evaluation("metrics.conformal"), _evaluation("evaluation.thresholds")
    assess = _evaluation("evaluation.assess").assess
    model, data = _bundle(bundle), _dataset(dataset)
    name, thresholds, intervals = data.root.resolve().name, None, None
    with Progress(show=True) as progress:
        tell = progress.step, progress.warn
        if wanted is not Calibrated.INTERVALS:
            films = [film.path for film in find_films(other).films] if other else []
            pictures = limits.Pictures(name, data, films)
            thresholds = limits.calibrate_thresholds(model, pictures, threads, *tell)
            if not thresholds and wanted is Calibrated.THRESHOLDS:
                fail("no thresholds were set, no bundle was written")
        if wanted is not Calibrated.THRESHOLDS:
            contract = model.manifest.contract.with_thresholds(thresholds or {})
            pipeline = Pipeline.from_bundle(model.with_contract(contract), threads)
            scores = assess(pipeline, data, *tell).scores
            found = conformal.calibrate(scores["predicted_blend"], scores["official"], level)
            intervals = found, name
        made = with_calibration(model, out, thresholds, intervals)
    for line in threshold_lines(made.manifest.contract):
        write_line(line)
    write_line(f"{made.folder}  sha256 {made.sha256}")


def _evaluation(name: str) -> Any:
    """An evaluation module, or a word on what to install."""
    try:
        return import_module(f"mandora.{name}")
    except ImportError as error:
        lacks_packages("evaluation", error, "explain")


def _bundle(path: Path) -> Any:
    from mandora.model.bundle import default_bundle, open_bundle

    return open_bundle(default_bundle() if str(path) == "default" else path)


def _dataset(path: Path) -> Any:
    from mandora.datasets.layouts import open_dataset

    return open_dataset(path)
