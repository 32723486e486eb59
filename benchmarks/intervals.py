"""How many true grades the intervals hold on patients that they were not measured on.

    python benchmarks/intervals.py DATASET… [--bundle DIR] [--level 0.9] [--splits 20]

Each DATASET is one that `mandora evaluate` reads, of patients who trained nothing: simulated ones,
or real films with inflicted damage (``inflicted_films_data_set.py``). Its films are scored once.
Then its patients are split into halves by chance, many times; intervals are measured on one half of
all data sets, and on the other half it is counted how many true grades they hold. A row is the mean
over splits: joints of one kind of truth of one data set, the share that is held, and how many
grades an interval has. ``damage`` is grade 1 or more, then come the thirds of the maximum.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mandora.datasets.layouts import open_dataset
from mandora.evaluation.assess import assess
from mandora.metrics.conformal import Labelled, calibrate, coverage
from mandora.model.bundle import default_bundle, open_bundle
from mandora.scoring.pipeline import Pipeline

KINDS = ("all", "damage", "zero", "low", "middle", "high")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--bundle", type=Path, help="a model other than the packaged one")
    parser.add_argument("--level", type=float, default=0.9)
    parser.add_argument("--splits", type=int, default=20)
    args = parser.parse_args()
    pipeline = Pipeline.from_bundle(open_bundle(args.bundle or default_bundle()))
    measured = [labelled(pipeline, path) for path in args.datasets]
    print_held(measured, args.level, args.splits)


def labelled(pipeline: Pipeline, path: Path) -> Labelled:
    """The scores and labels of a data set."""
    dataset = open_dataset(path)
    scores = assess(pipeline, dataset, lambda *_: None, print).scores
    name = dataset.name
    return Labelled(name, scores["predicted_blend"], scores["official"])


def print_held(measured: Sequence[Labelled], level: float, splits: int) -> None:
    """The table of all data sets."""
    found: dict[tuple[str, str, str], list[tuple[float, float, float]]] = defaultdict(list)
    for seed in range(splits):
        rng = np.random.default_rng(seed)
        halves = [halved(data, rng) for data in measured]
        intervals = calibrate([first for first, _ in halves], level)
        for _, second in halves:
            for words, kind, joints, held, _, _, size in coverage(
                intervals, second.scores, second.truth
            ):
                if held is not None and kind in KINDS:
                    found[second.name, words, kind].append((joints, held, size))
    print(f"level {level:g}, mean of {splits} splits")
    print(f"{'data set':<20}{'targets':<20}{'truth':<8}{'joints':>8}{'held':>7}{'size':>6}")
    for (name, words, kind), values in found.items():
        joints, held, size = np.mean(values, axis=0)
        print(f"{name[:19]:<20}{words:<20}{kind:<8}{joints:>8.0f}{held:>7.3f}{size:>6.2f}")


def halved(data: Labelled, rng: np.random.Generator) -> tuple[Labelled, Labelled]:
    """Two halves of the patients."""
    order = rng.permutation(len(data.scores))
    half = len(order) // 2
    first, second = (
        Labelled(data.name, data.scores[rows], data.truth[rows])
        for rows in (order[:half], order[half:])
    )
    return first, second


if __name__ == "__main__":
    main()
