from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARKS, SLOTS, Limb, Side, Slot
from mandora.core.errors import WrongLimb
from mandora.core.records import Reason
from mandora.datasets.intake.plan import make_plan
from mandora.datasets.intake.rows import VisitFilms
from mandora.datasets.intake.slots import studies_of
from mandora.images.radiograph import Radiograph
from mandora.locate.locator import FoundLandmarks, Search
from mandora.locate.orientation import Orientation
from mandora.model.contract import DEFAULT_THRESHOLDS
from mandora.model.loading import Stages
from mandora.scoring import placing
from mandora.scoring.film import check_limb
from mandora.scoring.placing import limbs_on, place

LH, RH, LF, RF = SLOTS
FILM = Radiograph(np.zeros((64, 64), np.float32), "a.png", "0" * 64)


def found(limb: Limb, side: Side, fit: float = 0.9) -> FoundLandmarks:
    count = len(LANDMARKS[limb])
    places = np.linspace(10, 50, 2 * count).reshape(count, 2)
    lies = Orientation(mirrored=side is Side.RIGHT)
    return FoundLandmarks(limb, lies, places, np.ones(count), (None,) * count, fit)


class Seen:
    """What the localisers are made to find, by the name of the film."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.limbs: dict[str, list[FoundLandmarks]] = {}
        monkeypatch.setattr(placing, "read_radiograph", self._read)
        for name, double in {
            "locate": self._locate, "locate_all": self._locate_all,
            "shows_limb": lambda stages, one, shape: one.fit > 0.5, "check_limb": lambda *of: None,
        }.items():  # fmt: skip
            monkeypatch.setattr(placing.one_film, name, double)

    def _read(self, path: Path) -> Radiograph:
        return Radiograph(np.zeros((64, 64), np.float32), path.name, "0" * 64)

    def _locate(self, stages: Any, film: Radiograph, limb: Any = None, side: Any = None) -> Any:
        return (self.limbs[film.name] or [found(Limb.HAND, Side.LEFT, 0.1)])[0]

    def _locate_all(self, stages: Any, film: Radiograph, limb: Limb) -> list[FoundLandmarks]:
        return [one for one in self.limbs[film.name] if one.limb is limb]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    return Seen(monkeypatch)


STAGES = cast(Stages, SimpleNamespace(
    contract=SimpleNamespace(locate=SimpleNamespace(thresholds=DEFAULT_THRESHOLDS))
))  # fmt: skip


def visit_of(folder: Path, *names: str) -> VisitFilms:
    for name in names:
        (folder / "P1").mkdir(exist_ok=True)
        (folder / "P1" / name).write_bytes(name.encode())
    (visit,) = studies_of(make_plan([folder / "P1"]))
    return visit


def test_a_film_that_nothing_places_is_what_it_looks_like(seen: Seen, tmp_path: Path) -> None:
    seen.limbs = {"scan1.png": [found(Limb.FOOT, Side.RIGHT)], "scan2.png": []}
    made = place(STAGES, visit_of(tmp_path, "LH.png", "scan1.png", "scan2.png"))
    assert list(made.films) == [LH, RF]
    assert made.films[RF].origins["side"] == made.films[RF].origins["limb"] == "picture"
    assert made.films[RF].limbs == 1
    assert [(p.path_name, p.reason) for p in made.problems] == [("scan2.png", Reason.NOT_FOUND)]
    assert made.slots == ((LH,), (RF,), ())


def test_a_film_of_both_hands_is_split(seen: Seen, tmp_path: Path) -> None:
    both = [found(Limb.HAND, Side.RIGHT), found(Limb.HAND, Side.LEFT)]
    seen.limbs = {"both hands.png": both}
    made = place(STAGES, visit_of(tmp_path, "both hands.png"))
    assert {slot: film.found for slot, film in made.films.items()} == {LH: both[1], RH: both[0]}
    assert made.films[LH].radiograph is made.films[RH].radiograph
    assert made.slots == ((LH, RH),)
    assert made.films[LH].limbs == 2
    assert "picture" not in made.films[LH].origins.values(), "the name says both"


def test_a_film_of_both_hands_on_which_one_is_found_says_so(seen: Seen, tmp_path: Path) -> None:
    seen.limbs = {"both hands.png": [found(Limb.HAND, Side.RIGHT)]}
    (made,) = place(STAGES, visit_of(tmp_path, "both hands.png")).films.values()
    assert made.remarks[-1] == "the name states both hands, and one was found"
    assert made.origins["side"] == "picture"


def test_one_file_given_as_left_and_right_must_show_both(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "P1").mkdir()
    for name in ("LH.png", "RH.png"):
        (tmp_path / "P1" / name).write_bytes(b"the same")
    visit = visit_of(tmp_path)
    seen.limbs = {"LH.png": [found(Limb.HAND, Side.LEFT), found(Limb.HAND, Side.RIGHT)]}
    assert list(place(STAGES, visit).films) == [LH, RH]
    seen.limbs = {"LH.png": [found(Limb.HAND, Side.LEFT)]}
    made = place(STAGES, visit)
    assert made.films == {}
    assert [(p.slot, p.reason) for p in made.problems] == [
        (LH, Reason.SAME_PICTURE), (RH, Reason.SAME_PICTURE),
    ]  # fmt: skip


def test_a_guess_yields_to_a_film_whose_limb_is_stated(seen: Seen, tmp_path: Path) -> None:
    seen.limbs = {name: [found(Limb.HAND, Side.LEFT)] for name in ("scan1.png", "scan2.png")}
    made = place(STAGES, visit_of(tmp_path, "LH.png", "scan1.png"))
    assert list(made.films) == [LH]
    assert made.films[LH].radiograph is None
    assert [problem.reason for problem in made.problems] == [Reason.DUPLICATE_FILM]
    (tmp_path / "P1" / "LH.png").unlink()
    made = place(STAGES, visit_of(tmp_path, "scan1.png", "scan2.png"))
    assert (made.films, len(made.problems)) == ({}, 2)


def test_two_views_of_one_hand_are_one(seen: Seen) -> None:
    views = [found(Limb.HAND, Side.LEFT, 0.9), found(Limb.HAND, Side.LEFT, 0.8)]
    seen.limbs = {"a.png": views}
    assert limbs_on(STAGES, FILM, Limb.HAND) == views[:1]
    assert limbs_on(STAGES, FILM) == views[:1]


def test_a_film_that_nothing_places_must_show_a_clear_limb(seen: Seen) -> None:
    seen.limbs = {"a.png": [found(Limb.FOOT, Side.LEFT, 0.68)]}
    assert limbs_on(STAGES, FILM) == [], "it may be a wrist"
    assert limbs_on(STAGES, FILM, Limb.FOOT) == seen.limbs["a.png"], "its limb is stated"


@pytest.mark.parametrize(
    ("own", "other", "refused"),
    [(0.52, 0.87, True), (0.85, 0.72, False), (0.66, 0.72, False), (0.3, 0.5, False)],
)
def test_a_foot_given_as_a_hand_is_refused_by_a_margin(
    monkeypatch: pytest.MonkeyPatch, own: float, other: float, refused: bool
) -> None:
    foot = found(Limb.FOOT, Side.LEFT, other)
    monkeypatch.setattr(
        "mandora.scoring.film.shows_limb",
        lambda stages, one, shape: one.fit >= DEFAULT_THRESHOLDS[one.limb].least_fit,
    )
    stages = SimpleNamespace(
        contract=SimpleNamespace(locate=SimpleNamespace(thresholds=DEFAULT_THRESHOLDS)),
        locators={
            Limb.FOOT: SimpleNamespace(
                locate=lambda pixels, search: foot if search is Search.WHOLE else None
            )
        },
    )
    hand = found(Limb.HAND, Side.LEFT, own)

    def check() -> None:
        check_limb(cast(Stages, stages), Slot(Side.LEFT, Limb.HAND), FILM, hand)

    if refused:
        with pytest.raises(WrongLimb, match="shows a foot"):
            check()
    else:
        check()
