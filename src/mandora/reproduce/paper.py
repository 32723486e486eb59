"""The paper's experiments from a data set to the report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora import __version__
from mandora.core.anatomy import TARGETS
from mandora.core.files import write_atomically
from mandora.core.parallel import Job, Plan, map_jobs, plan
from mandora.core.settings import PRESETS, ReproduceSettings, SimulateSettings, preset
from mandora.core.source import code_digest
from mandora.datasets.content import content_digest
from mandora.datasets.dataset import Dataset
from mandora.datasets.layouts import open_dataset
from mandora.evaluation.page import Section
from mandora.evaluation.scores import measures, totals
from mandora.metrics import Arrays
from mandora.reproduce.claims import Verdict, complete, write_claims
from mandora.reproduce.collect import collect, of_test
from mandora.reproduce.experiment import (
    BASE,
    BOTTLENECKED,
    compared_networks,
    extra_networks,
    fewer_patients,
    folds_of,
    jobs_of,
    share_name,
)
from mandora.reproduce.folds import FOLDS_FILE, Fold, write_or_check_folds
from mandora.reproduce.jobs import (
    FRAMES,
    LANDMARKS_FILE,
    SCORES_FILE,
    SHAP_FILE,
    TREES_FILE,
)
from mandora.reproduce.report import Result, write_report
from mandora.reproduce.results.ablations import ablations, learning
from mandora.reproduce.results.comparisons import MaskFigure, segmentation, symmetry
from mandora.reproduce.results.localisation import localisation
from mandora.reproduce.results.maps import correlations, predictors
from mandora.reproduce.results.readers import against_truth, human_limit, reader_tables
from mandora.reproduce.study import Study, films_of
from mandora.simulate.cohort.folder import simulate_cohort
from mandora.simulate.cohort.readers import READER_NAMES
from mandora.training.splits import with_held

CLAIMS_FILE, SETTINGS_FILE, COHORT_FOLDER, JOBS_FOLDER = (
    "claims.json", "reproduce.toml", "cohort", "jobs",
)  # fmt: skip
ABOUT_COHORT = Path("truth", "cohort.json")  # what says that a cohort is simulated
BOTTLENECK = (
    "Their regressor sees the patch only through the mask and the decoder's features, as published."
)
NO_BOTTLENECK = "Their regressor sees the patch itself as well; the published one does not."


def smoke(settings: ReproduceSettings) -> ReproduceSettings:
    """The same experiments, as small as possible: to test that they run. Results mean nothing."""

    def short(stage: Any, **network: Any) -> Any:
        loop = stage.loop.model_copy(update={"epochs": 1})
        return stage.model_copy(
            update={"loop": loop, "network": stage.network.model_copy(update=network)}
        )

    # so few levels are left that the smallest films can be halved as often
    narrow = {"widths": (4, 6)} if settings.locate.network.design == "one-landmark" else {}
    return settings.model_copy(
        update={
            "plan": "repeated", "folds": 2, "patients": 6, "cohort_pixels_per_mm": 2.5,
            "locate": short(settings.locate, input_px=64, found_threshold=0.0, **narrow),
            "damage": short(settings.damage, patch_px=32, widths=(4, 6)),
            "forest": settings.forest.model_copy(update={"trees": 5, "depth": 2}),
            "more_folds": 1, "shares": (0.5,),
        }
    )  # fmt: skip


class Experiments:
    """All experiments on one data set.

    Args:
        data: the data set; None simulates a cohort in ``out/cohort``.
        readers: weight of each reader in the label that training uses.
        out: folder for jobs, figures, tables and the report.
        settings: of everything.
        workers: processes that simulate the cohort; the films do not depend on it.
        report: told in a line when the simulation starts, which takes minutes.

    Raises:
        ValueError: if the data set cannot be used, has too few patients, or the experiments were
            started with other folds.
    """

    def __init__(
        self,
        data: Path | None,
        readers: Sequence[tuple[str, float]],
        out: Path,
        settings: ReproduceSettings,
        workers: int,
        report: Callable[[str], None],
    ) -> None:
        self.out, self.settings = out, settings
        out.mkdir(parents=True, exist_ok=True)
        path = data or out / COHORT_FOLDER
        if data is None:
            cohort = SimulateSettings(
                patients=settings.patients, seed=settings.cohort_seed,
                pixels_per_mm=settings.cohort_pixels_per_mm, workers=workers,
            )  # fmt: skip
            _simulate_once(path, cohort, report)
        self.simulated = (path / ABOUT_COHORT).is_file()
        official = READER_NAMES[0] if self.simulated and settings.official == "reader" else None
        self.study = Study(path.resolve(), tuple(readers), (out / "cache").resolve(), official)
        self.dataset = self.study.open()
        folds = folds_of(self.dataset.patients, settings)
        self.folds: tuple[Fold, ...] = write_or_check_folds(out / FOLDS_FILE, folds)
        write_atomically(out / SETTINGS_FILE, settings.to_toml().encode())
        limbs = {film.slot.limb for film in self.dataset.films}
        content = content_digest(self.dataset)
        self.jobs: list[Job] = jobs_of(self.study, self.folds, settings, content, limbs)

    def plan(self, workers: int) -> Plan:
        """What there is to do."""
        return plan(self.jobs, self.out / JOBS_FOLDER, workers)

    def run(
        self,
        runner: str,
        workers: int,
        report: Callable[[str], None],
        progress: Callable[[int, int], None],
    ) -> tuple[Path, tuple[Verdict, ...]]:
        """Do what is not done, then write the report.

        Returns:
            The path of the report, and what it says about each claim.

        Raises:
            JobsFailed: if jobs failed; what the others have done is kept.
        """
        started = time.monotonic()
        jobs = self.out / JOBS_FOLDER
        map_jobs(self.jobs, jobs, runner, workers, report=report, progress=progress)
        minutes = (time.monotonic() - started) / 60
        results = list(self._results(jobs))
        verdicts = complete(verdict for result in results for verdict in result.verdicts)
        write_claims(self.out / CLAIMS_FILE, verdicts, self.settings.equivalence)
        return write_report(self.out, self._facts(minutes), results, verdicts), verdicts

    def _results(self, jobs: Path) -> Iterator[Result]:
        folds, out, margins = self.folds, self.out, self.settings.equivalence
        trees = collect(jobs, folds, "trees", TREES_FILE)
        scores = {
            name: self._scores(jobs, name, folds) for name in compared_networks(self.settings)
        }
        tested_scores = {name: of_test(arrays) for name, arrays in scores.items()}
        patients = [str(name) for name in trees["patient"]]
        readers = reader_tables(self.dataset, patients)
        tested = [f for fold in folds for f in films_of(self.dataset, fold.split.test)]
        yield localisation(of_test(collect(jobs, folds, "landmarks", LANDMARKS_FILE)), tested, out)
        for figure in self._mask_figures():
            for frame in FRAMES:
                yield segmentation(tested_scores, frame, out, figure, margins)
        official = _labels(self.dataset, self.dataset.patients)
        yield correlations(official, out, self._official())
        for frame in FRAMES:
            yield symmetry(trees, frame, out, margins)
        rows = self.settings.shap_rows
        words = rows if rows == "as they are" else f"in {rows}"
        yield predictors(collect(jobs, folds, "shap", SHAP_FILE), out, words)
        yield human_limit(trees, readers, out)
        yield _beyond(measures(trees, out, "test patients of all folds"),
                      "The paper gives r and RMSE.")  # fmt: skip
        yield _beyond(totals(trees, out), "The paper scores joints; trials report totals.")
        if self.study.official and readers is not None:
            truth = _labels(open_dataset(self.study.path), patients)
            yield against_truth(trees, truth, readers[0])
        yield from self._more(jobs, scores, trees)

    def _mask_figures(self) -> Iterator[MaskFigure]:
        """Which networks the figures 5 and 6 compare."""
        words = BOTTLENECK if self.settings.damage.network.bottleneck else NO_BOTTLENECK
        beside = set(BOTTLENECKED) <= set(compared_networks(self.settings))
        if beside:
            first, second = BOTTLENECKED
            yield MaskFigure(5, "fig5", first, second, BOTTLENECK)
        name = "fig5-design" if beside else "fig5"
        yield MaskFigure(5, name, BASE, "none", words, decides=not beside)
        yield MaskFigure(6, "fig6", "erosion", "none", words)

    def _official(self) -> str:
        """What the official label is, in words."""
        if self.study.official:
            return f"the scores of {self.study.official.replace('_', ' ')}, who is simulated"
        return "the simulator's true grades" if self.simulated else "the official label"

    def _more(self, jobs: Path, scores: Mapping[str, Arrays], trees: Arrays) -> Iterator[Result]:
        first = self.folds[: self.settings.more_folds]
        names = extra_networks(self.settings) if first else ()
        more = {name: self._scores(jobs, name, first) for name in names}
        yield ablations({**scores, **more}, trees)
        if not first or not self.settings.shares:
            return
        curve, patients = {BASE: self._scores(jobs, BASE, first)}, {BASE: 1.0}
        for share in self.settings.shares:
            curve[share_name(share)] = self._scores(jobs, share_name(share), first)
            patients[share_name(share)] = share
        damage = self.settings.damage
        kept = {
            name: float(np.mean([
                len(with_held(fewer_patients(fold.split, damage, share)[0], damage.split).networks)
                for fold in first
            ]))
            for name, share in patients.items()
        }  # fmt: skip
        yield learning(curve, kept, self.out)

    @staticmethod
    def _scores(jobs: Path, name: str, folds: Sequence[Fold]) -> Arrays:
        return collect(jobs, folds, f"scores-{name}", SCORES_FILE)

    def _facts(self, minutes: float) -> dict[str, object]:
        settings, dataset = self.settings, self.dataset
        packages = ("torch", "scikit-learn", "numpy", "scipy")
        return {
            "data set": self._data_set_name(),
            "official score": self._official(),
            "layout": dataset.layout,
            "patients": len(dataset.patients),
            "films": len(dataset.films),
            "folds": f"{len(self.folds)}, {settings.plan}",
            "preset": self._preset_name(),
            "margins of no difference": f"r {settings.equivalence.r:g}, RMSE "
            f"{100 * settings.equivalence.rmse:g} %",
            "settings": SETTINGS_FILE,
            "versions": {"mandora": __version__, **{p: version(p) for p in packages}},
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "minutes of the last call": f"{minutes:.0f}",
        }

    def _data_set_name(self) -> str:
        """The data set; a simulated one with the version that made it."""
        if not self.simulated:
            return self.dataset.name
        about = json.loads((self.dataset.root / ABOUT_COHORT).read_text(encoding="utf-8"))
        return f"simulated cohort, {about['software']}, seed {about['settings']['seed']}"

    def _preset_name(self) -> str:
        """The preset that the settings are, or whose networks are of the same design."""
        made = {name: preset(name, ReproduceSettings) for name in PRESETS}
        for name, settings in made.items():
            if settings == self.settings:
                return name
        design = self.settings.damage.network.design
        near = next(n for n, s in made.items() if s.damage.network.design == design)
        return f"{near}, with other settings"


def _beyond(section: Section, paper: str) -> Result:
    """A section that the paper has nothing like."""
    title = f"More than the paper: {section.title[0].lower()}{section.title[1:]}"
    return Result(replace(section, title=title), paper)


def _labels(dataset: Dataset, patients: Sequence[str]) -> NDArray[np.float64]:
    """(patients, 86) official labels; NaN where there are none."""
    unknown = np.full(len(TARGETS), np.nan)
    return np.array([dataset.official.get(name, unknown) for name in patients])


def _simulate_once(path: Path, settings: SimulateSettings, report: Callable[[str], None]) -> None:
    """Simulate a cohort, unless the one that is there was made of the same, by the same code.

    Another cohort is moved aside, not removed: its files may have been edited.
    """
    mark = path.with_name(f"{path.name}.key")
    made_of = f"{settings.model_dump_json(exclude={'workers'})}\n{code_digest(simulate_cohort)}\n"
    if mark.exists() and mark.read_text(encoding="utf-8") == made_of:
        return
    if path.exists():
        names = (path.with_name(f"{path.name}-before-{i}") for i in count(1))
        aside = next(name for name in names if not name.exists())
        path.rename(aside)
        report(f"{path} is not complete, or of other settings or code: it is {aside} now")
    mark.unlink(missing_ok=True)
    report(f"simulating {settings.patients} patients in {path}")
    simulate_cohort(settings, path)
    write_atomically(mark, made_of.encode())
