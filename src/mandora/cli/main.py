"""The command line: thin commands, one Python function each.

Heavy packages are imported inside the commands, so that ``mandora --help`` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mandora import __version__
from mandora.cli.app import Commands
from mandora.cli.bench import bench_app
from mandora.cli.console import (
    EXIT_INTERRUPTED,
    EXIT_SOME_FAILED,
    NOTICE,
    Progress,
    fail,
    one_of,
    print_check,
    print_cohort,
    print_summary,
)
from mandora.cli.evaluate import calibrate, evaluate
from mandora.cli.reproduce import reproduce
from mandora.cli.train import train_app, training
from mandora.core.errors import InputError
from mandora.core.terminal import show_everything, write_line

MAX_THREADS = 256

app = Commands(
    name="mandora",
    help=f"Sharp/van der Heijde scores from radiographs of hands and feet. {NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bundle_app = Commands(help="Look at, check and make model bundles.", no_args_is_help=True)
app.add_typer(train_app, name="train")
app.add_typer(bundle_app, name="bundle")
app.add_typer(bench_app, name="bench")
app.command("reproduce")(reproduce)
app.command("evaluate")(evaluate)
bundle_app.command("calibrate")(calibrate)

BundleOption = Annotated[
    Path | None, typer.Option(help="Folder of a model bundle; the packaged one if absent.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
ThreadsOption = Annotated[int, typer.Option(min=1, max=MAX_THREADS, help="Processor threads.")]


def _open_bundle(path: Path | None) -> Any:
    from mandora.model.bundle import default_bundle, open_bundle

    return open_bundle(path or default_bundle())


def _show_version(value: bool) -> None:
    if value:
        write_line(f"mandora {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    del version


@app.command()
def score(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(help="Films <patient>-LH.jpg (RH, LF, RF), DICOM files, or folders."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("mandora-out"),
    template: Annotated[
        Path | None, typer.Option(help="CSV whose columns scores.csv shall have, in its order.")
    ] = None,
    bundle: BundleOption = None,
    example: Annotated[
        bool, typer.Option("--example", help="Score the packaged example patient.")
    ] = False,
    threads: ThreadsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Score every joint of one or many patients.

    Writes scores.csv, joints.csv, results/, overlays/ and reports/. Exit code 0: all scored;
    1: some files, films or joints failed, each with its reason; 2: the call cannot be used;
    3: a fault of the program; 130: stopped by Ctrl-C.
    """
    from mandora.core.files import OutputError
    from mandora.scoring import EXAMPLE, example_films, example_truth, score_films

    if not inputs and not example:
        fail("name at least one film or folder, or use --example")
    chosen = [*(inputs or []), *(example_films() if example else [])]
    model = _open_bundle(bundle)
    try:
        with Progress(show=not as_json) as progress:
            summary = score_films(
                chosen, out, bundle=model, template=template, threads=threads,
                progress=progress.step, warn=progress.warn,
            )  # fmt: skip
    except OutputError as error:
        fail(f"{error}; what was finished before is kept")
    if as_json:
        write_line(summary.to_json())
    else:
        print_summary(summary, {EXAMPLE: example_truth()} if example else {})
    if summary.problems:
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command()
def locate(
    films: Annotated[
        list[Path], typer.Argument(help="Films, each of one hand or foot, or folders of them.")
    ],
    out: Annotated[Path, typer.Option(help="CSV file for the landmarks.")],
    limb: Annotated[str | None, typer.Option(help="hand or foot; found out if absent.")] = None,
    side: Annotated[str | None, typer.Option(help="L or R; found out if absent.")] = None,
    bundle: BundleOption = None,
    threads: ThreadsOption = 2,
) -> None:
    """Find the joints on films: film,limb,side,site,x,y,confidence in px of the film.

    Limb and side come from the options, else from a name that ends in -LH, -RH, -LF or -RF,
    else from DICOM tags, else from what the film looks like.
    """
    from mandora.core.anatomy import Limb, Side
    from mandora.scoring import locate_films

    known_limb, known_side = one_of("--limb", Limb, limb), one_of("--side", Side, side)
    model = _open_bundle(bundle)
    with Progress(show=True) as progress:
        failed = locate_films(
            films, out, bundle=model, threads=threads, limb=known_limb, side=known_side,
            progress=progress.step, warn=progress.warn,
        )  # fmt: skip
    write_line(f"{progress.total - failed} of {progress.total} films located: {out}")
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command()
def challenge(
    test: Annotated[Path, typer.Argument(help="Folder with template.csv and the films.")],
    out: Annotated[Path, typer.Argument(help="Folder for predictions.csv.")],
    fill: Annotated[
        bool,
        typer.Option(
            "--fill", help="No blanks: what cannot be scored gets what other joints let expect."
        ),
    ] = False,
    bundle: BundleOption = None,
    threads: ThreadsOption = 2,
) -> None:
    """Predict what template.csv asks for, as the RA2 DREAM challenge wants it.

    Exit code 0: predictions.csv has all rows and no blank; 1: some cells are blank; 2: the call
    cannot be used.
    """
    from mandora.scoring import PREDICTIONS_FILE, predict_template

    model = _open_bundle(bundle)
    with Progress(show=True) as progress:
        lacking = predict_template(
            test, out, bundle=model, threads=threads, fill=fill,
            progress=progress.step, warn=progress.warn,
        )  # fmt: skip
    write_line(f"{progress.total} patients: {out / PREDICTIONS_FILE}")
    if lacking and not fill:
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(help="Folder for the cohort.")],
    patients: Annotated[int, typer.Option(help="Number of patients, four films each.")] = 10,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    workers: Annotated[int, typer.Option(min=1, max=MAX_THREADS, help="Processes.")] = 1,
    visits: Annotated[
        int, typer.Option(help="Visits of each patient, about a year apart; damage goes on.")
    ] = 1,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Films of both hands and of both feet as well.")
    ] = False,
    wide: Annotated[
        bool, typer.Option("--wide", help="Poor framing and exposure too, as in training.")
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


@app.command("describe")
def describe_folder(
    folder: Annotated[Path, typer.Argument(help="Folder of a simulated cohort.", metavar="DIR")],
    as_json: JsonOption = False,
) -> None:
    """Print what a simulated cohort holds."""
    from mandora.simulate.cohort.statistics import describe_cohort

    summary = describe_cohort(folder)
    if as_json:
        write_line(summary.to_json())
    else:
        print_cohort(summary)


@app.command("check")
def check_data(
    dataset: Annotated[
        Path, typer.Argument(help="Folder of a labelled data set, or its manifest.csv.")
    ],
    as_json: JsonOption = False,
    workers: Annotated[int, typer.Option(min=1, max=MAX_THREADS, help="Processes.")] = 1,
) -> None:
    """Say everything that is wrong with a labelled data set, before it trains anything.

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


@bundle_app.command("make")
def bundle_make(
    run: Annotated[Path, typer.Argument(help="Folder of a finished training run.")],
    out: Annotated[Path, typer.Option(help="Folder for the bundle.")],
    name: Annotated[str, typer.Option(help="Name of the model.")] = "mandora-fast",
    version: Annotated[str, typer.Option(help="Version of the model.")] = __version__,
    licence: Annotated[
        str | None, typer.Option(help="SPDX id of the weights' licence; else what the films ask.")
    ] = None,
    licence_note: Annotated[str, typer.Option(help="What it means, for people.")] = "",
) -> None:
    """Put a training run's networks, trees and card into a bundle."""
    from mandora.model.bundle import Licence

    bundles = training("bundles")
    given = Licence(spdx=licence, note=licence_note) if licence else None
    made = bundles.make_bundle(run, out, name, version, given)
    write_line(f"{made.folder}  sha256 {made.sha256}")


@bundle_app.command("verify")
def bundle_verify(
    path: Annotated[Path | None, typer.Argument(help="Folder; the packaged one if absent.")] = None,
) -> None:
    """Check every file of a bundle against its hash. Exit code 1 if anything is wrong."""
    from mandora.model.bundle import default_bundle, verify_bundle

    try:
        problems = verify_bundle(path or default_bundle())
    except InputError as error:
        problems = [str(error)]
    for problem in problems:
        write_line(problem, err=True)
    if problems:
        raise typer.Exit(EXIT_SOME_FAILED)
    write_line("the bundle is sound")


@bundle_app.command("show")
def bundle_show(
    path: Annotated[Path | None, typer.Argument(help="Folder; the packaged one if absent.")] = None,
) -> None:
    """Describe a bundle: what it takes, what it was trained on, under which licence."""
    from mandora.model.bundle import describe

    write_line(describe(_open_bundle(path)))


@bundle_app.command("migrate")
def bundle_migrate(
    path: Annotated[Path, typer.Argument(help="Folder of a bundle of an earlier version.")],
) -> None:
    """State an earlier bundle's contract as this version does. Its scores stay as they are."""
    from mandora.model.bundle import migrate_bundle

    made = migrate_bundle(path)
    write_line(f"{made.folder}  sha256 {made.sha256}")


def main() -> None:
    """Entry point; Ctrl-C leaves what is finished."""
    show_everything()
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        write_line("mandora: interrupted; what was finished is kept", err=True)
        sys.exit(EXIT_INTERRUPTED)
