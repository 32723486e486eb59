"""Networks in a quarter of the space: weights as whole numbers of 8 bits, arithmetic in float32.

A weight w of output channel c becomes the whole number q nearest to w / s, -127 to 127, with
s = max |w| / 127 over the channel (symmetric quantisation by channel, Krishnamoorthi 2018,
arXiv:1806.08342, section 3.1). The file holds q and s, and two nodes that multiply them. ONNX
Runtime does so once, when it opens the file: the network is as fast as before, and needs nothing of
the processor that others do not need. Activations are not rounded.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from mandora.core.errors import InputError
from mandora.core.files import AnyPath, write_atomically
from mandora.core.inference import Arrays, Network
from mandora.model.bundle import Bundle, BundleInfo, write_bundle
from mandora.model.card import with_section
from mandora.model.contract import Contract
from mandora.training.export import simulated_films, simulated_patches

LIMITS = {"heat_maps": 0.1, "masks": 0.1, "scores": 0.1}
"""Largest difference on simulated films, by output: heat, probability, SvH points."""

STORAGE_HEAD = "## Storage"  # of a section of the card

_LEAST_WEIGHTS = 1024  # smaller arrays take no space worth saving
_CHANNEL_AXIS = {"Conv": 0, "Gemm": 1, "ConvTranspose": 1}  # of the weights: the output's channels

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Compact:
    """A network with rounded weights.

    Attributes:
        data: the ONNX file.
        differences: largest difference of each output on simulated films.
    """

    data: bytes
    differences: dict[str, float]

    @property
    def is_close(self) -> bool:
        """Whether all outputs are within their limits."""
        return all(value <= LIMITS[name] for name, value in self.differences.items())


def compact_bundle(bundle: Bundle, folder: AnyPath) -> Bundle:
    """Write a bundle anew whose networks have rounded weights.

    Args:
        bundle: the model; its trees, contract and licence stay as they are.
        folder: for the new bundle; must not exist or be empty.

    Raises:
        ValueError: if its weights were rounded before.
        BundleError: if the folder is taken.
    """
    manifest = bundle.manifest
    paths = {name: bundle.path(name) for name in manifest.files}
    card = paths[manifest.card].read_text(encoding="utf-8")
    if f"{STORAGE_HEAD}\n" in card:
        raise InputError(f"the weights of {bundle.folder} are stored in 8 bits already")
    networks, lines = compact_networks(manifest.contract, paths)
    card = with_section(card, STORAGE_HEAD, lines)
    about = BundleInfo(**manifest.model_dump(include=set(BundleInfo.model_fields)))
    return write_bundle(folder, about, {**paths, **networks, manifest.card: card.encode()})


def compact_networks(
    contract: Contract, paths: Mapping[str, Path]
) -> tuple[dict[str, bytes], list[str]]:
    """Round the weights of all networks of a model.

    A network that then differs by more than :data:`LIMITS` is left out, with a warning in the log:
    it stays as it is.

    Args:
        contract: of the model.
        paths: its files by their names in a bundle.

    Returns:
        The new files by name, and the lines of the card's section about storage.
    """
    networks = [name for name in paths if name.endswith(".onnx")]
    inputs: dict[str, Arrays] = {
        "film": {"film": simulated_films(contract.locate)},
        "patches": simulated_patches(contract.damage),
    }
    files, lines = {}, [
        "Weights are stored as whole numbers of 8 bits, with one scale for each output channel;",
        "the networks compute in float32. Largest differences from the trained networks on",
        "simulated films (heat and mask 0 to 1, scores in points):",
        "",
    ]  # fmt: skip
    for name in networks:
        made = compact_network(paths[name], inputs)
        if made.is_close:
            files[name] = made.data
        else:
            _LOG.warning("%s keeps weights of 32 bits: %s", name, made.differences)
        kept = "" if made.is_close else "; too much, so this one keeps weights of 32 bits"
        numbers = ", ".join(f"{k.replace('_', ' ')} {v:.3f}" for k, v in made.differences.items())
        lines.append(f"- `{name}`: {numbers}{kept}")
    return files, lines


def compact_network(path: Path, inputs: Mapping[str, Arrays]) -> Compact:
    """Round the weights of one network and compare the two.

    Args:
        path: of the ONNX file.
        inputs: to compare on, by the name of the network's first input.
    """
    model = onnx.load(path)
    round_weights(model)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    with TemporaryDirectory() as folder:  # that of the bundle may be read-only
        file = Path(folder) / path.name
        write_atomically(file, data)
        before, after = Network(path, 1), Network(file, 1)
    given = inputs[before.inputs[0]]
    batch = {name: given[name] for name in before.inputs}
    pairs = zip(before.outputs, before(**batch), after(**batch), strict=True)
    return Compact(data, {name: float(np.abs(a - b).max()) for name, a, b in pairs})


def round_weights(model: onnx.ModelProto) -> None:
    """Put whole numbers of 8 bits and scales in the place of a network's large weights.

    Args:
        model: is changed. Weights that are rounded already stay as they are.
    """
    graph, kept, nodes = model.graph, [], []
    axes = _axes_of_weights(graph)
    for tensor in graph.initializer:
        weights = numpy_helper.to_array(tensor)
        axis = axes.get(tensor.name)
        if axis is None or weights.dtype != np.float32 or weights.size < _LEAST_WEIGHTS:
            kept.append(tensor)
            continue
        whole, scale = rounded(weights, axis)
        name = tensor.name
        kept += [
            numpy_helper.from_array(whole, f"{name}.int8"),
            numpy_helper.from_array(scale, f"{name}.scale"),
        ]
        # not DequantizeLinear: ONNX Runtime would compute it in every call, in twice the time
        nodes += [
            onnx.helper.make_node(
                "Cast", [f"{name}.int8"], [f"{name}.float"], to=onnx.TensorProto.FLOAT
            ),
            onnx.helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name]),
        ]
    nodes += graph.node
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


def rounded(
    weights: NDArray[np.float32], axis: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Whole numbers from -127 to 127, and the scales that they are multiplied by.

    Args:
        weights: of a layer.
        axis: of the output's channels.

    Returns:
        Whole numbers of the same shape; scales whose shape is 1 but along ``axis``.
    """
    others = tuple(i for i in range(weights.ndim) if i != axis)
    scale = np.abs(weights).max(axis=others, keepdims=True) / np.float32(127)
    scale = np.where(scale > 0, scale, np.float32(1))
    return np.rint(weights / scale).astype(np.int8), scale


def _axes_of_weights(graph: onnx.GraphProto) -> dict[str, int]:
    """The axis of the output's channels, by name of an array that is nothing but weights."""
    axes: dict[str, int | None] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            axis = _CHANNEL_AXIS.get(node.op_type) if place == 1 else None
            if node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute):
                axis = 0 if place == 1 else None
            # an array that two nodes use in different ways stays as it is
            axes[name] = axis if axes.get(name, axis) == axis else None
    return {name: axis for name, axis in axes.items() if axis is not None}
