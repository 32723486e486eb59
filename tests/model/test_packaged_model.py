"""The packaged models against the truth: floors that no model passes by chance, or by silence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from mandora.cli.main import app
from mandora.core.anatomy import FAMILIES, SLOTS, TARGET_INDEX, TARGETS, Slot
from mandora.images.radiograph import Radiograph
from mandora.metrics.joints import by_family
from mandora.model.bundle import Bundle, open_bundle, verify_bundle
from mandora.model.packaged import packaged_bundles
from mandora.scoring import EXAMPLE, example_films, example_truth
from mandora.scoring.pipeline import Pipeline
from mandora.simulate.cohort.patients import Patient, draw_patient, simulate_film
from mandora.simulate.xray.render import SimulatedFilm

Floats = NDArray[np.float64]

PATIENTS, SEED, SEVERITY, PIXELS_PER_MM = 8, 2025, 0.7, 4.0
# By family: Pearson's r at least, RMSE in points at most.
FLOORS = {"nh": (0.85, 0.75), "nf": (0.70, 0.95), "eh": (0.80, 0.75), "ef": (0.88, 1.3)}
OFF = 25  # points: the total of one patient with about 100 may be so far off
MOST_MISSING = 0.01  # share of the scores
LEAST_R_OF_TOTALS = 0.95
# shares of the points that lie within so much of the film's longer side
LEAST_WITHIN = {0.01: 0.97, 0.02: 0.99}


@dataclass(frozen=True)
class Outcome:
    """What a model made of N patients.

    Attributes:
        patch: (N, 86) scores of the patches alone; NaN where missing.
        scores: (N, 86) final ones.
        truth: (N, 86).
        away: (N, P) distance of each point from its true place, share of the longer side.
    """

    patch: Floats
    scores: Floats
    truth: Floats
    away: Floats

    def faults(self) -> set[str]:
        """Which floors it does not reach."""
        found = set()
        for family, numbers in by_family(self.scores, self.truth, ("r", "rmse")).items():
            least, most = FLOORS.get(family, (-1.0, np.inf))
            # of a constant r is not defined
            if not (numbers["r"].value or 0.0) >= least:
                found.add(f"r of {family}")
            if not (np.inf if numbers["rmse"].value is None else numbers["rmse"].value) <= most:
                found.add(f"RMSE of {family}")
        totals = np.nansum(self.scores, axis=1), self.truth.sum(axis=1)
        if not (np.ptp(totals[0]) > 0 and np.corrcoef(*totals)[0, 1] >= LEAST_R_OF_TOTALS):
            found.add("r of totals")
        for limit, least in LEAST_WITHIN.items():
            if not np.mean(self.away <= limit) >= least:
                found.add(f"within {limit}")
        if np.isnan(self.scores).mean() > MOST_MISSING:
            found.add("missing")
        return found


EVERY_SCORE = {f"{kind} of {family}" for kind in ("r", "RMSE") for family in FLOORS}


BUNDLES = packaged_bundles()


@pytest.fixture(scope="module", params=BUNDLES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def bundle(name: str) -> Bundle:
    return open_bundle(BUNDLES[name])


@pytest.fixture(scope="module")
def pipeline(bundle: Bundle) -> Pipeline:
    return Pipeline.from_bundle(bundle, 1)


@pytest.fixture(scope="module")
def patients() -> list[tuple[Patient, dict[Slot, SimulatedFilm]]]:
    drawn = [draw_patient(SEED, i, severity=SEVERITY) for i in range(PATIENTS)]
    films = [{s: simulate_film(p, s, pixels_per_mm=PIXELS_PER_MM) for s in SLOTS} for p in drawn]
    return list(zip(drawn, films, strict=True))


@pytest.fixture(scope="module")
def outcome(
    pipeline: Pipeline, patients: list[tuple[Patient, dict[Slot, SimulatedFilm]]]
) -> Outcome:
    patch = np.full((PATIENTS, len(TARGETS)), np.nan)
    truth, away = np.zeros_like(patch), []
    for i, (patient, films) in enumerate(patients):
        truth[i] = [patient.grades[t.key] for t in TARGETS]
        for slot, film in films.items():
            part = pipeline.examine(slot, Radiograph(film.pixels, f"{slot.code}.png", "0" * 64))
            for key, value in part.scores.items():
                patch[i, TARGET_INDEX[key]] = value
            lost = np.full(len(film.landmarks), np.inf)
            off = lost if part.found is None else np.linalg.norm(
                part.found.landmarks - film.landmarks, axis=1
            )  # fmt: skip
            away.append(np.nan_to_num(off, nan=np.inf) / max(film.pixels.shape))
    return Outcome(patch, finished(pipeline, patch), truth, np.reshape(np.concatenate(away), -1))


def finished(pipeline: Pipeline, patch: Floats) -> Floats:
    """(N, 86) final scores of those of the patches, as :meth:`Pipeline.score` makes them."""
    return np.stack([pipeline.blended(row, pipeline.expected(row)) for row in patch])


def test_the_packaged_model_is_above_every_floor(outcome: Outcome) -> None:
    assert outcome.faults() == set()


def test_a_constant_scorer_is_below_every_floor(outcome: Outcome, pipeline: Pipeline) -> None:
    # the best constants that there are: each family's mean
    patch = np.zeros_like(outcome.patch)
    for (limb, damage), _ in FAMILIES.items():
        of = [i for i, t in enumerate(TARGETS) if (t.limb, t.damage) == (limb, damage)]
        patch[:, of] = outcome.truth[:, of].mean()
    constant = replace(outcome, patch=patch, scores=finished(pipeline, patch))
    assert constant.faults() == EVERY_SCORE | {"r of totals"}


def test_a_scorer_that_mistakes_joints_for_one_another_is_below_every_floor(
    outcome: Outcome, pipeline: Pipeline
) -> None:
    patch, rng = outcome.patch.copy(), np.random.default_rng(1)
    for limb, damage in FAMILIES:
        of = np.array([i for i, t in enumerate(TARGETS) if (t.limb, t.damage) == (limb, damage)])
        patch[:, of] = patch[:, rng.permutation(of)]
    shuffled = replace(outcome, patch=patch, scores=finished(pipeline, patch))
    assert shuffled.faults() == EVERY_SCORE
    # a patient's total hides it


def test_a_model_that_mistakes_patients_for_one_another_is_below_every_floor(
    outcome: Outcome, pipeline: Pipeline
) -> None:
    patch = np.roll(outcome.patch, 1, axis=0)
    mistaken = replace(outcome, patch=patch, scores=finished(pipeline, patch))
    assert mistaken.faults() == EVERY_SCORE | {"r of totals"}


def test_a_localiser_that_is_off_by_3_percent_is_below_the_floors(outcome: Outcome) -> None:
    # a shift of 0.03 less what it was off is still more than 0.02 for nearly all
    assert np.quantile(outcome.away, 0.93) < 0.01
    assert replace(outcome, away=0.03 - outcome.away).faults() == {"within 0.01", "within 0.02"}


def test_joints_that_are_lost_are_told(outcome: Outcome) -> None:
    scores = outcome.scores.copy()
    scores[:, 0] = np.nan
    assert replace(outcome, scores=scores).faults() == {"missing"}


def test_the_example_is_scored_as_it_is(pipeline: Pipeline) -> None:
    truth = example_truth()
    assert set(truth) == set(TARGET_INDEX)
    films = dict(zip(SLOTS, example_films(), strict=True))
    result = pipeline.score(EXAMPLE, films).result
    scores = {s.target: s.score for s in result.scores}
    assert None not in scores.values()
    pairs = np.array([(scores[key], truth[key]) for key in truth], float)
    total, true = pairs.sum(axis=0)
    assert true == 114
    assert abs(total - true) < OFF
    assert np.corrcoef(pairs.T)[0, 1] > 0.9
    # all at their mean would make the same total, and the joints of another side nearly so
    assert np.sqrt(np.mean((pairs[:, 0] - pairs[:, 1]) ** 2)) < 0.7 < pairs[:, 1].std() / 1.5


def test_the_example_is_shown_beside_its_truth(name: str, tmp_path: Path) -> None:
    words = ["score", "--example", "--out", str(tmp_path / "out"), "--bundle", name]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    row, true = (
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in done.stdout.splitlines()
        if line.startswith(("│ EXAMPLE", "│ its true scores"))
    )
    assert true == ["its true scores", "", "", "61.0", "53.0", "114.0"]
    assert abs(float(row[-1].split()[0]) - float(true[-1])) < OFF
    truth = example_truth()
    line = next(k for k in done.stdout.splitlines() if k.startswith("│ hand mcp1 "))
    for side, kind in (("L", "narrowing"), ("L", "erosion"), ("R", "narrowing"), ("R", "erosion")):
        assert f"({truth[f'{side}H-mcp1:{kind}']:g})" in line


def test_the_packaged_bundle_is_sound(name: str, bundle: Bundle) -> None:
    assert verify_bundle(bundle.folder) == []
    done = CliRunner().invoke(app, ["bundle", "verify", name])
    assert done.exit_code == 0, done.output
    assert bundle.manifest.card in bundle.manifest.files


def test_all_packaged_models_are_small_and_told_apart() -> None:
    bundles = [open_bundle(folder) for folder in BUNDLES.values()]
    size = sum(p.stat().st_size for folder in BUNDLES.values() for p in folder.iterdir())
    assert size < 15e6
    assert len({bundle.manifest.name for bundle in bundles}) == len(bundles)
    assert next(iter(BUNDLES)) == "default"


def test_the_open_model_may_be_used_by_anybody() -> None:
    if "open" not in BUNDLES:
        pytest.skip("this package has no model `open`")
    assert open_bundle(BUNDLES["open"]).manifest.licence.spdx == "Apache-2.0"
