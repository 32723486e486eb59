from __future__ import annotations

import os
from pathlib import Path

import pytest

from mandora.datasets.intake.plan import Intake, make_plan
from mandora.datasets.intake.tables import plan_csv, read_manifest

PNG = b"\x89PNG\r\n\x1a\n"

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


def test_names_that_are_no_text_can_be_written_and_read_back(tmp_path: Path) -> None:
    film = tmp_path / os.fsdecode(b"M\xfcller-LH.png")  # from a Windows archive
    film.write_bytes(PNG)
    (tmp_path / "plan.csv").write_bytes(plan_csv(make_plan([tmp_path]), tmp_path).encode())
    (planned,) = make_plan([], Intake(tmp_path / "plan.csv")).films
    assert planned.path == film
    assert planned.patient is not None
    assert planned.patient.value == "Müller"
    assert "no UTF-8" in planned.remarks[0]
