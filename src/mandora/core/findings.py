"""What is judged of each film, and how: the vocabulary of the quality gate.

A finding is a check, its outcome and words for people, :class:`~mandora.core.records.Finding`.
A check that nobody could make has no finding.
"""

from __future__ import annotations

from enum import StrEnum


class Check(StrEnum):
    """What is looked at. The order is that of all tables."""

    FILE = "file"
    BODY_PART = "body part"
    VIEW = "view"
    SIDE = "side"
    MARKER = "marker"
    MIRRORED = "mirrored"
    ORIENTATION = "orientation"
    INVERTED = "inverted"
    LIMBS = "limbs"
    COVERAGE = "coverage"
    EXPOSURE = "exposure"
    SHARPNESS = "sharpness"
    METAL = "metal"


CHECK_TEXT: dict[Check, str] = {
    Check.FILE: "whether it can be used at all, whatever it shows",
    Check.BODY_PART: "whether it shows the hand or foot that it is given as",
    Check.VIEW: "whether the limb is seen from the front or the back",
    Check.SIDE: "whether all that states a side states the same one",
    Check.MARKER: "the letter of the side on the picture",
    Check.MIRRORED: "whether the limb looks like one of the stated side",
    Check.ORIENTATION: "where fingers or toes point",
    Check.INVERTED: "whether bone is dark",
    Check.LIMBS: "how many limbs the film shows, where that was looked for",
    Check.COVERAGE: "whether all joints lie on the film",
    Check.EXPOSURE: "whether grey values at the joints are clipped or nearly alike",
    Check.SHARPNESS: "whether the film is sharp and fine enough at the joints",
    Check.METAL: "jewellery, implants, splints and plaster that are brighter than bone",
}


class Outcome(StrEnum):
    """How a check ended; worse ones come later."""

    PASS = "pass"
    FIXED = "fixed"  # something was wrong and was put right
    WARN = "warn"  # scored; look at it
    REFUSE = "refuse"  # not scored


SEVERITY: dict[Outcome, int] = {outcome: i for i, outcome in enumerate(Outcome)}
