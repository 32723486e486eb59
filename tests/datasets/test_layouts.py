"""Whatever the layout, one call opens a data set and one error says all that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mandora.core.anatomy import TARGET_INDEX
from mandora.datasets.film_files import LABEL_FOLDERS
from mandora.datasets.findings import Severity
from mandora.datasets.formats.ram.names import SITES, W600_KEYS
from mandora.datasets.layouts import LAYOUTS, layout_of, open_dataset, read_dataset
from mandora.datasets.manifest import COLUMNS, SCORE_COLUMNS

WriteFilm = Callable[..., Path]
WriteTable = Callable[..., Path]


@pytest.fixture
def ra2(tmp_path: Path, write_film: WriteFilm, write_table: WriteTable) -> Path:
    write_film(tmp_path / "P1-LH.png")
    write_table(tmp_path / "training.csv", "Patient_ID,LH_mcp_E__1", "P1,2")
    return tmp_path


def test_tables_may_be_workbooks(
    tmp_path: Path, write_film: WriteFilm, write_workbook: WriteTable
) -> None:
    for name, header in (
        ("training.xlsx", ["Patient_ID", "LH_mcp_E__1"]),
        ("manifest.xlsx", ["patient", "film", "slot", "score"]),
    ):
        folder = tmp_path / name.partition(".")[0]
        film = write_film(folder / "P1-LH.png").name
        cells = ["P1", 2] if name.startswith("t") else ["P1", film, "LH", ""]
        table = write_workbook(folder / name, header, cells)
        layout = "ra2" if name.startswith("t") else "manifest"
        assert layout_of(folder) == layout_of(table) == layout
        for path in (folder, table):
            dataset, _ = read_dataset(path)
            assert dataset is not None
            assert [film.patient for film in dataset.films] == ["P1"]
            if layout == "ra2":
                assert dataset.official["P1"][TARGET_INDEX["LH-mcp1:erosion"]] == 2


def test_layouts_are_told_apart(tmp_path: Path, ra2: Path, write_table: WriteTable) -> None:
    assert layout_of(ra2) == layout_of(ra2 / "training.csv") == "ra2"
    write_table(ra2 / "manifest.csv", "patient,film,slot")
    assert layout_of(ra2) == layout_of(ra2 / "manifest.csv") == "manifest"
    assert layout_of(write_table(tmp_path / "films.CSV", "")) == "manifest"
    for name, layout in (
        ("a/SvdH_Scoring/SvdH_BE_Scoring/train/_annotation_be_scores.json", "ram-h1200"),
        ("b/x/JointBE_SvdH_GT.json", "ram-w600"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        assert layout_of(tmp_path / name[0]) == layout
    (tmp_path / "c").mkdir()
    assert layout_of(tmp_path / "c") is None
    assert layout_of(tmp_path / "absent") is None
    assert layout_of(ra2 / "P1-LH.png") is None
    assert {layout.name for layout in LAYOUTS} == {"ra2", "ram-h1200", "ram-w600", "manifest"}


def test_what_is_no_data_set(tmp_path: Path) -> None:
    for path, code in ((tmp_path, "layout-unknown"), (tmp_path / "absent", "not-there")):
        dataset, findings = read_dataset(path)
        assert dataset is None
        assert [(f.severity, f.code) for f in findings] == [(Severity.ERROR, code)]
        with pytest.raises(ValueError, match="1 problem to correct"):
            open_dataset(path)


def test_a_folder_and_its_table_are_the_same(ra2: Path) -> None:
    one, other = open_dataset(ra2), open_dataset(ra2 / "training.csv")
    assert one.patients == other.patients == ("P1",)
    assert [f.path for f in one.films] == [f.path for f in other.films]


def test_a_manifest_beside_training_csv_is_read_and_said(
    ra2: Path, write_table: WriteTable
) -> None:
    write_table(ra2 / "manifest.csv", "patient,film,slot,mcp1:erosion", "A,P1-LH.png,LH,1")
    dataset, findings = read_dataset(ra2)
    assert dataset is not None
    assert (dataset.layout, dataset.patients) == ("manifest", ("A",))
    assert [f.code for f in findings] == ["training-csv-not-used"]
    assert open_dataset(ra2).layout == "manifest", "a note keeps nobody from training"


def test_all_errors_are_raised_at_once_with_file_and_row(
    ra2: Path, write_table: WriteTable
) -> None:
    write_table(ra2 / "training.csv", "Patient_ID,LH_mcp_E__1", "P1,6", "P2,0", "P1,1")
    write_table(ra2 / "joints.csv", "film,site,x,y", "P1-LH.png,mcp1,a,b")
    with pytest.raises(ValueError, match="3 problems to correct") as caught:
        open_dataset(ra2)
    message = str(caught.value)
    assert message.startswith(f"{ra2}: 3 problems to correct; `mandora check {ra2}` lists them")
    assert "training.csv, row 2: error: column LH_mcp_E__1: 6 is outside 0…5" in message
    assert "training.csv, row 4: error: patient 'P1' is in row 2 already" in message
    assert "joints.csv, row 2: error: x 'a' and y 'b' are not two numbers" in message
    assert "P2 has no film" not in message, "a warning is no error"
    dataset, _ = read_dataset(ra2)
    assert dataset is not None, "what can be read is read all the same"


def test_weights_reach_the_readers(ra2: Path, write_table: WriteTable) -> None:
    write_table(ra2 / "readers" / "ana.csv", "Patient_ID,LH_mcp_E__1", "P1,4")
    dataset = open_dataset(ra2, {"ana": 1, "official": 3})
    assert dataset.weights == {"ana": 1, "official": 3}
    known = dataset.training_scores("P1")
    assert known[known == known].tolist() == [(1 * 4 + 3 * 2) / 4]
    with pytest.raises(ValueError, match="no reader 'bob'"):
        open_dataset(ra2, {"bob": 1})


def test_a_damaged_score_file_of_ram_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "_annotation_be_scores.json").write_text(json.dumps([1, 2]))
    with pytest.raises(ValueError, match=r"_annotation_be_scores\.json: error: 0 of 0 entries"):
        open_dataset(tmp_path)


def test_the_page_on_data_sets_names_what_is_read(root: Path) -> None:
    page = (root / "docs" / "data.md").read_text(encoding="utf-8")
    for layout in LAYOUTS:
        assert f"`{layout.name}`" in page
    for column in COLUMNS[: -len(SCORE_COLUMNS)]:
        assert f"`{column}`" in page, column
    for folder in LABEL_FOLDERS:
        assert f"{folder}/" in page, folder
    for key in (*SITES, *W600_KEYS):
        name = key.partition("_")[2] or key
        assert f"`{name}`" in page or name == "Trapezium", name
