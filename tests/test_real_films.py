"""The packaged model on real films: floors that a change must not fall through.

The films stay outside the repository; without them these tests are skipped. The figures of a
whole set are printed by ``benchmarks/locate_real_films.py``.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARK_INDEX, JointGroup, Limb, Side, Slot, landmark
from mandora.core.records import Status
from mandora.images.read import read_radiograph
from mandora.model.bundle import default_bundle, open_bundle
from mandora.scoring.pipeline import Pipeline

pytestmark = pytest.mark.films

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.from_bundle(open_bundle(default_bundle()))


def known_films(
    folder: Path, name: str, limb: Limb
) -> Iterator[tuple[Path, dict[str, np.ndarray]]]:
    """Films of one set with one limb, and where its joints are; no adult of the test half."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        parts = import_module("real_films").parts_of(folder)
    joints: dict[str, dict[str, dict[str, np.ndarray]]] = defaultdict(lambda: defaultdict(dict))
    with (folder / "joints.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            place = np.array([float(row["x"]), float(row["y"])])
            joints[row["film"]][row["limb"]].setdefault(row["site"], place)
    with (folder / "films.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            limbs = list(joints[row["film"]].values())
            fits = row["set"] == name and row["body_part"] == limb and len(limbs) == 1
            if fits and parts[row["film"]] != "test":
                yield folder / row["file"], limbs[0]


def distances(
    pipeline: Pipeline, films: Path, name: str, limb: Limb, group: JointGroup, most: int
) -> np.ndarray:
    """Errors as shares of the film's width and height; inf for a joint that was not found."""
    errors = []
    for path, joints in list(known_films(films, name, limb))[:most]:
        film = read_radiograph(path)
        found = pipeline.locate(film, limb).landmarks
        for site, place in joints.items():
            if site in LANDMARK_INDEX[limb] and landmark(limb, site).group is group:
                step = (found[LANDMARK_INDEX[limb][site]] - place) / [film.width, film.height]
                errors.append(float(np.hypot(*step)))
    return np.nan_to_num(np.array(errors), nan=np.inf)


@pytest.mark.parametrize(
    ("name", "limb", "group", "floor"),
    [
        ("dha", Limb.HAND, JointGroup.FINGER, 0.95),
        ("dha", Limb.HAND, JointGroup.WRIST, 0.95),
        ("rsna", Limb.HAND, JointGroup.FINGER, 0.90),
        ("rsna", Limb.HAND, JointGroup.WRIST, 0.90),
        ("unifesp", Limb.FOOT, JointGroup.TOE, 0.90),
        # of adults one flexed hand on a splint is refused
        ("unifesp", Limb.HAND, JointGroup.FINGER, 0.92),
        ("unifesp", Limb.HAND, JointGroup.WRIST, 0.92),
    ],
)
def test_most_joints_of_real_films_are_found_within_a_twentieth_of_the_film(
    pipeline: Pipeline, films: Path, name: str, limb: Limb, group: JointGroup, floor: float
) -> None:
    errors = distances(pipeline, films, name, limb, group, most=25)
    assert len(errors) >= 20
    assert np.mean(errors < 0.05) >= floor


def test_the_side_of_real_left_hands_is_recognised(pipeline: Pipeline, films: Path) -> None:
    views = [
        pipeline.locate(read_radiograph(path), Limb.HAND).orientation.side
        for path, _ in list(known_films(films, "rsna", Limb.HAND))[:25]
    ]
    assert views.count(Side.LEFT) >= 24


def test_a_real_hand_is_scored_with_evidence_for_every_score(
    pipeline: Pipeline, films: Path
) -> None:
    path, _ = next(known_films(films, "dha", Limb.HAND))
    study = pipeline.score("study", {Slot(Side.LEFT, Limb.HAND): path})
    scored = [s for s in study.result.scores if s.status is Status.SCORED]
    assert len(scored) == 31
    assert set(study.evidence[path.name]) == set(LANDMARK_INDEX[Limb.HAND])
