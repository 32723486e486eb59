"""Trained networks as ONNX files that give the same numbers."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mandora.inference import Network
from mandora.settings import DamageSettings, LocateSettings

TOLERANCE = 1e-4  # largest difference that an export may make, heat-map height or SvH points


class _WithProbabilities(nn.Module):
    """The network as it is used: logits turned into probabilities."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        out = self.network(*inputs)
        if isinstance(out, tuple):
            return torch.sigmoid(out[0]), out[1]
        return torch.sigmoid(out)


def export_locator(network: nn.Module, settings: LocateSettings, path: Path) -> float:
    """Write a localiser: input ``film`` (B, 1, S, S), output heat maps 0..1.

    Returns:
        The largest difference between torch and ONNX Runtime on random input.

    Raises:
        ValueError: if that difference exceeds ``TOLERANCE``.
    """
    sample = torch.randn(2, 1, settings.input_px, settings.input_px)
    return _export(network, {"film": sample}, ["heat_maps"], path)


def export_damage(network: nn.Module, settings: DamageSettings, path: Path) -> float:
    """Write a damage network.

    Inputs are ``patches`` (B, 1, S, S) and ``points`` (B,) int64, outputs masks 0..1 and
    scores (B, 2). Returns and raises as :func:`export_locator`.
    """
    patches = torch.randn(3, 1, settings.patch_px, settings.patch_px)
    points = torch.tensor([0, 15, 22])
    return _export(network, {"patches": patches, "points": points}, ["masks", "scores"], path)


def _export(network: nn.Module, inputs: dict[str, Tensor], outputs: list[str], path: Path) -> float:
    module = _WithProbabilities(network).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        torch.onnx.export(
            module, tuple(inputs.values()), str(path), input_names=list(inputs),
            output_names=outputs, dynamic_shapes=(tuple({0: batch} for _ in inputs),),
            dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
        wanted = module(*inputs.values())
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    got = Network(path, 1)(**{name: value.numpy() for name, value in inputs.items()})
    worst = max(float(np.abs(g - w.numpy()).max()) for g, w in zip(got, wanted, strict=True))
    if not worst <= TOLERANCE:
        raise ValueError(f"{path} differs from the trained network by {worst:g} > {TOLERANCE:g}")
    return worst
