"""Opening a labelled data set, whatever its layout, and saying everything that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mandora.core.errors import InputError
from mandora.core.files import AnyPath
from mandora.datasets.dataset import Dataset
from mandora.datasets.findings import Finding, Report, Severity
from mandora.datasets.formats.ra2.folder import TRAINING_CSV, read_ra2
from mandora.datasets.formats.ram.folder import RAM_LAYOUTS, ram_layout, read_ram
from mandora.datasets.manifest import MANIFEST_CSV, read_manifest

LAYOUTS = ("ra2", *RAM_LAYOUTS, "manifest")
"""Names of the layouts that are recognised."""


def layout_of(path: AnyPath) -> str | None:
    """The layout of a data set; None if it is none that is known.

    A folder with a ``manifest.csv`` is a manifest, whatever else lies there; one with a
    ``training.csv`` is in RA2's layout. Score files of RAM are looked for in the folder and up
    to four levels below. Any other file ``*.csv`` is taken for a manifest.
    """
    path = Path(path)
    if path.is_file():
        if path.name == TRAINING_CSV:
            return "ra2"
        return "manifest" if path.suffix.lower() == ".csv" else None
    if (path / MANIFEST_CSV).is_file():
        return "manifest"
    if (path / TRAINING_CSV).is_file():
        return "ra2"
    return ram_layout(path) if path.is_dir() else None


def read_dataset(
    path: AnyPath, weights: Mapping[str, float] | None = None
) -> tuple[Dataset | None, list[Finding]]:
    """Read a labelled data set and find everything that is wrong with its files.

    No film and no label map is decoded.

    Args:
        path: the data set's folder, or its ``manifest.csv`` or ``training.csv``.
        weights: weight of each reader in the label that training uses; 1 for readers that are
            not named. ``official`` names the official label, which takes no part unless it is
            named.

    Returns:
        The data set as far as it can be used, None if there is none; and the findings, in the
        order in which the files were read.

    Raises:
        ValueError, OSError: if a folder cannot be listed.
    """
    path = Path(path)
    root = path if path.is_dir() else path.parent
    report = Report(root)
    layout = layout_of(path)
    if layout == "manifest":
        table = path / MANIFEST_CSV if path.is_dir() else path
        if path.is_dir() and (path / TRAINING_CSV).is_file():
            report.note("training-csv-not-used", root / TRAINING_CSV, f"{MANIFEST_CSV} is read")
        return read_manifest(table, weights, report), report.findings
    if layout == "ra2":
        return read_ra2(root, weights, report), report.findings
    if layout is not None:
        return read_ram(root, layout, weights, report), report.findings
    if not path.exists():
        report.error("not-there", path, "there is no such file or folder; check the path")
    else:
        fault = (
            f"is no data set that is known; it needs a {MANIFEST_CSV}, RA2's {TRAINING_CSV}, or "
            "RAM's _annotation_be_scores.json or JointBE_SvdH_GT.json in a folder of it"
        )
        report.error("layout-unknown", path, fault)
    return None, report.findings


def open_dataset(path: AnyPath, weights: Mapping[str, float] | None = None) -> Dataset:
    """Open a labelled data set for training.

    Args:
        path: see :func:`read_dataset`.
        weights: see :func:`read_dataset`.

    Raises:
        ValueError: one that lists every error with its file, its row and what to do.
    """
    dataset, findings = read_dataset(path, weights)
    errors = [str(f) for f in findings if f.severity is Severity.ERROR]
    if errors or dataset is None:
        count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
        head = f"{path}: {count} to correct; `mandora check {path}` lists them with all warnings"
        raise InputError("\n  ".join([head, *errors]))
    return dataset
