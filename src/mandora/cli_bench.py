"""The commands ``mandora bench …``: how fast it is here, measured in one run."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from mandora.cli_train import training
from mandora.console import fail, faults_end_the_call

if TYPE_CHECKING:
    from mandora.training.speed import Speed

bench_app = typer.Typer(help="Measure speed and memory on this machine.", no_args_is_help=True)


@bench_app.command("training")
def bench_training(
    preset: Annotated[
        list[str] | None, typer.Option(help="fast or paper; both if absent; may be repeated.")
    ] = None,
    patients: Annotated[int, typer.Option(min=4, help="Simulated patients to train on.")] = 40,
    score: Annotated[
        float, typer.Option(min=0, max=1, help="Held-out score that is trained to, mean r.")
    ] = 0.5,
    minutes: Annotated[
        float, typer.Option(min=0.01, help="That a damage network may take for it.")
    ] = 10.0,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Processor threads.")] = 2,
    cache: Annotated[
        Path | None, typer.Option(help="Folder to keep prepared items in; none is kept if absent.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for programs.")
    ] = False,
) -> None:
    """Items a second of both presets, the loader alone, and the time to a held-out score."""
    from mandora.settings import PRESETS

    for name in preset or ():
        if name not in PRESETS:
            fail(f"--preset {name}: use {' or '.join(PRESETS)}")
    speed = training("speed")
    if not as_json:
        typer.echo(_ROW.format(*_HEAD))
    with faults_end_the_call(), TemporaryDirectory() as folder:
        results = speed.measure(
            cache or Path(folder), patients=patients, score=score, minutes=minutes,
            threads=threads, presets=preset or PRESETS,
            report=lambda one: None if as_json else typer.echo(_line(one)),
        )  # fmt: skip
    if as_json:
        typer.echo(speed.to_json(results))
        return
    rates = {(r.preset, r.stage): r.items_per_second for r in results}
    for stage in ("locate", "damage"):
        if ("fast", stage) in rates and ("paper", stage) in rates:
            ratio = rates["fast", stage] / rates["paper", stage]
            typer.echo(f"{stage}: fast trains on {ratio:.0f} times as many items a second as paper")


_ROW = "{:<6} {:<7} {:>12} {:>14} {:>13} {:>10}  {}"
_HEAD = (
    "preset", "stage", "items/s", "loaded/s", "loader share", "peak MiB", "time to the score"
)  # fmt: skip


def _line(result: Speed) -> str:
    reached = ""
    if result.score is not None and result.minutes is not None:
        reached = f"{result.score:g} after {result.minutes:.1f} min"
    elif result.score is not None:
        best = "no epoch done" if result.reached is None else f"best {result.reached:.3f}"
        reached = f"{result.score:g} not reached in time; {best}"
    return _ROW.format(
        result.preset, result.stage, f"{result.items_per_second:.2f}",
        f"{result.loaded_per_second:.1f}", f"{result.loader_share:.1%}",
        f"{result.peak_mib:.0f}", reached,
    )  # fmt: skip
