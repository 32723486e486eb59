"""The command ``mandora evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mandora.cli.app import Commands
from mandora.cli.console import Progress, load
from mandora.cli.options import DatasetArgument, ModelArgument, ThreadsOption, open_model
from mandora.core.terminal import write_line

commands = Commands()


@commands.command()
def evaluate(
    bundle: ModelArgument,
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="Folder for metrics.json and the page.")],
    threads: ThreadsOption = 2,
) -> None:
    """Try a model on a labelled data set: metrics.json, tables, a page with the worst films."""
    evaluation = load("evaluation.evaluate", "explain")
    from mandora.datasets.layouts import open_dataset

    with Progress(show=True) as progress:
        page = evaluation.evaluate(
            open_model(bundle), open_dataset(dataset), out, threads, progress.step, progress.warn
        )
    write_line(f"Page: {page}")
