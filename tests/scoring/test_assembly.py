from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARKS, SLOTS, TARGETS, Damage, Limb, Side
from mandora.core.geometry import Box, limb_size
from mandora.core.records import JointScore, ModelInfo, Reason, Status
from mandora.core.totals import TOTALS
from mandora.damage.evidence import PatchEvidence
from mandora.images.radiograph import Radiograph
from mandora.locate.locator import FoundLandmarks
from mandora.locate.orientation import Orientation, orientations
from mandora.locate.template import limb_template
from mandora.model.contract import IntervalContract, Spread
from mandora.scoring.assembly import location, study_result, totals
from mandora.scoring.film import FilmResult, failed_film
from mandora.scoring.film_record import scored_record

LH, RH, LF, RF = SLOTS
MODEL = ModelInfo(
    bundle="fake", bundle_version="1", bundle_sha256="0" * 64, preset="fast", software={}
)
NAN = np.full(len(TARGETS), np.nan)

shape_of = cache(limb_template)


def found(
    limb: Limb, size_px: float = 40.0, fit: float = 0.9, orientation: Orientation | None = None
):
    orientation = orientation or Orientation()
    mirror = -1.0 if orientation.mirrored else 1.0
    upright = shape_of(limb) * [mirror * size_px, size_px] + 100
    landmarks = orientation.to_upright((200, 200)).inverse(upright)
    n = len(landmarks)
    return FoundLandmarks(limb, orientation, landmarks, np.full(n, 0.9), (None,) * n, fit)


def scores(
    value: float, *, lost: frozenset[str] = frozenset(), absent: str = ""
) -> tuple[JointScore, ...]:
    """The same score everywhere, but for targets that are lost and films that are absent."""
    made = []
    for t in TARGETS:
        about = {
            "target": t.key, "side": t.side, "limb": t.limb, "site": t.site.name,
            "kind": t.damage, "maximum": t.maximum,
        }  # fmt: skip
        if t.slot.code in absent.split():
            about |= {"status": Status.MISSING, "reason": Reason.FILM_MISSING}
        elif t.key in lost:
            about |= {"status": Status.FAILED, "reason": Reason.NOT_FOUND}
        else:
            about |= {"status": Status.SCORED, "score": value, "grade": round(value)}
        made.append(JointScore.model_validate(about))
    return tuple(made)


@pytest.mark.parametrize("orientation", orientations(), ids=str)
@pytest.mark.parametrize("limb", Limb)
def test_the_size_of_a_limb_does_not_depend_on_how_it_lies(
    limb: Limb, orientation: Orientation
) -> None:
    assert limb_size(
        found(limb, 37.0, orientation=orientation).landmarks, shape_of(limb)
    ) == pytest.approx(37)


def test_totals_say_how_they_were_made() -> None:
    keys = [t.key for t in TARGETS if t.damage is Damage.NARROWING]
    assert {t.method for t in totals(scores(1.25))} == {"complete"}
    kept = totals(scores(1.0, lost=frozenset(keys[:8])))[2]
    assert (kept.method, kept.observed, kept.scored) == ("pro-rated", 34.0, 34)
    assert kept.value == pytest.approx(42)
    gone = totals(scores(1.0, lost=frozenset(keys[:9])))[2]
    assert (gone.value, gone.method, gone.reason) == (None, None, Reason.TOO_FEW_JOINTS)


def test_a_total_has_an_interval_which_is_wider_if_joints_were_not_seen() -> None:
    sure = IntervalContract(
        level=0.9, edges=(), joints={}, patients=50,
        totals={
            "Overall_narrowing": Spread(low=-2, high=1, cases=50),
            "LH:erosion": Spread(low=-1, high=2, cases=50),
        },
    )  # fmt: skip
    overall, _, narrowing, *rest = totals(scores(1.0), sure)
    film = next(t for t in rest if t.name == "LH:erosion")
    assert film.high == pytest.approx(16 + 2 * math.sqrt(16 + 1))
    assert (overall.low, overall.high) == (None, None)  # was not measured
    scale = math.sqrt(42 + 1)
    assert narrowing.low == pytest.approx(42 - 2 * scale)
    assert narrowing.high == pytest.approx(42 + scale)
    keys = [t.key for t in TARGETS if t.damage is Damage.NARROWING]
    part = totals(scores(1.0, lost=frozenset(keys[:8])), sure)[2]
    assert part.value == pytest.approx(42)
    assert part.high == pytest.approx(42 + scale * 42 / 34)
    gone = totals(scores(1.0, lost=frozenset(keys[:9])), sure)[2]
    assert (gone.low, gone.high) == (None, None)


def test_hands_alone_have_totals_and_feet_say_why_they_have_none() -> None:
    made = {t.name: t for t in totals(scores(1.0, absent="LF RF"))}
    assert [t.name for t in TOTALS] == list(made)
    hands = made["hands:narrowing"]
    assert (hands.value, hands.maximum, hands.method) == (30, 120, "complete")
    assert (hands.limb, hands.side, hands.kind) == (Limb.HAND, None, Damage.NARROWING)
    assert made["RH:total"].value == 31
    for name, films in (
        ("Overall_Tol", "the feet"), ("feet:erosion", "the feet"), ("left:total", "the left foot"),
        ("RF:narrowing", "the right foot"),
    ):  # fmt: skip
        gone = made[name]
        assert (gone.value, gone.reason) == (None, Reason.FILM_MISSING)
        assert gone.detail == f"no film of {films} was given"


def test_one_absent_foot_leaves_a_pro_rated_total_of_all_joints() -> None:
    made = {t.name: t for t in totals(scores(1.0, absent="RF"))}
    assert made["Overall_Tol"].method == "pro-rated"
    assert made["right:total"].reason is Reason.FILM_MISSING  # the hand is 62 % of it
    assert made["left:total"].method == "complete"


def test_joints_that_were_lost_are_not_put_down_to_films_that_were_not_given() -> None:
    lost = frozenset(t.key for t in TARGETS if t.slot in (LH, RH))
    made = {t.name: t for t in totals(scores(1.0, absent="RF", lost=lost))}
    assert made["Overall_Tol"].reason is Reason.TOO_FEW_JOINTS
    assert made["hands:total"].reason is Reason.NOT_FOUND  # of all its joints
    assert made["Overall_Tol"].detail is None


def test_a_point_without_a_place_has_its_reason() -> None:
    foot = found(Limb.FOOT)
    foot.landmarks[2] = np.nan
    reasons = tuple(Reason.NOT_FOUND if i == 2 else None for i in range(len(foot.landmarks)))
    foot = FoundLandmarks(
        foot.limb, foot.orientation, foot.landmarks, foot.confidence, reasons, foot.fit
    )
    lost, there = (location("x.png", Side.LEFT, i, foot, None) for i in (2, 3))
    assert (lost.site, lost.x, lost.y) == (LANDMARKS[Limb.FOOT][2].name, None, None)
    assert lost.reason is Reason.NOT_FOUND
    assert (there.x, there.y) == tuple(foot.landmarks[3])


def test_places_on_a_film_that_was_resampled_are_those_in_its_file() -> None:
    film = Radiograph(
        np.linspace(0, 1, 200 * 200, dtype=np.float32).reshape(200, 200), "x.dcm", "0" * 64,
        file_px=(1.0, 0.5),
    )  # fmt: skip
    foot = found(Limb.FOOT)
    x, y = foot.landmarks[3]
    place = location("x.dcm", Side.LEFT, 3, foot, film)
    assert (place.x, place.y) == (x, (y + 0.5) / 2 - 0.5)
    record = scored_record(LF, film, [])
    assert (record.width, record.height) == (200, 100)
    box = Box.around((x, y), 5)
    seen = PatchEvidence("mtp2", box, np.zeros((8, 8), np.float32))
    part = FilmResult(record, film, foot, {"mtp2": seen})
    score = next(
        s for s in study_result("P1", {LF: part}, NAN, NAN, MODEL).scores
        if s.target == "LF-mtp2:narrowing"
    )  # fmt: skip
    assert (score.x, score.y) == (x, (y + 0.5) / 2 - 0.5)


def test_a_failed_film_and_films_that_were_not_given_are_told_apart() -> None:
    part = failed_film("x.png", LF, Reason.FILM_UNREADABLE, "it is empty")
    result = study_result("P1", {LF: part}, NAN, NAN, MODEL)
    by_limb = {(s.side, s.limb): (s.status, s.reason) for s in result.scores}
    assert by_limb[LF.side, LF.limb] == (Status.FAILED, Reason.FILM_UNREADABLE)
    assert by_limb[RF.side, RF.limb] == (Status.MISSING, Reason.FILM_MISSING)
    assert [(f.name, f.detail) for f in result.films] == [("x.png", "it is empty")]
    assert {t.value for t in result.totals} == {None}
