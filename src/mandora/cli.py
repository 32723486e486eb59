"""The command line: thin commands, one Python function each.

Heavy packages are imported inside the commands, so that ``mandora --help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from mandora import __version__
from mandora.console import NOTICE, Progress, print_cohort, print_summary

Word = TypeVar("Word", bound=StrEnum)

EXIT_SOME_FAILED, EXIT_UNUSABLE, EXIT_INTERRUPTED = 1, 2, 130
MAX_THREADS = 256

app = typer.Typer(
    name="mandora",
    help=f"Sharp/van der Heijde scores from radiographs of hands and feet. {NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
train_app = typer.Typer(help="Train a stage on simulated films.", no_args_is_help=True)
bundle_app = typer.Typer(help="Look at, check and make model bundles.", no_args_is_help=True)
app.add_typer(train_app, name="train")
app.add_typer(bundle_app, name="bundle")

BundleOption = Annotated[
    Path | None, typer.Option(help="Folder of a model bundle; the packaged one if absent.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
RunOption = Annotated[Path, typer.Option(help="Folder of the training run.")]
PresetOption = Annotated[str, typer.Option(help="Named set of settings; so far only fast.")]
SettingsOption = Annotated[
    Path | None, typer.Option(help="TOML file with settings; what it leaves out is default.")
]
ThreadsOption = Annotated[int, typer.Option(min=1, max=MAX_THREADS, help="Processor threads.")]


def _fail(message: object) -> NoReturn:
    """An unusable call: say why and leave."""
    number = getattr(message, "errno", None)
    typer.echo(f"mandora: {str(message).removeprefix(f'[Errno {number}] ')}", err=True)
    raise typer.Exit(EXIT_UNUSABLE)


@contextmanager
def _faults_end_the_call() -> Iterator[None]:
    """Turn what makes a call unusable, and Ctrl-C, into a line and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("mandora: interrupted; what was finished is kept", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except (ValueError, OSError, ArithmeticError) as error:
        _fail(error)


def _one_of(option: str, kind: type[Word], value: str | None) -> Word | None:
    """A word as a member of an enumeration."""
    if value is None:
        return None
    if value not in tuple(kind):
        _fail(f"{option} {value}: use {' or '.join(kind)}")
    return kind(value)


def _open_bundle(path: Path | None) -> Any:
    from mandora.bundle import default_bundle, open_bundle

    return open_bundle(path or default_bundle())


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"mandora {__version__}")
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
    130: stopped by Ctrl-C.
    """
    from mandora.batch import example_films, score_films
    from mandora.outputs.files import OutputError

    if not inputs and not example:
        _fail("name at least one film or folder, or use --example")
    with _faults_end_the_call():
        chosen = [*(inputs or []), *(example_films() if example else [])]
        model = _open_bundle(bundle)
        try:
            with Progress(show=not as_json) as progress:
                summary = score_films(
                    chosen, out, bundle=model, template=template, threads=threads,
                    progress=progress.step, complain=progress.complain,
                )  # fmt: skip
        except OutputError as error:
            _fail(f"{error}; what was finished before is kept")
    if as_json:
        typer.echo(summary.to_json())
    else:
        print_summary(summary)
    if summary.problems:
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command()
def locate(
    films: Annotated[
        list[Path], typer.Argument(help="Films, each of one hand or foot, or folders of them.")
    ],
    out: Annotated[Path, typer.Option(help="CSV file for the points.")],
    limb: Annotated[str | None, typer.Option(help="hand or foot; found out if absent.")] = None,
    side: Annotated[str | None, typer.Option(help="L or R; found out if absent.")] = None,
    bundle: BundleOption = None,
    threads: ThreadsOption = 2,
) -> None:
    """Find the joints on films: film,limb,side,site,x,y,confidence in px of the film.

    Limb and side come from the options, else from a name that ends in -LH, -RH, -LF or -RF,
    else from DICOM tags, else from what the film looks like.
    """
    from mandora.anatomy import Limb, Side
    from mandora.batch import locate_films

    known_limb, known_side = _one_of("--limb", Limb, limb), _one_of("--side", Side, side)
    with _faults_end_the_call():
        model = _open_bundle(bundle)
        with Progress(show=True) as progress:
            failed = locate_films(
                films, out, bundle=model, threads=threads, limb=known_limb, side=known_side,
                progress=progress.step, complain=progress.complain,
            )  # fmt: skip
    typer.echo(f"{progress.total - failed} of {progress.total} films located: {out}")
    if failed:
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

    from mandora.phantom.cohort import LARGE_BYTES, estimate, simulate_cohort
    from mandora.settings import SimulateSettings

    try:
        settings = SimulateSettings(
            patients=patients, visits=visits, seed=seed, pairs=pairs, wide=wide, workers=workers
        )
    except ValidationError as error:
        _fail("; ".join(f"--{e['loc'][0]} {e['input']}: {e['msg']}" for e in error.errors()))
    with _faults_end_the_call(), Progress(show=True) as progress:
        needed = estimate(settings)
        if needed.size_bytes > LARGE_BYTES:
            progress.complain(f"{patients} patients, visits: {visits}: this needs {needed}")
        simulate_cohort(
            settings, out, force=force, progress=lambda done: progress.step(done, patients)
        )
    typer.echo(f"{patients} patients, visits: {visits}: {out}")


@app.command("describe")
def describe_folder(
    folder: Annotated[Path, typer.Argument(help="Folder of a simulated cohort.", metavar="DIR")],
    as_json: JsonOption = False,
) -> None:
    """Print what a simulated cohort holds."""
    from mandora.phantom.statistics import describe_cohort

    with _faults_end_the_call():
        summary = describe_cohort(folder)
    if as_json:
        typer.echo(summary.to_json())
    else:
        print_cohort(summary)


def _load_settings(kind: type[Any], name: str, path: Path | None) -> Any:
    from mandora.settings import preset

    with _faults_end_the_call():
        base = preset(name, kind)
        return kind.from_toml(path, base) if path else base


def _training(name: str) -> Any:
    """The training module, or a word on what to install."""
    from importlib import import_module

    try:
        return import_module(f"mandora.training.{name}")
    except ImportError as error:
        _fail(f"training needs more packages ({error}): pip install 'mandora[train]'")


@train_app.command("locate")
def train_locate(
    out: RunOption,
    limb: Annotated[str | None, typer.Option(help="hand or foot; both if absent.")] = None,
    preset: PresetOption = "fast",
    settings: SettingsOption = None,
) -> None:
    """Train the localisers; writes locate-hand.onnx and locate-foot.onnx."""
    from mandora.anatomy import Limb
    from mandora.settings import TrainLocateSettings

    wanted = _one_of("--limb", Limb, limb)
    chosen = _load_settings(TrainLocateSettings, preset, settings)
    runs = _training("runs")
    with _faults_end_the_call():
        for kind in (wanted,) if wanted else tuple(Limb):
            runs.run_locate(kind, chosen, out, typer.echo)


@train_app.command("damage")
def train_damage(
    out: RunOption, preset: PresetOption = "fast", settings: SettingsOption = None
) -> None:
    """Train the damage network; writes damage.onnx."""
    from mandora.settings import TrainDamageSettings

    chosen = _load_settings(TrainDamageSettings, preset, settings)
    runs = _training("runs")
    with _faults_end_the_call():
        runs.run_damage(chosen, out, typer.echo)


@train_app.command("symmetry")
def train_symmetry(
    out: RunOption, preset: PresetOption = "fast", settings: SettingsOption = None
) -> None:
    """Train the trees on what the run's networks see; writes symmetry.npz."""
    from mandora.settings import TrainSymmetrySettings

    chosen = _load_settings(TrainSymmetrySettings, preset, settings)
    runs = _training("runs")
    with _faults_end_the_call():
        runs.run_symmetry(chosen, out, typer.echo)


@bundle_app.command("make")
def bundle_make(
    run: Annotated[Path, typer.Argument(help="Folder of a finished training run.")],
    out: Annotated[Path, typer.Option(help="Folder for the bundle.")],
    name: Annotated[str, typer.Option(help="Name of the model.")] = "mandora-fast",
    version: Annotated[str, typer.Option(help="Version of the model.")] = __version__,
) -> None:
    """Put a training run's networks, trees and card into a bundle."""
    runs = _training("runs")
    with _faults_end_the_call():
        made = runs.make_bundle(run, out, name, version)
    typer.echo(f"{made.folder}  sha256 {made.sha256}")


@bundle_app.command("verify")
def bundle_verify(
    path: Annotated[Path | None, typer.Argument(help="Folder; the packaged one if absent.")] = None,
) -> None:
    """Check every file of a bundle against its hash. Exit code 1 if anything is wrong."""
    from mandora.bundle import default_bundle, verify_bundle

    try:
        problems = verify_bundle(path or default_bundle())
    except ValueError as error:
        problems = [str(error)]
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(EXIT_SOME_FAILED)
    typer.echo("the bundle is sound")


@bundle_app.command("show")
def bundle_show(
    path: Annotated[Path | None, typer.Argument(help="Folder; the packaged one if absent.")] = None,
) -> None:
    """Describe a bundle: what it takes, what it was trained on, under which licence."""
    from mandora.bundle import describe

    with _faults_end_the_call():
        typer.echo(describe(_open_bundle(path)))


def main() -> None:
    """Entry point; Ctrl-C leaves what is finished."""
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        typer.echo("mandora: interrupted; what was finished is kept", err=True)
        sys.exit(EXIT_INTERRUPTED)
