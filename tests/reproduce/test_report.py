"""What experiments compare with, which networks their figures show, and what the report says."""

from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from mandora.core.anatomy import LANDMARKS, SITES
from mandora.core.parallel import Job
from mandora.core.settings import ReproduceSettings, SimulateSettings, preset
from mandora.datasets.layouts import open_dataset
from mandora.evaluation.figures import style
from mandora.evaluation.page import Section
from mandora.reproduce import paper as reproduce
from mandora.reproduce.claims import CLAIMS, SORTS, Verdict, complete, counts
from mandora.reproduce.jobs import (
    FRAMES,
    LANDMARKS_FILE,
    SCORES_FILE,
    SHAP_FILE,
    TREES_FILE,
)
from mandora.reproduce.paper import BOTTLENECK, NO_BOTTLENECK, Experiments, smoke
from mandora.reproduce.report import Result, write_report
from mandora.reproduce.study import films_of, unseen
from mandora.simulate.cohort.folder import simulate_cohort

FAST, PAPER = (preset(name, ReproduceSettings) for name in ("fast", "paper"))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "cohort"
    simulate_cohort(SimulateSettings(patients=6, seed=3, pixels_per_mm=1.0), folder)
    return folder


def experiments(data: Path, out: Path, settings: ReproduceSettings = FAST) -> Experiments:
    return Experiments(data, (), out, smoke(settings), 1, lambda _: None)


def test_in_a_simulated_cohort_the_first_reader_is_official(cohort: Path, tmp_path: Path) -> None:
    made = experiments(cohort, tmp_path)
    plain = open_dataset(cohort)
    differ = 0
    for patient in plain.patients:
        np.testing.assert_array_equal(
            made.dataset.official[patient], plain.readers["reader_1"][patient]
        )
        differ += int((made.dataset.official[patient] != plain.official[patient]).sum())
    assert differ > 0  # a reader errs
    patient = plain.patients[0]
    again = made.study.open()  # as each job does
    np.testing.assert_array_equal(again.official[patient], made.dataset.official[patient])
    head = made._facts(1.0)
    assert head["official score"] == "the scores of reader 1, who is simulated"
    assert str(head["data set"]).startswith("simulated cohort, mandora ")
    # what training aims at stays the readers' mean
    np.testing.assert_array_equal(
        made.dataset.training_scores(patient), plain.training_scores(patient)
    )


def test_the_truth_is_official_if_asked_for(cohort: Path, tmp_path: Path) -> None:
    made = experiments(cohort, tmp_path, FAST.model_copy(update={"official": "truth"}))
    plain = open_dataset(cohort)
    np.testing.assert_array_equal(
        made.dataset.official[plain.patients[0]], plain.official[plain.patients[0]]
    )
    assert made._facts(1.0)["official score"] == "the simulator's true grades"


def test_other_data_sets_keep_their_official_label(cohort: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(cohort, data)
    (data / "truth" / "cohort.json").unlink()
    made = experiments(data, tmp_path / "out")
    patient = made.dataset.patients[0]
    np.testing.assert_array_equal(
        made.dataset.official[patient], open_dataset(data).official[patient]
    )
    assert made._facts(1.0)["official score"] == "the official label"
    assert made._facts(1.0)["data set"] == "data"


def test_figure_5_tests_the_published_bottleneck(cohort: Path, tmp_path: Path) -> None:
    def figures(settings: ReproduceSettings, name: str) -> list[tuple[str, str, str, str, bool]]:
        made = experiments(cohort, tmp_path / name, settings)
        return [(f.name, f.first, f.second, f.network, f.decides) for f in made._mask_figures()]

    six = ("fig6", "erosion", "none", NO_BOTTLENECK, True)
    assert figures(FAST, "fast") == [
        ("fig5", "space-bottleneck", "none-bottleneck", BOTTLENECK, True),
        ("fig5-design", "space", "none", NO_BOTTLENECK, False),
        six,
    ]
    alone = FAST.model_copy(update={"bottleneck_arms": False})
    assert figures(alone, "alone") == [("fig5", "space", "none", NO_BOTTLENECK, True), six]
    assert figures(PAPER, "paper") == [
        ("fig5", "space", "none", BOTTLENECK, True),
        ("fig6", "erosion", "none", BOTTLENECK, True),
    ]


def test_the_report_names_the_preset(cohort: Path, tmp_path: Path) -> None:
    made = experiments(cohort, tmp_path)
    assert made._facts(1.0)["preset"] == "fast, with other settings"
    for name, settings in (("fast", FAST), ("paper", PAPER)):
        made.settings = settings
        assert made._facts(1.0)["preset"] == name


def leave(jobs: list[Job], folder: Path, experiments: Experiments) -> None:
    """What the jobs would leave, without training anything."""
    rng, dataset = np.random.default_rng(0), experiments.dataset
    splits = {fold.name: fold.split for fold in experiments.folds}
    for job in jobs:
        fold, kind = job.name.split("/")
        split, place = splits[fold], folder / job.name
        place.mkdir(parents=True)
        names = np.array([*split.test, *split.trees])
        official = np.array([dataset.official[name] for name in names])
        test, count = np.isin(names, split.test), len(names)
        near = {frame: official + rng.normal(0, 0.5, official.shape) for frame in FRAMES}
        who = {"patient": names, "test": test, "official": official}
        if kind.startswith("scores"):
            np.savez(place / SCORES_FILE, **who, **near, training=official)
        elif kind == "trees":
            stages = {f"{f}_{s}": t for f, t in near.items() for s in ("patch", "tree", "blend")}
            chosen = {name: table[test] for name, table in {**who, **stages}.items()}
            np.savez(place / TREES_FILE, **{n: t for n, t in chosen.items() if n != "test"})
        elif kind == "shap":
            maps = {side: rng.random((1, len(SITES), len(SITES))) for side in ("same", "other")}
            np.savez(place / SHAP_FILE, **maps, rows=np.full((1, len(SITES)), 2 * count))
        elif kind == "landmarks":
            films = films_of(dataset, unseen(split))
            most = max(len(landmarks) for landmarks in LANDMARKS.values())
            true = np.full((len(films), most, 2), np.nan)
            for i, film in enumerate(films):
                true[i, : len(film.landmarks)] = film.landmarks
            np.savez(
                place / LANDMARKS_FILE, film=np.array([film.name for film in films]),
                limb=np.array([film.slot.limb.value for film in films]),
                test=np.array([film.patient in split.test for film in films]),
                size=np.full((len(films), 2), 300.0), true=true, found=true + 1.0,
                view=np.zeros((len(films), 3), int),
            )  # fmt: skip


@pytest.mark.parametrize("settings", [FAST, PAPER], ids=["fast", "paper"])
def test_the_report_of_both_designs(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: ReproduceSettings
) -> None:
    monkeypatch.setattr(style, "save", lambda *_: None)  # writing is slow, and tested elsewhere
    made = experiments(cohort, tmp_path, settings)

    def done(jobs: list[Job], folder: Path, *_: object, **__: object) -> None:
        leave(jobs, folder, made)

    monkeypatch.setattr(reproduce, "map_jobs", done)
    path, verdicts = made.run("serial", 1, lambda _: None, lambda *_: None)
    assert [verdict.claim for verdict in verdicts] == list(CLAIMS)
    page = path.read_text(encoding="utf-8")
    fast = settings is FAST
    assert ('id="fig5-design-true"' in page) == fast
    assert ("ordinal head" in page) == ("a network for each group of joints" in page) == fast
    assert 'id="learning"' in page
    assert 'id="truth"' in page
    assert ("rows as they are" in page) == (not fast)
    assert f"'{'space-bottleneck' if fast else 'space'}'" in unescape(page)


# --- the page


def words_of(page: Path) -> str:
    text = unescape(re.sub("<[^>]*>", " ", page.read_text(encoding="utf-8")))
    return " ".join(text.split())


def test_claims_show_paper_run_and_outcome(tmp_path: Path) -> None:
    first = Verdict(CLAIMS[0], "held", "99.1 % of 900 joints", "as expected")
    second = Verdict(CLAIMS[1], "did not hold", "<b>99.5 %</b> of 900 joints", "fingers: 99.1 %")
    verdicts = complete([second, first])
    result = Result(Section("fig3", "Localisation", "97 %."), "More than 98 %.", (first, second))
    page = write_report(tmp_path, {}, [result], verdicts)
    text = words_of(page)
    for claim in CLAIMS:
        assert claim.text in text
        assert claim.rule in text
    assert "99.1 % of 900 joints ✓ held as expected" in text
    assert "✗ did not hold fingers: 99.1 %" in text
    assert f"held {CLAIMS[0].text}: 99.1 % of 900 joints" in text  # beside its section, too
    html = page.read_text(encoding="utf-8")
    assert "<b>99.5" not in html
    assert html.count('href="#fig3"') == 3  # contents, and both claims
    for sort, found in counts(verdicts).items():
        assert f"{found['not testable here']} ○ not testable here" in text
        assert SORTS[sort] in text
    assert f"{len(CLAIMS) - 2} ○" not in text  # never summed over sorts


def test_what_the_paper_states_stands_beside_what_was_found(tmp_path: Path) -> None:
    one = Result(Section("fig3", "Localisation", "97 %.\n\nFewer."), "More than 98 %.")
    more = Result(Section("learning", "Learning curve", "Rises."))
    text = words_of(write_report(tmp_path, {}, [one, more], complete([])))
    assert "What the paper states More than 98 %. What was found 97 %. Fewer." in text
    assert "What the paper states Nothing: this goes beyond the paper. What was found" in text
