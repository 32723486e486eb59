"""RAM-H1200 and RAM-W600: joints that come as pictures of their own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import TARGET_INDEX, TARGETS
from mandora.datasets.check.data_set import check_dataset
from mandora.datasets.dataset import Dataset, DatasetRoi
from mandora.datasets.findings import Finding, Severity
from mandora.datasets.layouts import open_dataset, read_dataset

WriteFilm = Callable[..., Path]
Scores = Mapping[str, Mapping[str, object]]
BE = "SvdH_Scoring/SvdH_BE_Scoring/train"
JSN = "SvdH_Scoring/SvdH_JSN_Scoring/train"


@pytest.fixture
def h1200(tmp_path: Path, write_film: WriteFilm) -> Callable[..., Path]:
    """Write scores and a picture for each of them, 40 × 30 px."""

    def write(be: Scores, jsn: Scores | None = None) -> Path:
        for folder, kind, scores in ((BE, "be", be), (JSN, "jsn", jsn or {})):
            if not scores:
                continue
            size = (40, 30)
            for hand, cells in scores.items():
                for key in cells:
                    stem = key.partition("_")[2]
                    size = size[0] + 1, size[1]  # no two pictures are the same
                    write_film(tmp_path / folder / hand.removesuffix(".bmp") / f"{stem}.bmp", size)
            path = tmp_path / folder / f"_annotation_{kind}_scores.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(scores))
        return tmp_path

    return write


def read(folder: Path) -> tuple[Dataset, list[Finding]]:
    dataset, findings = read_dataset(folder)
    assert dataset is not None
    return dataset, findings


def known(values: np.ndarray) -> dict[str, float]:
    return {t.key: float(values[i]) for i, t in enumerate(TARGETS) if np.isfinite(values[i])}


def short(roi: DatasetRoi) -> tuple[str, str, str, tuple[str, ...]]:
    return roi.patient, roi.slot.code, roi.path.stem, tuple(p.name for p in roi.landmarks)


def test_pictures_and_scores(h1200: Callable[..., Path]) -> None:
    dataset, findings = read(
        h1200(
            {"0040_0001_L.bmp": {"BE_R": 2, "BE_MCP-I": 1, "BE_S": 4}},
            {"0040_0001_L.bmp": {"JSN_MCP-I": 3, "JSN_SR": 1},
             "0041_0001_R.bmp": {"JSN_MCP-I": 0}},
        )
    )  # fmt: skip
    assert [f.code for f in findings] == ["patients-guessed"]
    assert (dataset.layout, dataset.patients, dataset.films) == ("ram-h1200", ("0040", "0041"), ())
    assert known(dataset.official["0040"]) == {
        "LH-radius:erosion": 2, "LH-mcp2:erosion": 1, "LH-nav:erosion": 4,
        "LH-mcp2:narrowing": 3, "LH-radcar:narrowing": 1,
    }  # fmt: skip
    assert known(dataset.official["0041"]) == {"RH-mcp2:narrowing": 0}
    assert [short(roi) for roi in dataset.rois] == [
        ("0040", "LH", "R", ("radius",)), ("0040", "LH", "MCP-I", ("mcp2",)),
        ("0040", "LH", "S", ("radcar",)), ("0040", "LH", "MCP-I", ("mcp2",)),
        ("0040", "LH", "SR", ("radcar",)), ("0041", "RH", "MCP-I", ("mcp2",)),
    ]  # fmt: skip
    assert [dict(roi.scores) for roi in dataset.rois] == [
        {"LH-radius:erosion": 2},
        {"LH-mcp2:narrowing": 3, "LH-mcp2:erosion": 1},
        {"LH-nav:erosion": 4},
        {"LH-mcp2:narrowing": 3, "LH-mcp2:erosion": 1},  # one joint, two pictures
        {"LH-radcar:narrowing": 1},
        {"RH-mcp2:narrowing": 0},
    ]


def test_masks_beside_the_pictures(h1200: Callable[..., Path], write_film: WriteFilm) -> None:
    root = h1200({"0040_0001_L.bmp": {"BE_R": 2, "BE_U": 0}})
    hand = root / BE / "0040_0001_L"
    write_film(hand / "R-bones.png", (41, 30))
    write_film(hand / "R-erosions.bmp", (41, 30))
    write_film(hand / "U-bones.jpg", (42, 30))
    radius, ulna = read(root)[0].rois
    assert (radius.bones, radius.erosions) == (hand / "R-bones.png", hand / "R-erosions.bmp")
    assert (ulna.bones, ulna.erosions) == (None, None), "JPEG is no mask"


def test_scores_that_cannot_be_used(h1200: Callable[..., Path]) -> None:
    root = h1200(
        {"0040_0001_L.bmp": {"BE_R": 6, "BE_U": "x", "BE_L": None, "BE_IP": "2", "BE_X": 1},
         "0041_0001.bmp": {"BE_R": 0}}
    )  # fmt: skip
    dataset, findings = read(root)
    warned = [f for f in findings if f.severity is Severity.WARNING]
    assert [f.code for f in warned] == [
        "score-unusable", "score-unusable", "site-unknown", "side-unknown",
    ]  # fmt: skip
    assert all(f.file == f"{BE}/_annotation_be_scores.json" for f in warned)
    assert "0040_0001_L: BE_R is 6, outside 0…5; it is not used" in warned[0].message
    assert known(dataset.official["0040"]) == {"LH-ip:erosion": 2}
    scores = {roi.path.stem: list(roi.scores.values()) for roi in dataset.rois}
    assert scores["IP"] == [2]
    assert math.isnan(scores["L"][0])
    assert set(scores) == {"L", "IP"}


def test_pictures_that_are_missing(h1200: Callable[..., Path]) -> None:
    root = h1200({"0040_0001_L.bmp": {"BE_R": 2, "BE_U": 0}})
    (root / BE / "0040_0001_L" / "U.bmp").unlink()
    dataset, findings = read(root)
    (warning,) = (f for f in findings if f.severity is Severity.WARNING)
    assert (warning.code, "pictures of U are missing" in warning.message) == (
        "picture-missing",
        True,
    )
    assert len(dataset.rois) == 1
    assert len(known(dataset.official["0040"])) == 2
    (root / BE / "0040_0001_L" / "R.bmp").unlink()
    with pytest.raises(ValueError, match="holds no pictures of joints"):
        open_dataset(root)


def test_the_first_study_of_a_patient_is_official(h1200: Callable[..., Path]) -> None:
    dataset, findings = read(
        h1200({"0040_0002_L.bmp": {"BE_R": 5}, "0040_0001_L.bmp": {"BE_R": 1}})
    )
    assert "later-studies" in [f.code for f in findings]
    assert dataset.patients == ("0040",)
    assert known(dataset.official["0040"]) == {"LH-radius:erosion": 1}
    assert [roi.scores["LH-radius:erosion"] for roi in dataset.rois] == [1, 5]


def test_w600(tmp_path: Path, write_film: WriteFilm) -> None:
    root = tmp_path / "SvdHBEScoreClassification"
    names = {"DistalRadius": 1, "Trapzium": 2, "Scaphoid": 3, "Metacarpal1st": 0}
    for name in names:
        write_film(root / "val" / "0040_0001_R" / f"{name}.bmp", (40, 30))
    entries = [{"identifier": "0040_0001_R", "joints": names}]
    (root / "JointBE_SvdH_GT.json").write_text(json.dumps(entries))
    dataset, _ = read(tmp_path)
    assert dataset.layout == "ram-w600"
    assert known(dataset.official["0040"]) == {
        "RH-radius:erosion": 1, "RH-mul:erosion": 2, "RH-nav:erosion": 3, "RH-mc1:erosion": 0,
    }  # fmt: skip
    assert [short(roi)[2:] for roi in dataset.rois] == [
        ("DistalRadius", ("radius",)), ("Trapzium", ("mul",)), ("Scaphoid", ("radcar",)),
        ("Metacarpal1st", ("mc1",)),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["{", "[]", "[1]", '{"0040_0001_L.bmp": 3}'])
def test_damaged_score_files(tmp_path: Path, text: str) -> None:
    (tmp_path / "JointBE_SvdH_GT.json").write_text(text)
    _, findings = read(tmp_path)
    errors = [f.code for f in findings if f.severity is Severity.ERROR]
    assert errors == ["file-unreadable", "no-films"]


def test_small_bitmaps_are_read_and_checked(
    h1200: Callable[..., Path], write_film: WriteFilm
) -> None:
    root = h1200(
        {"0040_0001_L.bmp": {"BE_R": 2, "BE_U": 0, "BE_L": 1}}, {"0040_0001_L.bmp": {"JSN_SC": 1}}
    )
    report = check_dataset(root)
    assert (report.errors, report.warnings, report.rois) == (0, 0, 4)
    assert (report.layout, report.scores) == ("ram-h1200", 4)
    hand = root / BE / "0040_0001_L"
    write_film(hand / "R.bmp", (40, 15))
    (hand / "U.bmp").write_bytes((hand / "U.bmp").read_bytes()[:400])
    write_film(hand / "L-erosions.png", (20, 20))
    errors = [(f.code, Path(f.file).name) for f in check_dataset(root).findings
              if f.severity is Severity.ERROR]  # fmt: skip
    assert errors == [
        ("labels-size", "L-erosions.png"), ("film-unreadable", "R.bmp"),
        ("film-unreadable", "U.bmp"),
    ]  # fmt: skip


def test_one_joint_may_have_one_picture_for_both_scores(h1200: Callable[..., Path]) -> None:
    cells = {"0040_0001_L.bmp": {"BE_MCP-I": 1}}
    root = h1200(cells, {"0040_0001_L.bmp": {"JSN_MCP-I": 1}})
    assert check_dataset(root).errors == 0
    at = TARGET_INDEX["LH-mcp2:erosion"]
    assert open_dataset(root).training_scores("0040")[at] == 1
