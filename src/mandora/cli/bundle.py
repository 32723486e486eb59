"""The commands ``mandora bundle …``: look at, check and make models."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mandora import __version__
from mandora.cli.app import Commands
from mandora.cli.console import EXIT_SOME_FAILED, Progress, fail, load
from mandora.cli.options import DatasetArgument, ModelArgument, ThreadsOption, open_model
from mandora.core.errors import InputError
from mandora.core.terminal import write_line

commands = Commands(help="Look at, check and make model bundles.", no_args_is_help=True)

_OneModel = Annotated[
    str | None,
    typer.Argument(
        help="Model: `default`, `open` or a folder; `default` if not given.", metavar="MODEL"
    ),
]


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
    compact: Annotated[
        bool | None,
        typer.Option(
            help="Store weights in 8 bits, a quarter of the space. Not done with the published "
            "design if not asked for."
        ),
    ] = None,
) -> None:
    """Put a training run's networks, trees and card into a bundle."""
    from mandora.model.bundle import Licence
    from mandora.model.card import uncalibrated_remark

    bundles = load("training.bundles", "train")
    given = Licence(spdx=licence, note=licence_note) if licence else None
    made = bundles.make_bundle(run, out, name, version, given, compact)
    write_line(f"{made.folder}  sha256 {made.sha256}")
    remark = uncalibrated_remark(made.manifest.contract)
    if remark:
        write_line(f"mandora: {remark}", err=True)


@commands.command("verify")
def bundle_verify(
    model: _OneModel = None,
) -> None:
    """Check every file of a bundle against its hash. Exit code 1 if anything is wrong."""
    from mandora.model.bundle import verify_bundle
    from mandora.model.packaged import named_bundle

    try:
        problems = verify_bundle(named_bundle(model))
    except InputError as error:
        problems = [str(error)]
    for problem in problems:
        write_line(problem, err=True)
    if problems:
        raise typer.Exit(EXIT_SOME_FAILED)
    write_line("the bundle is complete and unchanged")


@commands.command("list")
def bundle_list() -> None:
    """Name the models that come with the package: licence, size, what they were trained on."""
    from mandora.model.bundle import open_bundle
    from mandora.model.packaged import packaged_bundles, table_lines

    found = {name: open_bundle(folder) for name, folder in packaged_bundles().items()}
    if not found:
        fail("this installation has no model; name the folder of a bundle where one is needed")
    for line in table_lines(found):
        write_line(line)


@commands.command("show")
def bundle_show(
    model: _OneModel = None,
) -> None:
    """Describe a bundle: what it takes, what it was trained on, under which licence."""
    from mandora.model.card import describe

    write_line(describe(open_model(model)))


@commands.command("migrate")
def bundle_migrate(
    path: Annotated[
        str, typer.Argument(help="Folder of a bundle of an earlier version.", metavar="FOLDER")
    ],
) -> None:
    """Bring the contract of an earlier bundle to this version. Its scores stay the same."""
    from mandora.model.bundle import migrate_bundle, open_bundle
    from mandora.model.packaged import named_bundle

    folder = named_bundle(path)
    before, made = open_bundle(folder).sha256, migrate_bundle(folder)
    unchanged = "nothing had to be changed: " if made.sha256 == before else ""
    write_line(f"{unchanged}{made.folder}  sha256 {made.sha256}")


@commands.command("compact")
def bundle_compact(
    bundle: ModelArgument,
    out: Annotated[Path, typer.Option(help="Folder for the new bundle.")],
) -> None:
    """Store the weights of a bundle's networks in 8 bits. Its scores change very little."""
    from mandora.model.bundle import check_unused

    check_unused(out)
    compact = load("training.compact", "train")
    made = compact.compact_bundle(open_model(bundle), out)
    card = made.path(made.manifest.card).read_text(encoding="utf-8")
    write_line(card.partition(f"{compact.STORAGE_HEAD}\n\n")[2].partition("\n\n## ")[0].strip())
    write_line(f"{made.folder}  sha256 {made.sha256}")


class Calibrated(StrEnum):
    """What ``mandora bundle calibrate`` can set alone."""

    THRESHOLDS = "thresholds"
    INTERVALS = "intervals"


@commands.command("calibrate")
def bundle_calibrate(
    bundle: ModelArgument,
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="Folder for the new bundle.")],
    only: Annotated[Calibrated | None, typer.Option(help="What to set; both if not given.")] = None,
    other: Annotated[
        list[Path] | None,
        typer.Option(help="Films, or folders of films, that show neither hand nor foot."),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="More data sets for the intervals, which hold their share on each."),
    ] = None,
    level: Annotated[
        float, typer.Option(min=0.5, max=0.99, help="Share of true scores within the intervals.")
    ] = 0.9,
    threads: ThreadsOption = 2,
) -> None:
    """Measure a bundle's thresholds and intervals on films that neither trained nor test it.

    Thresholds: from which fit on a film counts as showing a hand or foot. Intervals: which grades
    a joint of that score may have.
    """
    from mandora.datasets.intake.plan import make_plan
    from mandora.datasets.layouts import open_dataset
    from mandora.model.bundle import check_unused
    from mandora.model.calibration import with_calibration
    from mandora.model.card import threshold_lines
    from mandora.scoring.batch_locate import locatable
    from mandora.scoring.pipeline import Pipeline
    from mandora.scoring.summary import problem_line

    conformal = load("metrics.conformal", "explain")
    limits = load("evaluation.thresholds", "explain")
    assess = load("evaluation.assess", "explain").assess
    check_unused(out)  # before the long work
    model, data_sets = open_model(bundle), [open_dataset(path) for path in (dataset, *(also or ()))]
    thresholds, intervals = None, None
    with Progress(show=True) as progress:
        report = progress.step, progress.warn
        if only is not Calibrated.INTERVALS:
            others, problems = locatable(make_plan(other or []))
            for problem in problems:
                progress.warn(problem_line(problem))
            first, rest = data_sets[0], [film.path for film in others]
            pictures = limits.Pictures(first.name, first, rest)
            thresholds = limits.calibrate_thresholds(model, pictures, threads, *report)
            if not thresholds and only is Calibrated.THRESHOLDS:
                fail("no thresholds were set, no bundle was written")
        if only is not Calibrated.THRESHOLDS:
            contract = model.manifest.contract.with_thresholds(thresholds or {})
            pipeline = Pipeline.from_bundle(model.with_contract(contract), threads)
            measured = []
            for data in data_sets:
                scores = assess(pipeline, data, *report).scores
                found = scores["predicted_blend"], scores["official"]
                measured.append(conformal.Labelled(data.name, *found))
            try:
                intervals = conformal.calibrate(measured, level)
                for line in conformal.not_measured(intervals):
                    progress.warn(line)
            except InputError as error:
                if not thresholds:
                    raise
                progress.warn(f"the intervals stay as they are: {error}")
        made = with_calibration(model, out, thresholds, intervals)
    for line in threshold_lines(made.manifest.contract):
        write_line(line)
    write_line(f"{made.folder}  sha256 {made.sha256}")
