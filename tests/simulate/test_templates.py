"""The templates of limbs that the package holds are the means of the simulator's skeletons.

Run as a program, this file writes ``templates.json`` anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import mandora
from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, LIMB_SIZE_ENDS, Limb
from mandora.locate.template import limb_template
from mandora.simulate.anatomy.skeleton import Traits
from mandora.simulate.cohort.patients import BUILD


def mean_of_skeletons(limb: Limb) -> NDArray[np.float64]:
    """(N, 2) mean of the landmarks of 200 left limbs, centred, in limb sizes, four decimals."""
    shapes = []
    for index in range(200):
        shape_rng, film_rng = np.random.default_rng([index]), np.random.default_rng([index, 2])
        skeleton = BUILD[limb](Traits(), {}, shape_rng, film_rng)
        shapes.append((skeleton.landmarks - skeleton.landmarks.mean(axis=0)) / skeleton.size_mm)
    mean = np.mean(shapes, axis=0)
    # the mean of shapes of size 1 is a little smaller
    first, last = (mean[LANDMARK_INDEX[limb][name]] for name in LIMB_SIZE_ENDS[limb])
    return np.asarray(mean / np.linalg.norm(first - last)).round(4)


@pytest.mark.parametrize("limb", list(Limb))
def test_a_template_is_the_mean_of_simulated_skeletons(limb: Limb) -> None:
    # another CPU may round the fourth decimal the other way
    np.testing.assert_allclose(limb_template(limb), mean_of_skeletons(limb), atol=1.1e-4)


def write() -> None:
    """One line for each landmark, so that a change is easy to read."""
    limbs = []
    for limb in Limb:
        places = zip(LANDMARKS[limb], mean_of_skeletons(limb).tolist(), strict=True)
        lines = ",\n".join(f'  "{landmark.name}": {place}' for landmark, place in places)
        limbs.append(f' "{limb}": {{\n{lines}\n }}')
    path = Path(mandora.__file__).parent / "locate" / "templates.json"
    path.write_text("{\n" + ",\n".join(limbs) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write()
