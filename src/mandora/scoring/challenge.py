"""Predictions for a whole test set in the form of the RA2 DREAM challenge.

A folder holds ``template.csv`` and films ``<patient>-LH.jpg`` and so on; ``predictions.csv`` gets
the template's columns and patients in the template's order, no more and no less. Its ids stand
there as in the template, even one that a spreadsheet takes for a formula.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mandora.core.anatomy import RA2_TOTALS, TARGETS
from mandora.core.cells import Verbatim, csv_text
from mandora.core.errors import InputError
from mandora.core.files import AnyPath
from mandora.datasets.folder import StudyFiles, find_studies
from mandora.datasets.formats.ra2 import Template, format_row, read_template
from mandora.model.bundle import Bundle
from mandora.outputs.files import RowFile, make_output_folder
from mandora.scoring.batch import rejected_films
from mandora.scoring.failures import why_failed
from mandora.scoring.pipeline import Pipeline
from mandora.scoring.summary import Complain, Progress

TEMPLATE_FILE, PREDICTIONS_FILE = "template.csv", "predictions.csv"


def predict_template(
    test: AnyPath,
    out: AnyPath,
    *,
    bundle: Bundle,
    threads: int = 2,
    fill: bool = False,
    progress: Progress = lambda done, total: None,
    warn: Complain = lambda line: None,
) -> int:
    """Predict all scores that ``template.csv`` asks for.

    Args:
        test: folder with the template and the films; nothing is written there.
        out: folder for ``predictions.csv``, which is whole after each patient.
        bundle: the model.
        threads: processor threads.
        fill: what cannot be scored gets what the trees expect of it from the patient's other
            joints, for programs that accept no blank; else it is blank.
        progress: told after each patient.
        warn: told of each patient of whom something could not be scored.

    Returns:
        Number of scores, not counting totals, that could not be had from a film.

    Raises:
        ValueError: if the folder, the template or the bundle cannot be used.
        OSError: if the predictions cannot be written.
    """
    test, out = Path(test), Path(out)
    if not test.is_dir():
        raise InputError(f"{test}: is no folder; give the one that holds {TEMPLATE_FILE} and films")
    template = read_template(test / TEMPLATE_FILE)
    studies = {study.study: study for study in find_studies([test]).studies}
    for name in sorted(studies.keys() - set(template.patients)):
        warn(f"{name}: is not in {TEMPLATE_FILE}; the films are left out")
    pipeline = Pipeline.from_bundle(bundle, threads)
    make_output_folder(out)
    table, lacking = RowFile(out / PREDICTIONS_FILE, template.columns), 0
    try:
        for done, name in enumerate(template.patients, start=1):
            scores, why = _patient(pipeline, studies.get(name, StudyFiles(name, {})), fill)
            lacking += sum(why.values())
            if why:
                reasons = ", ".join(f"{reason}: {count}" for reason, count in why.items())
                warn(f"{name}: {'filled' if fill else 'left blank'} ({reasons})")
            table.append(csv_text([_row(template, name, scores)]))
            progress(done, len(template.patients))
    finally:
        table.close()
    return lacking


def _patient(
    pipeline: Pipeline, study: StudyFiles, fill: bool
) -> tuple[dict[str, float], dict[str, int]]:
    """Scores by target, NaN where there is none, and how many could not be had, by reason."""
    scores, why = dict.fromkeys((t.key for t in TARGETS), math.nan), {}
    try:
        scored = pipeline.score(study.study, study.films, rejected_films(study))
    except Exception as error:  # one patient must not cost the others theirs
        reason, detail = why_failed(error, study.study)
        why[f"{reason}, {detail}"] = len(TARGETS)
        expected = pipeline.expected(np.full(len(TARGETS), np.nan))
    else:
        expected = scored.expected
        for record in scored.result.scores:
            if record.score is not None:
                scores[record.target] = record.score
            elif record.reason is not None:
                why[record.reason.value] = why.get(record.reason.value, 0) + 1
    if fill:
        for target, value in zip(TARGETS, expected, strict=True):
            if math.isnan(scores[target.key]):
                scores[target.key] = float(value)
    return scores, why


def _row(template: Template, patient: str, scores: Mapping[str, float]) -> list[str]:
    totals = {
        name: sum(scores[t.key] for t in TARGETS if t.damage in kinds)
        for name, kinds in RA2_TOTALS.items()
    }
    # the challenge's programs look for the patient by the template's very id
    return format_row(template.columns, Verbatim(patient), scores, totals)
