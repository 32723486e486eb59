"""Thresholds that are set from films that show a limb and films that do not."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from mandora.cli.main import app
from mandora.core.anatomy import LANDMARKS, JointGroup, Limb
from mandora.core.settings import SimulateSettings
from mandora.datasets.layouts import open_dataset
from mandora.evaluation.thresholds import (
    LEAST_FILMS,
    Fits,
    Pictures,
    _part,
    fits_of,
    noise_pictures,
    thresholds_from,
)
from mandora.images.read import read_radiograph
from mandora.locate.locator import FoundLandmarks
from mandora.locate.orientation import Orientation
from mandora.locate.template import limb_template
from mandora.model.bundle import open_bundle
from mandora.model.contract import DEFAULT_THRESHOLDS
from mandora.scoring.pipeline import Pipeline
from mandora.simulate.cohort.folder import simulate_cohort

HAND = DEFAULT_THRESHOLDS[Limb.HAND]
OTHERS = 12


def fits(own: object, others: object, noise: object = (0.1, 0.2)) -> Fits:
    return Fits(*(np.asarray(sample, np.float64) for sample in (own, others, noise)))


# ── the rule ─────────────────────────────────────────────────────────────────────────────


def test_thresholds_lie_between_what_is_a_limb_and_what_is_none() -> None:
    made = thresholds_from(fits(np.linspace(0.6, 0.9, 31), np.linspace(0.1, 0.4, 20)), HAND)
    assert made.least_fit == pytest.approx(0.45)  # a quarter of the way from 0.4 to 0.6
    assert made.clear_fit == pytest.approx(0.5)
    assert made.sure_fit == pytest.approx(0.63)  # nine tenths reach it
    kept = made.model_dump(exclude={"least_fit", "clear_fit", "sure_fit"})
    assert kept == HAND.model_dump(exclude={"least_fit", "clear_fit", "sure_fit"})


def test_noise_counts_as_what_is_no_limb() -> None:
    made = thresholds_from(fits(np.full(20, 0.8), np.full(20, 0.2), [0.6]), HAND)
    assert made.least_fit == pytest.approx(0.65)


def test_a_few_films_that_overlap_do_not_move_the_gap() -> None:
    own = [0.2, *np.linspace(0.6, 0.9, 30)]
    others = [0.75, *np.linspace(0.1, 0.4, 30)]
    made = thresholds_from(fits(own, others), HAND)
    assert made.least_fit == pytest.approx(0.45)
    assert made.clear_fit == pytest.approx(0.5), "one film does not set it"
    assert made.sure_fit == pytest.approx(np.quantile(own, 0.1), abs=1e-3)


def test_more_than_a_few_others_raise_what_is_clear() -> None:
    others = [*np.linspace(0.1, 0.4, 28), 0.7, 0.75]
    made = thresholds_from(fits(np.linspace(0.6, 0.9, 31), others), HAND)
    assert 0.5 < made.clear_fit <= made.sure_fit


def test_parts_lower_what_counts_as_a_limb_and_not_what_is_a_good_view() -> None:
    whole = fits(np.linspace(0.7, 0.9, 31), np.linspace(0.1, 0.4, 20))
    made = thresholds_from(replace(whole, parts=np.linspace(0.52, 0.7, 15)), HAND)
    assert made.least_fit == pytest.approx(0.43)  # a quarter of the way from 0.4 to 0.52
    assert made.clear_fit == pytest.approx(0.46)
    assert made.sure_fit == thresholds_from(whole, HAND).sure_fit == pytest.approx(0.72)


@pytest.mark.parametrize("limb", list(Limb))
def test_a_part_lacks_the_fingers_or_the_toes(limb: Limb) -> None:
    marks, template = LANDMARKS[limb], limb_template(limb)
    places = template * 100 + (150, 200)
    found = FoundLandmarks(
        limb, Orientation(), places, np.ones(len(marks)), (None,) * len(marks), 1.0
    )
    rows = np.repeat(np.arange(400, dtype=np.float32)[:, None], 300, axis=1)
    part = _part(rows, found)
    first, last = part[0, 0], part[-1, 0]
    inside = (places[:, 1] > first) & (places[:, 1] < last)
    lost = {mark.name for mark, seen in zip(marks, inside, strict=True) if not seen}
    fingers = {mark.name for mark in marks if mark.group is JointGroup.FINGER}
    assert lost == (fingers if limb is Limb.HAND else {"ip"})
    with pytest.raises(ValueError, match="its joints are not found"):
        _part(rows, replace(found, landmarks=np.full_like(places, np.nan)))


def test_what_cannot_be_told_apart_sets_nothing() -> None:
    alike = np.linspace(0.2, 0.9, 30)
    with pytest.raises(ValueError, match=r"no threshold .* of the 30 films that show it"):
        thresholds_from(fits(alike, alike), HAND)


@pytest.mark.parametrize(("own", "others"), [(LEAST_FILMS - 1, 50), (50, LEAST_FILMS - 1), (0, 0)])
def test_too_few_films_set_nothing(own: int, others: int) -> None:
    with pytest.raises(ValueError, match=rf"{own} films show it and {others} something else"):
        thresholds_from(fits(np.full(own, 0.9), np.full(others, 0.1)), HAND)


def test_noise_is_the_same_each_time_and_of_every_grain() -> None:
    pictures, again = list(noise_pictures()), list(noise_pictures())
    for one, other in zip(pictures, again, strict=True):
        assert (one.shape, one.dtype) == ((900, 720), np.float32)
        assert (one.min() >= 0, one.max() <= 1) == (True, True)
        np.testing.assert_array_equal(one, other)
    steps = [float(np.abs(np.diff(one, axis=1)).mean()) for one in pictures]
    assert steps == sorted(steps, reverse=True), "from fine to coarse"


# ── the command ──────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of ten films of hands."""
    folder = tmp_path_factory.mktemp("hands")
    simulate_cohort(SimulateSettings(patients=5, seed=5, pixels_per_mm=2), folder / "sim")
    rows = [["film", "patient", "side", "limb"]]
    rows += [
        [str(path), path.stem[:-3], path.stem[-2], "hand"]
        for path in sorted((folder / "sim").glob("SIM*-?H.jpg"))
    ]
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "manifest.csv"


@pytest.fixture
def others(noise_film: Callable[[Path], Path], tmp_path: Path) -> Path:
    """A folder of films that show neither hand nor foot."""
    folder = tmp_path / "others"
    folder.mkdir()
    first = noise_film(folder / "0.png")
    for i in range(1, OTHERS):
        shutil.copy(first, folder / f"{i}.png")
    return folder


def calibrate(*words: object) -> Result:
    return CliRunner().invoke(app, ["bundle", "calibrate", *map(str, words), "--threads", "1"])


def test_a_bundle_is_given_thresholds_that_separate(
    tiny_bundle: Path, hands: Path, others: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # coarse noise looks like a limb to the tiny model
    monkeypatch.setattr("mandora.evaluation.thresholds._NOISE_CELLS", (720,))
    out = tmp_path / "out"
    shown = calibrate(tiny_bundle, hands, "--only", "thresholds", "--other", others, "--out", out)
    assert shown.exit_code == 0, shown.output
    assert "the thresholds of the foot stay as they are: 0 films show it" in shown.stderr
    made, before = open_bundle(out), open_bundle(tiny_bundle)
    thresholds = made.manifest.contract.locate.thresholds
    assert thresholds[Limb.FOOT] == before.manifest.contract.locate.thresholds[Limb.FOOT]
    hand = thresholds[Limb.HAND]
    assert hand.measured_on is not None
    assert "10 films of a hand, " in hand.measured_on
    assert f"parts of them, {OTHERS} of something else and 1 pictures" in hand.measured_on
    assert hand.measured_on in shown.stdout
    card = made.path("card.md").read_text(encoding="utf-8")
    assert hand.measured_on in card
    assert "The thresholds of the foot are defaults" in card
    assert made.manifest.contract.intervals is None
    pipeline = Pipeline.from_bundle(made, 1)
    for film in open_dataset(hands).films:
        found = pipeline.locate(read_radiograph(film.path), Limb.HAND, film.slot.side)
        assert found.fit >= hand.least_fit
        assert np.isfinite(found.landmarks).any()
    nothing = pipeline.locate(read_radiograph(others / "0.png"), Limb.HAND)
    assert nothing.fit < hand.least_fit
    assert np.isnan(nothing.landmarks).all()


def test_films_are_tried_side_by_side(
    tiny_bundle: Path, hands: Path, others: Path, read_in_pairs: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("mandora.evaluation.thresholds._NOISE_CELLS", (48,))
    (others / "0.png").write_bytes(b"no film")
    films = replace(open_dataset(hands), films=open_dataset(hands).films[:2])
    # 2 films, 1 of them once more in part, 1 that is none: 4 are read
    pictures = Pictures("some", films, [others / "0.png"])
    made, bundle = [], open_bundle(tiny_bundle)

    def note(steps: list[int], *step: int) -> None:
        steps.extend(step)

    for threads in (1, 2):
        said: list[str] = []
        if threads == 2:
            read_in_pairs("mandora.evaluation.thresholds")
        found = fits_of(
            bundle, Limb.HAND, pictures, threads, partial(note, steps := []), said.append
        )
        assert steps == [1, 5, 2, 5, 3, 5, 4, 5, 5, 5]
        assert len(said) == 1
        assert (found.own.size, found.others.size, found.noise.size) == (2, 0, 1)
        made.append((vars(found), said))
    for name, values in made[0][0].items():
        np.testing.assert_array_equal(values, made[1][0][name])
    assert made[0][1] == made[1][1]


def test_without_enough_films_no_bundle_is_written(
    tiny_bundle: Path, hands: Path, tmp_path: Path
) -> None:
    shown = calibrate(tiny_bundle, hands, "--only", "thresholds", "--out", tmp_path / "out")
    assert shown.exit_code == 2
    assert "10 films show it and 0 something else" in shown.stderr
    assert "no thresholds were set" in shown.stderr
    assert not (tmp_path / "out").exists()
    shown = calibrate(tiny_bundle, hands, "--only", "both", "--out", tmp_path / "out")
    assert shown.exit_code == 2
    assert "is not one of" in shown.stderr
