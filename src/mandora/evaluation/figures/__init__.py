"""The figures of the paper, and those that go beyond it.

Each function takes plain arrays and gives a :class:`matplotlib.figure.Figure`; :func:`save`
writes it as PNG, SVG and PDF. Nothing here reads a file or computes a result: what is printed
in a figure is what it was given, except box plots, limits of agreement and counts of grades,
which are pictures of the data themselves. What has no value is drawn as missing, with the
reason. Needs matplotlib (``pip install 'mandora[train]'``).
"""

from mandora.evaluation.figures.cohort import LearningCurve, learning_curves, severity_bars
from mandora.evaluation.figures.comparison import FoldValues, PairTest, comparison
from mandora.evaluation.figures.joint_maps import correlation_maps, shap_maps
from mandora.evaluation.figures.localisation import (
    LocatedExample,
    localisation,
    localisation_examples,
)
from mandora.evaluation.figures.predictors import shap_bars
from mandora.evaluation.figures.readers import (
    GradePanel,
    LimitTest,
    ReaderPanel,
    bland_altman,
    confusion,
    human_limit,
)
from mandora.evaluation.figures.style import Estimate, save

__all__ = [
    "Estimate",
    "FoldValues",
    "GradePanel",
    "LearningCurve",
    "LimitTest",
    "LocatedExample",
    "PairTest",
    "ReaderPanel",
    "bland_altman",
    "comparison",
    "confusion",
    "correlation_maps",
    "human_limit",
    "learning_curves",
    "localisation",
    "localisation_examples",
    "save",
    "severity_bars",
    "shap_bars",
    "shap_maps",
]
