"""The machine: device, 16-bit arithmetic, reproducible operations, lack of memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mandora.core.errors import InputError
from mandora.core.settings import LoopSettings

# Messages of torch and the operating system for a lack of memory. A loader that is killed was
# nearly always killed by the system because of its memory; a bus error is a full /dev/shm.
_SIGNS = (
    "can't allocate memory",
    "Cannot allocate memory",
    "DefaultCPUAllocator",
    "CUDA out of memory",
    "is killed by signal: Killed",
    "is killed by signal: Bus error",
)


def choose_device(wanted: str, local_rank: int = 0) -> torch.device:
    """The device to train on.

    Args:
        wanted: ``auto``, ``cpu`` or ``cuda``.
        local_rank: number of this process on its machine, and so of its GPU.

    Raises:
        ValueError: if there is no GPU for this process.
    """
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if local_rank >= found:
        raise InputError(
            f"loop.device is {wanted!r} and process {local_rank} of this machine needs a GPU of "
            f"its own, but torch finds {found}; set loop.device = 'cpu' or start fewer processes"
        )
    return torch.device("cuda", local_rank)


def has_bfloat16() -> bool:
    """Whether the processor has bfloat16 arithmetic; without, bfloat16 would be slower."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


def half_type(device: torch.device, wanted: bool) -> torch.dtype | None:
    """The 16-bit type that the device supports; None if it has none or none is wanted."""
    if not wanted:
        return None
    if device.type == "cpu":
        return torch.bfloat16 if has_bfloat16() else None
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


@contextmanager
def arithmetic(settings: LoopSettings, device: torch.device) -> Iterator[None]:
    """Use threads and reproducible operations as set; restore the previous state afterwards.

    On a GPU, an operation without a reproducible form runs with a warning.
    """
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    exact = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    if settings.deterministic:
        # cuBLAS reads it when it is first used
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        torch.set_num_threads(settings.threads)
        torch.backends.cudnn.benchmark = not settings.deterministic
        torch.use_deterministic_algorithms(settings.deterministic, warn_only=device.type != "cpu")
        # filling memory that is then overwritten only costs time
        torch.utils.deterministic.fill_uninitialized_memory = False
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = benchmark
        torch.use_deterministic_algorithms(exact, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = fill


@contextmanager
def memory_advice(settings: LoopSettings) -> Iterator[None]:
    """Turn errors for a lack of memory into one that says what to lower.

    Raises:
        MemoryError: in place of any error that means a lack of memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not _lacks_memory(error):
            raise
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MemoryError(
            f"memory is short ({said}); lower loop.batch_size (now {settings.batch_size}), "
            "the network's input_px or patch_px, "
            f"or loop.loaders (now {settings.loaders}), and repeat the command"
        ) from error


def _lacks_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return any(sign in str(error) for sign in _SIGNS)
