"""The published locator around networks that draw squares where they are told to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARKS, Limb, Side
from mandora.core.records import Reason
from mandora.core.specs import FilmSpec
from mandora.locate.published import PublishedLocator, film_as_seen

HEIGHT, WIDTH, SIZE = 240, 160, 64
TEMPLATE = np.array([[-0.5, 0.3], [-0.25, 0.1], [0.0, -0.1], [0.2, -0.2], [0.5, -0.1], [0.5, -0.6]])
PLACES = TEMPLATE * 60 + [WIDTH / 2, HEIGHT / 2]  # px of the film of a left foot
NAMES = [p.name for p in LANDMARKS[Limb.FOOT]]
TOLERANCE = 3.0  # px of the film: half a px of the network is 1.9 px high
Told = tuple[float, float] | None


class Networks:
    """Stands for the files: ``<landmark>.<seed>.onnx`` draws a square of 5 × 5 px.

    The film holds a bright bar at its left edge. Where a look shows it on the right, it shows a
    mirrored film: the square is drawn only if ``left`` says that the bar belongs where it is.

    Args:
        told: (x, y) px of the film by landmark and seed; None draws nothing.
        bar_left: the bar is on the left of what a left limb looks like.
    """

    def __init__(self, told: Mapping[str, Sequence[Told]], *, bar_left: bool = True) -> None:
        self.told, self.bar_left = told, bar_left
        self.opened: list[str] = []
        self.shapes: set[tuple[int, ...]] = set()

    def __call__(self, path: Path, threads: int) -> Networks._Network:
        self.opened.append(path.name)
        landmark, seed = path.stem.split(".")
        return Networks._Network(self, self.told[landmark][int(seed) - 1])

    class _Network:
        def __init__(self, owner: Networks, place: Told) -> None:
            self.owner, self.place = owner, place

        def __call__(self, film: np.ndarray) -> list[np.ndarray]:
            self.owner.shapes.add(film.shape)
            maps = np.full((1, 1, SIZE, SIZE), 0.1, np.float32)
            bar_left = film[0, 0, :, :2].mean() > film[0, 0, :, -2:].mean()
            if self.place is not None and bar_left == self.owner.bar_left:
                x = round((self.place[0] + 0.5) * SIZE / WIDTH - 0.5)
                y = round((self.place[1] + 0.5) * SIZE / HEIGHT - 0.5)
                maps[0, 0, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = 0.8
            return [maps]


def published(**changed: object) -> FilmSpec:
    """What the published networks see, at a smaller size."""
    usual = {
        "design": "one-landmark", "input_px": SIZE, "keep_aspect": False, "channels": 3,
        "heat_map_stride": 1, "decode": "component", "found_threshold": 0.5, "corner": 0.01,
    }  # fmt: skip
    return FilmSpec.model_validate({**usual, **changed})


def film(*, right: bool = False) -> np.ndarray:
    pixels = np.full((HEIGHT, WIDTH), 0.4, np.float32)
    pixels[:, :8] = 1.0
    return np.ascontiguousarray(pixels[:, ::-1]) if right else pixels


def told(seeds: int = 1, **changes: Sequence[Told]) -> dict[str, Sequence[Told]]:
    places = {n: [(float(x), float(y))] * seeds for n, (x, y) in zip(NAMES, PLACES, strict=True)}
    return {**places, **changes}


def locator(
    monkeypatch: pytest.MonkeyPatch, networks: Networks, spec: FilmSpec | None = None
) -> PublishedLocator:
    monkeypatch.setattr("mandora.locate.published.Network", networks)
    paths = {
        name: [Path(f"{name}.{seed + 1}.onnx") for seed in range(len(networks.told[name]))]
        for name in NAMES
    }
    return PublishedLocator(paths, Limb.FOOT, spec or published(), TEMPLATE, 1)


# ── what the networks see ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("keep_aspect", [False, True])
def test_a_look_says_where_its_px_lie_on_the_film(mirror: bool, keep_aspect: bool) -> None:
    pixels = np.zeros((HEIGHT, WIDTH), np.float32)
    pixels[60:70, 20:30] = 1.0
    spec = published(channels=1, keep_aspect=keep_aspect)
    seen, to_network = film_as_seen(spec, pixels, mirror=mirror)
    assert seen.shape == (1, SIZE, SIZE)
    rows, columns = np.nonzero(seen[0] > 0.5 * seen.max())
    (place,) = to_network.inverse([columns.mean(), rows.mean()])
    np.testing.assert_allclose(place, [24.5, 64.5], atol=2)


def test_three_channels_show_a_stretched_film_in_three_versions() -> None:
    seen, _ = film_as_seen(published(), film(), mirror=False)
    assert (seen.shape, seen.dtype) == ((3, SIZE, SIZE), np.float32)
    assert 0 <= seen.min() <= seen.max() <= 1


# ── the limb ─────────────────────────────────────────────────────────────────────────────


def test_a_left_limb_is_found_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = Networks(told())
    found = locator(monkeypatch, networks).locate(film(), Side.LEFT)
    np.testing.assert_allclose(found.landmarks, PLACES, atol=TOLERANCE)
    np.testing.assert_allclose(found.confidence, 0.8, atol=1e-6)
    assert found.reasons == (None,) * 6
    assert (found.limb, found.orientation.mirrored, found.orientation.turns) == (
        Limb.FOOT,
        False,
        0,
    )
    assert found.fit > 0.7
    assert networks.opened == [f"{name}.1.onnx" for name in NAMES]
    assert networks.shapes == {(1, 3, SIZE, SIZE)}


def test_a_right_limb_is_shown_like_a_left_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = locator(monkeypatch, Networks(told())).locate(film(right=True), Side.RIGHT)
    mirrored = PLACES * [-1, 1] + [WIDTH - 1, 0]
    np.testing.assert_allclose(found.landmarks, mirrored, atol=TOLERANCE)
    assert found.orientation.side is Side.RIGHT
    assert found.fit > 0.7


@pytest.mark.parametrize("side", Side)
def test_the_better_side_counts_where_none_is_known(
    monkeypatch: pytest.MonkeyPatch, side: Side
) -> None:
    networks = Networks(told())
    right = side is Side.RIGHT
    found = locator(monkeypatch, networks).locate(film(right=right))
    assert found.orientation.side is side
    assert len(networks.opened) == 6, "each file is opened once for both sides"


def test_a_known_side_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = locator(monkeypatch, Networks(told())).locate(film(right=True), Side.LEFT)
    assert found.orientation.side is Side.LEFT
    assert np.isnan(found.landmarks).all()
    assert set(found.reasons) == {Reason.NOT_FOUND}
    assert found.fit == 0.0


def test_of_several_networks_the_median_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (float(v) for v in PLACES[2])
    networks = Networks(told(3, mtp2=[(x, y), (x + 60, y - 80), (x, y)], mtp3=[None, None, None]))
    found = locator(monkeypatch, networks).locate(film(), Side.LEFT)
    np.testing.assert_allclose(found.landmarks[2], PLACES[2], atol=TOLERANCE)
    assert found.reasons == (None, None, None, Reason.NOT_FOUND, None, None)
    assert found.confidence[3] == pytest.approx(0.1), "what heat there was"
    assert networks.opened[:3] == ["ip.1.onnx", "ip.2.onnx", "ip.3.onnx"]


def test_a_square_in_a_corner_is_no_joint(monkeypatch: pytest.MonkeyPatch) -> None:
    found = locator(monkeypatch, Networks(told(mtp5=[(2.0, 2.0)]))).locate(film(), Side.LEFT)
    assert found.reasons[5] is Reason.NOT_FOUND
    np.testing.assert_allclose(found.landmarks[:5], PLACES[:5], atol=TOLERANCE)


@pytest.mark.parametrize(("corner", "counts"), [(0.05, False), (0.0, True)])
def test_the_rule_says_what_a_corner_is(
    monkeypatch: pytest.MonkeyPatch, corner: float, counts: bool
) -> None:
    places = [(2.0, 2.0), (2.0, 2.0), tuple(PLACES[5])]
    networks = Networks(told(3, mtp5=places))  # type: ignore[arg-type]
    found = locator(monkeypatch, networks, published(corner=corner)).locate(film(), Side.LEFT)
    assert (found.reasons[5] is Reason.NOT_FOUND) == counts, "two of three lie in the corner"


def test_a_point_that_is_grossly_astray_counts_as_not_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = locator(monkeypatch, Networks(told(mtp4=[(60.0, 220.0)]))).locate(film(), Side.LEFT)
    assert found.reasons[4] is Reason.NOT_FOUND
    assert np.isnan(found.landmarks[4]).all()


def test_all_limbs_of_a_film_are_one_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = locator(monkeypatch, Networks(told())).locate_all(film())
    np.testing.assert_allclose(found.landmarks, PLACES, atol=TOLERANCE)
    nothing = Networks({name: [None] for name in NAMES})
    assert locator(monkeypatch, nothing).locate_all(film()) == []


def test_every_point_needs_a_network() -> None:
    paths = {name: [Path("a.onnx")] for name in NAMES if name != "mtp3"} | {"mtp4": []}
    with pytest.raises(ValueError, match=r"the foot's landmarks mtp3, mtp4 have no network"):
        PublishedLocator(paths, Limb.FOOT, published(), TEMPLATE)


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not a network")
    paths = {name: [tmp_path / "bad.onnx"] for name in NAMES}
    locator = PublishedLocator(paths, Limb.FOOT, published(), TEMPLATE)
    with pytest.raises(ValueError, match=r"bad\.onnx cannot be run as a network"):
        locator.locate(film(), Side.LEFT)
