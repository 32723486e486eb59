"""Each finding has its outcome, and the worst counts."""

from __future__ import annotations

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, SLOTS, Limb
from mandora.core.findings import Check, Outcome
from mandora.core.records import Finding, Reason, merged
from mandora.images.markers import Marker
from mandora.images.quality import WindowQuality
from mandora.images.radiograph import Radiograph
from mandora.locate.locator import FoundLandmarks
from mandora.locate.orientation import Orientation
from mandora.scoring.findings import findings_of, placed_by, refusal
from mandora.scoring.quality import Seen

LH, RH, LF, RF = SLOTS
FILM = Radiograph(np.zeros((64, 64), np.float32), "a.png", "0" * 64)
GOOD = WindowQuality(0.0, 0.0, 0.4, np.full(21, 0.06))


def seen(
    limb: Limb = Limb.HAND, *, lies: Orientation | None = None, fit: float = 0.9,
    windows: WindowQuality = GOOD, unscorable: dict[int, Reason] | None = None,
    near_metal: tuple[int, ...] = (), width: float = 1.0, letters: str = "",
) -> Seen:  # fmt: skip
    """A left limb that is found well, but for what is changed."""
    count = len(LANDMARKS[limb])
    found = FoundLandmarks(
        limb, lies or Orientation(), np.zeros((count, 2)), np.ones(count), (None,) * count, fit
    )
    markers = tuple(Marker(letter, 0.0, 0.0, 20.0, 0.9) for letter in letters)
    return Seen(found, windows, unscorable or {}, near_metal, width, markers, sure_fit=0.7)


def judged(given: Seen, slot=LH) -> dict[Check, Finding]:
    return {finding.check: finding for finding in merged(*findings_of(slot, FILM, given))}


def test_a_good_film_passes_everything() -> None:
    made = judged(seen())
    assert {finding.outcome for finding in made.values()} == {Outcome.PASS}
    assert set(made) == set(Check) - {Check.LIMBS}, "limbs were not counted"


PIP3 = LANDMARK_INDEX[Limb.HAND]["pip3"]
CLIPPED = WindowQuality(0.2, 0.0, 0.4, GOOD.edge_widths)
FAINT = WindowQuality(0.0, 0.0, 0.02, GOOD.edge_widths)
BLURRED = WindowQuality(0.0, 0.0, 0.4, np.full(21, 0.3))


@pytest.mark.parametrize(("given", "check", "outcome", "words"), [
    (seen(fit=0.65), Check.VIEW, Outcome.WARN, "oblique"),
    (seen(lies=Orientation(2)), Check.ORIENTATION, Outcome.FIXED, "point down"),
    (seen(lies=Orientation(inverted=True)), Check.INVERTED, Outcome.FIXED, "dark"),
    (seen(lies=Orientation(mirrored=True)), Check.MIRRORED, Outcome.WARN, "like a right one"),
    (seen(letters="D"), Check.MARKER, Outcome.WARN, "D (right)"),
    (seen(windows=CLIPPED), Check.EXPOSURE, Outcome.WARN, "20%"),
    (seen(windows=FAINT), Check.EXPOSURE, Outcome.WARN, "2.0%"),
    (seen(windows=BLURRED), Check.SHARPNESS, Outcome.WARN, "30%"),
    (seen(unscorable={PIP3: Reason.BLURRED}), Check.SHARPNESS, Outcome.WARN, "pip3"),
    (seen(unscorable={PIP3: Reason.COVERED}), Check.METAL, Outcome.WARN, "at pip3"),
    (seen(near_metal=(PIP3,)), Check.METAL, Outcome.WARN, "near pip3"),
])  # fmt: skip
def test_what_is_wrong_is_told(given: Seen, check: Check, outcome: Outcome, words: str) -> None:
    made = judged(given)
    assert made[check].outcome is outcome
    assert words in made[check].words
    others = {finding.outcome for finding in made.values() if finding.check is not check}
    assert others == {Outcome.PASS}


def test_a_letter_that_agrees_explains_a_mirrored_film() -> None:
    made = judged(seen(lies=Orientation(mirrored=True), letters="E"))
    assert made[Check.MIRRORED].outcome is Outcome.FIXED
    assert made[Check.MARKER].words == "read: E (left)"


def test_a_narrow_foot_is_told_and_a_narrow_hand_is_not() -> None:
    assert judged(seen(Limb.FOOT, width=0.8), LF)[Check.VIEW].outcome is Outcome.WARN
    assert judged(seen(width=0.8))[Check.VIEW].outcome is Outcome.PASS


def test_a_guessed_side_and_both_limbs_are_told() -> None:
    origins = {"limb": "picture", "side": "picture"}
    made = {finding.check: finding for finding in placed_by(RH, origins, 2)}
    assert made[Check.SIDE].outcome is Outcome.WARN
    assert "guessed" in made[Check.SIDE].words
    assert made[Check.BODY_PART].outcome is Outcome.FIXED
    assert "both hands" in made[Check.LIMBS].words
    assert list(placed_by(RH, {"limb": "name", "side": "tag"}, None)) == []


def test_a_refusal_is_about_the_body_part_or_the_file() -> None:
    assert refusal(Reason.WRONG_LIMB, "a foot").check is Check.BODY_PART
    assert refusal(Reason.FILM_UNREADABLE, "damaged").check is Check.FILE


def test_the_worst_finding_of_a_check_counts_and_equal_ones_are_joined() -> None:
    warn = [Finding(check=Check.SIDE, outcome=Outcome.WARN, words=words) for words in ("a", "b")]
    fine = Finding(check=Check.SIDE, outcome=Outcome.PASS)
    file = Finding(check=Check.FILE, outcome=Outcome.PASS)
    assert merged(fine, *warn, file) == (file, warn[0].model_copy(update={"words": "a; b"}))
