"""The commands ``mandora train …``: thin, one function of ``training.stages`` each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from mandora.cli.app import Commands
from mandora.cli.console import Progress, fail, lacks_packages, one_of
from mandora.core.errors import InputError
from mandora.core.terminal import write_line

train_app = Commands(
    help="Train a stage, on simulated films or on a data set.", no_args_is_help=True
)

OutOption = Annotated[
    Path | None, typer.Option(help="Folder of the training run; goes on if it was begun.")
]
PresetOption = Annotated[str, typer.Option(help="Named set of settings: fast or paper.")]
SettingsOption = Annotated[
    Path | None,
    typer.Option(help="TOML file with settings; what it leaves out is the preset's."),
]
DataOption = Annotated[
    Path | None, typer.Option(help="Labelled data set; films are simulated if absent.")
]
ReaderOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=WEIGHT of a reader in the training label; may be repeated."),
]
RealOption = Annotated[
    Path | None,
    typer.Option(help="Data set of real films, which are shown beside simulated ones."),
]
StartOption = Annotated[
    Path | None,
    typer.Option(help="Folder of an ended run, with whose weights the networks begin."),
]
CacheOption = Annotated[
    Path | None, typer.Option(help="Folder for prepared films; OUT/cache if absent.")
]
DescribeOption = Annotated[
    bool, typer.Option("--describe", help="Print layers and costs, and train nothing.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="With --describe: one JSON object.")]


def training(name: str) -> Any:
    """A training module, or a word on what to install."""
    try:
        return import_module(f"mandora.training.{name}")
    except ImportError as error:
        lacks_packages("training", error, "train")


@train_app.command("locate")
def train_locate(
    out: OutOption = None,
    limb: Annotated[str | None, typer.Option(help="hand or foot; both if absent.")] = None,
    landmark: Annotated[
        list[str] | None,
        typer.Option(help="paper: only the network of this landmark, e.g. mcp2; may be repeated."),
    ] = None,
    preset: PresetOption = "fast",
    settings: SettingsOption = None,
    data: DataOption = None,
    reader: ReaderOption = None,
    real: RealOption = None,
    start: StartOption = None,
    cache: CacheOption = None,
    describe: DescribeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the localisers; writes locate-hand.onnx and locate-foot.onnx, or one per landmark."""
    from mandora.core.anatomy import Limb
    from mandora.core.settings import TrainLocateSettings

    wanted = one_of("--limb", Limb, limb)
    chosen = _settings(TrainLocateSettings, preset, settings)
    if describe:
        _describe("locate", chosen.network, as_json, limb=wanted or Limb.HAND)
        return
    stages = training("stages")
    with _run(out, data, reader, cache, real, start) as run:
        for kind in (wanted,) if wanted else tuple(Limb):
            stages.run_locate(kind, chosen, run, landmark or ())


@train_app.command("damage")
def train_damage(
    out: OutOption = None,
    family: Annotated[
        list[str] | None,
        typer.Option(help="paper: only the network of nh, nf, eh or ef; may be repeated."),
    ] = None,
    preset: PresetOption = "fast",
    settings: SettingsOption = None,
    data: DataOption = None,
    reader: ReaderOption = None,
    real: RealOption = None,
    start: StartOption = None,
    cache: CacheOption = None,
    describe: DescribeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the damage network; writes damage.onnx, or one file per family."""
    from mandora.core.anatomy import FAMILIES
    from mandora.core.settings import TrainDamageSettings

    codes = {f"{kind.value[0]}{limb.value[0]}": (limb, kind) for limb, kind in FAMILIES}
    for code in family or ():
        if code not in codes:
            fail(f"--family {code}: use {', '.join(codes)}")
    families = [codes[code] for code in family or ()]
    chosen = _settings(TrainDamageSettings, preset, settings)
    if describe:
        _describe("damage", chosen.network, as_json, family=families[0] if families else None)
        return
    stages = training("stages")
    with _run(out, data, reader, cache, real, start) as run:
        stages.run_damage(chosen, run, families)


@train_app.command("symmetry")
def train_symmetry(
    out: OutOption = None,
    preset: PresetOption = "fast",
    settings: SettingsOption = None,
    data: DataOption = None,
    reader: ReaderOption = None,
) -> None:
    """Train the trees on what the run's networks see; writes symmetry.npz."""
    from mandora.core.settings import TrainSymmetrySettings

    chosen = _settings(TrainSymmetrySettings, preset, settings)
    stages = training("stages")
    with _run(out, data, reader, None) as run:
        stages.run_symmetry(chosen, run)


def _settings(kind: type[Any], name: str, path: Path | None) -> Any:
    from mandora.core.settings import preset

    base = preset(name, kind)
    return kind.from_toml(path, base) if path else base


def _describe(kind: str, settings: Any, as_json: bool, **which: Any) -> None:
    module = training("describe")
    made = module.describe_network(kind, settings, **which)
    write_line(json.dumps(made.to_json(), indent=1) if as_json else made.table())


@contextmanager
def _run(
    out: Path | None,
    data: Path | None,
    reader: list[str] | None,
    cache: Path | None,
    real: Path | None = None,
    start: Path | None = None,
) -> Iterator[Any]:
    """The run of a command; what goes wrong in it ends the call with a line."""
    if out is None:
        fail("--out is missing: name the folder of the training run")
    runs, processes = training("runs"), training("processes")
    with Progress(show=processes.is_main()) as progress:
        from mandora.datasets.layouts import open_dataset

        weights = reader_weights(reader)
        dataset, shown = (path and open_dataset(path, weights) for path in (data, real))
        yield runs.Run(
            out, cache or out / "cache", dataset, progress.report, progress.step,
            real=shown, start=start,
        )  # fmt: skip


def reader_weights(reader: list[str] | None) -> Mapping[str, float]:
    """``NAME=WEIGHT`` words as a table."""
    weights = {}
    for word in reader or ():
        name, _, weight = word.rpartition("=")
        try:
            weights[name] = float(weight)
        except ValueError:
            name = ""
        if not name:
            raise InputError(f"--reader {word}: write NAME=WEIGHT, e.g. anna=0.5")
    return weights
