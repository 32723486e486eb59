"""Windows, padding, shutters, inversion and square pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph

pytest.importorskip("pydicom")

MakeDicom = Callable[..., Path]

ROWS, COLUMNS = np.mgrid[:96, :80]
LEVELS = (1200 + 1000 * np.sin(COLUMNS / 12) + 10 * ROWS).astype(np.uint16)
"""(96, 80) uint16, 12 bits in use."""
EXPECTED = (LEVELS - LEVELS.min()) / np.ptp(LEVELS)
WIDE = {"WindowCenter": 2048, "WindowWidth": 4096}


def padded(levels: np.ndarray, value: int, width: int = 30) -> np.ndarray:
    return np.pad(levels, width, constant_values=value)


def inner(film: Radiograph, width: int = 30) -> np.ndarray:
    return film.pixels[width:-width, width:-width]


def stretch(pixels: np.ndarray) -> np.ndarray:
    return (pixels - pixels.min()) / np.ptp(pixels)


@pytest.mark.parametrize(
    ("window", "number"),
    [
        ({"WindowCenter": [1000, 2048], "WindowWidth": [200, 4096]}, 2),
        ({"WindowCenter": [2048, 2048], "WindowWidth": [1, 4096]}, 2),
        ({"WindowCenter": [50_000, 300, 2048], "WindowWidth": [10, 100, 4096]}, 3),
    ],
)
def test_a_window_that_hides_the_limb_gives_way_to_the_next(
    make_dicom: MakeDicom, window: dict[str, Any], number: int
) -> None:
    film = read_radiograph(make_dicom(LEVELS, **window))
    assert np.allclose(film.pixels, EXPECTED, atol=1e-3)
    assert f"window {number} was used" in film.remarks[0]


@pytest.mark.parametrize("width", [1, 200])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_the_full_range_is_shown_where_no_window_shows_the_limb(
    make_dicom: MakeDicom, width: int, function: str
) -> None:
    path = make_dicom(LEVELS, WindowCenter=1000, WindowWidth=width, VOILUTFunction=function)
    film = read_radiograph(path)
    assert np.allclose(film.pixels, EXPECTED, atol=1e-6)
    assert "full range" in film.remarks[0]


def test_window_functions(make_dicom: MakeDicom) -> None:
    path = make_dicom(LEVELS, WindowCenter=1500, WindowWidth=3000, VOILUTFunction="SIGMOID")
    curve = 1 / (1 + np.exp(-4 * (LEVELS - 1500.0) / 3000))
    assert np.allclose(read_radiograph(path).pixels, stretch(curve), atol=1e-4)
    path = make_dicom(LEVELS, WindowCenter=1500, WindowWidth=2000, VOILUTFunction="LINEAR_EXACT")
    line = np.clip((LEVELS - 500.0) / 2000, 0, 1)
    assert np.allclose(read_radiograph(path).pixels, stretch(line), atol=1e-4)


@pytest.mark.parametrize(
    "window",
    [{"WindowCenter": "", "WindowWidth": ""}, {"WindowCenter": [2048, 100], "WindowWidth": 4096}],
)
def test_blank_and_incomplete_windows(make_dicom: MakeDicom, window: dict[str, Any]) -> None:
    film = read_radiograph(make_dicom(LEVELS, **window))
    assert np.allclose(film.pixels, EXPECTED, atol=1e-3)
    assert film.remarks == ()


def test_decimal_commas(make_dicom: MakeDicom) -> None:
    path = make_dicom(LEVELS, WindowCenter="2048.5", WindowWidth="3000.5", RescaleSlope="1.5")
    plain = read_radiograph(path)
    data = path.read_bytes()
    for number in (b"2048.5", b"3000.5", b"1.5 "):
        assert number in data
        data = data.replace(number, number.replace(b".", b","))
    path.write_bytes(data)
    film = read_radiograph(path)
    assert np.array_equal(film.pixels, plain.pixels)
    assert film.remarks == ()


@pytest.mark.parametrize("value", [0, 4095])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_dark_and_costs_no_contrast(
    make_dicom: MakeDicom, value: int, photometric: str
) -> None:
    levels = 4000 - LEVELS if photometric == "MONOCHROME1" else LEVELS
    film = read_radiograph(
        make_dicom(padded(levels, value), PixelPaddingValue=value,
                   PhotometricInterpretation=photometric)
    )  # fmt: skip
    assert np.allclose(inner(film), EXPECTED, atol=1e-3)
    assert film.pixels[:30].max() == 0


def test_padding_is_looked_for_at_the_edge_only(make_dicom: MakeDicom) -> None:
    levels = LEVELS.copy()
    levels[40:50, 40:50] = 4000
    film = read_radiograph(make_dicom(levels, PixelPaddingValue=4000))
    assert film.pixels[45, 45] == 1


def test_a_range_of_padding_values(make_dicom: MakeDicom) -> None:
    levels = padded(LEVELS, 3990)
    levels[::2, :30] = 4095
    film = read_radiograph(make_dicom(levels, PixelPaddingValue=4095, PixelPaddingRangeLimit=3990))
    assert np.allclose(inner(film), EXPECTED, atol=1e-3)


SHUTTERS: dict[str, dict[str, Any]] = {
    "RECTANGULAR": {
        "ShutterUpperHorizontalEdge": 31, "ShutterLowerHorizontalEdge": 126,
        "ShutterLeftVerticalEdge": 31, "ShutterRightVerticalEdge": 110,
    },
    "POLYGONAL": {"VerticesOfThePolygonalShutter": [31, 31, 31, 110, 126, 110, 126, 31]},
}  # fmt: skip


@pytest.mark.parametrize("shape", SHUTTERS)
def test_behind_a_shutter_it_is_dark(make_dicom: MakeDicom, shape: str) -> None:
    path = make_dicom(padded(LEVELS, 4095), ShutterShape=shape, **SHUTTERS[shape])
    film = read_radiograph(path)
    assert np.allclose(inner(film), EXPECTED, atol=1e-3)
    assert film.pixels[:30].max() == film.pixels[:, -30:].max() == 0


def test_a_round_shutter(make_dicom: MakeDicom) -> None:
    path = make_dicom(padded(LEVELS, 4095), ShutterShape="CIRCULAR",
                      CenterOfCircularShutter=[78, 70], RadiusOfCircularShutter=40)  # fmt: skip
    film = read_radiograph(path)
    assert film.pixels[0, 0] == film.pixels[77, 20] == 0
    assert film.pixels[60:90, 60:80].std() > 0.1


def test_a_shutter_that_hides_all_is_not_used(make_dicom: MakeDicom) -> None:
    shutter = SHUTTERS["RECTANGULAR"] | {"ShutterLowerHorizontalEdge": 20}
    film = read_radiograph(make_dicom(LEVELS, ShutterShape="RECTANGULAR", **shutter))
    assert np.allclose(film.pixels, EXPECTED, atol=1e-6)
    assert "shutter" in film.remarks[0]


@pytest.mark.parametrize(
    ("tags", "inverted"),
    [
        ({}, False),
        ({"PhotometricInterpretation": "MONOCHROME1"}, True),
        ({"PresentationLUTShape": "INVERSE"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),
        ({"PresentationLUTShape": "IDENTITY"}, False),
    ],
)
@pytest.mark.parametrize("window", [{}, WIDE])
def test_inversion_is_done_once(
    make_dicom: MakeDicom, tags: dict[str, str], inverted: bool, window: dict[str, int]
) -> None:
    film = read_radiograph(make_dicom(LEVELS, **tags, **window))
    assert np.allclose(film.pixels, 1 - EXPECTED if inverted else EXPECTED, atol=1e-3)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_raw_intensities_become_attenuation(make_dicom: MakeDicom, photometric: str) -> None:
    intensity = (4095 * np.exp(-2 * EXPECTED)).astype(np.uint16)
    raw = {"PresentationIntentType": "FOR PROCESSING", "PixelIntensityRelationship": "LIN",
           "PhotometricInterpretation": photometric}  # fmt: skip
    film = read_radiograph(make_dicom(intensity, PixelIntensityRelationshipSign=1, **raw))
    assert np.allclose(film.pixels, EXPECTED, atol=2e-3)
    assert "FOR PROCESSING" in film.remarks[0]
    raw["PixelIntensityRelationship"] = "LOG"
    film = read_radiograph(make_dicom(LEVELS, PixelIntensityRelationshipSign=-1, **raw))
    assert np.allclose(film.pixels, EXPECTED, atol=1e-6)


@pytest.mark.parametrize(
    ("tags", "spacing_mm"),
    [
        ({"PixelAspectRatio": [2, 1]}, None),
        ({"PixelSpacing": [2.0, 1.0]}, 1.0),
        ({"PixelAspectRatio": [2, 1], "PixelSpacing": [2.0, 1.0]}, 1.0),
        ({"ImagerPixelSpacing": [2.0, 1.0]}, 1.0),
    ],
)
def test_rows_farther_apart_than_columns(
    make_dicom: MakeDicom, tags: dict[str, Any], spacing_mm: float | None
) -> None:
    levels = (2000 + 900 * np.sin(COLUMNS / 12) + 900 * np.cos(ROWS / 15)).astype(np.uint16)
    film = read_radiograph(make_dicom(np.concatenate([levels, levels[::-1]])[::2], **tags))
    assert film.shape == (192, 80)
    whole = stretch(np.concatenate([levels, levels[::-1]]).astype(float))
    assert np.abs(film.pixels - whole).mean() < 0.02
    assert (film.spacing_mm, film.file_px) == (spacing_mm, (1, 0.5))
    assert film.in_file(10, 100.5) == (10, 50)
    assert "square px" in " ".join(film.remarks)


def test_columns_farther_apart_than_rows(make_dicom: MakeDicom) -> None:
    film = read_radiograph(make_dicom(LEVELS, PixelAspectRatio=[3, 4]))
    assert film.shape == (96, 107)
    assert film.file_px == (80 / 107, 1)


@pytest.mark.parametrize("ratio", [[1, 1], [1000, 1001], [1, 50], [0, 1]])
def test_px_that_are_square_or_cannot_be_true(make_dicom: MakeDicom, ratio: list[int]) -> None:
    film = read_radiograph(make_dicom(LEVELS, PixelAspectRatio=ratio))
    assert film.shape == LEVELS.shape
    assert film.file_px == (1, 1)
