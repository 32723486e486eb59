"""What RAM-H1200 and RAM-W600 call joints, hands, studies and patients."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath

from mandora.core.anatomy import FAMILIES, Damage, Limb, Side, Site
from mandora.core.errors import InputError
from mandora.datasets.findings import Report
from mandora.datasets.tables import read_table
from mandora.datasets.xlsx import read_sheet

DEPTH = 4
"""Levels below the given folder in which files are looked for."""

_EROSION = {
    "ip": "IP", "mc1": "CMC-T", "mul": "Tm", "nav": "S",
    "lunate": "L", "radius": "R", "ulna": "U",
    **{f"pip{n}": f"PIP-{'IMRS'[n - 2]}" for n in range(2, 6)},
    **{f"mcp{n}": f"MCP-{'TIMRS'[n - 1]}" for n in range(1, 6)},
}  # fmt: skip
_NARROWING = {
    "mna": "STT", "capnlun": "SC", "radcar": "SR",
    **{f"pip{n}": f"PIP-{'IMRS'[n - 2]}" for n in range(2, 6)},
    **{f"mcp{n}": f"MCP-{'TIMRS'[n - 1]}" for n in range(1, 6)},
    **{f"cmc{n}": f"CMC-{'MRS'[n - 3]}" for n in range(3, 6)},
}  # fmt: skip
SITES: dict[str, Site] = {
    prefix + keys[site.name]: site
    for damage, prefix, keys in (
        (Damage.NARROWING, "JSN_", _NARROWING), (Damage.EROSION, "BE_", _EROSION)
    )
    for site in FAMILIES[Limb.HAND, damage]
}  # fmt: skip
"""Sites by the key of their score, e.g. ``BE_R`` or ``JSN_MCP-I``."""

W600_KEYS: dict[str, str] = {
    "DistalRadius": "BE_R", "DistalUlna": "BE_U", "Lunate": "BE_L", "Scaphoid": "BE_S",
    "Metacarpal1st": "BE_CMC-T", "Trapzium": "BE_Tm", "Trapezium": "BE_Tm",
}  # fmt: skip
"""The W600's bones by name, in both spellings that occur, as keys of the H1200."""

_HAND = re.compile(r"(?P<study>.+)[_-](?P<side>[LR])", re.IGNORECASE)
_PATIENT = re.compile(r"(?P<patient>.+_P[0-9]+)_.+|(?P<number>[0-9]+)_[0-9]+")
_STEM = "Mapped Image Stem"
_PATIENT_COLUMNS = ("Normalized PatientID", "PatientID")


def files_named(folder: Path, name: str, depth: int = DEPTH) -> list[Path]:
    """Files in a folder and at most so many levels below it.

    Args:
        folder: where to look.
        name: a name, or a pattern as ``*.coco.json``.
        depth: levels.
    """
    found: dict[tuple[Path, str], Path] = {}  # a link may lead back to a folder that it lies in
    for path in (p for d in range(depth + 1) for p in folder.glob("*/" * d + name)):
        found.setdefault((path.parent.resolve(), path.name), path)
    return sorted(found.values())


def hand_name(file_name: str) -> str:
    """The hand that a file is called after: no folder, no extension, nothing that exports add."""
    return PureWindowsPath(file_name).name.partition("_bmp")[0].removesuffix(".bmp")


def study_and_side(hand: str) -> tuple[str, Side] | None:
    """Take a hand's name apart: ``0040_0001_L`` is study ``0040_0001``, left."""
    match = _HAND.fullmatch(hand)
    return (match["study"], Side(match["side"].upper())) if match else None


def patients_of(folder: Path, studies: Iterable[str], report: Report) -> dict[str, str]:
    """Whose studies these are.

    ``Metadata.csv`` or ``Metadata.xlsx`` says so; else the part of the name up to the patient's
    number, as in ``JP_SCGH_P0029_20121201_5835`` or ``0040_0001``; else each study is taken for
    another patient.

    Args:
        folder: the data set's.
        studies: names of hands without the side.
        report: where patients were guessed is added to it.

    Returns:
        Patient by study.
    """
    known: dict[str, str] = {}
    for name in ("Metadata.csv", "Metadata.xlsx"):
        for path in files_named(folder, name):
            known = {**_metadata(path, report), **known}
    found, guessed = {}, []
    for study in dict.fromkeys(studies):
        if study.lower() in known:
            found[study] = known[study.lower()]
            continue
        match = _PATIENT.fullmatch(study)
        found[study] = (match["patient"] or match["number"]) if match else study
        guessed.append(study)
    if guessed:
        fault = (
            f"patients of {len(guessed)} studies are guessed from names, {guessed[0]} as "
            f"{found[guessed[0]]}; put Metadata.xlsx, or a Metadata.csv with the columns {_STEM} "
            f"and {_PATIENT_COLUMNS[0]}, into the folder"
        )
        report.note("patients-guessed", folder, fault)
    return found


def _metadata(path: Path, report: Report) -> dict[str, str]:
    if path.suffix == ".csv":
        table = read_table(path, report, (_STEM,))
        lines = (
            [list(table.columns), *(list(r.cells.values()) for r in table.rows)] if table else []
        )
    else:
        try:
            lines = read_sheet(path)
        except InputError as error:
            report.not_read("file-unreadable", path, error)
            return {}
    header = lines[0] if lines else []
    patient = next((c for c in _PATIENT_COLUMNS if c in header), None)
    if _STEM not in header or patient is None:
        fault = f"has no columns {_STEM} and {_PATIENT_COLUMNS[0]}; patients are not taken from it"
        report.warning("metadata-unknown", path, fault)
        return {}
    stem_at, patient_at = header.index(_STEM), header.index(patient)
    pairs: dict[str, str] = {}
    for cells in lines[1:]:
        if len(cells) > max(stem_at, patient_at) and cells[stem_at] and cells[patient_at]:
            hand = hand_name(cells[stem_at])
            parts = study_and_side(hand)
            pairs[(parts[0] if parts else hand).lower()] = cells[patient_at]
    return pairs
