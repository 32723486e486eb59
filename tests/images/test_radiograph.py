from __future__ import annotations

import numpy as np
import pytest

from mandora.core.anatomy import Limb, Side
from mandora.images.radiograph import (
    Radiograph,
    UnreadableFilm,
    check_size,
    checked_spacing_mm,
    rescaled,
)

HASH = "0" * 64


def grey(height: int = 3, width: int = 4) -> np.ndarray:
    return np.linspace(0, 1, height * width, dtype=np.float32).reshape(height, width)


def test_a_radiograph_knows_its_size_and_cannot_be_written_to() -> None:
    film = Radiograph(grey(3, 4), "P1-LH.png", HASH, 0.1, Side.LEFT, Limb.HAND, ("a remark",))
    assert (film.width, film.height, film.shape) == (4, 3, (3, 4))
    with pytest.raises(ValueError, match="read-only"):
        film.pixels[0, 0] = 1
    with pytest.raises(AttributeError):
        film.name = "other.png"  # type: ignore[misc]


def test_pixels_are_contiguous_even_if_a_view_was_given() -> None:
    film = Radiograph(grey().T, "P1-LH.png", HASH)
    assert film.pixels.flags.c_contiguous
    assert film.shape == (4, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": grey().astype(np.float64)}, "float64"),
        ({"pixels": grey()[None]}, "shape"),
        ({"pixels": np.zeros((0, 4), np.float32)}, "shape"),
        ({"pixels": grey() * 2}, r"0\.\.1"),
        ({"pixels": grey() - 1}, r"0\.\.1"),
        ({"pixels": np.full((3, 4), np.nan, np.float32)}, r"0\.\.1"),
        ({"name": "folder/P1-LH.png"}, "without folder"),
        ({"name": ""}, "without folder"),
        ({"sha256": "abc"}, "sha256"),
        ({"spacing_mm": 0.0}, "spacing_mm"),
        ({"spacing_mm": float("nan")}, "spacing_mm"),
    ],
)
def test_a_radiograph_is_valid_from_birth(change: dict[str, object], message: str) -> None:
    fields: dict[str, object] = {"pixels": grey(), "name": "P1-LH.png", "sha256": HASH}
    with pytest.raises(ValueError, match=message):
        Radiograph(**(fields | change))  # type: ignore[arg-type]


def test_size_limits_name_the_size() -> None:
    check_size(64, 64)
    check_size(10_000, 10_000)
    with pytest.raises(UnreadableFilm, match="63 × 500 px"):
        check_size(63, 500)
    with pytest.raises(UnreadableFilm, match="100 megapixels"):
        check_size(10_001, 10_000)


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64]
)
def test_rescaling_uses_the_values_present(dtype: type) -> None:
    levels = np.array([[10, 20], [30, 110]], dtype=dtype)
    assert np.allclose(rescaled(levels), [[0, 0.1], [0.2, 1]], atol=1e-7)
    assert rescaled(levels).dtype == np.float32


def test_rescaling_survives_the_full_range_of_signed_integers() -> None:
    assert rescaled(np.array([[-32768, 32767]], dtype=np.int16)).tolist() == [[0, 1]]


def test_rescaling_keeps_neighbouring_16_bit_levels_apart() -> None:
    ramp = rescaled(np.arange(65536, dtype=np.uint16).reshape(256, 256))
    assert np.unique(ramp).size == 65536


def test_rescaling_refuses_blank_and_broken_pictures() -> None:
    with pytest.raises(UnreadableFilm, match="blank film"):
        rescaled(np.full((4, 4), 7, np.uint16))
    with pytest.raises(UnreadableFilm, match="not numbers"):
        rescaled(np.array([[0.0, np.nan]]))


def test_true_spacing_keeps_what_can_be_true() -> None:
    assert checked_spacing_mm([0.1, 0.1], (2000, 1500)) == (0.1, None)
    assert checked_spacing_mm(["0.144", "0.144"], (2000, 1500)) == (0.144, None)


@pytest.mark.parametrize(
    ("stated", "shape", "why"),
    [
        ([0.1, 0.1], (256, 256), "26 mm long"),
        ([5.0, 5.0], (2000, 1500), "10000 mm long"),
        ([0.1, 0.2], (2000, 1500), "differs"),
        ([0.0, 0.0], (2000, 1500), "not a pair"),
        ([float("nan"), 0.1], (2000, 1500), "not a pair"),
        ([0.1], (2000, 1500), "not a pair"),
        (0.1, (2000, 1500), "not a pair"),
        (["a", "b"], (2000, 1500), "not a pair"),
    ],
)
def test_spacing_is_none_rather_than_wrong(
    stated: object, shape: tuple[int, int], why: str
) -> None:
    spacing_mm, remark = checked_spacing_mm(stated, shape)  # type: ignore[arg-type]
    assert spacing_mm is None
    assert remark is not None
    assert why in remark
