from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mandora.core.inference import Network


@pytest.fixture(scope="module")
def adder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that gives the sum and the difference of its inputs."""
    onnx = pytest.importorskip("onnx")
    h, kind = onnx.helper, onnx.TensorProto
    shape = ["batch", 3]
    graph = h.make_graph(
        [h.make_node("Add", ["a", "b"], ["sum"]), h.make_node("Sub", ["a", "b"], ["difference"])],
        "adder",
        [h.make_tensor_value_info(n, kind.DOUBLE, shape) for n in ("a", "b")],
        [h.make_tensor_value_info(n, kind.DOUBLE, shape) for n in ("sum", "difference")],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=9)
    path = tmp_path_factory.mktemp("net") / "adder.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("threads", [1, 2])
def test_outputs_come_in_the_files_order_whatever_the_order_of_inputs(
    adder: Path, threads: int
) -> None:
    a, b = np.full((2, 3), 5.0), np.full((2, 3), 2.0)
    total, difference = Network(adder, threads)(b=b, a=a)
    np.testing.assert_array_equal(total, np.full((2, 3), 7))
    np.testing.assert_array_equal(difference, np.full((2, 3), 3))
    assert total.dtype == np.float32


def test_outputs_have_the_files_names(adder: Path) -> None:
    assert Network(adder, 1).outputs == ("sum", "difference")


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x08" * 50])
def test_what_is_no_network_is_refused_with_its_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damage.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damage\.onnx cannot be run as a network"):
        Network(path, 1)


def test_a_missing_file_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.onnx cannot be run as a network"):
        Network(tmp_path / "gone.onnx", 1)


def test_an_input_that_does_not_fit_is_an_error_not_a_number(adder: Path) -> None:
    with pytest.raises(Exception, match=r"(?i)input"):
        Network(adder, 1)(a=np.zeros((2, 3)))
