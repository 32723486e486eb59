"""Figures of one model on one data set; figures of the paper alone are in reproduce.

Each function takes plain arrays and gives a :class:`matplotlib.figure.Figure`;
:func:`~mandora.evaluation.figures.style.save` writes it as PNG, SVG and PDF. Nothing here reads a
file or computes a result: a figure shows what it was given, except box plots and limits of
agreement, which are pictures of the data themselves. What has no value is drawn as missing, with
the reason. Needs matplotlib (``pip install 'mandora[train]'``).
"""
