"""Readers are merged target by target, and labels come out at the right pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandora.core.anatomy import (
    LANDMARK_INDEX,
    LANDMARKS,
    SLOTS,
    TARGET_INDEX,
    TARGETS,
    Limb,
    Side,
    Slot,
)
from mandora.datasets.dataset import Dataset, DatasetFilm, DatasetRoi, point_scores
from mandora.datasets.outlines import Outline
from mandora.datasets.score_tables import Scores

WriteFilm = Callable[..., Path]
LH, LF = Slot(Side.LEFT, Limb.HAND), Slot(Side.LEFT, Limb.FOOT)
MCP2, MCP3, NAV = "LH-mcp2:narrowing", "LH-mcp3:narrowing", "LH-nav:erosion"
MTP2 = LANDMARK_INDEX[Limb.FOOT]["mtp2"]


def scores(**known: float) -> Scores:
    """``LH_mcp2_narrowing=1`` and so on; the rest is unknown."""
    table = np.full(len(TARGETS), np.nan)
    for name, value in known.items():
        slot, site, damage = name.split("_")
        table[TARGET_INDEX[f"{slot}-{site}:{damage}"]] = value
    return table


def of(table: Scores, key: str) -> float:
    return float(table[TARGET_INDEX[key]])


def film(tmp_path: Path, slot: Slot = LF, **labels: object) -> DatasetFilm:
    landmarks = np.full((len(LANDMARKS[slot.limb]), 2), np.nan)
    return DatasetFilm("P1", slot, tmp_path / f"P1-{slot.code}.png", landmarks, **labels)  # type: ignore[arg-type]


def dataset(**fields: object) -> Dataset:
    whole = {"films": (), "rois": (), "official": {}} | fields
    return Dataset(Path("/data"), "ra2", **whole)  # type: ignore[arg-type]


def test_a_data_set_has_the_name_of_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "cohort" / "manifest.csv"
    file.parent.mkdir()
    file.touch()
    assert replace(dataset(), root=file).name == "cohort"
    assert replace(dataset(), root=file.parent).name == "cohort"


# --- readers --------------------------------------------------------------------------------


def test_the_mean_is_weighted_over_those_who_scored() -> None:
    data = dataset(
        official={"P1": scores(LH_mcp2_narrowing=4, LH_mcp3_narrowing=3, LH_nav_erosion=5)},
        readers={
            "ana": {"P1": scores(LH_mcp2_narrowing=1, LH_mcp3_narrowing=2)},
            "bo": {"P1": scores(LH_mcp2_narrowing=2)},
        },
        weights={"ana": 3.0},  # bo has 1
    )
    merged = data.training_scores("P1")
    assert of(merged, MCP2) == pytest.approx((3 * 1 + 1 * 2) / 4)
    assert of(merged, MCP3) == 2, "only one reader scored it"
    assert of(merged, NAV) == 5, "no reader scored it: the official label stands in"
    assert np.isnan(of(merged, "LH-mcp4:narrowing")), "nobody scored it"


def test_one_reader_s_scores_can_be_the_official_label() -> None:
    ana, bo = {"P1": scores(LH_mcp2_narrowing=1)}, {"P1": scores(LH_mcp2_narrowing=2)}
    truth = {"P1": scores(LH_mcp2_narrowing=4)}
    data = dataset(official=truth, readers={"ana": ana, "bo": bo})
    read = data.read_by("ana")
    assert of(read.official["P1"], MCP2) == 1
    assert of(data.official["P1"], MCP2) == 4
    assert of(read.training_scores("P1"), MCP2) == 1.5
    with pytest.raises(ValueError, match="no reader 'cy'; its readers are ana, bo"):
        data.read_by("cy")
    with pytest.raises(ValueError, match="its readers are none"):
        dataset(official=truth).read_by("ana")


def test_without_readers_the_official_label_trains() -> None:
    official = scores(LH_mcp2_narrowing=4)
    assert of(dataset(official={"P1": official}).training_scores("P1"), MCP2) == 4
    silent = dataset(
        official={"P1": official},
        readers={"ana": {"P1": scores(LH_mcp2_narrowing=1)}},
        weights={"ana": 0.0},
    )
    assert of(silent.training_scores("P1"), MCP2) == 4
    elsewhere = dataset(official={"P1": official}, readers={"ana": {"P2": scores()}})
    assert of(elsewhere.training_scores("P1"), MCP2) == 4


def test_nobody_knows_a_stranger() -> None:
    assert np.isnan(dataset().training_scores("P9")).all()


def test_a_part_of_the_patients(tmp_path: Path) -> None:
    roi = DatasetRoi("P2", LH, (LANDMARKS[Limb.HAND][0],), tmp_path / "IP.bmp", {})
    one = film(tmp_path)
    data = dataset(films=(one,), rois=(roi,), official={"P1": scores()}, weights={"ana": 2.0})
    assert data.patients == ("P1", "P2")
    part = data.of_patients(frozenset({"P2"}))
    assert (part.patients, part.films, part.rois) == (("P2",), (), (roi,))
    assert part.weights == {"ana": 2.0}


# --- scores by landmark ------------------------------------------------------------------------


def test_scores_by_point_of_a_hand() -> None:
    table = point_scores(
        scores(LH_mcp2_narrowing=2, LH_mcp2_erosion=3, LH_radcar_narrowing=1, LH_nav_erosion=4,
               LH_ip_erosion=1, RH_mcp2_narrowing=4), LH
    )  # fmt: skip
    index = LANDMARK_INDEX[Limb.HAND]
    assert table.shape == (21, 2)
    assert table[index["mcp2"]].tolist() == [2, 3]
    assert table[index["radcar"]].tolist() == [1, 4], "the navicular is scored in its patch"
    assert np.isnan(table[index["ip"], 0]), "the thumb has no narrowing score"
    assert table[index["ip"], 1] == 1
    assert np.isfinite(table).sum() == 5


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.code)
def test_every_score_of_a_film_has_one_place(slot: Slot) -> None:
    mine = [i for i, target in enumerate(TARGETS) if target.slot == slot]
    table = point_scores(np.arange(86.0), slot)
    assert sorted(table[np.isfinite(table)].tolist()) == mine


# --- labels ---------------------------------------------------------------------------------


def square(site: str, left: float, top: float, side: float) -> Outline:
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * side
    return Outline(site, corners + np.array([left, top]))


def test_polygons_become_labels_at_their_pixels(tmp_path: Path) -> None:
    outlines = (square("foot-mtp2", 9.5, 4.5, 3), square("foot-ip", -2, -2, 3.2))
    labels = film(tmp_path, spaces=outlines).space_map((20, 30))
    assert labels is not None
    expected = np.zeros((20, 30), np.uint8)
    expected[5:8, 10:13] = 1 + MTP2  # pixel centres 10, 11, 12
    expected[:2, :2] = 1 + LANDMARK_INDEX[Limb.FOOT]["ip"]
    assert np.array_equal(labels, expected)


def test_erosions_are_kept_apart_from_spaces(tmp_path: Path) -> None:
    one = film(tmp_path, erosions=(square("foot-mtp2", 1, 1, 4),), label_size=(30, 20))
    assert one.space_map((20, 30)) is None
    erosions = one.erosion_map((20, 30))
    assert erosions is not None
    assert np.unique(erosions).tolist() == [0, 1 + MTP2]


def test_a_label_map_is_read_as_it_is(tmp_path: Path) -> None:
    labels = np.zeros((20, 30), np.uint8)
    labels[3, 7] = 6
    Image.fromarray(labels).save(tmp_path / "m.png")
    read = film(tmp_path, spaces=tmp_path / "m.png").space_map((20, 30))
    assert np.array_equal(read, labels)


@pytest.mark.parametrize("shape", [(30, 20), (20, 31)])
def test_labels_of_another_size_are_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    Image.new("L", (30, 20)).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"m\.png: has 30 × 20 px"):
        film(tmp_path, spaces=tmp_path / "m.png").space_map(shape)
    drawn = film(tmp_path, spaces=(square("foot-ip", 1, 1, 4),), label_size=(30, 20))
    with pytest.raises(ValueError, match=r"P1-LF\.png: has 30 × 20 px, .* export"):
        drawn.space_map(shape)
    marked = film(tmp_path, label_size=(30, 20))
    with pytest.raises(ValueError, match="30 × 20"):
        marked.space_map(shape)


def test_polygons_of_the_other_limb_are_refused(tmp_path: Path) -> None:
    one = film(tmp_path, spaces=(square("hand-mcp2", 1, 1, 4),))
    with pytest.raises(ValueError, match=r"P1-LF\.png: hand-mcp2 is no site of a foot"):
        one.space_map((20, 30))
    assert one.name == "P1-LF.png"
