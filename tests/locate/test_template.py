"""The template of a limb is centred, of size 1, and shared by all callers."""

from __future__ import annotations

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, LIMB_SIZE_ENDS, Limb
from mandora.locate.template import limb_template


@pytest.mark.parametrize("limb", list(Limb))
def test_a_template_is_centred_and_of_unit_size(limb: Limb) -> None:
    shape = limb_template(limb)
    assert shape.shape == (len(LANDMARKS[limb]), 2)
    np.testing.assert_allclose(shape.mean(axis=0), 0, atol=1e-4)
    first, last = (shape[LANDMARK_INDEX[limb][name]] for name in LIMB_SIZE_ENDS[limb])
    assert np.linalg.norm(first - last) == pytest.approx(1, abs=2e-4)
    assert first[0] > last[0], "index finger and great toe lie to the right of the little one"


def test_a_template_is_read_once_and_cannot_be_changed() -> None:
    assert limb_template(Limb.FOOT) is limb_template(Limb.FOOT)
    with pytest.raises(ValueError, match="read-only"):
        limb_template(Limb.FOOT)[0] = 0
