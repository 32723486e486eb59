"""Whole runs: many films in, tables and files out, one item after the other.

What fails belongs to its item: it is told of at once, noted in the output and in the summary,
and the run goes on. Memory does not grow with the pixels of the run: a patient's films are let
go of before the next one's are read.
"""

from mandora.scoring.batch import EXAMPLE, example_films, example_truth, score_films
from mandora.scoring.batch_locate import LANDMARK_COLUMNS, locate_films
from mandora.scoring.challenge import PREDICTIONS_FILE, TEMPLATE_FILE, predict_template
from mandora.scoring.summary import Complain, PatientSummary, Progress, Summary

__all__ = [
    "EXAMPLE",
    "LANDMARK_COLUMNS",
    "PREDICTIONS_FILE",
    "TEMPLATE_FILE",
    "Complain",
    "PatientSummary",
    "Progress",
    "Summary",
    "example_films",
    "example_truth",
    "locate_films",
    "predict_template",
    "score_films",
]
