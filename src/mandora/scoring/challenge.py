"""Predictions for a whole test set in the form of the RA2 DREAM challenge.

A folder holds ``template.csv`` and films ``<patient>-LH.jpg`` and so on; ``predictions.csv`` gets
exactly the template's columns and patients, in the template's order. Ids are written as in the
template, even one that a spreadsheet takes for a formula.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mandora.core.anatomy import TARGETS
from mandora.core.csv_text import Unescaped, csv_text
from mandora.core.errors import InputError
from mandora.core.files import AnyPath, make_output_folder
from mandora.core.totals import ra2_totals
from mandora.datasets.formats.ra2.tables import Template, format_row, read_template
from mandora.datasets.intake.plan import Intake, make_plan
from mandora.datasets.intake.rows import Origin, VisitFilms
from mandora.datasets.intake.slots import studies_of
from mandora.model.bundle import Bundle
from mandora.outputs.row_file import RowFile
from mandora.scoring.batch import rejected_films
from mandora.scoring.failures import why_failed
from mandora.scoring.pipeline import Pipeline
from mandora.scoring.placing import planned_of
from mandora.scoring.summary import Progress, Warn, problem_line

TEMPLATE_FILE, PREDICTIONS_FILE = "template.csv", "predictions.csv"


def predict_template(
    test: AnyPath,
    out: AnyPath,
    *,
    bundle: Bundle,
    threads: int = 2,
    fill: bool = False,
    progress: Progress = lambda done, total: None,
    warn: Warn = lambda line: None,
) -> int:
    """Predict all scores that ``template.csv`` asks for.

    Args:
        test: folder with the template and the films; nothing is written there.
        out: folder for ``predictions.csv``, which is whole after each patient.
        bundle: the model.
        threads: processor threads.
        fill: give a missing score the value that the trees expect from the patient's other joints,
            for programs that accept no blank; else it is blank.
        progress: called after each patient.
        warn: called with each patient who has missing scores.

    Returns:
        Number of scores, not counting totals, that are missing.

    Raises:
        ValueError: if the folder, the template or the bundle cannot be used.
        OSError: if the predictions cannot be written.
    """
    test, out = Path(test), Path(out)
    if not test.is_dir():
        raise InputError(
            f"{test}: is not a folder; give the one with {TEMPLATE_FILE} and the films"
        )
    template = read_template(test / TEMPLATE_FILE)
    # the template knows patients by the ids that the archive has
    plan = make_plan([test], Intake(keep_ids=True))
    for problem in plan.problems:
        warn(problem_line(problem))
    studies: dict[str, list[VisitFilms]] = {}
    for visit in studies_of(plan):
        studies.setdefault(visit.study, []).append(visit)
    for name in sorted(studies.keys() - set(template.patients)):
        by_tag = any(f.patient and f.patient.origin is Origin.TAG for v in studies[name]
                     for f in planned_of(v))  # fmt: skip
        who = "a patient of DICOM files" if by_tag else name
        warn(f"{who}: is not in {TEMPLATE_FILE}; its films are not scored")
    pipeline = Pipeline.from_bundle(bundle, threads)
    make_output_folder(out)
    missing = 0
    with RowFile(out / PREDICTIONS_FILE, template.columns) as table:
        for done, name in enumerate(template.patients, start=1):
            visits = studies.get(name, [VisitFilms(name)])
            scores, reasons = _patient(pipeline, visits, fill)
            missing += sum(reasons.values())
            if reasons:
                words = ", ".join(f"{reason}: {count}" for reason, count in reasons.items())
                warn(f"{name}: {'filled' if fill else 'left blank'} ({words})")
            table.append(csv_text([_row(template, name, scores)]))
            progress(done, len(template.patients))
    return missing


def _patient(
    pipeline: Pipeline, visits: Sequence[VisitFilms], fill: bool
) -> tuple[dict[str, float], dict[str, int]]:
    """Scores by target, NaN where missing, and the number of missing ones by reason."""
    scores = dict.fromkeys((t.key for t in TARGETS), math.nan)
    reasons: dict[str, int] = {}
    study = visits[0]
    try:
        if len(visits) > 1:
            raise InputError(f"films of {len(visits)} visits were given; leave those of one")
        placed = pipeline.place(study)
        scored = pipeline.score(study.study, placed.films, rejected_films(study, placed.problems))
    except Exception as error:  # the other patients are still scored
        reason, detail = why_failed(error, study.study)
        reasons[f"{reason}, {detail}"] = len(TARGETS)
        expected = pipeline.expected(np.full(len(TARGETS), np.nan))
    else:
        expected = scored.expected
        for record in scored.result.scores:
            if record.score is not None:
                scores[record.target] = record.score
            elif record.reason is not None:
                reasons[record.reason.value] = reasons.get(record.reason.value, 0) + 1
    if fill:
        for target, value in zip(TARGETS, expected, strict=True):
            if math.isnan(scores[target.key]):
                scores[target.key] = float(value)
    return scores, reasons


def _row(template: Template, patient: str, scores: Mapping[str, float]) -> list[str]:
    values = [scores[target.key] for target in TARGETS]
    totals = {name: float(total.value[0]) for name, total in ra2_totals(values).items()}
    # the challenge's programs look for exactly the template's id
    return format_row(template.columns, Unescaped(patient), scores, totals)
