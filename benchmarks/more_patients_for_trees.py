"""Would the trees of a reproduction do better with more patients?

    python benchmarks/more_patients_for_trees.py REPRODUCTION [--trees N]

Each patient of a k-fold reproduction was tested once by networks that had not seen them. Here the
trees of a fold are grown on the test scores of all other folds (nine tenths of the patients,
scored by other networks) instead of on three tenths. Printed, at true joints: mean over folds of
r of patch scores and of the blend, with few and with many patients; then for how many of the 43
sites the own joint is the strongest predictor, and the counterpart joint of the other side's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from symmetry_predictors import leading

from mandora.core.anatomy import SITES, TARGETS
from mandora.core.settings import SymmetrySettings
from mandora.metrics import GROUPS
from mandora.metrics.explain import Contributions, mean_contributions
from mandora.metrics.joints import measure
from mandora.symmetry.forest import blend
from mandora.training.symmetry import train_forest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reproduction", type=Path, help="the folder of a finished reproduction")
    parser.add_argument("--trees", type=int, default=100)
    args = parser.parse_args()
    settings = SymmetrySettings(trees=args.trees, threads=1)
    folds = sorted((args.reproduction / "jobs").glob("fold-*/trees/trees.npz"))
    tested = [dict(np.load(path, allow_pickle=False)) for path in folds]
    r: dict[str, list[list[float]]] = {name: [] for name in ("patch", "few", "many")}
    parts = []
    for i, fold in enumerate(tested):
        others = [one for j, one in enumerate(tested) if j != i]
        patch, truth = (
            np.concatenate([one[key] for one in others]) for key in ("true_patch", "official")
        )
        forest = train_forest(patch, truth, settings)
        many = blend(fold["true_patch"], forest.predict(fold["true_patch"]), 0.5)
        for name, table in (
            ("patch", fold["true_patch"]), ("few", fold["true_blend"]), ("many", many),
        ):  # fmt: skip
            r[name].append([
                measure(table[:, list(g)], fold["official"][:, list(g)], ("r",))["r"].value
                for g in map(GROUPS.__getitem__, ("nh", "eh", "nf", "ef"))
            ])  # fmt: skip
        parts.append(mean_contributions(forest, fold["true_patch"]))
    print(f"{len(TARGETS)} targets, trees on {len(patch)} patients; r of nh, eh, nf, ef")
    for name, values in r.items():
        print(f"{name:>6}", *(f"{v:.3f}" for v in np.nanmean(values, axis=0)))
    own, there = leading(Contributions.pooled(parts))
    print(f"own joint leads: {own} of {len(SITES)}; counterpart leads the other side: {there}")


if __name__ == "__main__":
    main()
