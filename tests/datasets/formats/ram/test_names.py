"""Names of RAM: joints, hands, studies, patients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mandora.core.anatomy import FAMILIES, Damage, Limb, Side, target
from mandora.datasets.findings import Report
from mandora.datasets.formats.ram.names import (
    SITES,
    W600_KEYS,
    files_named,
    hand_name,
    patients_of,
    study_and_side,
)

WriteTable = Callable[..., Path]


# RAM-H1200: stems as its authors write them, JSON keys BE_<stem> and JSN_<stem>
FINGER_STEMS = [
    *(f"MCP-{letter}" for letter in "TIMRS"),  # thumb, index, middle, ring, small
    *(f"PIP-{letter}" for letter in "IMRS"),
]
EROSION_STEMS = [*FINGER_STEMS, "IP", "R", "U", "L", "S", "Tm", "CMC-T"]
NARROWING_STEMS = [*FINGER_STEMS, "CMC-M", "CMC-R", "CMC-S", "SC", "SR", "STT"]


def test_ram_keys_are_those_of_the_data_set() -> None:
    keys = [*(f"BE_{stem}" for stem in EROSION_STEMS), *(f"JSN_{s}" for s in NARROWING_STEMS)]
    assert sorted(SITES) == sorted(keys)
    hands = {site for kind in Damage for site in FAMILIES[Limb.HAND, kind]}
    assert set(SITES.values()) == hands


@pytest.mark.parametrize(
    ("key", "ram"),
    [
        ("LH-nav:erosion", "BE_S"),
        ("LH-mul:erosion", "BE_Tm"),
        ("LH-mc1:erosion", "BE_CMC-T"),
        ("LH-ip:erosion", "BE_IP"),
        ("LH-mcp5:erosion", "BE_MCP-S"),
        ("LH-pip2:narrowing", "JSN_PIP-I"),
        ("LH-mcp1:narrowing", "JSN_MCP-T"),
        ("LH-cmc3:narrowing", "JSN_CMC-M"),
        ("LH-mna:narrowing", "JSN_STT"),
        ("LH-capnlun:narrowing", "JSN_SC"),
        ("LH-radcar:narrowing", "JSN_SR"),
    ],
)
def test_ram_keys_name_the_same_joint(key: str, ram: str) -> None:
    assert SITES[ram] == target(key).site


def test_keys_of_scores() -> None:
    assert len(SITES) == 31
    assert (SITES["BE_R"].name, SITES["JSN_MCP-I"].name) == ("radius", "mcp2")
    assert (SITES["BE_S"].name, SITES["BE_S"].landmark_name) == ("nav", "radcar")
    assert set(W600_KEYS.values()) == {f"BE_{n}" for n in ("R", "U", "L", "S", "CMC-T", "Tm")}


@pytest.mark.parametrize(
    ("name", "hand"),
    [
        ("0040_0001_L.bmp", "0040_0001_L"),
        ("train/0040_0001_L.bmp", "0040_0001_L"),
        ("a\\0040_0001_L.bmp", "0040_0001_L"),
        ("0040_0001_L_bmp.rf.0123abcd.jpg", "0040_0001_L"),
        ("0040_0001_L", "0040_0001_L"),
    ],
)
def test_hands(name: str, hand: str) -> None:
    assert hand_name(name) == hand


def test_sides() -> None:
    assert study_and_side("0040_0001_L") == ("0040_0001", Side.LEFT)
    assert study_and_side("JP_SCGH_P0029_20121201_5835-r") == (
        "JP_SCGH_P0029_20121201_5835", Side.RIGHT,
    )  # fmt: skip
    assert study_and_side("0040_0001") is None


def test_files_at_most_so_many_levels_below(tmp_path: Path) -> None:
    for depth in range(6):
        folder = tmp_path.joinpath(*"abcde"[:depth])
        folder.mkdir(exist_ok=True)
        (folder / "x.json").touch()
    assert len(files_named(tmp_path, "x.json")) == 5
    assert len(files_named(tmp_path, "*.json", 1)) == 2


def test_patients_are_guessed_and_that_is_said(tmp_path: Path) -> None:
    report = Report(tmp_path)
    studies = ["JP_SCGH_P0029_20121201_5835", "JP_SCGH_P0029_20130101_1", "0040_0001", "0040_0002",
               "other"]  # fmt: skip
    assert list(patients_of(tmp_path, studies, report).values()) == [
        "JP_SCGH_P0029", "JP_SCGH_P0029", "0040", "0040", "other",
    ]  # fmt: skip
    (finding,) = report.findings
    assert finding.code == "patients-guessed"
    assert "5 studies" in finding.message


def test_metadata_as_csv(tmp_path: Path, write_table: WriteTable) -> None:
    write_table(
        tmp_path / "x" / "Metadata.csv", "Sex,Mapped Image Stem,Normalized PatientID",
        "F,0040_0001,A", "M,0041_0001_L.bmp,B", "M,,C",
    )  # fmt: skip
    report = Report(tmp_path)
    found = patients_of(tmp_path, ["0040_0001", "0041_0001", "0041_0002"], report)
    assert found == {"0040_0001": "A", "0041_0001": "B", "0041_0002": "0041"}
    assert "1 studies" in report.findings[0].message


def test_metadata_as_workbook(tmp_path: Path, write_workbook: WriteTable) -> None:
    cells = [["Mapped Image Stem", "PatientID"], ["0040_0001", "7"]]
    write_workbook(tmp_path / "Metadata.xlsx", *cells)
    report = Report(tmp_path)
    assert patients_of(tmp_path, ["0040_0001"], report) == {"0040_0001": "7"}
    assert report.findings == []


def test_metadata_that_say_nothing(tmp_path: Path, write_table: WriteTable) -> None:
    write_table(tmp_path / "Metadata.csv", "Mapped Image Stem,Sex", "0040_0001,F")
    (tmp_path / "Metadata.xlsx").write_text("no workbook")
    report = Report(tmp_path)
    assert patients_of(tmp_path, ["0040_0001"], report) == {"0040_0001": "0040"}
    assert [f.code for f in report.findings] == [
        "metadata-unknown", "file-unreadable", "patients-guessed",
    ]  # fmt: skip
