"""The commands ``mandora bench …``: how fast it is here, measured in one run."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from mandora.cli.app import Commands
from mandora.cli.console import fail, load
from mandora.cli.options import BundleOption, JsonOption
from mandora.core.terminal import write_line

if TYPE_CHECKING:
    from mandora.core.anatomy import Slot
    from mandora.scoring.batch_speed import BatchSpeed
    from mandora.scoring.speed import ScoringSpeed
    from mandora.training.speed import Speed

commands = Commands(help="Measure speed and memory on this machine.", no_args_is_help=True)


@commands.command("training")
def bench_training(
    preset: Annotated[
        list[str] | None, typer.Option(help="fast or paper; both if not given; may be repeated.")
    ] = None,
    patients: Annotated[int, typer.Option(min=4, help="Simulated patients to train on.")] = 40,
    score: Annotated[
        float, typer.Option(min=0, max=1, help="Held-out score to train to, mean r.")
    ] = 0.5,
    minutes: Annotated[
        float, typer.Option(min=0.01, help="Longest training of a damage network.")
    ] = 10.0,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Processor threads.")] = 2,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder to keep prepared items in; they are not kept if not given."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Training speed of both presets: items a second, loader, time to a held-out score."""
    from mandora.core.settings import PRESETS

    for name in preset or ():
        if name not in PRESETS:
            fail(f"--preset {name}: use {' or '.join(PRESETS)}")
    speed = load("training.speed", "train")
    if not as_json:
        write_line(_ROW.format(*_HEAD))
    with TemporaryDirectory() as folder:
        results = speed.measure(
            cache or Path(folder), patients=patients, score=score, minutes=minutes,
            threads=threads, presets=preset or PRESETS,
            report=lambda one: None if as_json else write_line(_line(one)),
        )  # fmt: skip
    if as_json:
        write_line(speed.to_json(results))
        return
    rates = {(r.preset, r.stage): r.items_per_second for r in results}
    for stage in ("locate", "damage"):
        if ("fast", stage) in rates and ("paper", stage) in rates:
            ratio = rates["fast", stage] / rates["paper", stage]
            write_line(f"{stage}: fast trains on {ratio:.0f} times as many items a second as paper")


@commands.command("inference")
def bench_inference(
    films: Annotated[
        Path | None,
        typer.Argument(help="Folder of patients with four films; two are simulated if not given."),
    ] = None,
    patients: Annotated[
        int, typer.Option(min=2, help="Number to score one after the other; films are used again.")
    ] = 10,
    threads: Annotated[
        list[int] | None,
        typer.Option(min=1, max=256, help="Threads; 1 and 2 if not given; may be repeated."),
    ] = None,
    published: Annotated[
        bool,
        typer.Option(help="Also measure the published design, on one patient; takes minutes."),
    ] = True,
    bundle: BundleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Scoring speed by stage, and memory: a model compared with the published design."""
    from mandora.model.packaged import named_bundle
    from mandora.scoring.speed import Published, measure_scoring, to_json

    untrained = load("training.untrained", "train") if published else None
    runs = []
    with TemporaryDirectory() as folder:
        given = list(islice(cycle(_four_films(films, Path(folder))), patients))
        paper = None
        if untrained is not None:
            paper = Published(*untrained.export_untrained("paper", Path(folder)))
        if not as_json:
            write_line(_SCORING_ROW.format(*_SCORING_HEAD))
        for count in threads or (1, 2):
            for networks in (None, paper) if paper else (None,):
                some = given[:1] if networks else given
                run = measure_scoring(named_bundle(bundle), some, count, networks)
                runs.append(run)
                if not as_json:
                    write_line(_scoring_line(run))
    write_line(to_json(runs) if as_json else _scoring_ratio(runs))


@commands.command("score")
def bench_score(
    films: Annotated[
        Path | None,
        typer.Argument(help="Folder of patients with four films; two are simulated if not given."),
    ] = None,
    patients: Annotated[
        int, typer.Option(min=1, help="Number in the batch; films are used again.")
    ] = 12,
    threads: Annotated[
        list[int] | None,
        typer.Option(min=1, max=256, help="Threads; 1 and 2 if not given; may be repeated."),
    ] = None,
    bundle: BundleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Speed of `mandora score` over a batch, all files written, and how many cores are busy."""
    from mandora.model.packaged import named_bundle
    from mandora.scoring.batch_speed import measure_batch, to_json

    runs = []
    with TemporaryDirectory() as folder:
        given = list(islice(cycle(_four_films(films, Path(folder))), patients))
        if not as_json:
            write_line(_BATCH_ROW.format(*_BATCH_HEAD))
        for count in threads or (1, 2):
            run = measure_batch(named_bundle(bundle), given, count)
            runs.append(run)
            if not as_json:
                write_line(_batch_line(run))
    if as_json:
        write_line(to_json(runs))


def _four_films(folder: Path | None, scratch: Path) -> list[dict[Slot, Path]]:
    from mandora.core.anatomy import SLOTS
    from mandora.datasets.intake.plan import make_plan
    from mandora.datasets.intake.slots import studies_of

    if folder is None:
        from mandora.core.settings import SimulateSettings
        from mandora.simulate.cohort.folder import simulate_cohort

        folder = scratch / "films"
        size = SimulateSettings(patients=2, seed=5, pixels_per_mm=FULL_SIZE, workers=2)
        simulate_cohort(size, folder)
    visits = studies_of(make_plan([folder]))
    found = [{slot: film.path for slot, film in visit.films.items()} for visit in visits]
    complete = [films for films in found if len(films) == len(SLOTS)]
    if not complete:
        fail(f"{folder}: no patient has all four films <patient>-LH.jpg, -RH, -LF, -RF")
    return complete


FULL_SIZE = 10.0  # px per mm: a hand of 24 cm × 18 cm is then 2400 px high
_SCORING_ROW = "{:<10} {:>7} {:>8} {:>9} {:>11}  {:<58} {:>7}"
_SCORING_HEAD = ("design", "threads", "start, s", "first, s", "s/patient", "of which", "peak MB")


def _scoring_line(run: ScoringSpeed) -> str:
    stages = ", ".join(f"{name} {seconds:.3f}" for name, seconds in run.stages.items())
    return _SCORING_ROW.format(
        run.design, run.threads, f"{run.startup_seconds:.2f}", f"{run.first_seconds:.2f}",
        f"{run.seconds_per_patient:.3f}", stages, f"{run.peak_mb:.0f}",
    )  # fmt: skip


def _scoring_ratio(runs: list[ScoringSpeed]) -> str:
    lines = []
    for threads in dict.fromkeys(run.threads for run in runs):
        of = {run.design: run for run in runs if run.threads == threads}
        fast = of["fast"]
        line = (
            f"threads {threads}: {3600 / fast.seconds_per_patient:,.0f} patients an hour; memory "
            f"after half and all of {fast.patients} patients: {fast.peak_mb_halfway:.0f} and "
            f"{fast.peak_mb:.0f} MB"
        )
        if "published" in of:
            ratio = of["published"].seconds_per_patient / fast.seconds_per_patient
            line += f"; {ratio:.0f} times as fast as the published design"
        lines.append(line)
    return "\n".join(lines)


_BATCH_ROW = "{:>7} {:>9} {:>9} {:>8} {:>11} {:>14} {:>8}"
_BATCH_HEAD = (
    "threads", "patients", "seconds", "CPU s", "cores busy", "patients/hour", "peak MB"
)  # fmt: skip


def _batch_line(run: BatchSpeed) -> str:
    return _BATCH_ROW.format(
        run.threads, run.patients, f"{run.seconds:.1f}", f"{run.cpu_seconds:.1f}",
        f"{run.cores:.2f}", f"{run.patients_per_hour:,.0f}", f"{run.peak_mb:.0f}",
    )  # fmt: skip


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
