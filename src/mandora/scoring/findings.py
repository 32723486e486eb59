"""What is judged of each film: the findings of the quality gate, put together.

Where the limb lies comes from its landmarks, what is clipped, blurred or covered from
:mod:`mandora.images.quality` and :mod:`mandora.damage.scorable`, who states the side from the
intake. The thresholds were chosen on healthy real films of the parts train and development, so
that few of them get a warning: ``docs/quality.md`` has the distributions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from mandora.core.anatomy import Limb, Side, Slot
from mandora.core.findings import Check, Outcome
from mandora.core.records import Finding, Reason, refused_check
from mandora.images.markers import Marker
from mandora.images.quality import WindowQuality
from mandora.images.radiograph import Radiograph
from mandora.locate.locator import FoundLandmarks
from mandora.scoring.quality import Seen

MOST_CLIPPED = 0.05  # share of the px at the joints
LEAST_RANGE = 0.05  # grey range at a joint, of a film's 0..1
LEAST_WIDTH = 0.85  # of a foot against its length; 1 as in the template
WIDEST_EDGE = 0.15  # share of a joint's window over which its steepest edges rise

_DIRECTIONS = "up", "right", "down", "left"


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
    yield from _position(slot, film, seen)
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
    if seen.sure_fit is None:
        return
    words = []
    if seen.found.fit < seen.sure_fit:
        words.append(
            "the joints do not lie as in a frontal view: the film may be oblique, or the limb is "
            "bent or deformed"
        )
    elif seen.found.limb is Limb.FOOT and (seen.width or 1.0) < LEAST_WIDTH:
        words.append(
            f"the forefoot is {1 - (seen.width or 1.0):.0%} narrower than in a frontal view: the "
            "film may be oblique"
        )
    yield _warning(Check.VIEW, words)


def _position(slot: Slot, film: Radiograph, seen: Seen) -> Iterable[Finding]:
    lies = seen.found.orientation
    other = film.side not in (None, slot.side) or film.limb not in (None, slot.limb)
    tags = f"the file's tags do not say {slot.title}, as which it was given"
    yield _warning(Check.SIDE, [tags] * other)
    yield _marker(slot, seen.markers)
    yield _mirrored(slot, lies.side, {marker.side for marker in seen.markers})
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


def _marker(slot: Slot, markers: Iterable[Marker]) -> Finding:
    letters = {marker.letter: marker.side for marker in markers}
    words = ", ".join(f"{letter} ({side.word})" for letter, side in sorted(letters.items()))
    if letters and slot.side not in letters.values():
        words = f"the letter on the film is {words}, and it is given as the {slot.title}"
        return _finding(Check.MARKER, Outcome.WARN, words)
    return _finding(Check.MARKER, words=f"read: {words}" if words else "none read")


def _mirrored(slot: Slot, looks: Side, markers: Collection[Side]) -> Finding:
    if looks is slot.side:
        return _finding(Check.MIRRORED)
    if set(markers) == {slot.side}:
        words = f"the film is displayed mirrored, by its letter; scored as the {slot.title}"
        return _finding(Check.MIRRORED, Outcome.FIXED, words)
    return _finding(Check.MIRRORED, Outcome.WARN, (
        f"the limb looks like a {looks.word} one: the film is displayed mirrored or is not the "
        f"{slot.title}; scored as the {slot.title}"
    ))  # fmt: skip


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
            words.append(f"{share:.0%} of the px at half of the joints have the {what} grey value")
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
    near = [name for name in seen.names(seen.near_metal) if name not in lost]
    if near:
        words.append(f"something brighter than bone near {', '.join(near)}: look at their scores")
    return _warning(Check.METAL, words)


def _with(seen: Seen, *reasons: Reason) -> list[str]:
    """Joints without a score for one of some reasons."""
    return seen.names([i for i, reason in seen.unscorable.items() if reason in reasons])
