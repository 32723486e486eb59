"""Opening a labelled data set, whatever its layout, and saying everything that is wrong.

A new layout is a module with a test and a reader, one entry in :data:`LAYOUTS`, and a section of
``docs/data.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mandora.core.errors import InputError
from mandora.core.files import AnyPath
from mandora.datasets.dataset import Dataset
from mandora.datasets.findings import Finding, Report, Severity
from mandora.datasets.formats.ra2.folder import is_ra2, read_ra2
from mandora.datasets.formats.ram.folder import is_ram, read_ram
from mandora.datasets.manifest import is_manifest, read_manifest


class Layout(NamedTuple):
    """How a data set lies on the disk.

    Attributes:
        name: as ``mandora check`` shows it.
        recognised_by: the file that it is recognised by, for messages.
        fits: whether a folder, or a file of its own, has this layout.
        read: reads it. Takes the path, the weight of each reader, and the report of what is
            wrong; gives None if there is nothing that can be used.
    """

    name: str
    recognised_by: str
    fits: Callable[[Path], bool]
    read: Callable[[Path, Mapping[str, float] | None, Report], Dataset | None]


LAYOUTS: tuple[Layout, ...] = (
    Layout("manifest", "a manifest.csv", is_manifest, read_manifest),
    Layout("ra2", "RA2's training.csv", is_ra2, read_ra2),
    *(
        Layout(name, file, partial(is_ram, name), partial(read_ram, name))
        for name, file in (
            ("ram-h1200", "RAM-H1200's _annotation_be_scores.json"),
            ("ram-w600", "RAM-W600's JointBE_SvdH_GT.json"),
        )
    ),
)
"""The layouts that are recognised; of several that fit, the first is used."""


def layout_of(path: AnyPath) -> str | None:
    """The name of a data set's layout; None if it is none that is known.

    A folder with a ``manifest.csv`` is a manifest, whatever else lies there; one with a
    ``training.csv`` is in RA2's layout. Score files of RAM are looked for in the folder and up
    to four levels below. Any other file ``*.csv`` is taken for a manifest. Instead of ``*.csv``
    there may be a workbook ``*.xlsx``.
    """
    layout = _layout(Path(path))
    return layout.name if layout else None


def _layout(path: Path) -> Layout | None:
    return next((layout for layout in LAYOUTS if layout.fits(path)), None)


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
    report = Report(path if path.is_dir() else path.parent)
    layout = _layout(path)
    if layout is not None:
        return layout.read(path, weights, report), report.findings
    if not path.exists():
        report.error("not-there", path, "there is no such file or folder; check the path")
    else:
        *others, last = (layout.recognised_by for layout in LAYOUTS)
        report.error(
            "layout-unknown",
            path,
            f"is no data set that is known; it needs {', '.join(others)} or {last}",
        )
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
