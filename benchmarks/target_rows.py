"""Rows of a table of numbers with intervals and targets, as ``real_adults.py`` prints it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mandora.metrics.bootstrap import Interval


@dataclass
class Row:
    """A number of the table.

    Attributes:
        block: to which it belongs.
        what: in words.
        n: joints, films or patches that it is of.
        patients: that it is of.
        joints: ``marked`` or ``found``, of which the number is.
        value: the number; NaN if there is none.
        low: end of its interval.
        high: the other end.
        other: the number at the other joints; NaN if there is none.
        target: ``<= 0.25`` and the like; empty if none is set.
    """

    block: str
    what: str
    n: int
    patients: int
    joints: str
    value: float
    low: float
    high: float
    other: float = math.nan
    target: str = ""

    @property
    def met(self) -> str:
        """Whether the target is met: yes, no, or nothing without a target or a number."""
        if not self.target or math.isnan(self.value):
            return ""
        sense, limit = self.target.split()
        good = self.value <= float(limit) if sense == "<=" else self.value >= float(limit)
        return "yes" if good else "no"


def row(
    block: str, what: str, marked: Interval, found: Interval, target: str = "",
    joints: str = "marked",
) -> Row:  # fmt: skip
    """A row of a number at marked and at found joints.

    Args:
        block: of the table.
        what: in words.
        marked: patches alone at marked joints.
        found: as users get it.
        target: for the one that counts.
        joints: which one counts.
    """
    one, other = (marked, found) if joints == "marked" else (found, marked)
    return Row(block, what, one.number.n, one.patients, joints, one.number.value, one.low, one.high,
               other.number.value, target)  # fmt: skip


def found_row(block: str, what: str, one: Interval, target: str = "") -> Row:
    """A row of a number that there is at found joints only."""
    return Row(block, what, one.number.n, one.patients, "found", one.number.value, one.low,
               one.high, target=target)  # fmt: skip


FORM = "{:<12} {:<44} {:>6} {:>8}  {:<6} {:>7}  {:<16} {:>7}  {:<8} {}"
HEAD = FORM.format(
    "block", "what", "n", "patients", "joints", "value", "95 %", "other", "target", "met"
)


def line(one: Row) -> str:
    """A row as text."""

    def number(value: float) -> str:
        return "–" if math.isnan(value) else f"{value:.3f}"

    ends = "" if math.isnan(one.low) else f"{one.low:.3f} to {one.high:.3f}"
    return FORM.format(
        one.block, one.what, one.n, one.patients, one.joints, number(one.value), ends,
        number(one.other), one.target, one.met,
    )  # fmt: skip
