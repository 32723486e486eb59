"""Sections on what people saw where nobody has scored: joints that look normal, erosive films.

All take the columns of :attr:`mandora.evaluation.assess.Assessed.scores`: ``person`` (N,) whose
films these are, ``impression`` (N, 86) 0 normal and 1 damaged, ``erosive`` (N, 4) 0 or 1 in the
order of ``anatomy.SLOTS``, NaN where unknown, and for the frames ``true`` and ``predicted`` (joints
where they are marked, and where they were found) ``<frame>_patch`` and ``<frame>_blend`` (N, 86)
SvH points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import FAMILIES, SLOTS, TARGETS, Damage, JointGroup, Limb
from mandora.evaluation.page import Section, TableView, interval_cells
from mandora.evaluation.scores import HIGH, RESAMPLES, Undamaged, mean_of, undamaged
from mandora.metrics import Arrays, Floats
from mandora.metrics.bootstrap import Interval, intervals

FRAMES = {"true": "marked", "predicted": "found"}
STAGES = ("patch", "blend")
ALL = "all"


@dataclass(frozen=True)
class Seen:
    """What a model gives to joints that people have looked at.

    Attributes:
        normal: what it gives to normal joints.
        damaged: mean score of damaged joints, points.
        auc: area under the ROC curve, damaged against normal joints.

    Intervals count the patients that they are of in ``patients`` and the joints in ``number.n``.
    """

    normal: Undamaged
    damaged: Interval
    auc: Interval


def seen(ours: Floats, impression: Floats, persons: NDArray[np.str_]) -> Seen:
    """Compare scores with impressions, with intervals over patients.

    Args:
        ours: (N, K) SvH points; NaN where missing.
        impression: (N, K) 0 normal, 1 damaged, NaN unknown.
        persons: (N,) whose each row is; rows of a person are drawn together.
    """
    normal, damaged = (np.where(impression == kind, ours, np.nan) for kind in (0, 1))
    return Seen(
        undamaged(normal, persons), mean_of(damaged, persons),
        intervals(ours, impression, ("auc",), RESAMPLES, persons)["auc"],
    )  # fmt: skip


def columns_at(limb: Limb, damage: Damage, group: JointGroup | None, site: str) -> NDArray[np.intp]:
    """The targets of a limb's damage, both sides; of a group and of a site, if they are named.

    Args:
        limb: hand or foot.
        damage: narrowing or erosion.
        group: fingers, wrist or toes; None: all.
        site: name of the site; ``ALL`` for every one.
    """
    return np.flatnonzero([
        target.limb is limb and target.damage is damage
        and group in (None, target.site.group) and site in (ALL, target.site.name)
        for target in TARGETS
    ])  # fmt: skip


def impressions(scores: Arrays) -> Section:
    """What normal joints get, and whether damaged ones rank above them."""
    rows: list[list[Any]] = []
    for frame, words in FRAMES.items():
        for stage in STAGES:
            for limb, damage, group, site in _parts(scores["impression"]):
                of = columns_at(limb, damage, group, site)
                one = seen(scores[f"{frame}_{stage}"][:, of], scores["impression"][:, of],
                           scores["person"])  # fmt: skip
                rows.append([words, stage, str(limb), str(damage), str(group or ALL), site,
                             *_cells(one)])  # fmt: skip
    heads = [
        "joints", "stage", "limb", "damage", "group", "site", "normal", "patients",
        "mean of normal", "low", "high", f"share of {HIGH:g} or more", "share, low", "share, high",
        "damaged", "mean of damaged", "AUC", "AUC, low", "AUC, high",
    ]  # fmt: skip
    return Section(
        "impressions", "Joints that people have looked at",
        "What the model says of joints that people called normal, and whether joints that they "
        "called damaged get more (AUC: the probability that a damaged joint has a higher score "
        "than a normal one). Impressions are no scores. Intervals are 95 % over patients.",
        tables=(TableView("Normal and damaged joints", heads, rows, "impressions.csv"),),
    )  # fmt: skip


def _parts(impression: Floats) -> Iterator[tuple[Limb, Damage, JointGroup | None, str]]:
    """All of a limb's damage, its groups of joints, its sites; those with an impression."""
    known: NDArray[np.bool_] = np.any(np.isfinite(impression), axis=0)
    for limb, damage in FAMILIES:
        sites = FAMILIES[limb, damage]
        groups = dict.fromkeys(site.group for site in sites)
        parts: list[tuple[JointGroup | None, str]] = [(None, ALL)]
        parts += [(group, ALL) for group in groups] if len(groups) > 1 else []
        parts += [(site.group, site.name) for site in sites]
        for group, name in parts:
            if known[columns_at(limb, damage, group, name)].any():
                yield limb, damage, group, name


def _cells(one: Seen) -> list[Any]:
    return [
        one.normal.mean.number.n, one.normal.mean.patients, *one.normal.cells,
        one.damaged.number.n, one.damaged.number, *interval_cells(one.auc),
    ]  # fmt: skip


def erosive_films(scores: Arrays) -> Section:
    """Whether films that an expert calls erosive have the higher sums of erosion."""
    rows: list[list[Any]] = []
    for frame, words in FRAMES.items():
        for stage in STAGES:
            for site, ours, label in _sums(scores, f"{frame}_{stage}"):
                persons = np.repeat(scores["person"], len(SLOTS))
                without, with_erosion = (
                    mean_of(np.where(label == kind, ours, np.nan), persons) for kind in (0, 1)
                )
                auc = intervals(ours, label, ("auc",), RESAMPLES, persons)["auc"]
                rows.append([
                    words, stage, site, without.number.n, with_erosion.number.n, auc.patients,
                    *interval_cells(without), *interval_cells(with_erosion), *interval_cells(auc),
                ])  # fmt: skip
    heads = [
        "joints", "stage", "erosion of", "films without", "films with erosion", "patients",
        "mean without", "low", "high", "mean with", "with, low", "with, high",
        "AUC", "AUC, low", "AUC, high",
    ]  # fmt: skip
    return Section(
        "erosive", "Films that are called erosive",
        "The sum of the scores of erosion on a film, and the score of each site, against an "
        "expert's label of the whole film. Intervals are 95 % over patients.",
        tables=(TableView("Erosive films against others", heads, rows, "erosive.csv"),),
    )  # fmt: skip


def _sums(scores: Arrays, table: str) -> Iterator[tuple[str, Floats, Floats]]:
    """Words, and by film (N × 4, 1) the score and the label; first the sum of all sites."""
    label = scores["erosive"].reshape(-1, 1)
    ours = {name: _of_films(scores[table], name) for name in _erosion_sites()}
    every = np.stack(list(ours.values()))
    total = np.where(np.isfinite(every).any(axis=0), np.nansum(every, axis=0), np.nan)
    yield "all sites together", total, label
    for name, values in ours.items():
        if np.isfinite(np.where(np.isfinite(label), values, np.nan)).any():
            yield name, values, label


def _erosion_sites() -> list[str]:
    return list(dict.fromkeys(t.site.name for t in TARGETS if t.damage is Damage.EROSION))


def _of_films(scores: Floats, site: str) -> Floats:
    """(N × 4, 1) the erosion of a site of each film, in the order of ``anatomy.SLOTS``."""
    made = np.full((len(scores), len(SLOTS)), np.nan)
    for column, target in enumerate(TARGETS):
        if target.damage is Damage.EROSION and target.site.name == site:
            made[:, SLOTS.index(target.slot)] = scores[:, column]
    return made.reshape(-1, 1)
