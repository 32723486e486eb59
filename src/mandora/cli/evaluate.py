"""The commands that try a model: ``mandora evaluate`` and ``mandora bundle calibrate``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from mandora.cli.console import Progress, lacks_packages
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


def calibrate(
    bundle: BundleArgument,
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="Folder for the new bundle.")],
    level: Annotated[
        float, typer.Option(min=0.5, max=0.99, help="Share of the truths that intervals hold.")
    ] = 0.9,
    threads: ThreadsOption = 2,
) -> None:
    """Give a bundle intervals: how far its scores are from the labels of a data set."""
    from mandora.model.bundle import with_intervals
    from mandora.scoring.pipeline import Pipeline

    look, conformal = _evaluation("evaluation.assess"), _evaluation("metrics.conformal")
    with Progress(show=True) as progress:
        model, data = _bundle(bundle), _dataset(dataset)
        pipeline = Pipeline.from_bundle(model, threads)
        scores = look.assess(pipeline, data, progress.step, progress.warn).scores
        intervals = conformal.calibrate(scores["predicted_blend"], scores["official"], level)
        made = with_intervals(model, intervals, data.root.resolve().name, out)
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
