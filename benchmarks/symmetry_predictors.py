"""What the trees look at: does it hang on the patch scores, the number of patients, or the labels?

    python benchmarks/symmetry_predictors.py [SEED]

No films: simulated patients' true grades, and patch scores that are these grades with noise, as
exact as networks are. For each number of patients that train the trees and each noise: r of the
patch scores, for how many of the 43 sites the strongest predictor is the joint's own patch score,
and for how many the counterpart joint leads the other side's.
"""

from __future__ import annotations

import sys

import numpy as np

from mandora.core.anatomy import SITES, TARGETS
from mandora.core.settings import SymmetrySettings
from mandora.metrics.explain import mean_contributions
from mandora.metrics.joints import measure
from mandora.simulate.cohort.patients import draw_patient
from mandora.training.symmetry import train_forest

MAXIMA = np.array([t.maximum for t in TARGETS], dtype=float)
EXPLAINED = 40  # patients
TREES = SymmetrySettings(trees=100, threads=1)


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 31
    rng = np.random.default_rng(seed)
    print("   r  patients  own joint leads  counterpart leads other side")
    labels = np.array([
        [draw_patient(seed, i).grades[t.key] for t in TARGETS] for i in range(EXPLAINED + 600)
    ], dtype=float)  # fmt: skip
    for noise in (0.0, 0.1, 0.2):
        spread = noise * MAXIMA * (0.3 + (labels > 0))  # errors are larger where there is damage
        patch = np.clip(labels + rng.normal(0, 1, labels.shape) * spread, 0, MAXIMA)
        r = measure(patch, labels, ("r",))["r"].value
        for patients in (30, 120, 600):
            some = slice(EXPLAINED, EXPLAINED + patients)
            forest = train_forest(patch[some], labels[some], TREES)
            made = mean_contributions(forest, patch[:EXPLAINED])
            every = np.hstack([made.same, made.other])
            own = (np.diagonal(made.same) >= np.nan_to_num(every).max(axis=1)).sum()
            there = (np.diagonal(made.other) >= np.nan_to_num(made.other).max(axis=1)).sum()
            print(f"{r:.2f}  {patients:>8}  {own:>9} of {len(SITES)}  {there:>17} of {len(SITES)}",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
