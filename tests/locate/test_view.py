from __future__ import annotations

import numpy as np
import pytest

from mandora.core.anatomy import Limb
from mandora.locate.template import limb_template
from mandora.locate.view import relative_width

FOOT = limb_template(Limb.FOOT)


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.asarray(points @ np.array([[cos, -sin], [sin, cos]]).T)


@pytest.mark.parametrize("degrees", [0, 35, 90, 200])
@pytest.mark.parametrize("mirror", [1, -1])
def test_a_limb_that_is_narrowed_is_as_much_narrower_however_it_lies(
    degrees: float, mirror: int
) -> None:
    narrow = turned(FOOT * [0.8 * mirror, 1], degrees) * 120 + [300, 400]
    assert relative_width(narrow, FOOT) == pytest.approx(0.8)
    narrow[0] = np.nan
    assert relative_width(narrow, FOOT) == pytest.approx(0.8)


def test_three_landmarks_and_those_at_one_place_say_nothing() -> None:
    few = FOOT.copy()
    few[3:] = np.nan
    assert relative_width(few, FOOT) is None
    assert relative_width(np.ones_like(FOOT), FOOT) is None
