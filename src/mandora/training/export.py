"""Export of trained models: networks as ONNX files, trees as arrays.

Each file is compared with the trained model on random input, on simulated films and on other input
that is given. It is written completely and checked, or not at all.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import torch
from google.protobuf.message import Message
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from mandora.core.anatomy import LANDMARK_INDEX, LIMB_SIZE_ENDS, SITES, Limb, Side, Site, Slot
from mandora.core.errors import InputError
from mandora.core.files import temporary_path, write_atomically
from mandora.core.inference import Arrays, Network
from mandora.core.settings import DamageSettings, LocateSettings
from mandora.core.specs import FilmSpec, PatchSpec
from mandora.damage.patches import Patch, cut_patches, window_box, windows_of
from mandora.damage.scorer import network_input, network_landmark
from mandora.locate.published import film_as_seen
from mandora.locate.template import limb_template
from mandora.simulate.cohort.patients import draw_patient, simulate_film
from mandora.simulate.xray.render import SimulatedFilm
from mandora.symmetry.features import N_ORDERS, N_SIDES, feature_rows, target_columns
from mandora.symmetry.forest import JointForest

TOLERANCE = 1e-4  # largest difference that an export may make, heat-map height or SvH points

_ONCE = 4  # items that are compared at a time
_BATCHES = (1, 3)  # sizes of random batches: a graph that works for one size only fails here
_LOGGER = "torch.onnx._internal.exporter._registration"  # warns about packages that are not needed


class _WithProbabilities(nn.Module):
    """The network with probabilities in place of logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        out = self.network(*inputs)
        if isinstance(out, tuple):
            return torch.sigmoid(out[0]), out[1]
        return torch.sigmoid(out)


def export_locator(
    network: nn.Module, settings: LocateSettings, path: Path, films: ArrayLike | None = None
) -> float:
    """Write a localiser: input ``film`` (B, C, S, S), output ``heat_maps`` (B, N, h, w), 0..1.

    Args:
        network: trained, of all landmarks or of one.
        settings: of the network.
        path: of the file.
        films: (n, C, S, S) float32 as the network sees films; also used to compare.

    Returns:
        The largest difference between torch and ONNX Runtime.

    Raises:
        ValueError: if that difference exceeds ``TOLERANCE``; no file is written.
    """
    shape = (settings.channels, settings.input_px, settings.input_px)
    batches: dict[str, Arrays] = {
        f"{n} random films": {"film": _random((n, *shape))} for n in _BATCHES
    }
    batches["simulated films"] = {"film": simulated_films(settings)}
    if films is not None:
        batches["the given films"] = {"film": np.asarray(films, np.float32)}
    return _export(network, batches, ["heat_maps"], path)


def export_damage(
    network: nn.Module,
    settings: DamageSettings,
    path: Path,
    patches: ArrayLike | None = None,
    landmarks: ArrayLike | None = None,
) -> float:
    """Write a damage network.

    Inputs are ``patches`` (B, C, S, S) and, of all joints, ``landmarks`` (B,) int64; outputs
    ``masks`` (B, 1, S, S), 0..1, and ``scores`` (B, 2), or (B, 1) of a family, SvH points.

    Args:
        network: trained, of all joints or of one family.
        settings: of the network.
        path: of the file.
        patches: (n, C, S, S) float32 as the network sees patches; also used to compare.
        landmarks: (n,) their landmarks' numbers; a network of all joints needs them with patches.

    Returns:
        The largest difference between torch and ONNX Runtime.

    Raises:
        ValueError: if that difference exceeds ``TOLERANCE``; no file is written.
    """
    shape = (settings.channels, settings.patch_px, settings.patch_px)
    batches: dict[str, Arrays] = {}
    for n in _BATCHES:
        batches[f"{n} random patches"] = {"patches": _random((n, *shape)),
                                          "points": np.arange(n, dtype=np.int64) * 11}  # fmt: skip
    batches["simulated patches"] = simulated_patches(settings)
    if patches is not None:
        if settings.design == "all-joints" and landmarks is None:
            raise InputError("a network of all joints is told the landmarks; give those of patches")
        batches["the given patches"] = {"patches": np.asarray(patches, np.float32),
                                        "points": np.asarray(landmarks, np.int64)}  # fmt: skip
    if settings.design == "family":
        batches = {name: {"patches": batch["patches"]} for name, batch in batches.items()}
    return _export(network, batches, ["masks", "scores"], path)


class Regressor(Protocol):
    """A fitted forest of scikit-learn."""

    def predict(self, rows: NDArray[np.float64]) -> Any:
        """(R,) of (R, 86) features."""


def check_forest(
    forest: JointForest, models: Mapping[Site, Regressor], patch_scores: ArrayLike
) -> float:
    """Compare the arrays of the trees with scikit-learn's forests.

    Args:
        forest: the arrays, preferably loaded from their file.
        models: fitted by scikit-learn, by site; sites without one are not compared.
        patch_scores: (N, 86) to predict from, preferably with gaps; NaN where missing.

    Returns:
        The largest difference, SvH points.

    Raises:
        ValueError: if it exceeds ``TOLERANCE``, naming the site.
    """
    table = np.asarray(patch_scores, np.float64)
    got, worst = forest.predict(table), 0.0
    for i, site in enumerate(SITES):
        if site not in models:
            continue
        rows = models[site].predict(feature_rows(table, site))
        wanted = np.reshape(rows, (len(table), N_SIDES, N_ORDERS)).mean(axis=2)
        difference = float(np.abs(got[:, target_columns()[i]] - wanted).max(initial=0.0))
        if not difference <= TOLERANCE:
            raise InputError(
                f"the trees of {site.code} ({site.limb} {site.name} {site.damage}) differ from "
                f"scikit-learn's by {difference:g} > {TOLERANCE:g} landmarks; export them again"
            )
        worst = max(worst, difference)
    return worst


def export_forest(
    forest: JointForest, models: Mapping[Site, Regressor], path: Path, patch_scores: ArrayLike
) -> float:
    """Write the symmetry trees as ``npz``, read them back and compare.

    Args:
        forest: the arrays.
        models: fitted by scikit-learn, by site.
        path: of the file.
        patch_scores: (N, 86) to predict from, preferably with gaps; NaN where missing.

    Returns:
        The largest difference from scikit-learn, SvH points.

    Raises:
        ValueError: if it exceeds ``TOLERANCE``, naming file and site; no file is written.
    """
    partial = temporary_path(path)
    try:
        forest.save(partial)
        worst = check_forest(JointForest.load(partial), models, patch_scores)
        partial.replace(path)
    except InputError as error:
        raise InputError(f"{path} was not written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return worst


def _export(
    network: nn.Module, batches: Mapping[str, Arrays], outputs: Sequence[str], path: Path
) -> float:
    """Write a temporary file, compare it with the network, and then rename it.

    Args:
        network: trained.
        batches: input to compare on, by its name in messages; the last random one is traced.
        outputs: names.
        path: of the file.
    """
    # a copy: the network itself stays on its device and in its mode
    module = _WithProbabilities(copy.deepcopy(network)).eval().float().cpu()
    module = module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    traced = list(batches.values())[len(_BATCHES) - 1]
    partial = temporary_path(path)
    try:
        _write(module, _tensors(traced), outputs, partial)
        exported, worst = Network(partial, 1), 0.0
        if exported.outputs != tuple(outputs):
            raise InputError(
                f"{path} has the outputs {', '.join(exported.outputs)} instead of "
                f"{', '.join(outputs)}; the file was not written"
            )
        for name, batch in batches.items():
            for start in range(0, len(next(iter(batch.values()))), _ONCE):
                part = {key: array[start : start + _ONCE] for key, array in batch.items()}
                difference = _compare(module, exported, part)
                if not difference <= TOLERANCE:
                    raise InputError(
                        f"{path} differs from the trained network by {difference:g} > "
                        f"{TOLERANCE:g} on {name}; the file was not written"
                    )
                worst = max(worst, difference)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return worst


def _write(
    module: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str], path: Path
) -> None:
    batch = torch.export.Dim("batch", min=1, max=4096)
    logger = logging.getLogger(_LOGGER)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter warns about its own internals
            torch.onnx.export(
                module, tuple(inputs.values()), str(path), input_names=list(inputs),
                output_names=outputs, dynamic_shapes=(tuple({0: batch} for _ in inputs),),
                dynamo=True, external_data=False, verbose=False,
            )  # fmt: skip
    finally:
        logger.setLevel(level)
    forget_origin(path)


def forget_origin(path: Path) -> None:
    """Remove information about the computer from an ONNX file; what it computes stays the same.

    The exporter writes the folder, line and source code from which each node was made.

    Args:
        path: of the file, which is overwritten.
    """
    model = onnx.load(path)
    _clear(model)
    write_atomically(path, model.SerializeToString())


def _clear(message: Message) -> None:
    """Clear the notes of a part of a model, and of its parts."""
    known = message.DESCRIPTOR.fields_by_name
    for note in ("doc_string", "metadata_props"):
        if note in known:
            message.ClearField(note)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if isinstance(value, Message) else value:
                _clear(part)


def _compare(module: nn.Module, exported: Network, batch: Arrays) -> float:
    """The largest difference of any output."""
    with torch.no_grad():
        wanted = module(*_tensors(batch).values())
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    pairs = zip(exported(**batch), wanted, strict=True)
    # with NaN among the numbers, NumPy's maximum is NaN; Python's depends on their order
    return float(np.max([np.abs(got - tensor.numpy()).max() for got, tensor in pairs]))


def _tensors(batch: Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in batch.items()}


# ── input to compare on ──────────────────────────────────────────────────────────────────


def _random(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(shape).standard_normal(shape, np.float32)


@cache
def _simulated(limb: Limb) -> SimulatedFilm:
    # a low resolution is enough, and fast
    return simulate_film(draw_patient(0, 0, severity=1.0), Slot(Side.LEFT, limb), pixels_per_mm=2)


def simulated_films(spec: FilmSpec) -> NDArray[np.float32]:
    """(2, C, S, S) float32: a hand and a foot as the network sees whole films."""
    return np.stack([film_as_seen(spec, _simulated(limb).pixels, mirror=False)[0] for limb in Limb])


def simulated_patches(spec: PatchSpec) -> Arrays:
    """Two patches of a hand and two of a foot, and the numbers of their landmarks."""
    patches: list[Patch] = []
    for limb in Limb:
        film = _simulated(limb)
        windows = windows_of(
            spec, film.pixels.shape, film.landmarks, limb_template(limb), mirrored=False
        )
        boxes = {
            i: window_box(spec, limb, i, film.landmarks[i], windows)
            for i in (LANDMARK_INDEX[limb][name] for name in LIMB_SIZE_ENDS[limb])
        }
        patches += cut_patches(spec, film.pixels, limb, boxes, mirrored=False)
    landmarks = [network_landmark(patch.limb, patch.landmark) for patch in patches]
    return {"patches": network_input(patches), "points": np.array(landmarks, np.int64)}
