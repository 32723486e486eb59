"""The output folder of a run: tables, records, overlays and reports, patient by patient."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from PIL import Image

from mandora.core.errors import InputError
from mandora.core.files import (
    make_output_folder,
    write_atomically,
)
from mandora.core.inputs import listed, open_regular
from mandora.core.records import StudyResult
from mandora.datasets.formats.ra2.tables import Template
from mandora.datasets.study_ids import study_id_fault
from mandora.outputs.pictures import OWNER, Pictures
from mandora.outputs.table import ProblemRow, TableWriter

UNDATED = "undated"
"""Name of the files of a visit that is not known, where a patient has others."""


class ResultWriter:
    """Writes the results of a run into one folder, as they come.

    The folder gets ``scores.csv``, ``joints.csv``, ``totals.csv``, ``quality.csv``,
    ``results/<patient>.json``, ``overlays/<film>.png`` and ``reports/<patient>.html``. Single files
    are whole or not there; the tables are valid after every patient. In a folder that holds an
    earlier run the tables start anew, and a patient's other files are replaced when the patient is
    written again; files of other patients stay.

    Args:
        out: the folder; made if absent.
        template: columns and order of ``scores.csv``, see :class:`TableWriter`.
        visits: whether any visit is known, see there.

    Raises:
        ValueError: if ``out`` is a file.
        OSError: if the folder cannot be made or written; the message says what to do.
    """

    def __init__(
        self, out: Path, template: Template | None = None, *, visits: bool = False
    ) -> None:
        self._out = out
        for folder in (out, *(out / name for name in ("results", "overlays", "reports"))):
            make_output_folder(folder)
        self._owners = _overlay_owners(out / "overlays")
        self._tables = TableWriter(out, template, visits=visits)

    def write(
        self, result: StudyResult, pictures: Pictures | None, *, one_of_several: bool = False
    ) -> tuple[Path, ...]:
        """Write one patient: the numbers first, then the pictures.

        Args:
            result: the patient's record.
            pictures: of the patient; None if they could not be drawn.
            one_of_several: the patient has more visits: each has files ``<patient>/<visit>`` of its
                own.

        Returns:
            The files of this patient, without the tables.

        Raises:
            ValueError: if the patient id cannot name a file or was written before in this run.
            OutputError: if a file cannot be written. It names the file; everything written
                before it stays as it is.
        """
        if (fault := study_id_fault(result.study)) is not None:
            raise InputError(
                f"study id {result.study[:40]!r} {fault}, so no file can be named after it"
            )
        if result.visit and (fault := study_id_fault(result.visit)) is not None:
            raise InputError(
                f"visit {result.visit[:40]!r} {fault}, so no file can be named after it"
            )
        if self._tables.has(result.study, result.visit):
            raise InputError(
                f"patient {result.study} was already written in this run (capitals do not "
                "count in file names); patient ids must differ"
            )
        visit = (result.visit or UNDATED) if one_of_several else None
        record = self._file("results", result.study, visit, ".json")
        write_atomically(record, (result.model_dump_json(indent=2) + "\n").encode())
        self._tables.write(result)
        if pictures is None:
            return (record,)
        drawn = self._write_overlays(result.study, visit, pictures.overlays)
        report = self._file("reports", result.study, visit, ".html")
        write_atomically(report, pictures.report)
        return (record, *drawn, report)

    def write_problem(self, item: ProblemRow) -> None:
        """Note in ``joints.csv`` an item that belongs to no patient or failed outside one.

        Raises:
            OutputError: if the disk refuses.
        """
        self._tables.write_problem(item)

    def _file(self, folder: str, study: str, visit: str | None, suffix: str) -> Path:
        if visit is None:
            return self._out / folder / f"{study}{suffix}"
        make_output_folder(self._out / folder / study)
        return self._out / folder / study / f"{visit}{suffix}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._tables.__exit__(kind, *error)

    def _write_overlays(
        self, study: str, visit: str | None, overlays: Mapping[str, bytes]
    ) -> list[Path]:
        folder, owners = self._out / "overlays", self._owners
        if visit is not None:
            folder = folder / study / visit
            make_output_folder(folder)
            owners = _overlay_owners(folder)
        earlier = {name for name, owner in owners.items() if owner == study}
        written: dict[str, Path] = {}
        for film, data in overlays.items():
            path = folder / _overlay_name(study, film, set(written), owners)
            write_atomically(path, data)
            written[path.name.casefold()] = path
            owners[path.name.casefold()] = study
        # overlays of films that an earlier run had for this patient and this one has not
        for path in folder.iterdir():
            name = path.name.casefold()
            if name in earlier and name not in written:
                path.unlink(missing_ok=True)
                del owners[name]
        return list(written.values())


def _overlay_name(study: str, film: str, taken: set[str], owners: Mapping[str, str]) -> str:
    """``<film stem>.png``, or a longer name if that one shows another film."""
    name, stem = Path(film).name, Path(film).stem
    options = [stem, f"{study}-{stem}", f"{study}-{name}"]
    options += [f"{study}-{name}-{i}" for i in range(2, 100)]
    for option in options:
        key = f"{option}.png".casefold()
        if key not in taken and owners.get(key, study) == study:
            return f"{option}.png"
    raise InputError(f"no free name for the overlay of {film}; clear the output folder")


def _overlay_owners(folder: Path) -> dict[str, str]:
    """Whose film each overlay of an earlier run shows; empty text for foreign pictures."""
    owners = {}
    for path in listed(folder):
        if path.suffix.lower() != ".png":
            continue
        owners[path.name.casefold()] = ""
        # a foreign picture is left alone, whatever is wrong with it
        with suppress(Exception), open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures; none is decoded here
            with Image.open(file, formats=("PNG",)) as image:
                owners[path.name.casefold()] = str(image.info.get(OWNER, ""))
    return owners
