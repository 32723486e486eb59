from __future__ import annotations

from pathlib import Path

import pytest

from mandora.datasets.intake.tables import read_manifest

TEXT = "Datei,Patient ID,Study Date,Body Part,Laterality\nü.png,Müller,02.03.2019,Hand,links\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(), TEXT.encode("utf-8-sig"), TEXT.encode("utf-16"), TEXT.encode("utf-16-le"),
        TEXT.encode("cp1252"), TEXT.replace(",", ";").encode(), TEXT.replace(",", "\t").encode(),
        TEXT.replace("\n", "\r\n").encode(), ("Films of the trial\n" + TEXT).encode(),
    ],
)  # fmt: skip
def test_tables_as_programs_write_them(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "list.csv").write_bytes(data)
    (row,) = read_manifest(tmp_path / "list.csv")
    assert (row.file, row.fault) == ("ü.png", None)
    facts = row.facts
    assert (facts.patient, facts.visit, facts.limb, facts.sides) == (
        "Müller", "2019-03-02", "hand", "left",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("patient,limb\nP1,hand\n", "no column file"),
        ("file,patient\n", "names no file"),
        ("file,patient,subject\na.png,1,2\n", "two columns for patient"),
    ],
)
def test_tables_that_are_no_manifest(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=fault):
        read_manifest(tmp_path / "list.csv")


def test_dates_of_spreadsheets(tmp_path: Path) -> None:
    rows = ["43526", "2019-03-02 00:00:00", "baseline", ""]
    text = "file,visit\n" + "".join(f"{i}.png,{cell}\n" for i, cell in enumerate(rows))
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    visits = [row.facts.visit for row in read_manifest(tmp_path / "list.csv")]
    assert visits == ["2019-03-02", "2019-03-02", "baseline", None]
