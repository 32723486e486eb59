"""Options that several commands have, and what their values stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mandora.core.errors import InputError

if TYPE_CHECKING:
    from mandora.model.bundle import Bundle

MAX_THREADS = 256

BundleOption = Annotated[
    str | None,
    typer.Option(
        help="Model: `default`, `open` or the folder of a bundle (a folder `open`: ./open); "
        "`default` if not given.",
        metavar="MODEL",
    ),
]
ModelArgument = Annotated[
    str,
    typer.Argument(help="Model: `default`, `open` or the folder of a bundle.", metavar="MODEL"),
]
DatasetArgument = Annotated[
    Path, typer.Argument(help="Labelled data set whose patients the model has not seen.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
ThreadsOption = Annotated[int, typer.Option(min=1, max=MAX_THREADS, help="Processor threads.")]
WorkersOption = Annotated[int, typer.Option(min=1, max=MAX_THREADS, help="Processes.")]
PresetOption = Annotated[str, typer.Option(help="Named set of settings: fast or paper.")]
SettingsOption = Annotated[
    Path | None,
    typer.Option(help="TOML file with settings; the preset's where it gives none."),
]
ReaderOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=WEIGHT of a reader in the training label; may be repeated."),
]
ManifestOption = Annotated[
    Path | None,
    typer.Option(help="Table (CSV, XLSX) with file, patient, visit, limb, side of each film."),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse films that only the picture can place.")
]
KeepIdsOption = Annotated[
    bool, typer.Option("--keep-ids", help="Call patients of DICOM files by PatientID, as it is.")
]
IdKeyOption = Annotated[
    Path | None,
    typer.Option(help="File with the key of the patients' pseudonyms; made if absent."),
]


def open_model(word: str | None) -> Bundle:
    """The bundle that a word names; the packaged default for None."""
    from mandora.model.packaged import open_named

    return open_named(word)


def reader_weights(reader: list[str] | None) -> Mapping[str, float]:
    """The weights of ``NAME=WEIGHT`` words, by reader."""
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
