"""What is judged of each film: the findings of the quality gate, put together.

Where the limb lies comes from its landmarks, what is clipped, blurred or covered from
:mod:`mandora.images.quality` and :mod:`mandora.damage.scorable`, who states the side from the
intake. The thresholds were chosen on healthy real films of the parts train and development, so
that few of them get a warning: ``docs/quality.md`` has the distributions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from mandora.core.anatomy import LANDMARKS, Limb, Slot
from mandora.core.findings import Check, Outcome
from mandora.core.records import Finding, Reason, refused_check
from mandora.images.quality import WindowQuality
from mandora.images.radiograph import Radiograph
from mandora.locate.locator import FoundLandmarks

MOST_CLIPPED = 0.05  # share of the px at the joints
LEAST_RANGE = 0.05  # grey range at a joint, of a film's 0..1
WIDEST_EDGE = 0.15  # share of a joint's window over which its steepest edges rise

_DIRECTIONS = "up", "right", "down", "left"


@dataclass(frozen=True, eq=False)
class Seen:
    """What was measured on a film with a limb.

    Attributes:
        found: the limb.
        sure_fit: fit from which a limb is a good view; None if its landmarks were given.
        windows: what the windows around the joints say.
        reasons: why joints with a position have no score, by name.
        near_metal: joints near something brighter than bone, by name.
    """

    found: FoundLandmarks
    sure_fit: float | None
    windows: WindowQuality
    reasons: Mapping[str, Reason]
    near_metal: tuple[str, ...] = ()


def refusal(reason: Reason, detail: str) -> Finding:
    """The one finding of a film that is not scored."""
    return _finding(refused_check(reason), Outcome.REFUSE, detail)


def findings_of(slot: Slot, film: Radiograph, seen: Seen) -> Iterable[Finding]:
    """Judge a film that shows a limb.

    Args:
        slot: what the film is given as.
        film: read.
        seen: what was measured on it.
    """
    yield _finding(Check.FILE)
    yield _finding(Check.BODY_PART)
    yield from _view(seen)
    yield from _position(slot, film, seen.found)
    yield _coverage(slot.limb, seen.found)
    yield _exposure(seen.windows)
    yield _sharpness(seen)
    yield _metal(seen)


def placed_by(slot: Slot, origins: Mapping[str, str], limbs: int | None) -> Iterable[Finding]:
    """What follows from how a film got its limb and side.

    Args:
        slot: what it was placed as.
        origins: who says so, see :class:`~mandora.core.records.FilmRecord`.
        limbs: how many were found on it; None if that was not looked for.
    """
    if origins.get("limb") == "picture":
        guess = f"guessed from the picture alone: {slot.limb}"
        yield _finding(Check.BODY_PART, Outcome.FIXED, guess)
    if origins.get("side") == "picture":
        guess = f"guessed from the picture alone: {slot.title}; films may be displayed mirrored"
        yield _finding(Check.SIDE, Outcome.WARN, guess)
    if limbs is not None and limbs > 1:
        yield _finding(Check.LIMBS, Outcome.FIXED, (
            f"the film shows both {slot.limb.plural}; each was scored by itself, and the sides "
            "were told apart by their shape: check them if films may be mirrored"
        ))  # fmt: skip
    elif limbs is not None:
        yield _finding(Check.LIMBS)


def _finding(check: Check, outcome: Outcome = Outcome.PASS, words: str = "") -> Finding:
    return Finding(check=check, outcome=outcome, words=words)


def _warning(check: Check, words: Iterable[str]) -> Finding:
    """A warning if there are words, else a pass."""
    text = "; ".join(words)
    return _finding(check, Outcome.WARN if text else Outcome.PASS, text)


def _view(seen: Seen) -> Iterable[Finding]:
    if seen.sure_fit is not None:
        poor = seen.found.fit < seen.sure_fit
        yield _warning(Check.VIEW, [
            "the joints do not lie as in a frontal view: the film may be oblique or lateral, or "
            "the limb is deformed or bent"
        ] * poor)  # fmt: skip


def _position(slot: Slot, film: Radiograph, found: FoundLandmarks) -> Iterable[Finding]:
    lies = found.orientation
    other = film.side not in (None, slot.side) or film.limb not in (None, slot.limb)
    tags = f"the file's tags do not say {slot.title}, as which it was given"
    yield _warning(Check.SIDE, [tags] * other)
    yield _warning(Check.MIRRORED, [
        f"the limb looks like a {lies.side.word} one: the film is displayed mirrored or is not the "
        f"{slot.title}; scored as the {slot.title}"
    ] * (lies.side is not slot.side))  # fmt: skip
    digits = "fingers" if slot.limb is Limb.HAND else "toes"
    where = f"the {digits} point {_DIRECTIONS[lies.turns]}"
    if lies.turns:
        where += ": the limb was scored as if the film was upright"
    yield _finding(Check.ORIENTATION, Outcome.FIXED if lies.turns else Outcome.PASS, where)
    if lies.inverted:
        words = "bone is dark on the film: the limb was scored with inverted grey values"
        yield _finding(Check.INVERTED, Outcome.FIXED, words)
    else:
        yield _finding(Check.INVERTED)


def _coverage(limb: Limb, found: FoundLandmarks) -> Finding:
    outside = found.reasons.count(Reason.OUTSIDE_FILM)
    return _warning(Check.COVERAGE, [
        f"the film shows a part of the {limb}: {outside} of {len(found.reasons)} joints that are "
        "looked for lie outside it and have no score"
    ] * (outside > 0))  # fmt: skip


def _exposure(windows: WindowQuality) -> Finding:
    words = []
    for share, what in ((windows.clipped_bright, "brightest"), (windows.clipped_dark, "darkest")):
        if share > MOST_CLIPPED:
            words.append(f"{share:.0%} of the px at the joints have the {what} grey value")
    if windows.grey_range < LEAST_RANGE:
        words.append(f"the joints use only {windows.grey_range:.1%} of the film's grey values")
    return _warning(Check.EXPOSURE, words)


def _sharpness(seen: Seen) -> Finding:
    words = []
    width = float(np.median(seen.windows.edge_widths))
    if width > WIDEST_EDGE:
        words.append(f"the sharpest edges are {width:.0%} of a joint's window wide")
    blurred = _with(seen, Reason.BLURRED)
    if blurred:
        words.append(f"too coarse or too blurred at {', '.join(blurred)}")
    return _warning(Check.SHARPNESS, words)


def _metal(seen: Seen) -> Finding:
    words = []
    lost = _with(seen, Reason.COVERED, Reason.REPLACED)
    if lost:
        words.append(f"something dense at {', '.join(lost)}, without a score")
    near = [name for name in seen.near_metal if name not in lost]
    if near:
        words.append(f"something brighter than bone near {', '.join(near)}: look at their scores")
    return _warning(Check.METAL, words)


def _with(seen: Seen, *reasons: Reason) -> list[str]:
    """Joints without a score for one of some reasons, in the order of anatomy."""
    return [
        mark.name for mark in LANDMARKS[seen.found.limb]
        if seen.reasons.get(mark.name) in reasons
    ]  # fmt: skip
