from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mandora.core.inference import Arrays, Network
from mandora.locate.published import FilmRule

pytest.importorskip("onnx")
import onnx

from mandora.training import quantise as module
from mandora.training.quantise import LandmarksHold, ScoresHold, quantise

SIZE, WIDTH = 32, 24
RULE = FilmRule(SIZE, channels=1, keep_aspect=True, decode="peak", found_threshold=0.3)


def save(path: Path, nodes: list[Any], weights: dict[str, np.ndarray], shapes: dict[str, Any]):
    h, kind = onnx.helper, onnx.TensorProto
    values = {n: h.make_tensor_value_info(n, kind.FLOAT, ["b", *s]) for n, s in shapes.items()}
    first, *outputs = values.values()
    tensors = [onnx.numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items()]
    graph = h.make_graph(nodes, "small", [first], outputs, tensors)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)


def convolution(name: str, source: str, pad: int, **more: object) -> Any:
    inputs = [source, f"{name}.weight", f"{name}.bias"]
    return onnx.helper.make_node("Conv", inputs, [f"{name}.out"], name, pads=[pad] * 4, **more)


@pytest.fixture
def damage(tmp_path: Path) -> Path:
    """Two scores of the texture of a patch: two wide convolutions and a mean over the patch."""
    node, rng = onnx.helper.make_node, np.random.default_rng(0)
    weights = {
        "one.weight": rng.normal(0, 0.3, (WIDTH, 1, 3, 3)), "one.bias": rng.normal(0, 0.1, WIDTH),
        "two.weight": rng.normal(0, 0.1, (WIDTH, WIDTH, 3, 3)), "two.bias": np.zeros(WIDTH),
        "head.weight": rng.normal(0, 0.2, (1, WIDTH, 1, 1)), "head.bias": np.zeros(1),
        "last": np.abs(rng.normal(0, 0.3, (WIDTH, 2))),
    }  # fmt: skip
    nodes = [
        convolution("one", "patches", 1), node("Relu", ["one.out"], ["a"]),
        convolution("two", "a", 1), node("Relu", ["two.out"], ["b"]),
        convolution("head", "b", 0), node("Sigmoid", ["head.out"], ["masks"]),
        node("GlobalAveragePool", ["b"], ["mean"]), node("Flatten", ["mean"], ["flat"]),
        node("MatMul", ["flat", "last"], ["scores"]),
    ]  # fmt: skip
    shapes = {"patches": [1, SIZE, SIZE], "masks": [1, SIZE, SIZE], "scores": [2]}
    save(tmp_path / "damage.onnx", nodes, weights, shapes)
    return tmp_path / "damage.onnx"


@pytest.fixture
def locator(tmp_path: Path) -> Path:
    """Heat where a film is bright, smoothed by a convolution of 5 × 5 px."""
    node = onnx.helper.make_node
    bell = np.exp(-((np.arange(5) - 2) ** 2) / 2)
    weights = {"one.weight": (np.outer(bell, bell) / bell.sum() ** 2)[None, None],
               "one.bias": np.zeros(1)}  # fmt: skip
    nodes = [convolution("one", "film", 2), node("Identity", ["one.out"], ["heat_maps"])]
    shapes = {"film": [1, SIZE, SIZE], "heat_maps": [1, SIZE, SIZE]}
    save(tmp_path / "locate.onnx", nodes, weights, shapes)
    return tmp_path / "locate.onnx"


def patches(seed: int, scale: float = 1.0) -> list[Arrays]:
    """Four calls of six patches, each of its own contrast."""
    rng = np.random.default_rng(seed)
    contrast = rng.uniform(0.2, 2, (4, 6, 1, 1, 1)) * scale
    noise = rng.normal(0, 1, (4, 6, 1, SIZE, SIZE)) * contrast
    return [{"patches": part.astype(np.float32)} for part in noise]


def films(seed: int, height: float = 1.0) -> list[Arrays]:
    """Four calls of three films with a soft spot each, of such a height after smoothing."""
    rng = np.random.default_rng(seed)
    px = np.arange(SIZE)
    made = []
    for _ in range(4):
        x, y = rng.uniform(8, SIZE - 8, (2, 3, 1, 1, 1))
        spot = np.exp(-((px - x) ** 2 + (px[:, None] - y) ** 2) / 8)
        made.append({"film": (height * 1.26 * spot).astype(np.float32)})
    return made


def check_of_scores(path: Path, held: list[Arrays], noise: float = 0.3) -> ScoresHold:
    """The truth is what the float network says, and an error; every fifth is not known."""
    found = np.concatenate([Network(path, 1)(**batch)[1] for batch in held])
    truth = found + np.random.default_rng(5).normal(0, noise, found.shape)
    truth[::5, 0] = np.nan
    return ScoresHold(held, truth)


def kinds(path: Path) -> dict[str, str]:
    """What each convolution reads: a quantised feature or a float one."""
    graph = onnx.load(path).graph
    maker = {output: node.op_type for node in graph.node for output in node.output}
    return {n.name: maker.get(n.input[0], "input") for n in graph.node if n.op_type == "Conv"}


def test_a_damage_network_that_scores_as_before_is_accepted(damage: Path) -> None:
    out, held = damage.with_name("int8.onnx"), patches(2)
    report = quantise(damage, out, patches(1), check_of_scores(damage, held), 1)
    assert report.accepted
    assert 0 < report.numbers["score_change"] <= 0.05
    assert report.numbers["r_drop"] <= 0.005
    numbers = report.numbers
    assert numbers["r_drop"] == pytest.approx(numbers["r_before"] - numbers["r_after"])
    assert report.bytes_before == damage.stat().st_size
    assert report.bytes_after == out.stat().st_size < report.bytes_before
    before, after = (Network(path, 1)(**held[0]) for path in (damage, out))
    assert np.abs(before[1] - after[1]).max() < 0.3
    assert Network(out, 1).outputs == ("masks", "scores")
    assert sorted(p.name for p in damage.parent.iterdir()) == ["damage.onnx", "int8.onnx"]


def test_the_last_layers_stay_float(damage: Path) -> None:
    out = damage.with_name("int8.onnx")
    quantise(damage, out, patches(1), check_of_scores(damage, patches(2)), 1)
    read = kinds(out)
    assert read["one"] == read["two"] == "DequantizeLinear"
    assert read["head"] != "DequantizeLinear"


def test_a_network_that_scores_otherwise_is_refused_and_float_is_kept(damage: Path) -> None:
    # calibrated with patches of a tenth of the contrast: what is brighter is clipped
    out, check = damage.with_name("int8.onnx"), check_of_scores(damage, patches(2))
    report = quantise(damage, out, patches(1, scale=0.1), check, 1)
    assert not report.accepted
    assert report.numbers["score_change"] > report.limits["score_change"]
    assert report.bytes_after < report.bytes_before
    assert out.read_bytes() == damage.read_bytes()


def test_a_file_can_be_replaced_by_its_quantised_self(damage: Path) -> None:
    before = damage.stat().st_size
    report = quantise(damage, damage, patches(1), check_of_scores(damage, patches(2)), 1)
    assert report.accepted
    assert damage.stat().st_size == report.bytes_after < before == report.bytes_before


@pytest.mark.parametrize("limit", ["MAX_SCORE_CHANGE", "MAX_R_DROP"])
def test_each_limit_alone_refuses(
    damage: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(module, limit, -1.0)
    out, check = damage.with_name("int8.onnx"), check_of_scores(damage, patches(2))
    assert not quantise(damage, out, patches(1), check, 1).accepted


def test_truth_that_says_nothing_accepts_nothing(damage: Path) -> None:
    held = patches(2)
    check = ScoresHold(held, np.zeros((24, 2)))
    report = quantise(damage, damage.with_name("int8.onnx"), patches(1), check, 1)
    assert np.isnan(report.numbers["r_drop"])
    assert not report.accepted


@pytest.mark.parametrize("truth", [np.zeros((23, 2)), np.zeros(24)])
def test_every_held_out_patch_needs_true_scores(truth: np.ndarray) -> None:
    with pytest.raises(ValueError, match="24 held-out patches need as many rows"):
        ScoresHold(patches(2), truth)


def test_a_localiser_that_moves_no_point_is_accepted(locator: Path) -> None:
    out = locator.with_name("int8.onnx")
    report = quantise(locator, out, films(1), LandmarksHold(films(2), RULE.read, 1), 1)
    assert report.accepted
    assert report.numbers["move_px"] <= 0.25
    assert (report.numbers["lost"], report.numbers["landmarks"]) == (0, 12)


def test_moves_are_counted_in_px_of_the_heat_map(locator: Path) -> None:
    def away(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        places, heights = RULE.read(maps)
        return places + (3.0 if next(calls) else 0.0), heights

    held = films(2)
    looks = sum(len(batch["film"]) for batch in held)
    calls = iter([False] * looks + [True] * looks)  # the float network, then the other
    out = locator.with_name("int8.onnx")
    report = quantise(locator, out, films(1), LandmarksHold(held, away, 4), 1)
    assert report.numbers["move_px"] == pytest.approx(3 * np.sqrt(2) / 4, abs=0.1)
    assert not report.accepted


def test_a_localiser_that_loses_points_is_refused(locator: Path) -> None:
    # calibrated with faint spots: bright ones are clipped below the threshold
    out = locator.with_name("int8.onnx")
    report = quantise(locator, out, films(1, 0.2), LandmarksHold(films(2), RULE.read, 1), 1)
    assert report.numbers["lost"] == 1
    assert not report.accepted
    assert out.read_bytes() == locator.read_bytes()


def test_nothing_is_quantised_without_calibration(locator: Path) -> None:
    with pytest.raises(ValueError, match=r"locate\.onnx cannot be quantised without"):
        quantise(locator, locator, [], LandmarksHold(films(2), RULE.read, 1))


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not a network")
    with pytest.raises(ValueError, match=r"bad\.onnx cannot be run as a network"):
        quantise(
            tmp_path / "bad.onnx", tmp_path / "out.onnx", films(1),
            LandmarksHold(films(2), RULE.read, 1),
        )  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["bad.onnx"]
