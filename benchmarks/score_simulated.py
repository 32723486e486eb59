"""How well scores of a simulated cohort agree with the truth.

    mandora simulate --patients 40 --seed 4 --out COHORT
    mandora score COHORT --out OUT
    python benchmarks/score_simulated.py COHORT OUT

Prints, for each family of targets and for the totals, the number of patients and scores, Pearson's
r with a 95 % interval (bootstrap over patients) and the root mean square error. Patients must be
others than those that trained the model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from mandora.core.anatomy import TARGETS
from mandora.datasets.formats.ra2.tables import read_scores

DRAWS = 1000


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    truth = read_scores(Path(sys.argv[1]) / "training.csv")
    found = read_scores(Path(sys.argv[2]) / "scores.csv")
    patients = [p for p in truth if p in found]
    keys = [t.key for t in TARGETS]
    wanted = np.array([[truth[p][key] for key in keys] for p in patients])
    got = np.array([[found[p][key] for key in keys] for p in patients])
    print(f"{'':<6} {'patients':>8} {'scores':>6} {'r':>6} {'95 %':>13} {'RMSE':>6}")
    for code in ("nh", "nf", "eh", "ef"):
        columns = [i for i, t in enumerate(TARGETS) if t.site.code.startswith(code)]
        row(code, wanted[:, columns], got[:, columns])
    row("total", wanted.sum(axis=1, keepdims=True), got.sum(axis=1, keepdims=True))


def row(name: str, wanted: np.ndarray, got: np.ndarray) -> None:
    known = np.isfinite(got)
    rng = np.random.default_rng(0)
    draws = [agreement(wanted, got, rng.integers(len(wanted), size=len(wanted)))
             for _ in range(DRAWS)]  # fmt: skip
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    error = np.sqrt(np.mean((wanted - got)[known] ** 2))
    r = agreement(wanted, got, np.arange(len(wanted)))
    counts = f"{len(wanted):>8} {known.sum():>6}"
    print(f"{name:<6} {counts} {r:>6.3f} {low:>6.3f}-{high:.3f} {error:>6.3f}")


def agreement(wanted: np.ndarray, got: np.ndarray, rows: np.ndarray) -> float:
    """Pearson's r over the scores of some patients; NaN where it is not defined."""
    a, b = wanted[rows].ravel(), got[rows].ravel()
    known = np.isfinite(b)
    if known.sum() < 3 or not np.ptp(a[known]) or not np.ptp(b[known]):
        return float("nan")
    return float(np.corrcoef(a[known], b[known])[0, 1])


if __name__ == "__main__":
    main()
