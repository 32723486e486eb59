"""Figures that only the report on the paper shows; see :mod:`mandora.evaluation.figures`."""
