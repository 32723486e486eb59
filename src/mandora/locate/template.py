"""The template of a limb: the mean shape of its landmarks.

``templates.json`` holds the values: the mean of 200 simulated skeletons without damage. If the
skeletons in :mod:`mandora.simulate.anatomy` change, ``python tests/simulate/test_templates.py``
writes the file anew; the test of the same name compares the two.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np

from mandora.core.anatomy import LANDMARKS, Limb
from mandora.core.geometry import Points


@cache
def limb_template(limb: Limb) -> Points:
    """The template of a left limb that is seen upright.

    Args:
        limb: hand or foot.

    Returns:
        (N, 2) float64, read-only, (x, y), y downwards, order of ``anatomy.LANDMARKS[limb]``. The
        mean of all landmarks is 0; the unit is the limb size, the distance from MCP2 to MCP5 or
        from MTP1 to MTP5. Four decimals, as in bundles.
    """
    text = files("mandora.locate").joinpath("templates.json").read_text(encoding="utf-8")
    by_name = json.loads(text)[limb]
    shape = np.array([by_name[landmark.name] for landmark in LANDMARKS[limb]], np.float64)
    shape.flags.writeable = False
    return shape
