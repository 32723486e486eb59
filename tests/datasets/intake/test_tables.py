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


@pytest.mark.parametrize(
    "cell",
    [
        "P1/LH.png", r"P1\LH.png", r".\P1\LH.png", r"C:\study\films\P1\LH.png",
        r"\\server\x\P1\LH.png",
        "/mnt/old/films/P1/LH.png", "p1/lh.PNG", "P1/LH",
    ],
)  # fmt: skip
@pytest.mark.parametrize("searched", [True, False])
def test_paths_of_other_computers(tmp_path: Path, cell: str, searched: bool) -> None:
    for patient in ("P1", "P2"):
        (tmp_path / patient).mkdir()
        (tmp_path / patient / "LH.png").write_bytes(PNG + patient.encode())
    (tmp_path / "list.csv").write_text(f"Datei;ID_Pat\n{cell};Anna\n", encoding="utf-8")
    plan = make_plan([tmp_path] if searched else [], Intake(tmp_path / "list.csv"))
    if not searched and cell == "p1/lh.PNG":  # a folder of another name is another folder
        assert plan.films == ()
        return
    called = {film.path.parent.name: film.patient and film.patient.value for film in plan.films}
    assert called == ({"P1": "Anna", "P2": "P2"} if searched else {"P1": "Anna"})


def test_a_path_of_another_patient_is_not_taken_for_its_name(tmp_path: Path) -> None:
    (tmp_path / "P2").mkdir()
    (tmp_path / "P2" / "LH.png").write_bytes(PNG)
    (tmp_path / "P3-LH.png").write_bytes(PNG + b"3")
    rows = ["C:/x/P1/LH.png,Anna", "C:/x/P3-LH.png,Eva"]
    (tmp_path / "list.csv").write_text("\n".join(["file,patient", *rows]), encoding="utf-8")
    plan = make_plan([tmp_path], Intake(tmp_path / "list.csv"))
    called = {film.name: film.patient and film.patient.value for film in plan.films}
    assert called == {"LH.png": "P2", "P3-LH.png": "Eva"}
    assert [p.detail[:28] for p in plan.others] == ["line 2 of the manifest names"]


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("Datei,ID_Pat,Seite,Region", "a.png,P1,li,Hand"),
        ("subject,filename,Side (L/R),body part", "P1,a.png,L,HAND"),
        ("FileName,PatientID,Laterality,BodyPart", "a.png,P1,G,MAIN"),
        ("id,image,file,patient,limb,side", "1,x,a.png,P1,mano,dx"),
        ("Dateiname,Patienten-ID,Körperseite,Körperteil", "a.png,P1,links,Hände"),
    ],
)
def test_columns_as_people_call_them(tmp_path: Path, header: str, cells: str) -> None:
    (tmp_path / "list.csv").write_text(f"{header}\n{cells}\n", encoding="utf-8")
    (row,) = read_manifest(tmp_path / "list.csv")
    sides = "right" if "mano" in cells else "left"
    facts = row.facts
    assert (row.file, facts.patient, facts.limb, facts.sides) == ("a.png", "P1", "hand", sides)


def test_a_visit_goes_before_its_date(tmp_path: Path) -> None:
    text = "file,visit,study_date\na.png,M12,2019-03-02\nb.png,,2020-03-02\n"
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    visits = [row.facts.visit for row in read_manifest(tmp_path / "list.csv")]
    assert visits == ["month-12", "2020-03-02"]
