"""Decodes pictures in another process, with limits of time and memory.

Each process that reads films has at most one decoding process, which runs
:mod:`mandora.images.decoder_program`. It is started when it is first needed and kept for the next
film. If a film crashes it or takes too long, the film is refused and the next one gets a new
process.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from mandora.images.decoder_program import main, receive, send
from mandora.images.radiograph import AGAIN, DAMAGED, UnreadableFilm

SECONDS = 60
MEMORY_BYTES = 4 << 30
"""Of the decoding process, on top of the file; the largest film that is read takes less."""
# imports this very package, also where a script has put it on its path; names its main function
# by the object, so that the digest of code that reads films has all decoders in it
_PROGRAM = f"""
import sys
if sys.argv[1] not in sys.path:
    sys.path.insert(0, sys.argv[1])
from {main.__module__} import {main.__name__}
{main.__name__}()
"""

_lock = threading.Lock()
_process: subprocess.Popen[bytes] | None = None


def decode(job: str, data: bytes, least_px: int = 1) -> tuple[NDArray[Any], dict[str, Any]]:
    """Decode the bytes of a file in the decoding process.

    Args:
        job: ``film``, ``dicom``, ``header``, ``labels`` or ``mask``, see ``decoder_program``.
        data: the file.
        least_px: the shorter side that a film needs.

    Returns:
        The values, and the other results of the job.

    Raises:
        UnreadableFilm: if the file is refused, crashes the process or takes too long; the message
            does not name the file yet.
    """
    head = {"job": job, "least_px": least_px, "seconds": SECONDS, "memory_bytes": MEMORY_BYTES}
    with _lock:
        if _process is not None and _process.poll() is not None:
            stop()  # it was killed while it was idle
        process = _process or _start()
        try:
            try:
                send(cast(Any, process.stdin), head, data)
                reply = receive(cast(Any, process.stdout))
            except BrokenPipeError:
                reply = None
            if reply is None:
                raise UnreadableFilm(_why_it_ended(process))
        except BaseException:  # also Ctrl-C: the rest of a reply must not be taken for the next
            stop()
            raise
    about, body = reply
    if "refused" in about:
        raise UnreadableFilm(about["refused"])
    return np.frombuffer(body, about.pop("dtype")).reshape(about.pop("shape")), about


def stop() -> None:
    """End the decoding process, if there is one; the next film starts another."""
    global _process
    process, _process = _process, None
    if process is not None:
        for pipe in (process.stdin, process.stdout):
            cast(IO[bytes], pipe).close()
        process.kill()
        process.wait()


def _start() -> subprocess.Popen[bytes]:
    global _process
    # -P: modules are not looked for in the current folder
    command = [sys.executable, "-P", "-W", "ignore", "-c", _PROGRAM, str(Path(__file__).parents[2])]
    # threads of numerical libraries take memory in advance
    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        # not multiprocessing: it runs the caller's script again, and not in a pool's workers
        _process = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=env,
        )  # fmt: skip
        if receive(cast(Any, _process.stdout)) is not None:
            return _process
    except OSError:
        pass
    stop()
    raise UnreadableFilm(
        "the process that decodes such films could not be started; check that "
        f"{sys.executable or 'this Python'} runs and that there is memory left"
    )


def _why_it_ended(process: subprocess.Popen[bytes]) -> str:
    code = process.wait()
    if code == -signal.SIGALRM:
        return f"decoding it takes more than {SECONDS} seconds; {AGAIN}"
    if code == -signal.SIGKILL:
        return f"the process that decoded it was killed, perhaps because memory ran out; {AGAIN}"
    return DAMAGED


def _forget_after_fork() -> None:
    """In a forked process: the decoding process is the parent's, and only its pipes are shared."""
    global _process, _lock
    process, _process, _lock = _process, None, threading.Lock()
    if process is not None:
        process.returncode = 0  # the parent's child, for which this process cannot wait
        for pipe in (process.stdin, process.stdout):
            cast(IO[bytes], pipe).close()


atexit.register(stop)
os.register_at_fork(after_in_child=_forget_after_fork)
