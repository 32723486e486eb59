"""Labels find their films, and what does not fit is said with file and row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandora.core.anatomy import LANDMARK_INDEX, Limb, Slot
from mandora.datasets.dataset import DatasetFilm
from mandora.datasets.film_labels import FilmLabels, files_in, no_landmarks
from mandora.datasets.findings import Report
from mandora.datasets.formats.labelme import labelme_document
from mandora.datasets.outlines import Outline

WriteTable = Callable[..., Path]
MCP2 = LANDMARK_INDEX[Limb.HAND]["mcp2"]
TRIANGLE = np.array([[2, 2], [8, 2], [2, 8]], np.float64)
JOINTS = "film,site,x,y"


def labels_of(root: Path, *names: str) -> FilmLabels:
    """Films ``P1-LH.png`` and so on; a name may have a folder and, after a colon, a slot."""
    films = []
    for name in names:
        path, _, code = name.partition(":")
        slot = Slot.parse(code or Path(path).stem[-2:])
        films.append(DatasetFilm("P", slot, root / path, no_landmarks(slot.limb)))
    return FilmLabels(films, Report(root))


def codes(labels: FilmLabels) -> list[tuple[str, int | None]]:
    return [(f.code, f.row) for f in labels._report.findings]


def place(labels: FilmLabels, film: int = 0, landmark: int = MCP2) -> list[float]:
    return list(labels.labelled()[film].landmarks[landmark])


def labelme(
    path: Path, image: str = "P1-LH.png", site: str = "hand-mcp2", size: tuple[int, int] = (30, 20),
    landmarks: dict[str, tuple[float, float]] | None = None,
) -> Path:  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    document = labelme_document((Outline(site, TRIANGLE),) if site else (), image, size, landmarks)
    path.write_text(json.dumps(document))
    return path


def cvat(path: Path, image: str = "P1-LH.png", shapes: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<annotations><image id="0" name="{image}" width="30" height="20">{shapes}</image>'
        "</annotations>"
    )
    return path


def coco(path: Path, *images: str) -> Path:
    """A triangle of MCP2 on each image."""
    path.write_text(json.dumps({
        "images": [{"id": i, "file_name": n, "width": 30, "height": 20}
                   for i, n in enumerate(images)],
        "categories": [{"id": 1, "name": "hand-mcp2"}],
        "annotations": [{"id": i, "image_id": i, "category_id": 1,
                         "segmentation": [(TRIANGLE + 0.5).ravel().tolist()]}
                        for i in range(len(images))],
    }))  # fmt: skip
    return path


# --- which film -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["P1-LH.png", "P1-LH", "a/P1-LH.png", "a/P1-LH", "./a/P1-LH.png", "a\\P1-LH.png",
     "/data/ra2/a/P1-LH.png", "ra2/a/P1-LH.png", "C:\\set\\a\\P1-LH.png"],
)  # fmt: skip
def test_films_are_found_by_any_of_their_names(tmp_path: Path, name: str) -> None:
    assert labels_of(tmp_path, "b/P1-RH.png", "a/P1-LH.png").find(name) == 1


def test_folders_tell_films_of_one_name_apart(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, "P1/i1.dcm:LH", "P2/i1.dcm:LH")
    assert labels.find("P2/i1.dcm") == 1
    assert labels.find("../cohort/P1/i1.dcm") == 0
    assert labels.find("i1.dcm") is None
    assert labels.find("P1-LH.png") is None


def test_limb_and_side_tell_apart_what_one_film_shows(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, "both.png:LH", "both.png:RH", "both.png:LF")
    assert labels.find("both.png") is None
    assert labels.find("both.png", "hand", "right") == 1
    assert labels.find("both.png", "Hand", "L") == 0
    assert labels.find("both.png", "foot") == 2


# --- joints in tables -----------------------------------------------------------------------


def test_joints_as_mandora_locate_writes_them(tmp_path: Path, write_table: WriteTable) -> None:
    labels = labels_of(tmp_path, "P1-LH.png", "P1-RF.png")
    labels.add_joints(
        write_table(
            tmp_path / "joints.csv", "film,limb,side,site,x,y,confidence,reason",
            "P1-LH.png,hand,L,mcp2,100.25,50.75,0.9871,",
            "P1-LH.png,hand,L,mcp3,,,0.0512,not_found",
            "P1-LH.png,hand,L,pip3,,,0.0112,outside_film",
            "P1-RF.png,foot,R,mtp1,7,8,0.5,",
        )
    )  # fmt: skip
    assert codes(labels) == []
    hand, foot = labels.labelled()
    assert hand.landmarks[MCP2].tolist() == [100.25, 50.75]
    assert np.isfinite(hand.landmarks).all(axis=1).sum() == 1, (
        "a joint that was not found is missing"
    )
    assert hand.outside == (LANDMARK_INDEX[Limb.HAND]["pip3"],)
    assert foot.landmarks[LANDMARK_INDEX[Limb.FOOT]["mtp1"]].tolist() == [7, 8]
    assert foot.outside == ()


def test_a_joint_that_another_file_places_is_not_outside(
    tmp_path: Path, write_table: WriteTable
) -> None:
    labels = labels_of(tmp_path, "P1-LH.png")
    found = write_table(tmp_path / "a.csv", f"{JOINTS},reason", "P1-LH.png,mcp2,,,outside_film")
    labels.add_joints(found)
    assert labels.labelled()[0].outside == (MCP2,)
    labels.add_joints(write_table(tmp_path / "b.csv", JOINTS, "P1-LH.png,mcp2,5,6"))
    (film,) = labels.labelled()
    assert (film.outside, film.landmarks[MCP2].tolist()) == ((), [5, 6])


def test_sites_may_be_called_by_limb_or_film(tmp_path: Path, write_table: WriteTable) -> None:
    labels = labels_of(tmp_path, "P1-LH.png")
    names = ("mcp2", "hand-mcp3", "LH-mcp4", "foot-mtp1", "RH-mcp5", "dip2")
    rows = [f"P1-LH,{name},{i},{i}" for i, name in enumerate(names)]
    labels.add_joints(write_table(tmp_path / "j.csv", JOINTS, *rows))
    known = labels.labelled()[0].landmarks
    assert np.flatnonzero(np.isfinite(known[:, 0])).tolist() == [MCP2, MCP2 + 1, MCP2 + 2]
    assert codes(labels) == [("site-unknown", 5), ("site-unknown", 6), ("site-unknown", 7)]


def test_faults_of_a_table_of_joints(tmp_path: Path, write_table: WriteTable) -> None:
    labels = labels_of(tmp_path, "P1-LH.png", "P1-RH.png")
    labels.add_joints(
        write_table(
            tmp_path / "j.csv", "film,site,x,y,limb,side",
            "P1-LH.png,mcp2,1,2,,", "P1-LH.png,mcp2,3,4,,", "P1-LH.png,mcp3,one,2,,",
            "P1-LH.png,mcp4,1,,,", "P1-LH.png,mcp5,1,2,foot,", "P1-LH.png,pip2,1,2,hand,R",
            "P9-LH.png,mcp2,1,2,,", "P9-LH.png,mcp3,1,2,,", "P1-RH.png,mcp2,5,6,hand,right",
        )
    )  # fmt: skip
    assert codes(labels) == [
        ("joint-repeated", 3), ("place-unusable", 4), ("place-unusable", 5), ("limb-differs", 6),
        ("limb-differs", 7), ("film-unknown", 8),
    ]  # fmt: skip
    messages = [f.message for f in labels._report.findings]
    assert "mcp2 of P1-LH.png is in row 2 already; keep one row" in messages[0]
    assert "'one' and y '2' are not two numbers" in messages[1]
    assert "'R', but P1-LH.png is a left hand" in messages[4]
    assert "1 of its films are not, or not once, in the data set: P9-LH.png" in messages[5]
    assert place(labels) == [1, 2], "the first row counts"
    assert place(labels, 1) == [5, 6]


def test_strangers_may_be_expected(tmp_path: Path, write_table: WriteTable) -> None:
    labels = labels_of(tmp_path, "P1-LH.png")
    labels.add_joints(write_table(tmp_path / "j.csv", JOINTS, "P9-LH.png,mcp2,1,2"), quiet=True)
    assert codes(labels) == []


def test_the_first_file_wins_and_large_differences_are_told_once(
    tmp_path: Path, write_table: WriteTable
) -> None:
    labels = labels_of(tmp_path, "P1-LH.png", "P2-LH.png")
    first = ["P1-LH,mcp2,10,10", "P1-LH,mcp3,10,10", "P2-LH,mcp2,10,10"]
    second = ["P1-LH,mcp2,13,14", "P1-LH,mcp3,10.5,10", "P2-LH,mcp2,10,22", "P2-LH,mcp4,1,1"]
    labels.add_joints(write_table(tmp_path / "corrected.csv", JOINTS, *first))
    labels.add_joints(write_table(tmp_path / "found.csv", JOINTS, *second))
    assert place(labels) == [10, 10]
    assert place(labels, 1, MCP2 + 2) == [1, 1], "what the first file lacks comes from the second"
    (finding,) = labels._report.findings
    assert (finding.code, finding.file) == ("joint-differs", "found.csv")
    assert finding.message == (
        "2 joints lie elsewhere than corrected.csv says, which is used; furthest is mcp2 of "
        "P2-LH.png with 12 px"
    )


# --- files of annotation tools --------------------------------------------------------------


def test_labelme_gives_spaces_joints_and_size(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, "P1-LH.png")
    labels.add_file(labelme(tmp_path / "x.json", landmarks={"hand-mcp2": (4.0, 5.0)}))
    (film,) = labels.labelled()
    assert isinstance(film.spaces, tuple)
    assert np.allclose(film.spaces[0].points, TRIANGLE)
    assert (film.erosions, film.label_size) == (None, (30, 20))
    assert place(labels) == [4, 5]


def test_labelme_is_named_after_its_film_if_the_picture_is_not(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, "P1-LH.png")
    labels.add_file(labelme(tmp_path / "P1-LH.json", image="export_0001.png"), "erosions")
    assert labels.labelled()[0].erosions is not None
    labels.add_file(labelme(tmp_path / "P9.json", image="export_0001.png"))
    assert codes(labels) == [("film-unknown", None)]


def test_cvat(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, "P1-LH.png")
    shapes = (
        '<polygon label="hand-mcp2" points="2.5,2.5;8.5,2.5;2.5,8.5"/>'
        '<points label="hand-mcp3" points="4.5,5.5"/>'
    )
    labels.add_file(cvat(tmp_path / "annotations.xml", "task/P1-LH.png", shapes))
    (film,) = labels.labelled()
    assert codes(labels) == []
    assert isinstance(film.spaces, tuple)
    assert np.allclose(film.spaces[0].points, TRIANGLE)
    assert place(labels, 0, MCP2 + 1) == [4, 5]
    assert film.label_size == (30, 20)


def test_coco(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, "P1-LH.png", "P1-RH.png")
    labels.add_file(coco(tmp_path / "coco.json", "P1-LH.png", "P1-RH.png", "P9-LH.png"))
    assert codes(labels) == [("film-unknown", None)]
    for film in labels.labelled():
        assert isinstance(film.spaces, tuple)
        assert np.allclose(film.spaces[0].points, TRIANGLE)
        assert film.label_size == (30, 20)


def test_a_file_for_one_film(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, "P1-LH.png", "P1-RH.png")
    labels.add_file(labelme(tmp_path / "x.json", image="anything.png"), film=1)
    assert [f.spaces is not None for f in labels.labelled()] == [False, True]
    labels.add_file(coco(tmp_path / "two.json", "P1-RH.png", "P8-LH.png"), film=0)
    (finding,) = labels._report.findings
    assert finding.code == "film-unknown"
    assert "says nothing of P1-LH.png" in finding.message


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.json", "{"), ("a.json", "[]"), ("a.json", '{"images": 1}'), ("a.xml", "<annotations>"),
     ("a.xml", "<annotations/>"), ("a.json", '{"shapes": [{"label": "hand-x"}]}')],
)  # fmt: skip
def test_files_that_cannot_be_read_are_reported_once(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    labels = labels_of(tmp_path, "P1-LH.png")
    labels.add_file(tmp_path / name)
    labels.add_file(tmp_path / name, "erosions")
    assert codes(labels) == [("labels-unreadable", None)]
    assert not labels._report.findings[0].message.startswith(str(tmp_path))


def test_labels_that_cannot_be_of_this_film(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, "P1-LH.png")
    labels.add_file(labelme(tmp_path / "a.json", site="foot-mtp1"))
    labels.add_file(labelme(tmp_path / "b.json", size=(30, 20)))
    labels.add_file(labelme(tmp_path / "c.json", size=(60, 40)))
    assert [c for c, _ in codes(labels)] == ["limb-differs", "size-differs"]
    (film,) = labels.labelled()
    assert isinstance(film.spaces, tuple)
    assert (len(film.spaces), film.label_size) == (1, (30, 20))


# --- folders and maps -----------------------------------------------------------------------


def test_a_folder_of_maps_and_polygons(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, "P1-LH.png", "P1-RH.png", "P2-LH.jpg")
    folder = tmp_path / "spaces"
    folder.mkdir()
    for name in ("P1-LH.png", "P2-LH.jpg.png", "P9-LH.png", ".hidden.png"):
        Image.new("L", (4, 4)).save(folder / name)
    labelme(folder / "P1-RH.json", image="P1-RH.png")
    labels.add_folder(folder, "spaces")
    first, second, third = labels.labelled()
    assert (first.spaces, third.spaces) == (folder / "P1-LH.png", folder / "P2-LH.jpg.png")
    assert isinstance(second.spaces, tuple)
    (finding,) = labels._report.findings
    assert finding.message.startswith("1 of its films are not, or not once, in the data set: P9")
    labels.add_folder(folder, "spaces", quiet=True)
    labels.add_folder(tmp_path / "absent", "spaces")
    assert len(labels._report.findings) == 1


def test_maps_win_over_polygons_and_the_first_over_the_next(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, "P1-LH.png")
    labels.add_file(labelme(tmp_path / "x.json"))
    for name in ("first.png", "second.png"):
        Image.new("L", (4, 4)).save(tmp_path / name)
        labels.set_map(0, "spaces", tmp_path / name)
    assert labels.labelled()[0].spaces == tmp_path / "first.png"
    labels.set_map(0, "erosions", tmp_path / "absent.png")
    assert codes(labels) == [("labels-missing", None)]


def test_files_are_listed_in_natural_order(tmp_path: Path) -> None:
    for name in ("P10.json", "P2.JSON", ".x.json", "P1.png"):
        (tmp_path / name).touch()
    (tmp_path / "d.json").mkdir()
    assert [p.name for p in files_in(tmp_path, (".json",))] == ["P2.JSON", "P10.json"]
    assert files_in(tmp_path / "absent", (".json",)) == []
