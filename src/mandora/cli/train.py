"""The commands ``mandora train …``: each calls one function of ``mandora.training``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from mandora.cli.app import Commands
from mandora.cli.console import Progress, fail, load
from mandora.cli.options import PresetOption, ReaderOption, SettingsOption, reader_weights
from mandora.core.anatomy import Limb
from mandora.core.terminal import write_line

commands = Commands(
    help="Train a stage, on simulated films or on a data set.", no_args_is_help=True
)

OutOption = Annotated[
    Path | None, typer.Option(help="Folder of the training run; an unfinished run is resumed.")
]
DataOption = Annotated[
    Path | None, typer.Option(help="Labelled data set; films are simulated if not given.")
]
RealOption = Annotated[
    list[Path] | None,
    typer.Option(
        help="Data set of real films to train on besides simulated ones; may be repeated."
    ),
]
StartOption = Annotated[
    Path | None,
    typer.Option(help="Folder of a finished run, whose weights the networks start from."),
]
CacheOption = Annotated[
    Path | None, typer.Option(help="Folder for prepared films; OUT/cache if not given.")
]
DescribeOption = Annotated[
    bool, typer.Option("--describe", help="Print layers and costs, and train nothing.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="With --describe: one JSON object.")]


@commands.command("locate")
def train_locate(
    out: OutOption = None,
    limb: Annotated[Limb | None, typer.Option(help="One limb only; both if not given.")] = None,
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
    from mandora.core.settings import TrainLocateSettings

    chosen = _settings(TrainLocateSettings, preset, settings)
    if describe:
        _describe("locate", chosen.network, as_json, limb=limb or Limb.HAND)
        return
    stages = load("training.stages", "train")
    with _run(out, data, reader, cache, real, start) as run:
        for one in (limb,) if limb else tuple(Limb):
            stages.run_locate(one, chosen, run, landmark or ())


@commands.command("damage")
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
    stages = load("training.stages", "train")
    with _run(out, data, reader, cache, real, start) as run:
        stages.run_damage(chosen, run, families)


@commands.command("symmetry")
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
    stage = load("training.symmetry_stage", "train")
    with _run(out, data, reader, None) as run:
        stage.run_symmetry(chosen, run)


def _settings(kind: type[Any], name: str, path: Path | None) -> Any:
    from mandora.core.settings import preset

    base = preset(name, kind)
    return kind.from_toml(path, base) if path else base


def _describe(kind: str, settings: Any, as_json: bool, **which: Any) -> None:
    module = load("training.describe", "train")
    made = module.describe_network(kind, settings, **which)
    write_line(json.dumps(made.to_json(), indent=1) if as_json else made.table())


@contextmanager
def _run(
    out: Path | None,
    data: Path | None,
    reader: list[str] | None,
    cache: Path | None,
    real: list[Path] | None = None,
    start: Path | None = None,
) -> Iterator[Any]:
    """The training run of a command."""
    if out is None:
        fail("--out is missing: name the folder of the training run")
    runs, processes = load("training.runs", "train"), load("training.processes", "train")
    with Progress(show=processes.is_main()) as progress:
        from mandora.datasets.layouts import open_dataset

        weights = reader_weights(reader)
        dataset = data and open_dataset(data, weights)
        shown = tuple(open_dataset(path, weights) for path in real or ())
        yield runs.Run(
            out, cache or out / "cache", dataset, progress.report, progress.step,
            real=shown, start=start,
        )  # fmt: skip
