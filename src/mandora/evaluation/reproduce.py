"""The paper's experiments from a data set to the report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mandora import __version__
from mandora.anatomy import TARGETS
from mandora.cohorts.content import content_digest
from mandora.evaluation.claims import complete, write_claims
from mandora.evaluation.experiment import (
    ABLATIONS,
    BASE,
    GROUPS_APART,
    MASKS,
    fewer,
    folds_of,
    jobs_of,
    of_share,
)
from mandora.evaluation.fold_jobs import (
    FRAMES,
    POINTS_FILE,
    SCORES_FILE,
    SHAP_FILE,
    TREES_FILE,
    Study,
    films_of,
)
from mandora.evaluation.folds import FOLDS_FILE, Fold, keep_folds
from mandora.evaluation.gathered import Arrays, gathered, of_test
from mandora.evaluation.report import write_report
from mandora.evaluation.results import (
    Found,
    correlations,
    predictors,
    segmentation,
    symmetry,
)
from mandora.evaluation.results_ablations import ablations, learning
from mandora.evaluation.results_localisation import localisation
from mandora.evaluation.results_readers import all_measures, human_limit, reader_tables, totals
from mandora.files import write_atomically
from mandora.phantom.cohort import simulate_cohort
from mandora.runners import Job, Plan, map_jobs, plan
from mandora.settings import PRESETS, ReproduceSettings, SimulateSettings, SymmetrySettings, preset
from mandora.source import code_digest

CLAIMS_FILE, SETTINGS_FILE, COHORT_FOLDER, JOBS_FOLDER = (
    "claims.json", "reproduce.toml", "cohort", "jobs",
)  # fmt: skip


def smoke(settings: ReproduceSettings) -> ReproduceSettings:
    """The same experiments, as small as can be: to see whether they run, not what comes out."""

    def short(stage: Any, **network: Any) -> Any:
        loop = stage.loop.model_copy(update={"epochs": 1})
        return stage.model_copy(
            update={"loop": loop, "network": stage.network.model_copy(update=network)}
        )

    return settings.model_copy(
        update={
            "plan": "repeated", "folds": 2, "patients": 6, "cohort_pixels_per_mm": 2.5,
            "locate": short(settings.locate, input_px=64, found_threshold=0.0),
            "damage": short(settings.damage, patch_px=32, widths=(4, 6)),
            "forest": SymmetrySettings(trees=5, depth=2, threads=1),
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
        report: gets a line when that begins, for it takes minutes.

    Raises:
        ValueError: if the data set cannot be used, has too few patients, or the experiments were
            begun with other folds.
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
        self.out, self.settings, self.simulated = out, settings, data is None
        out.mkdir(parents=True, exist_ok=True)
        path = data or out / COHORT_FOLDER
        if data is None:
            cohort = SimulateSettings(
                patients=settings.patients, seed=settings.cohort_seed,
                pixels_per_mm=settings.cohort_pixels_per_mm, workers=workers,
            )  # fmt: skip
            _keep_cohort(path, cohort, report)
        self.study = Study(path.resolve(), tuple(readers), (out / "cache").resolve())
        self.dataset = self.study.open()
        folds = folds_of(self.dataset.patients, settings)
        self.folds: tuple[Fold, ...] = keep_folds(out / FOLDS_FILE, folds)
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
    ) -> Path:
        """Do what is not done, then write the report.

        Raises:
            JobsFailed: if jobs failed; what the others have done is kept.
        """
        began = time.monotonic()
        jobs = self.out / JOBS_FOLDER
        map_jobs(self.jobs, jobs, runner, workers, report=report, progress=progress)
        minutes = (time.monotonic() - began) / 60
        found = list(self._found(jobs))
        verdicts = complete(verdict for one in found for verdict in one.verdicts)
        write_claims(self.out / CLAIMS_FILE, verdicts)
        return write_report(self.out, self._head(minutes), verdicts, [one.section for one in found])

    def _found(self, jobs: Path) -> Sequence[Found]:
        folds, out = self.folds, self.out
        trees = gathered(jobs, folds, "trees", TREES_FILE)
        scores = {mask: self._scores(jobs, mask, folds) for mask in MASKS}
        tested_scores = {mask: of_test(arrays) for mask, arrays in scores.items()}
        unknown = np.full(len(TARGETS), np.nan)
        official = np.array([self.dataset.official.get(p, unknown) for p in self.dataset.patients])
        readers = reader_tables(self.dataset, [str(name) for name in trees["patient"]])
        tested = [f for fold in folds for f in films_of(self.dataset, fold.split.test)]
        return [
            localisation(of_test(gathered(jobs, folds, "points", POINTS_FILE)), tested, out),
            *(segmentation(tested_scores, frame, out, erosion=False) for frame in FRAMES),
            *(segmentation(tested_scores, frame, out, erosion=True) for frame in FRAMES),
            correlations(official, out),
            *(symmetry(trees, frame, out) for frame in FRAMES),
            predictors(gathered(jobs, folds, "shap", SHAP_FILE), out),
            human_limit(trees, readers, out),
            all_measures(trees, out),
            totals(trees, out),
            *self._beyond(jobs, scores, trees),
        ]

    def _beyond(self, jobs: Path, scores: Mapping[str, Arrays], trees: Arrays) -> Iterator[Found]:
        first = self.folds[: self.settings.more_folds]
        names = (*ABLATIONS, GROUPS_APART) if first else ()
        tried = {name: self._scores(jobs, name, first) for name in names}
        yield ablations({**scores, **tried}, trees, self.out)
        if not first or not self.settings.shares:
            return
        curve, patients = {BASE: self._scores(jobs, BASE, first)}, {BASE: 1.0}
        for share in self.settings.shares:
            curve[of_share(share)] = self._scores(jobs, of_share(share), first)
            patients[of_share(share)] = share
        kept = {
            name: float(np.mean([
                len(fewer(fold.split, self.settings.damage, share)[0].networks) for fold in first
            ]))
            for name, share in patients.items()
        }  # fmt: skip
        yield learning(curve, kept, self.out)

    @staticmethod
    def _scores(jobs: Path, name: str, folds: Sequence[Fold]) -> Arrays:
        return gathered(jobs, folds, f"scores-{name}", SCORES_FILE)

    def _head(self, minutes: float) -> dict[str, object]:
        settings, dataset = self.settings, self.dataset
        presets = [
            name for name in PRESETS
            if preset(name, type(settings.damage)).network.design == settings.damage.network.design
        ]  # fmt: skip
        packages = ("torch", "scikit-learn", "numpy", "scipy")
        return {
            "data set": "simulated cohort" if self.simulated else dataset.root.resolve().name,
            "layout": dataset.layout,
            "patients": len(dataset.patients),
            "films": len(dataset.films),
            "folds": f"{len(self.folds)}, {settings.plan}",
            "preset": presets[0],
            "settings": SETTINGS_FILE,
            "versions": {"mandora": __version__, **{p: version(p) for p in packages}},
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "minutes of the last call": f"{minutes:.0f}",
        }


def _keep_cohort(path: Path, settings: SimulateSettings, report: Callable[[str], None]) -> None:
    """Simulate a cohort, unless the one that is there was made of the same, by the same code."""
    mark = path.with_name(f"{path.name}.key")
    made_of = f"{settings.model_dump_json(exclude={'workers'})}\n{code_digest(simulate_cohort)}\n"
    if mark.exists():
        if mark.read_text(encoding="utf-8") == made_of:
            return
        shutil.rmtree(path, ignore_errors=True)
        mark.unlink()
    report(f"simulating {settings.patients} patients in {path}")
    simulate_cohort(settings, path, force=path.exists())
    write_atomically(mark, made_of.encode())
