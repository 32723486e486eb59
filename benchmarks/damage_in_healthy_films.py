"""How much damage the model sees where there is none: mean scores of healthy joints.

    python benchmarks/damage_in_healthy_films.py OUT [PREFIX]

OUT is a folder that ``mandora score`` wrote; only films whose name starts with PREFIX count.
Prints, per joint group and kind of damage, the number of joints, the mean score and the share
of joints with grade 2 or more.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from mandora.anatomy import FAMILIES


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    prefix = sys.argv[2] if len(sys.argv) == 3 else ""
    groups = {
        (limb[0].upper(), site.name, kind): site.group
        for (limb, kind), sites in FAMILIES.items()
        for site in sites
    }
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    films = set()
    with (Path(sys.argv[1]) / "joints.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["status"] != "scored" or not row["film"].startswith(prefix):
                continue
            films.add(row["film"])
            limb = row["film"].rsplit("-", 1)[-1][1].upper()
            scores[groups[limb, row["site"], row["kind"]], row["kind"]].append(float(row["score"]))
    print(f"{len(films)} films")
    print(f"{'group':<8} {'kind':<10} {'joints':>6} {'mean':>6} {'grade>=2':>8}")
    for (group, kind), values in sorted(scores.items()):
        v = np.array(values)
        print(f"{group:<8} {kind:<10} {len(v):>6} {v.mean():>6.2f} {np.mean(v >= 1.5):>8.3f}")


if __name__ == "__main__":
    main()
