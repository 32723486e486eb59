"""A model tried on a data set, and given intervals by it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from mandora.cli.main import app
from mandora.core.anatomy import LANDMARKS, TARGETS, Limb, Slot, target
from mandora.core.errors import UntrainedLimb
from mandora.core.geometry import Box
from mandora.core.records import Reason, read_result
from mandora.core.settings import SimulateSettings
from mandora.damage.evidence import PatchEvidence
from mandora.datasets.layouts import open_dataset
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.model.bundle import open_bundle
from mandora.scoring.pipeline import Pipeline
from mandora.simulate.cohort.folder import simulate_cohort

pytest.importorskip("matplotlib")

from mandora.evaluation.assess import assess, space_dice
from mandora.evaluation.evaluate import evaluate
from mandora.metrics import FAMILY_TITLES
from mandora.metrics.localisation import limb_distances

PATIENTS = 3


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "sim"
    simulate_cohort(SimulateSettings(patients=PATIENTS, seed=5, pixels_per_mm=2), folder)
    return folder


def mandora(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_dice_is_measured_on_the_patch() -> None:
    spaces = np.zeros((40, 60), np.uint8)
    spaces[10:14, 20:30] = 7
    box = Box(17.5, 7.5, 33.5, 23.5)  # 16 px: one px of the mask for one of the film
    mask = np.zeros((16, 16), np.float32)
    mask[2:6, 2:12] = 1
    assert space_dice(PatchEvidence("mcp2", box, mask), spaces, 7) == 1
    # turned by a quarter, clockwise: what is at the top of the patch lies on the right
    turned = Box(16.5, 3.5, 32.5, 19.5, turn_deg=90)
    seen = PatchEvidence("mcp2", turned, np.rot90(spaces[4:20, 17:33] > 0))
    assert space_dice(seen, spaces, 7) == 1
    half = mask.copy()
    half[2:4] = 0
    assert space_dice(PatchEvidence("mcp2", box, half), spaces, 7) == pytest.approx(2 * 20 / 60)
    assert np.isnan(space_dice(PatchEvidence("mcp2", Box(-0.5, 23.5, 15.5, 39.5), mask), spaces, 7))
    # the mask shows a neighbour's joint space as well; alone that is not the joint's own
    spaces[20:22, 20:30] = 8
    assert space_dice(PatchEvidence("mcp2", box, mask), spaces, 7) == pytest.approx(80 / 100)
    assert np.isnan(space_dice(PatchEvidence("mcp2", box, mask), spaces, 9))
    # a patch that reaches beyond the film has nothing there
    spaces[:] = 7
    beyond = space_dice(
        PatchEvidence("mcp2", Box(-8.5, -0.5, 7.5, 15.5), np.ones((16, 16))), spaces, 7
    )
    assert beyond == pytest.approx(2 * 128 / (128 + 256))


def test_a_data_set_is_looked_at_from_both_sides(tiny_bundle: Path, cohort: Path) -> None:
    pipeline = Pipeline.from_bundle(open_bundle(tiny_bundle), threads=1)
    dataset = open_dataset(cohort)
    made = assess(pipeline, dataset)
    assert len(made.films) == 4 * PATIENTS
    assert made.scores["official"].shape == (PATIENTS, 86)
    assert np.isfinite(made.scores["true_patch"]).all()  # all joints are marked
    for i, film in enumerate(made.films):
        count = len(LANDMARKS[film.slot.limb])
        np.testing.assert_array_equal(made.landmarks["true"][i, :count], film.landmarks)
        assert np.isnan(made.landmarks["true"][i, count:]).all()
    for limb, table in limb_distances(made.landmarks).items():
        assert table.shape == (2 * PATIENTS, len(LANDMARKS[limb]))
        assert not np.isnan(table).any()
    np.testing.assert_array_equal(made.scores["official"][0], dataset.official["SIM0001"])


def test_what_people_saw_is_beside_the_scores(
    tiny_bundle: Path, cohort: Path, tmp_path: Path
) -> None:
    whole = open_dataset(cohort)
    seen = {"LH": {"mcp2": "damaged", "lunate": "normal", "ulna": "unclear"}, "LF": {}}
    films = tuple(
        replace(film, impressions=seen[film.slot.code], erosive=film.slot.limb is Limb.HAND)
        for film in whole.films
        if film.slot.code in seen
    )
    dataset = replace(whole, films=films, persons={"SIM0001": "anna", "SIM0002": "anna"})
    evaluate(open_bundle(tiny_bundle), dataset, tmp_path / "page", 1, lambda *_: None, print)
    made = json.loads((tmp_path / "page" / "metrics.json").read_text(encoding="utf-8"))
    rows = [r for r in made["impressions"] if r["joints"] == "marked" and r["stage"] == "patch"]
    by_site = {(r["damage"], r["group"], r["site"]): r for r in rows}
    assert set(by_site) == {
        ("narrowing", "all", "all"), ("narrowing", "finger", "all"),
        ("narrowing", "finger", "mcp2"),
        ("erosion", "all", "all"), ("erosion", "finger", "all"), ("erosion", "wrist", "all"),
        ("erosion", "finger", "mcp2"), ("erosion", "wrist", "lunate"),
    }  # fmt: skip
    every = by_site["erosion", "all", "all"]
    assert (every["normal"], every["damaged"], every["patients"]) == (PATIENTS, PATIENTS, 2)
    films_row = made["erosive"][0]
    assert (films_row["films without"], films_row["films with erosion"]) == (PATIENTS, PATIENTS)
    assert films_row["patients"] == 2


def test_a_film_that_fails_costs_that_film_and_says_why(
    tiny_bundle: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(cohort)
    films = {film.slot.code: film for film in dataset.films if film.patient == "SIM0001"}
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "labels.png").write_bytes(b"no picture")
    films["RH"] = replace(films["RH"], path=tmp_path / "broken.jpg")
    films["RF"] = replace(films["RF"], spaces=tmp_path / "labels.png")
    examine = Pipeline.examine

    def broken(self: Pipeline, slot: Slot, film: Radiograph, *known: Any) -> Any:
        if slot.code == "LH":
            raise ValueError("operands could not be broadcast together")
        if slot.code == "LF":
            raise UntrainedLimb("this model was not trained on films of a foot")
        return examine(self, slot, film, *known)

    monkeypatch.setattr(Pipeline, "examine", broken)
    pipeline, lines = Pipeline.from_bundle(open_bundle(tiny_bundle), threads=1), []
    some = replace(dataset, films=tuple(films[code] for code in ("LH", "RH", "LF", "RF")))
    made = assess(pipeline, some, warn=lines.append)
    assert dict(made.reasons) == {
        Reason.PROGRAM_FAULT: len(LANDMARKS[Limb.HAND]),
        Reason.FILM_UNREADABLE: len(LANDMARKS[Limb.HAND]),
        Reason.LIMB_UNTRAINED: len(LANDMARKS[Limb.FOOT]),
    }
    # labels that cannot be used cost the comparison with them, not the film's scores
    found = np.isfinite(made.landmarks["found"]).all(axis=2).any(axis=1)
    assert found.tolist() == [False, False, False, True]
    assert np.isnan(made.landmarks["dice"]).all()
    assert np.isfinite(made.scores["predicted_patch"]).any()
    assert len(lines) == 4
    for line, text in zip(
        lines, ("through a fault of its own", "could not be read", "not trained", "labels.png"),
        strict=True,
    ):  # fmt: skip
        assert text in line


def test_films_are_assessed_side_by_side_and_kept_in_order(
    tiny_bundle: Path, cohort: Path, tmp_path: Path, read_in_pairs: Callable[[str], None]
) -> None:
    dataset = open_dataset(cohort)
    feet = [film for film in dataset.films if film.slot.limb is Limb.FOOT][:4]
    for i in (1, 2):
        feet[i] = replace(feet[i], path=tmp_path / f"gone-{i}.jpg")
    some, bundle = replace(dataset, films=tuple(feet)), open_bundle(tiny_bundle)
    said: list[list[str]] = [[], []]
    one = assess(Pipeline.from_bundle(bundle, threads=1), some, warn=said[0].append)
    read_in_pairs("mandora.datasets.dataset")
    two = assess(Pipeline.from_bundle(bundle, threads=2), some, warn=said[1].append)
    assert one.films == two.films
    for arrays, others in ((one.landmarks, two.landmarks), (one.scores, two.scores)):
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, others[name], err_msg=name)
    assert one.reasons == two.reasons
    assert said[0] == said[1]
    assert ["gone-1" in said[0][0], "gone-2" in said[0][1]] == [True, True]


def test_joints_marked_beyond_the_film_are_not_missed(
    tiny_bundle: Path, cohort: Path, tmp_path: Path
) -> None:
    bundle, dataset = open_bundle(tiny_bundle), open_dataset(cohort)
    hand = next(film for film in dataset.films if film.slot.limb is Limb.HAND)
    radiograph = read_radiograph(hand.path)
    height, width = radiograph.shape
    marks = hand.landmarks.copy()
    # the first pixel's edge belongs to the film, the edge behind the last one does not
    marks[0, 0], marks[1, 0], marks[2, 1], marks[3, 1] = -0.5, -0.6, height - 0.5, height + 90
    marks[4, 0], marks[5] = width - 0.6, np.nan
    beyond, known = [1, 2, 3], [0, 4, *range(6, len(marks))]
    framed = replace(hand, landmarks=marks, spaces=None, erosions=None)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    broken = replace(framed, patient="P2", path=tmp_path / "broken.jpg")
    badly = replace(dataset, films=(framed, broken), official={})

    pipeline = Pipeline.from_bundle(bundle, threads=1)
    made = assess(pipeline, badly)
    true = made.landmarks["true"]
    np.testing.assert_array_equal(true[0, known], marks[known])
    assert np.isnan(true[0, [*beyond, 5]]).all()
    np.testing.assert_array_equal(made.landmarks["beyond"], [3, 0])
    error = limb_distances(made.landmarks)[Limb.HAND]
    assert np.isnan(error[0, [*beyond, 5]]).all()
    assert not np.isnan(error[0, known]).any()
    # how large a film is that cannot be read is not known: all its joints are missed
    assert np.isinf(error[1, [*beyond, *known]]).all()
    # all marks tell the limb's size; what lies beyond the film has no score
    scores = pipeline.examine(framed.slot, radiograph, marks).scores
    off = {LANDMARKS[Limb.HAND][i].name for i in (*beyond, 5)}
    expected = {k: v for k, v in scores.items() if target(k).site.landmark_name not in off}
    ours = made.scores["true_patch"][0]
    assert {TARGETS[i].key: ours[i] for i in np.flatnonzero(np.isfinite(ours))} == expected

    out = tmp_path / "out"
    page = evaluate(bundle, badly, out, 1, lambda done, count: None, lambda line: None)
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["about"]["marks beyond the film"] == len(beyond)
    counted = sum(row["n"] for row in metrics["located"])
    assert counted == 2 * len(known) + len(beyond)
    assert "<dt>marks beyond the film</dt><dd>3</dd>" in page.read_text(encoding="utf-8")


def test_the_size_of_a_limb_is_known_from_any_of_its_joints(
    tiny_bundle: Path, cohort: Path
) -> None:
    dataset = open_dataset(cohort)
    films = []
    for film in dataset.films[:4]:
        marks = np.full_like(film.landmarks, np.nan)
        marks[[0, 2, 3]] = film.landmarks[[0, 2, 3]]  # of a foot IP, MTP2 and MTP3
        films += [film, replace(film, landmarks=marks, patient=f"{film.patient}b")]
    alone = np.full_like(films[0].landmarks, np.nan)
    alone[0] = films[0].landmarks[0]
    films.append(replace(films[0], landmarks=alone, patient="one"))
    few = replace(dataset, films=tuple(films), official={})
    made = assess(Pipeline.from_bundle(open_bundle(tiny_bundle), threads=1), few)
    units: dict[Path, list[float]] = {}
    for film, unit in zip(made.films, made.landmarks["limb_size_px"], strict=True):
        units.setdefault(film.path, []).append(unit)
    assert np.isnan(units.pop(films[0].path)[-1]), "of one joint nobody can tell"
    assert len(units) == 3
    for whole, part in units.values():
        assert part == pytest.approx(whole, rel=0.2)


def test_the_command_writes_numbers_and_a_page(
    tiny_bundle: Path, cohort: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shown = mandora("evaluate", tiny_bundle, cohort, "--out", out, "--threads", 1)
    assert shown.exit_code == 0, shown.output
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["about"]["patients"] == PATIENTS
    for table in (
        "located", "located-intervals", "measures", "by-grade", "healthy", "totals", "worst",
    ):  # fmt: skip
        assert metrics[table], table
        assert (out / "tables" / f"{table}.csv").exists()
    grades = [row for row in metrics["by-grade"] if row["stage"] == "patch"]
    for words in FAMILY_TITLES.values():
        rows = [row for row in grades if row["targets"] == words]
        steps = [row["grade"] for row in rows]
        assert steps == sorted(set(steps))
        means = [row["mean score"] for row in rows]
        rises = ["yes" if b > a else "no" for a, b in pairwise(means)]
        assert [row["higher than below"] for row in rows] == ["", *rises]
    finger = next(row for row in metrics["located"] if row["joints"] == "finger")
    assert finger["n"] == PATIENTS * 2 * 10
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "The model states no intervals" in page
    assert "What the paper states" not in page
    assert len(list((out / "figures").glob("worst-*.png"))) == 2


def test_films_without_labels_have_sections_that_say_so(
    tiny_bundle: Path, cohort: Path, tmp_path: Path
) -> None:
    """Only where films lie is known, and one of them cannot be read."""
    rows = [["film", "patient", "side", "limb"]]
    for path in sorted(cohort.glob("SIM0001-*.jpg")):
        side, limb = path.stem[-2:]
        rows.append([str(path), "SIM0001", side, "hand" if limb == "H" else "foot"])
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    rows.append([str(tmp_path / "broken.jpg"), "P2", "L", "hand"])
    with (tmp_path / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    out = tmp_path / "out"
    shown = mandora("evaluate", tiny_bundle, tmp_path / "manifest.csv", "--out", out)
    assert shown.exit_code == 0, shown.output
    assert "broken.jpg" in shown.stderr
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("No joint of the data set is marked", "No joint of the data set has a score",
                  "the film could not be read"):  # fmt: skip
        assert words in page, words


def test_a_bundle_is_given_intervals(tiny_bundle: Path, cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "sure"
    words = ("bundle", "calibrate", tiny_bundle, cohort, "--out", out, "--threads", 1)
    shown = mandora(*words, "--level", 0.5, "--also", cohort)
    assert shown.exit_code == 0, shown.output
    assert "fewer than 2 patients have such joints" in shown.stderr
    sure = open_bundle(out)
    intervals = sure.manifest.contract.intervals
    assert intervals is not None
    assert (intervals.level, intervals.data_sets) == (0.5, {"sim": 2 * PATIENTS})
    card = sure.path("card.md").read_text(encoding="utf-8")
    assert "Intervals hold 50 %" in card
    assert f"sim ({2 * PATIENTS} patients), who trained nothing" in card
    # what it scores says how sure it is
    scored = tmp_path / "scored"
    assert mandora("score", cohort, "--bundle", out, "--out", scored).exit_code in (0, 1)
    result = read_result(scored / "results" / "SIM0001.json")
    assert result.model.interval_level == 0.5
    assert result.model.interval_data == intervals.measured_on
    report = next((scored / "reports").glob("SIM0001*.html")).read_text(encoding="utf-8")
    assert f"measured on: {intervals.measured_on}" in report
    known = [s for s in result.scores if s.score is not None]
    assert known
    for s in known:
        if f"{s.limb} {s.kind}" in intervals.grades:
            assert 0 <= s.low <= s.grade <= s.high <= s.maximum
            assert s.low == round(s.low)
            assert s.high == round(s.high)
        else:
            assert s.low is s.high is None
    assert all(t.low <= t.value <= t.high for t in result.totals)
    # and a page about other patients tells how many truths are held
    page = tmp_path / "page"
    assert mandora("evaluate", out, cohort, "--out", page).exit_code == 0
    held = json.loads((page / "metrics.json").read_text(encoding="utf-8"))["intervals"]
    overall = [row for row in held if row["truth"] == "all"]
    assert [row["targets"] for row in overall] == [
        *FAMILY_TITLES.values(), "all targets", *intervals.totals
    ]  # fmt: skip
    assert all(row["held"] >= 0.5 for row in overall)  # those it was measured on
    again = mandora(*words)
    assert again.exit_code == 2
    assert "is already there" in again.stderr


def test_a_data_set_without_films_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    shown = mandora("evaluate", tiny_bundle, tmp_path / "none", "--out", tmp_path / "out")
    assert shown.exit_code == 2
    assert "no such file or folder" in shown.stderr
