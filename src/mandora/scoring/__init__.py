"""From films to scores: one patient, see :mod:`~mandora.scoring.pipeline`, or whole runs.

In a run, what fails belongs to its item: there is a warning at once, the reason is in the output
and in the summary, and the run goes on. Memory does not grow with the number of patients: the
films of a patient are released before those of the next one are read.
"""

from mandora.scoring.batch import score_films
from mandora.scoring.batch_locate import LANDMARK_COLUMNS, locate_films
from mandora.scoring.challenge import PREDICTIONS_FILE, TEMPLATE_FILE, predict_template
from mandora.scoring.example import EXAMPLE, example_films, example_truth
from mandora.scoring.summary import PatientSummary, Progress, Summary, Warn

__all__ = [
    "EXAMPLE",
    "LANDMARK_COLUMNS",
    "PREDICTIONS_FILE",
    "TEMPLATE_FILE",
    "PatientSummary",
    "Progress",
    "Summary",
    "Warn",
    "example_films",
    "example_truth",
    "locate_films",
    "predict_template",
    "score_films",
]
