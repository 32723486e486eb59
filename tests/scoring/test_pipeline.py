from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mandora.core.anatomy import (
    LANDMARK_INDEX,
    LANDMARKS,
    SLOTS,
    TARGETS,
    JointGroup,
    Limb,
    Side,
    Slot,
)
from mandora.core.errors import InputError, UntrainedLimb
from mandora.core.findings import Check, Outcome
from mandora.core.geometry import box_to_grid
from mandora.core.records import Finding, ModelInfo, Reason, Status, StudyResult
from mandora.core.settings import SymmetrySettings
from mandora.core.specs import FilmSpec, PatchSpec
from mandora.damage.patches import Patch
from mandora.damage.scorer import PatchScore
from mandora.images.radiograph import Radiograph, UnreadableFilm
from mandora.images.read import read_radiograph
from mandora.locate.locator import FoundLandmarks, Search
from mandora.locate.orientation import Orientation, orientations
from mandora.locate.template import limb_template
from mandora.model.bundle import default_bundle, open_bundle
from mandora.model.contract import (
    DEFAULT_LIMITS,
    DEFAULT_THRESHOLDS,
    Contract,
    DamageContract,
    LocateContract,
    SymmetryContract,
    locate_file,
)
from mandora.model.loading import Stages
from mandora.scoring.film import FilmResult, shows_limb
from mandora.scoring.pipeline import Pipeline, Rejected, unique_name
from mandora.simulate.cohort.patients import draw_patient, simulate_film

LH, RH, LF, RF = SLOTS
MODEL = ModelInfo(
    bundle="fake", bundle_version="1", bundle_sha256="0" * 64, preset="fast", software={}
)
SIZE_PX = 200
SPEC = PatchSpec(patch_px=32, half_window=0.4, enlarged={})

shape_of = cache(limb_template)


@dataclass
class FakeLocator:
    """Finds the mean shape in the middle of any film, but for what it is told to lose."""

    limb: Limb
    size_px: float = 40.0
    fit: float = 0.9
    lost: dict[str, Reason] = field(default_factory=dict)
    orientation: Orientation | None = None
    template: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.template = shape_of(self.limb)

    def locate(
        self, pixels: NDArray[np.float32], side: Side | None = None, search: Search = Search.ALL
    ) -> FoundLandmarks:
        orientation = self.orientation or Orientation(mirrored=side is Side.RIGHT)
        mirror = -1.0 if orientation.mirrored else 1.0
        upright = self.template * [mirror * self.size_px, self.size_px] + SIZE_PX / 2
        landmarks = orientation.to_upright((SIZE_PX, SIZE_PX)).inverse(upright)
        names = [p.name for p in LANDMARKS[self.limb]]
        for name in self.lost:
            landmarks[names.index(name)] = np.nan
        reasons = tuple(self.lost.get(name) for name in names)
        return FoundLandmarks(
            self.limb, orientation, landmarks, np.full(len(names), 0.9), reasons, self.fit
        )


class FakeScorer:
    """Narrowing 1.5 and erosion 2.25 everywhere."""

    def score(self, patches: list[object]) -> list[PatchScore]:
        return [PatchScore(1.5, 2.25, np.zeros((8, 8), np.float32)) for _ in patches]


def pipeline(
    hand: FakeLocator | None = None,
    foot: FakeLocator | None = None,
    scorer: FakeScorer | None = None,
    spec: PatchSpec = SPEC,
    *,
    searches: bool = True,
) -> Pipeline:
    locators = {
        Limb.HAND: hand or FakeLocator(Limb.HAND),
        Limb.FOOT: foot or FakeLocator(Limb.FOOT),
    }
    design = FilmSpec(design="all-landmarks" if searches else "one-landmark")
    template = {limb: tuple((float(x), float(y)) for x, y in shape_of(limb)) for limb in Limb}
    contract = Contract(
        locate=LocateContract.of(design, template),
        damage=DamageContract.of(spec),
        symmetry=SymmetryContract.of(SymmetrySettings()),
    )
    return Pipeline(Stages(locators, scorer or FakeScorer(), None, contract), MODEL)  # type: ignore[arg-type]


def film(name: str = "P1-LH.png", **tags: object) -> Radiograph:
    # sharp everywhere: blurred joints are not scored
    pixels = np.random.default_rng(5).random((SIZE_PX, SIZE_PX), np.float32)
    return Radiograph(pixels, name, "0" * 64, **tags)  # type: ignore[arg-type]


@pytest.fixture
def films(tmp_path: Path) -> dict[Slot, Path]:
    grey = (film().pixels * 255).astype(np.uint8)
    paths = {slot: tmp_path / f"P1-{slot.code}.png" for slot in SLOTS}
    for number, path in enumerate(paths.values()):
        # one picture for two limbs is refused
        Image.fromarray(np.roll(grey, 7 * number, axis=1)).save(path)
    return paths


def of(result: StudyResult, slot: Slot) -> dict[str, object]:
    """What became of one film's scores: target → score, or reason."""
    return {
        s.target: s.score if s.score is not None else (s.status, s.reason)
        for s in result.scores
        if (s.side, s.limb) == (slot.side, slot.limb)
    }


def test_four_films_give_86_scores_and_totals(films: dict[Slot, Path]) -> None:
    scored = pipeline().score("P1", films)
    assert [s.target for s in scored.result.scores] == [t.key for t in TARGETS]
    assert all(s.status is Status.SCORED for s in scored.result.scores)
    assert {s.grade for s in scored.result.scores} == {2}, "1.5 and 2.25 are both grade 2"
    assert [t.value for t in scored.result.totals[:3]] == [
        44 * 2.25 + 42 * 1.5,
        44 * 2.25,
        42 * 1.5,
    ]
    assert {t.method for t in scored.result.totals} == {"complete"}
    assert set(scored.radiographs) == set(scored.evidence) == {p.name for p in films.values()}
    assert len(scored.result.locations) == 2 * 27
    assert scored.result.complete


def test_films_that_were_not_given_are_missing_and_no_failure(films: dict[Slot, Path]) -> None:
    result = pipeline().score("P1", {LH: films[LH], RH: films[RH], LF: films[LF]}).result
    assert set(of(result, RF).values()) == {(Status.MISSING, Reason.FILM_MISSING)}
    assert result.complete
    total, erosion, narrowing = result.totals[:3]
    # a foot holds 84 of 448 landmarks, 60 of the 280 of erosion and 24 of the 168 of narrowing
    assert (total.method, narrowing.method) == ("pro-rated", "pro-rated")
    assert narrowing.value == pytest.approx(36 * 1.5 * 168 / 144)
    assert (erosion.value, erosion.reason) == (None, Reason.FILM_MISSING)
    assert erosion.observed == pytest.approx(38 * 2.25)


def test_no_film_at_all_still_gives_86_reasons() -> None:
    result = pipeline().score("P1", {}).result
    assert {(s.status, s.reason) for s in result.scores} == {(Status.MISSING, Reason.FILM_MISSING)}
    assert {t.value for t in result.totals} == {None}


def test_a_film_that_cannot_be_read_costs_that_film_only(films: dict[Slot, Path]) -> None:
    films[LH].write_bytes(b"no picture")
    scored = pipeline().score("P1", films)
    assert set(of(scored.result, LH).values()) == {(Status.FAILED, Reason.FILM_UNREADABLE)}
    assert all(isinstance(v, float) for v in of(scored.result, RH).values())
    assert "not a PNG" in str(scored.result.films[0].detail)
    assert "P1-LH.png" not in scored.radiographs
    assert not scored.result.complete


@pytest.mark.parametrize(
    ("error", "reason", "says"),
    [
        (KeyError("mcp2"), Reason.PROGRAM_FAULT, "KeyError: 'mcp2'"),
        (ValueError("shapes differ"), Reason.PROGRAM_FAULT, "ValueError: shapes differ"),
        (OSError("no such file"), Reason.PROGRAM_FAULT, "OSError: no such file"),
        (MemoryError(), Reason.STAGE_FAILED, "not enough memory"),
        (InputError("its joints lie on one another"), Reason.STAGE_FAILED, "lie on one another"),
        (UntrainedLimb("no such limb"), Reason.LIMB_UNTRAINED, "no such limb"),
        (UnreadableFilm("is cut short"), Reason.FILM_UNREADABLE, "is cut short"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_fails_on_a_film_costs_that_film_only(
    films: dict[Slot, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    error: Exception, reason: Reason, says: str,
) -> None:  # fmt: skip
    locate = FakeLocator.locate

    def broken(self: FakeLocator, pixels: Any, side: Side | None = None, **more: Any) -> Any:
        if (self.limb, side) == (Limb.HAND, Side.LEFT):
            raise error
        return locate(self, pixels, side, **more)

    monkeypatch.setattr(FakeLocator, "locate", broken)
    with caplog.at_level(logging.DEBUG, "mandora"):
        scored = pipeline().score("P1", films)
    assert set(of(scored.result, LH).values()) == {(Status.FAILED, reason)}
    for slot in (RH, LF, RF):
        assert all(isinstance(v, float) for v in of(scored.result, slot).values())
    (record,) = [f for f in scored.result.films if f.status is Status.FAILED]
    assert (record.name, record.reason) == ("P1-LH.png", reason)
    assert says in str(record.detail)
    # what is no fault of the film's can be looked for in the program
    ours = reason is Reason.PROGRAM_FAULT
    assert any(r.levelno == logging.ERROR and "P1-LH.png" in r.message for r in caplog.records) == (
        ours
    )
    assert ("Traceback" in caplog.text and "in broken" in caplog.text) == (
        ours or isinstance(error, MemoryError)
    )


def test_ctrl_c_is_no_failure_of_a_film(
    films: dict[Slot, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeLocator, "locate", stop)
    with pytest.raises(KeyboardInterrupt):
        pipeline().score("P1", films)


def test_rejected_films_are_not_opened(films: dict[Slot, Path]) -> None:
    bad = Rejected("P1-LH.jpg", Reason.DUPLICATE_FILM, "two films, none was used")
    result = pipeline().score("P1", films, {LH: bad}).result
    assert set(of(result, LH).values()) == {(Status.FAILED, Reason.DUPLICATE_FILM)}
    assert (result.films[0].name, result.films[0].detail) == (bad.name, bad.detail)
    assert [f.name for f in result.films[1:]] == ["P1-RH.png", "P1-LF.png", "P1-RF.png"]


def test_a_lost_point_costs_the_scores_that_are_read_there() -> None:
    hand = FakeLocator(Limb.HAND, lost={"radcar": Reason.NOT_FOUND, "pip2": Reason.OUTSIDE_FILM})
    part = pipeline(hand).examine(LH, film())
    # the navicular is read at the radiocarpal joint
    lost = {"LH-radcar:narrowing", "LH-nav:erosion", "LH-pip2:narrowing", "LH-pip2:erosion"}
    assert set(part.scores) == {t.key for t in TARGETS if t.slot == LH} - lost
    assert part.record.status is Status.SCORED
    assert set(part.evidence) == {p.name for p in LANDMARKS[Limb.HAND]} - {"radcar", "pip2"}


def test_scores_that_were_not_found_say_why(films: dict[Slot, Path]) -> None:
    hand = FakeLocator(Limb.HAND, lost={"radcar": Reason.OUTSIDE_FILM})
    result = pipeline(hand).score("P1", {LH: films[LH]}).result
    lost = {s.target: s.reason for s in result.scores if s.reason and s.film}
    assert lost == dict.fromkeys(("LH-nav:erosion", "LH-radcar:narrowing"), Reason.OUTSIDE_FILM)
    (place,) = [p for p in result.locations if p.x is None]
    assert (place.site, place.reason) == ("radcar", Reason.OUTSIDE_FILM)


def test_a_part_of_a_limb_is_scored_and_the_rest_is_missing(films: dict[Slot, Path]) -> None:
    fingers = [p.name for p in LANDMARKS[Limb.HAND] if p.group is JointGroup.FINGER]
    hand = FakeLocator(Limb.HAND, lost=dict.fromkeys(fingers, Reason.OUTSIDE_FILM))
    result = pipeline(hand).score("P1", {LH: films[LH]}).result
    assert result.complete, "nothing failed"
    assert result.films[0].status is Status.SCORED
    assert "part of the hand: 10 of 21 joints" in result.films[0].told[0]
    on_film = [s for s in result.scores if s.film]
    assert {s.status for s in on_film if s.site in fingers} == {Status.MISSING}
    assert {s.reason for s in on_film if s.site in fingers} == {Reason.OUTSIDE_FILM}
    assert {s.status for s in on_film if s.site not in fingers} == {Status.SCORED}
    assert all(t.value is None for t in result.totals)
    reasons = {t.name: t.reason for t in result.totals}
    assert reasons["LH:total"] is Reason.TOO_FEW_JOINTS
    assert reasons["Overall_Tol"] is Reason.FILM_MISSING


def lose_all_but(limb: Limb, n: int) -> dict[str, Reason]:
    return {p.name: Reason.NOT_FOUND for p in LANDMARKS[limb][n:]}


@pytest.mark.parametrize(
    "locator",
    [
        FakeLocator(Limb.HAND, lost=lose_all_but(Limb.HAND, 0)),
        FakeLocator(Limb.HAND, lost=lose_all_but(Limb.HAND, 6)),
        FakeLocator(Limb.HAND, size_px=2.0),
        FakeLocator(Limb.HAND, size_px=500.0),
    ],
    ids=[
        "no landmark",
        "a few landmarks",
        "a tiny limb",
        "a limb larger than the film",
    ],
)
def test_points_that_are_no_limb_are_refused(locator: FakeLocator, films: dict[Slot, Path]) -> None:
    scored = pipeline(locator).score("P1", films)
    assert set(of(scored.result, LH).values()) == {(Status.FAILED, Reason.NOT_FOUND)}
    record = scored.result.films[0]
    assert (record.status, record.reason) == (Status.FAILED, Reason.NOT_FOUND)
    assert "shows the left hand or a part of it, not from the side" in str(record.detail)
    hands = [p for p in scored.result.locations if p.limb is Limb.HAND]
    assert {(p.x, p.reason) for p in hands} == {(None, Reason.NOT_FOUND)}
    assert scored.evidence["P1-LH.png"] == {}
    assert "P1-LH.png" in scored.radiographs, "a reader wants to see what was refused"
    assert all(isinstance(v, float) for v in of(scored.result, LF).values())


def test_a_film_that_shows_the_other_limb_is_refused_as_such(films: dict[Slot, Path]) -> None:
    scored = pipeline(FakeLocator(Limb.HAND, fit=0.1)).score("P1", films)
    assert set(of(scored.result, LH).values()) == {(Status.FAILED, Reason.WRONG_LIMB)}
    assert "shows a foot" in str(scored.result.films[0].detail)
    assert "P1-LH.png" in scored.radiographs, "a reader wants to see what was refused"
    both = FakeLocator(Limb.HAND, fit=0.1), FakeLocator(Limb.FOOT, fit=0.1)
    scored = pipeline(*both).score("P1", films)
    assert set(of(scored.result, LH).values()) == {(Status.FAILED, Reason.NOT_FOUND)}


def test_most_of_a_hand_is_a_hand() -> None:
    part = pipeline(FakeLocator(Limb.HAND, lost=lose_all_but(Limb.HAND, 9))).examine(LH, film())
    assert part.record.status is Status.SCORED


@pytest.mark.parametrize(
    ("hand", "foot", "better"),
    # six landmarks fit more easily than 21
    [(0.6, 0.7, Limb.HAND), (0.45, 0.9, Limb.FOOT), (0.55, 0.65, Limb.HAND)],
)
def test_an_unknown_limb_is_the_one_that_fits_better(
    hand: float, foot: float, better: Limb
) -> None:
    locators = FakeLocator(Limb.HAND, fit=hand), FakeLocator(Limb.FOOT, fit=foot)
    assert pipeline(*locators).locate(film()).limb is better
    assert pipeline(*locators).locate(film(), better.other).limb is better.other


@pytest.mark.parametrize(("fit", "searches", "looks"), [(0.9, True, 1), (0.4, True, 2),
                                                        (0.4, False, 1)])  # fmt: skip
def test_a_film_is_searched_further_only_where_that_may_help(
    fit: float, searches: bool, looks: int
) -> None:
    asked = []

    class Counting(FakeLocator):
        def locate(self, *args: object, **options: object) -> FoundLandmarks:
            asked.append(self.limb)
            return super().locate(*args, **options)  # type: ignore[arg-type]

    locators = Counting(Limb.HAND, fit=fit), Counting(Limb.FOOT, fit=0.1)
    assert pipeline(*locators, searches=searches).locate(film()).limb is Limb.HAND
    assert asked == [Limb.HAND, Limb.FOOT] * looks


def test_of_all_limbs_on_a_film_those_that_are_none_are_left_out() -> None:
    class Two(FakeLocator):
        def locate_all(self, pixels: NDArray[np.float32]) -> list[FoundLandmarks]:
            return [self.locate(pixels), replace(self.locate(pixels), fit=0.1)]

    (found,) = pipeline(Two(Limb.HAND)).locate_all(film(), Limb.HAND)
    assert found.fit == 0.9


class WatchingScorer(FakeScorer):
    """Keeps the patches; its masks mark the side towards the little finger or toe."""

    def score(self, patches: list[Patch]) -> list[PatchScore]:
        self.patches = {patch.landmark: patch.pixels for patch in patches}
        masks = []
        for patch in patches:
            mask = np.zeros((16, 16), np.float32)
            mask[:, 12:] = patch.mirrored
            mask[:, :4] = not patch.mirrored
            masks.append(mask)
        return [PatchScore(1.5, 2.25, mask) for mask in masks]


@pytest.mark.parametrize("orientation", [*orientations(), *orientations(inverted=True)], ids=str)
def test_patches_are_upright_with_bright_bone_and_masks_lie_on_the_film_as_given(
    orientation: Orientation,
) -> None:
    rng = np.random.default_rng(0)
    upright = rng.random((SIZE_PX, SIZE_PX)).astype(np.float32)
    # what it takes to turn it back is a turn the other way
    given = Orientation(-orientation.turns % 4, inverted=orientation.inverted).upright(upright)
    seen, wanted = WatchingScorer(), WatchingScorer()
    found = FakeLocator(Limb.HAND, orientation=orientation)
    plain = FakeLocator(Limb.HAND, orientation=Orientation(mirrored=orientation.mirrored))
    part = pipeline(found, scorer=seen).examine(LH, Radiograph(given, "a.png", "0" * 64))
    pipeline(plain, scorer=wanted).examine(LH, Radiograph(upright, "a.png", "0" * 64))
    assert len(seen.patches) == 21
    for landmark, pixels in wanted.patches.items():
        np.testing.assert_allclose(seen.patches[landmark], pixels, atol=1e-4)
    # from the thumb to the little finger on the film as given
    index = {p.name: i for i, p in enumerate(LANDMARKS[Limb.HAND])}
    assert part.found is not None
    across = part.found.landmarks[index["mcp5"]] - part.found.landmarks[index["mcp2"]]
    for evidence in part.evidence.values():
        np.testing.assert_allclose(
            evidence.box.centre, part.found.landmarks[index[evidence.landmark]], atol=1e-9
        )
        rows, columns = np.nonzero(evidence.mask)
        towards = np.array([columns.mean() - 7.5, rows.mean() - 7.5])
        assert towards @ across > 0.7 * np.linalg.norm(towards) * np.linalg.norm(across)


@pytest.mark.parametrize("orientation", orientations(), ids=str)
def test_points_that_are_known_are_not_looked_for(orientation: Orientation) -> None:
    found = FakeLocator(Limb.HAND, orientation=orientation, lost={"mcp3": Reason.NOT_FOUND})
    seen, wanted = WatchingScorer(), WatchingScorer()
    grey = Radiograph(np.random.default_rng(0).random((SIZE_PX, SIZE_PX)).astype(np.float32),
                      "a.png", "0" * 64)  # fmt: skip
    part = pipeline(found, scorer=wanted).examine(LH, grey)
    assert part.found is not None

    class Blind(FakeLocator):
        def locate(self, *_: object, **__: object) -> FoundLandmarks:
            raise AssertionError("it was told where they are")

    known = pipeline(Blind(Limb.HAND), scorer=seen).examine(LH, grey, part.found.landmarks)
    assert known.found is not None
    assert known.found.orientation == orientation
    assert known.scores == part.scores
    assert known.reasons == {"mcp3": Reason.NOT_FOUND}
    assert seen.patches.keys() == wanted.patches.keys()
    for landmark, pixels in wanted.patches.items():
        np.testing.assert_allclose(seen.patches[landmark], pixels, atol=1e-4)
    # places do not say whether bone is dark; whoever has found them does
    dark = replace(orientation, inverted=True)
    told = pipeline(Blind(Limb.HAND)).examine(LH, grey, part.found.landmarks, dark)
    assert told.found is not None
    assert told.found.orientation == dark


def test_patches_are_cut_as_the_scorer_wants_them() -> None:
    limb, whole = WatchingScorer(), WatchingScorer()
    by_film = PatchSpec(patch_px=48, channels=7, window="film", along="film", enlarged={})
    plain = pipeline(scorer=limb).examine(LF, film())
    wide = pipeline(scorer=whole, spec=by_film).examine(LF, film())
    assert {p.shape for p in limb.patches.values()} == {(32, 32)}
    assert {p.shape for p in whole.patches.values()} == {(7, 48, 48)}
    # the great toe's are larger, in either window
    assert plain.evidence["mtp2"].box.width == pytest.approx(2 * 0.4 * 40)
    assert wide.evidence["mtp2"].box.width == pytest.approx(2 * 192 * SIZE_PX / 4096)
    for part in (plain, wide):
        larger = part.evidence["mtp1"].box.width / part.evidence["mtp2"].box.width
        assert larger == pytest.approx(1.5)


@pytest.mark.parametrize("orientation", orientations(), ids=str)
@pytest.mark.parametrize("degrees", [-40, 25])
def test_patches_are_cut_along_a_limb_that_slants(orientation: Orientation, degrees: int) -> None:
    found = FakeLocator(Limb.HAND, orientation=orientation)
    grey = np.random.default_rng(0).random((SIZE_PX, SIZE_PX)).astype(np.float32)
    radiograph = Radiograph(grey, "a.png", "0" * 64)
    straight = pipeline(found).examine(LH, radiograph)
    assert straight.found is not None
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    centre = (SIZE_PX - 1) / 2
    slanting = (straight.found.landmarks - centre) @ [[cos, sin], [-sin, cos]] + centre
    along_limb, along_film = WatchingScorer(), WatchingScorer()
    part = pipeline(scorer=along_limb).examine(LH, radiograph, slanting, orientation)
    by_film = SPEC.model_copy(update={"along": "film"})
    other = pipeline(scorer=along_film, spec=by_film).examine(LH, radiograph, slanting, orientation)
    index = LANDMARK_INDEX[Limb.HAND]
    for name, evidence in part.evidence.items():
        assert evidence.box.turn_deg == pytest.approx(degrees)
        assert other.evidence[name].box.turn_deg == 0
        # the mask is on the side of the little finger, on the film as it was given
        to_film = box_to_grid(evidence.box, (16, 16), "mask").inverse
        rows, columns = np.nonzero(evidence.mask)
        middle = to_film((columns.mean(), rows.mean()))[0] - evidence.box.centre
        across = slanting[index["mcp5"]] - slanting[index["mcp2"]]
        assert middle @ across > 0.9 * np.linalg.norm(middle) * np.linalg.norm(across)
    assert any(
        np.abs(along_limb.patches[i] - along_film.patches[i]).max() > 0.1
        for i in along_limb.patches
    )


def test_one_known_point_has_a_patch_where_patches_follow_the_film() -> None:
    landmarks = np.full((len(LANDMARKS[Limb.FOOT]), 2), np.nan)
    landmarks[2] = 100.0, 120.0
    by_film = PatchSpec(patch_px=32, window="film", along="film", enlarged={})
    part = pipeline(spec=by_film).examine(LF, film(), landmarks)
    assert list(part.evidence) == ["mtp2"]
    with pytest.raises(ValueError, match="1 of 6 landmarks are known"):
        pipeline().examine(LF, film(), landmarks)
    landmarks[5] = 40.0, 150.0  # the limb's size is that of what is known
    assert set(pipeline().examine(LF, film(), landmarks).evidence) == {"mtp2", "mtp5"}


def finding(part: FilmResult, check: Check) -> Finding:
    (made,) = [found for found in part.record.findings if found.check is check]
    return made


def test_a_film_that_lies_otherwise_is_remarked_upon() -> None:
    turned = pipeline(FakeLocator(Limb.FOOT), FakeLocator(Limb.FOOT, orientation=Orientation(2)))
    assert (
        "orientation: fixed: the toes point down: the limb was scored as if the film was upright"
    ) in turned.examine(LF, film()).record.told
    dark = pipeline(FakeLocator(Limb.HAND, orientation=Orientation(inverted=True)))
    assert finding(dark.examine(LH, film()), Check.INVERTED).outcome is Outcome.FIXED


def test_a_mirrored_film_is_scored_and_remarked_upon() -> None:
    part = pipeline(FakeLocator(Limb.HAND, orientation=Orientation(mirrored=True))).examine(
        LH, film()
    )
    assert part.record.side is Side.LEFT
    assert len(part.scores) == 31
    assert finding(part, Check.MIRRORED).outcome is Outcome.WARN


def test_tags_that_contradict_the_name_are_remarked_upon() -> None:
    part = pipeline().examine(LH, film(side=Side.RIGHT, limb=Limb.HAND))
    assert "tags do not say left hand" in finding(part, Check.SIDE).words
    right = pipeline().examine(LH, film(side=Side.LEFT))
    assert finding(right, Check.SIDE).outcome is Outcome.PASS


def test_two_films_of_one_name_are_told_apart(tmp_path: Path, films: dict[Slot, Path]) -> None:
    again = tmp_path / "b" / "P1-LH.png"
    again.parent.mkdir()
    again.write_bytes(films[RH].read_bytes())
    scored = pipeline().score("P1", {LH: films[LH], RH: again})
    assert [f.name for f in scored.result.films] == ["P1-LH.png", "RH-P1-LH.png"]
    assert set(scored.radiographs) == set(scored.evidence) == {"P1-LH.png", "RH-P1-LH.png"}
    assert {s.film for s in scored.result.scores if s.side == "R" and s.film} == {"RH-P1-LH.png"}


def test_a_bundle_is_used_as_its_contract_says(tiny_bundle: Path, small_films: Path) -> None:
    chosen = {slot: small_films / f"P1-{slot.code}.png" for slot in SLOTS}
    bundle = open_bundle(tiny_bundle)
    scored = Pipeline.from_bundle(bundle, 1).score("P1", chosen)
    result, shown = scored.result, scored.evidence["P1-LH.png"]
    assert shown["radius"].box.width == pytest.approx(1.25 * shown["ulna"].box.width)
    assert result.model.bundle_sha256 == bundle.sha256
    for score in result.scores:
        assert score.patch_score is not None
        assert score.tree_score is not None
        mean = (score.patch_score + score.tree_score) / 2
        assert score.score == pytest.approx(mean)
    assert len({s.score for s in result.scores}) > 80


def test_a_limb_has_a_size_that_fits_the_film() -> None:
    stages = pipeline()._stages
    hand = FakeLocator(Limb.HAND).locate(film().pixels)

    def shown(found: FoundLandmarks, *shape: int) -> bool:
        return shows_limb(stages, found, (shape[0], shape[1]))

    assert shown(hand, 200, 150)
    assert shown(hand, 150, 200), "the longer side counts"
    assert not shown(hand, 40, 40)
    assert not shown(hand, 2000, 100)
    part = replace(hand, reasons=(*hand.reasons[:20], Reason.OUTSIDE_FILM))
    assert shown(part, 40, 40), "a part of a limb may fill the film"
    assert not shown(part, 2000, 100)
    assert not shown(replace(hand, fit=0.1), 200, 150)
    assert not shown(replace(hand, landmarks=np.full((21, 2), 100.0)), 200, 150), "at one place"


def test_a_film_shows_a_limb_by_the_thresholds_of_the_model() -> None:
    usual = pipeline()
    hand = DEFAULT_THRESHOLDS[Limb.HAND]
    for changed in ({"least_fit": 0.95, "clear_fit": 0.95, "sure_fit": 0.95},
                    {"size_range": (0.3, 0.9)}, {"size_range": (0.03, 0.1)}):  # fmt: skip
        contract = usual._stages.contract.with_thresholds(
            {Limb.HAND: hand.model_copy(update=changed)}
        )
        strict = Pipeline(replace(usual._stages, contract=contract), MODEL)
        assert usual.examine(LH, film()).record.status is Status.SCORED
        assert strict.examine(LH, film()).record.reason is Reason.NOT_FOUND
        assert strict.examine(LF, film()).record.status is Status.SCORED


def test_a_joint_is_scored_by_the_limits_of_the_model() -> None:
    usual = pipeline()
    limits = DEFAULT_LIMITS.model_copy(update={"least_window_px": 100.0})
    damage = usual._stages.contract.damage.model_copy(update={"limits": limits})
    contract = usual._stages.contract.model_copy(update={"damage": damage})
    part = Pipeline(replace(usual._stages, contract=contract), MODEL).examine(LH, film())
    assert len(usual.examine(LH, film()).scores) == 31
    assert part.scores == {}
    assert set(part.reasons.values()) == {Reason.BLURRED}


def test_a_second_film_of_the_same_name_gets_its_slot_in_front() -> None:
    assert unique_name("x.png", RH, {"y.png"}) == "x.png"
    assert unique_name("x.png", RH, {"x.png"}) == "RH-x.png"
    assert unique_name("x\udcff.png", RH, set()) == "x?.png"


# --- the packaged model ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def packaged() -> Pipeline:
    return Pipeline.from_bundle(open_bundle(default_bundle()), 1)


def noise() -> NDArray[np.float32]:
    return np.random.default_rng(1).random((900, 700)).astype(np.float32)


def smooth_noise() -> NDArray[np.float32]:
    small = np.random.default_rng(2).random((24, 18)).astype(np.float32)
    return np.asarray(Image.fromarray(small).resize((720, 960), Image.Resampling.BICUBIC)).clip(
        0, 1
    )


def text_page() -> NDArray[np.float32]:
    page = Image.new("L", (827, 1169), 255)
    draw = ImageDraw.Draw(page)
    for line in range(70):
        draw.text(
            (80, 60 + 15 * line), f"{line:02d} The quick brown fox jumps over the lazy dog. " * 2
        )
    return np.asarray(page, np.float32) / 255


def gradient() -> NDArray[np.float32]:
    return np.tile(np.linspace(0, 1, 700, dtype=np.float32), (900, 1))


def test_a_model_of_hands_alone_scores_hands_and_says_so_of_feet(small_films: Path) -> None:
    bundle = open_bundle(default_bundle())
    paths = {name: bundle.path(name) for name in bundle.manifest.files}
    del paths[locate_file(Limb.FOOT)]
    pipeline = Pipeline(Stages.load(bundle.manifest.contract, paths, threads=1), MODEL)
    hand, foot = (read_radiograph(small_films / f"P1-{slot.code}.png") for slot in (LH, LF))
    assert pipeline.examine(LH, hand).scores
    assert pipeline.locate(foot).limb is Limb.HAND  # it knows of nothing else
    for look in (lambda: pipeline.examine(LF, foot), lambda: pipeline.locate_all(foot, Limb.FOOT)):
        with pytest.raises(ValueError, match="was not trained on films of a foot"):
            look()
    films = {slot: small_films / f"P1-{slot.code}.png" for slot in (LH, LF)}
    scored = pipeline.score("P1", films).result
    assert set(of(scored, LF).values()) == {(Status.FAILED, Reason.LIMB_UNTRAINED)}
    assert any(isinstance(v, float) for v in of(scored, LH).values())


@pytest.mark.parametrize("slot", [LH, RF], ids=lambda slot: slot.code)
@pytest.mark.parametrize("picture", [noise, smooth_noise, text_page, gradient])
def test_the_packaged_model_scores_no_film_that_shows_nothing(
    packaged: Pipeline, picture: Callable[[], NDArray[np.float32]], slot: Slot
) -> None:
    part: FilmResult = packaged.examine(slot, Radiograph(picture(), "P1.png", "0" * 64))
    assert part.record.reason is Reason.NOT_FOUND
    assert part.scores == {}


@pytest.mark.parametrize("limb", Limb)
def test_the_packaged_model_finds_no_limb_among_the_best_two_of_noise(
    packaged: Pipeline, limb: Limb
) -> None:
    assert packaged.locate_all(Radiograph(smooth_noise(), "P1.png", "0" * 64), limb) == []


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.code)
def test_the_packaged_model_scores_a_simulated_film(packaged: Pipeline, slot: Slot) -> None:
    shown = simulate_film(draw_patient(99, 0), slot, pixels_per_mm=4)
    part = packaged.examine(slot, Radiograph(shown.pixels, "P1.png", "0" * 64))
    assert set(part.scores) == {t.key for t in TARGETS if t.slot == slot}
    assert part.found is not None
    away = np.linalg.norm(part.found.landmarks - shown.landmarks, axis=1) / max(shown.pixels.shape)
    assert np.median(away) < 0.02


@pytest.fixture(scope="module")
def hand_film() -> NDArray[np.float32]:
    return simulate_film(draw_patient(99, 1), LH, pixels_per_mm=3).pixels


@pytest.fixture(scope="module")
def hand_score(packaged: Pipeline, hand_film: NDArray[np.float32]) -> FilmResult:
    return packaged.examine(LH, Radiograph(hand_film, "P1.png", "0" * 64))


@pytest.mark.parametrize(
    "orientation",
    [
        Orientation(1), Orientation(2), Orientation(3), Orientation(0, True),
        Orientation(0, False, True), Orientation(1, True, True),
    ],
    ids=str,
)  # fmt: skip
def test_the_packaged_model_scores_a_film_however_it_lies(
    packaged: Pipeline,
    hand_film: NDArray[np.float32],
    hand_score: FilmResult,
    orientation: Orientation,
) -> None:
    shown = hand_film[:, ::-1] if orientation.mirrored else hand_film
    given = Orientation(-orientation.turns % 4, inverted=orientation.inverted).upright(shown)
    part = packaged.examine(LH, Radiograph(given, "P1.png", "0" * 64))
    assert part.found is not None
    assert hand_score.found is not None
    assert part.found.orientation == orientation
    landmarks = orientation.to_upright(given.shape)(part.found.landmarks)
    if orientation.mirrored:
        landmarks[:, 0] = hand_film.shape[1] - 1 - landmarks[:, 0]
    away = np.linalg.norm(landmarks - hand_score.found.landmarks, axis=1) / max(hand_film.shape)
    assert np.nanmax(away) < 0.01
    differences = [abs(part.scores[key] - score) for key, score in hand_score.scores.items()]
    assert np.median(differences) < 0.1


@pytest.mark.parametrize("limb", Limb)
def test_the_packaged_model_finds_both_limbs_on_one_film(packaged: Pipeline, limb: Limb) -> None:
    films = [simulate_film(draw_patient(99, 0), Slot(s, limb), pixels_per_mm=3) for s in Side]
    height = max(film.pixels.shape[0] for film in films)
    wide = [np.pad(f.pixels, ((0, height - len(f.pixels)), (0, 0)), mode="edge") for f in films]
    both = Radiograph(np.hstack(wide), "P1.png", "0" * 64)
    places = films[0].landmarks, np.add(films[1].landmarks, (films[0].pixels.shape[1], 0))
    found = packaged.locate_all(both, limb)
    assert {one.orientation.side for one in found} == set(Side)
    for side, truth in zip(Side, places, strict=True):
        (one,) = (f for f in found if f.orientation.side is side)
        stated = packaged.locate(both, limb, side)
        for landmarks in (one.landmarks, stated.landmarks):
            away = np.linalg.norm(landmarks - truth, axis=1) / max(both.shape)
            assert np.nanmedian(away) < 0.01
