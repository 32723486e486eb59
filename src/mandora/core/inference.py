"""Running exported networks, without torch."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from mandora.core.errors import InputError
from mandora.core.files import AnyPath

Arrays = dict[str, NDArray[np.generic]]
"""The inputs of a network, by name."""


class Network:
    """An ONNX file on the processor.

    Args:
        path: the file.
        threads: processor threads for one call.

    Raises:
        ValueError: if this version of ONNX Runtime cannot run the file.
    """

    def __init__(self, path: AnyPath, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # threads that spin between calls would slow down reading the next film
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises its own types, not documented as stable
            raise InputError(f"{path} cannot be run as a network: {error}") from error

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in the file's order."""
        return tuple(given.name for given in self._session.get_inputs())

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in the file's order."""
        return tuple(output.name for output in self._session.get_outputs())

    def __call__(self, **inputs: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """All outputs, in the file's order."""
        return [np.asarray(a, dtype=np.float32) for a in self._session.run(None, inputs)]
