"""Which predictors lead in the trees, by number of patients and by exactness of the patch scores.

    python benchmarks/symmetry_predictors.py [--seed N] [--patients N…] [--trees N]

No films: simulated patients' true grades, and patch scores that are these grades with noise of
three strengths. For each noise and each number of patients that train the trees: r of the patch
scores, for how many of the 43 sites the strongest predictor is the joint's own patch score, and
for how many the counterpart joint leads the other side's.
"""

from __future__ import annotations

import argparse

import numpy as np

from mandora.core.anatomy import SITES, TARGETS
from mandora.core.settings import SymmetrySettings
from mandora.metrics.explain import Contributions, mean_contributions
from mandora.metrics.joints import measure
from mandora.simulate.cohort.patients import draw_patient
from mandora.training.symmetry import train_forest

MAXIMA = np.array([t.maximum for t in TARGETS], dtype=float)
EXPLAINED = 40  # patients


def leading(made: Contributions) -> tuple[int, int]:
    """Sites whose own joint leads all predictors; and whose counterpart leads the other side's."""
    every = np.nan_to_num(np.hstack([made.same, made.other]))
    own = np.diagonal(made.same) >= every.max(axis=1)
    there = np.diagonal(made.other) >= np.nan_to_num(made.other).max(axis=1)
    return int(own.sum()), int(there.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--patients", type=int, nargs="+", default=[30, 120, 600])
    parser.add_argument("--trees", type=int, default=100)
    args = parser.parse_args()
    settings = SymmetrySettings(trees=args.trees, threads=1)
    rng = np.random.default_rng(args.seed)
    print("   r  patients  own joint leads  counterpart leads other side")
    drawn = (draw_patient(args.seed, i) for i in range(EXPLAINED + max(args.patients)))
    labels = np.array([[patient.grades[t.key] for t in TARGETS] for patient in drawn], dtype=float)
    for noise in (0.0, 0.1, 0.2):
        spread = noise * MAXIMA * (0.3 + (labels > 0))  # errors are larger where there is damage
        patch = np.clip(labels + rng.normal(0, 1, labels.shape) * spread, 0, MAXIMA)
        r = measure(patch, labels, ("r",))["r"].value
        for patients in args.patients:
            some = slice(EXPLAINED, EXPLAINED + patients)
            forest = train_forest(patch[some], labels[some], settings)
            own, there = leading(mean_contributions(forest, patch[:EXPLAINED]))
            print(f"{r:.2f}  {patients:>8}  {own:>9} of {len(SITES)}  {there:>17} of {len(SITES)}",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
