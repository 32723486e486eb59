"""Exported networks with 8-bit convolutions, if they score and locate as well as before.

Weights and features of the convolutions become 8-bit numbers (static quantisation, one scale for
each output channel, as pairs of QuantizeLinear and DequantizeLinear that ONNX Runtime fuses); all
else stays float32. A file is about a quarter as large. Whether it is faster depends on the
processor: those without VNNI instructions gain little.

A quantised network is not believed: it is compared with the float one on held-out input, and
refused where a limit is passed. The float file is then what is kept.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from mandora.core.errors import InputError
from mandora.core.geometry import Points
from mandora.core.inference import Arrays, Network

MAX_SCORE_CHANGE = 0.05  # SvH points, mean over held-out patches, of either kind of damage
MAX_R_DROP = 0.005  # loss of Pearson's r with the true scores
MAX_MOVE_PX = 0.25  # heat-map px, mean over held-out landmarks
MAX_LOST = 0.005  # share of the held-out landmarks that only one of the two networks finds


@dataclass(frozen=True)
class QuantiseReport:
    """What became of a network.

    Attributes:
        accepted: the file that was written is the quantised one; otherwise the float one.
        numbers: what was measured on held-out input, by name.
        limits: the highest number that is accepted, by the same names.
        bytes_before: size of the float file.
        bytes_after: size of the quantised file, accepted or not.
    """

    accepted: bool
    numbers: dict[str, float]
    limits: dict[str, float]
    bytes_before: int
    bytes_after: int


class Check(Protocol):
    """Compares a quantised network with the one that it was made of."""

    @property
    def limits(self) -> dict[str, float]:
        """Highest number that is accepted, by name."""

    def measure(self, before: Network, after: Network) -> dict[str, float]:
        """Numbers on held-out input, by the names of the limits; NaN is never accepted."""


def quantise(
    path_in: Path, path_out: Path, calibration: Sequence[Arrays], check: Check, threads: int = 2
) -> QuantiseReport:
    """Quantise the convolutions of a network, and keep the outcome if it holds.

    Args:
        path_in: ONNX file, as :mod:`mandora.training.export` writes it.
        path_out: gets the quantised network, or a copy of ``path_in`` if that is refused; may
            be the same file.
        calibration: inputs of some calls, by name. They set the ranges of the features and
            must be as various as what the network will see; not the ones of the check.
        check: :class:`ScoresHold` or :class:`LandmarksHold`.
        threads: processor threads of the comparison.

    Returns:
        What was measured, and whether it was accepted.

    Raises:
        ValueError: if there is nothing to calibrate with or the file is no network.
    """
    if not calibration:
        raise InputError(f"{path_in} cannot be quantised without calibration batches; give some")
    before = Network(path_in, threads)
    with tempfile.TemporaryDirectory(prefix=".quantise-", dir=path_out.parent) as folder:
        made = Path(folder) / path_in.name
        _quantise(path_in, made, calibration)
        numbers, limits = check.measure(before, Network(made, threads)), check.limits
        accepted = all(numbers[name] <= limit for name, limit in limits.items())
        report = QuantiseReport(
            accepted, numbers, limits, path_in.stat().st_size, made.stat().st_size
        )
        if not accepted:
            shutil.copyfile(path_in, made)
        made.replace(path_out)
    return report


# ── what must hold ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class ScoresHold:
    """A damage network scores as before.

    Attributes:
        held_out: inputs of some calls, by name.
        truth: (n, K) true scores of all their patches, SvH points, columns as the network's;
            NaN where a joint has no such score.

    Raises:
        ValueError: if there are not as many true scores as patches.
    """

    held_out: Sequence[Arrays]
    truth: ArrayLike

    def __post_init__(self) -> None:
        patches = sum(len(batch["patches"]) for batch in self.held_out)
        if np.ndim(self.truth) != 2 or len(np.asarray(self.truth)) != patches:
            raise InputError(
                f"{patches} held-out patches need as many rows of true scores, got shape "
                f"{np.shape(self.truth)}"
            )

    @property
    def limits(self) -> dict[str, float]:
        """``score_change`` in SvH points and ``r_drop``, the worst column's each."""
        return {"score_change": MAX_SCORE_CHANGE, "r_drop": MAX_R_DROP}

    def measure(self, before: Network, after: Network) -> dict[str, float]:
        """The limits' numbers, and the correlations with the truth that the drop is between."""
        truth = np.asarray(self.truth, np.float64)
        tables = [
            np.concatenate([network(**batch)[1] for batch in self.held_out]).astype(np.float64)
            for network in (before, after)
        ]
        known = np.isfinite(truth)
        changes, rs = [], []
        for k in range(truth.shape[1]):
            wanted, one, other = (table[known[:, k], k] for table in (truth, *tables))
            changes.append(np.abs(one - other).mean() if len(wanted) else 0.0)
            rs.append((_r(one, wanted), _r(other, wanted)))
        drops = [first - second for first, second in rs]
        worst = int(np.argmax(drops))  # NaN counts as the largest
        return {
            "score_change": float(np.max(changes)), "r_drop": float(drops[worst]),
            "r_before": rs[worst][0], "r_after": rs[worst][1],
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class LandmarksHold:
    """A localiser puts its landmarks where it did.

    Attributes:
        held_out: inputs of some calls, by name.
        read: (N, h, w) heat maps → (N, 2) places in px of the network's input, NaN where not
            found, and (N,) heights; as :meth:`mandora.locate.published.FilmRule.read`.
        stride: input px per heat-map px.
    """

    held_out: Sequence[Arrays]
    read: Callable[[NDArray[np.float32]], tuple[Points, NDArray[np.float64]]]
    stride: int

    @property
    def limits(self) -> dict[str, float]:
        """``move_px`` in px of the heat map, and ``lost``, a share of the landmarks."""
        return {"move_px": MAX_MOVE_PX, "lost": MAX_LOST}

    def measure(self, before: Network, after: Network) -> dict[str, float]:
        """The limits' numbers; ``landmarks``: how many both networks find."""
        one, other = (np.concatenate(list(self._places(n))) for n in (before, after))
        found = [np.isfinite(places).all(axis=1) for places in (one, other)]
        both = found[0] & found[1]
        moved = np.linalg.norm(one[both] - other[both], axis=1) / self.stride
        return {
            "move_px": float(moved.mean()) if len(moved) else float("nan"),
            "lost": float((found[0] != found[1]).sum() / max(found[0].sum(), 1)),
            "points": float(both.sum()),
        }

    def _places(self, network: Network) -> Iterator[Points]:
        for batch in self.held_out:
            for maps in network(**batch)[0]:
                yield self.read(maps)[0]


def _r(found: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Pearson's r; NaN where it is not defined."""
    if len(truth) < 2 or not np.ptp(found) or not np.ptp(truth):
        return float("nan")
    return float(np.corrcoef(found, truth)[0, 1])


# ── how ──────────────────────────────────────────────────────────────────────────────────


class _Batches(CalibrationDataReader):
    """Calibration batches as ONNX Runtime asks for them."""

    def __init__(self, batches: Sequence[Arrays]) -> None:
        self._rest = iter(batches)

    def get_next(self) -> Arrays | None:
        return next(self._rest, None)


def _quantise(path_in: Path, path_out: Path, calibration: Sequence[Arrays]) -> None:
    folded = path_out.with_name("folded.onnx")
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it warns of symbols that are not looked for
    try:
        # normalisation becomes a part of the convolutions, so that it is quantised with them
        quant_pre_process(str(path_in), str(folded), skip_symbolic_shape=True)
        quantize_static(
            str(folded), str(path_out), _Batches(calibration), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"], nodes_to_exclude=_last_layers(folded),
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            # 7 bits of weights: with 8, sums overflow on processors without VNNI, and scores
            # would depend on the machine
            reduce_range=True,
        )  # fmt: skip
    finally:
        logging.root.setLevel(level)
        folded.unlink(missing_ok=True)


def _last_layers(path: Path) -> list[str]:
    """Names of the 1 × 1 convolutions: they draw masks and heat maps, and are tiny."""
    graph = onnx.load(path).graph
    shapes = {weights.name: tuple(weights.dims) for weights in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type == "Conv" and shapes.get(node.input[1], ())[2:] == (1, 1)
    ]
