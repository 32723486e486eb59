"""The published scorer around four networks whose answers say which of them was asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import FAMILIES, LANDMARK_INDEX, LANDMARKS, Damage, Limb
from mandora.core.geometry import Box
from mandora.damage.patches import Patch
from mandora.damage.published import BATCH, PublishedScorer
from mandora.damage.scorer import site_at

SIZE = 16
HEAT = {family: 0.2 * (i + 1) for i, family in enumerate(FAMILIES)}
"""What each family's network draws everywhere, and a tenth of its score."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Limb, Damage], Path]:
    """Masks: what the family draws where the first channel is positive; scores: 10 × that."""
    onnx = pytest.importorskip("onnx")
    h, kind = onnx.helper, onnx.TensorProto
    folder, made = tmp_path_factory.mktemp("net"), {}
    for number, (family, heat) in enumerate(HEAT.items()):
        constants = {"first": [0], "zero": [0.0], "heat": [heat], "ten": [10.0]}
        graph = h.make_graph(
            [
                h.make_node("Gather", ["patches", "first"], ["channel"], axis=1),
                h.make_node("Greater", ["channel", "zero"], ["bright"]),
                h.make_node("Cast", ["bright"], ["ones"], to=kind.FLOAT),
                h.make_node("Mul", ["ones", "heat"], ["masks"]),
                h.make_node("ReduceMax", ["masks"], ["most"], axes=[2, 3], keepdims=0),
                h.make_node("Mul", ["most", "ten"], ["scores"]),
            ],
            "family",
            [h.make_tensor_value_info("patches", kind.FLOAT, ["batch", 7, SIZE, SIZE])],
            [
                h.make_tensor_value_info("masks", kind.FLOAT, ["batch", 1, SIZE, SIZE]),
                h.make_tensor_value_info("scores", kind.FLOAT, ["batch", 1]),
            ],
            [
                h.make_tensor(name, kind.INT64 if name == "first" else kind.FLOAT, [1], value)
                for name, value in constants.items()
            ],
        )
        model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=9)
        made[family] = folder / f"{number}.onnx"
        onnx.save(model, made[family])
    return made


@pytest.fixture(scope="module")
def scorer(files: dict[tuple[Limb, Damage], Path]) -> PublishedScorer:
    return PublishedScorer(files, threads=1)


def patch(limb: Limb, landmark: int, *, mirrored: bool = False, seed: int = 0) -> Patch:
    rng = np.random.default_rng([seed, landmark])
    pixels = rng.normal(0, 1, (7, SIZE, SIZE)).astype(np.float32)
    return Patch(limb, landmark, Box(0, 0, 9, 9), pixels, mirrored, pixels)


def every_point() -> list[Patch]:
    return [patch(limb, i) for limb in Limb for i in range(len(LANDMARKS[limb]))]


def test_every_joint_is_scored_by_the_networks_of_its_families(scorer: PublishedScorer) -> None:
    given = every_point()
    scores = scorer.score(given)
    for one, score in zip(given, scores, strict=True):
        for kind in Damage:
            site = site_at(one.limb, kind, one.landmark)
            wanted = None if site is None else min(10 * HEAT[one.limb, kind], site.maximum)
            assert score.of(kind) == (None if wanted is None else pytest.approx(wanted, abs=1e-5))
    assert sum(score.of(kind) is not None for score in scores for kind in Damage) == 43


def test_the_mask_is_that_of_narrowing_where_both_are_scored(scorer: PublishedScorer) -> None:
    both, erosion = (patch(Limb.HAND, LANDMARK_INDEX[Limb.HAND][name]) for name in ("mcp2", "ulna"))
    for one, kind in zip((both, erosion), (Damage.NARROWING, Damage.EROSION), strict=True):
        (score,) = scorer.score([one])
        np.testing.assert_allclose(score.mask, (one.pixels[0] > 0) * HEAT[Limb.HAND, kind])


def test_the_mask_lies_on_the_film_not_on_the_flipped_patch(scorer: PublishedScorer) -> None:
    flipped = patch(Limb.FOOT, 2, mirrored=True)
    (score,) = scorer.score([flipped])
    np.testing.assert_array_equal(score.mask > 0, flipped.pixels[0, :, ::-1] > 0)


def test_order_and_batches_make_no_difference(scorer: PublishedScorer) -> None:
    given = [*every_point()[::-1], patch(Limb.HAND, 3, seed=1)]
    assert len(given) > BATCH
    for one, score in zip(given, scorer.score(given), strict=True):
        (alone,) = scorer.score([one])
        assert (score.narrowing, score.erosion) == (alone.narrowing, alone.erosion)
        np.testing.assert_array_equal(score.mask, alone.mask)


def test_a_network_that_is_not_needed_is_not_opened(
    files: dict[tuple[Limb, Damage], Path], tmp_path: Path
) -> None:
    paths = {f: path if f[0] is Limb.FOOT else tmp_path / "no.onnx" for f, path in files.items()}
    scorer = PublishedScorer(paths, threads=1)
    assert scorer.score([]) == []
    assert scorer.score([patch(Limb.FOOT, 0)])[0].erosion is not None
    with pytest.raises(ValueError, match=r"no\.onnx cannot be run as a network"):
        scorer.score([patch(Limb.HAND, 0)])


def test_a_family_without_a_network_is_no_fault_until_it_is_seen(
    files: dict[tuple[Limb, Damage], Path],
) -> None:
    """A data set of hands alone trains no others."""
    few = {family: path for family, path in files.items() if family[0] is Limb.HAND}
    scorer = PublishedScorer(few, threads=1)
    assert scorer.score([patch(Limb.HAND, 0)])[0].erosion is not None
    with pytest.raises(ValueError, match=r"no network scores foot erosion; train it as well"):
        scorer.score([patch(Limb.FOOT, 0)])
