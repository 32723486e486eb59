"""The program of the decoding process: it decodes what may be slow, large or crash a process.

:mod:`mandora.images.decoder` starts it. It answers requests on standard input until that is
closed, which also happens when the process that asked is gone.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mandora.images.dicom import read_dicom, read_tags
from mandora.images.radiograph import AGAIN, DAMAGED, Picture, UnreadableFilm
from mandora.images.raster import Stored, read_raster, read_stored

_LENGTH_BYTES = 4
_JPEG_WARNING = b"Corrupt JPEG data"  # of the decoders of JPEG in DICOM, on standard error
_START_SECONDS = 60


def send(stream: BinaryIO, head: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Write a message: a few values as JSON, and bytes."""
    text = json.dumps(head | {"bytes": len(body)}).encode()
    stream.write(len(text).to_bytes(_LENGTH_BYTES) + text)
    view = memoryview(body)
    while view:  # an unbuffered pipe takes a part
        view = view[stream.write(view) or 0 :]
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytearray] | None:
    """Read a message; None at the end of the stream."""
    length = _exactly(stream, _LENGTH_BYTES)
    text = length and _exactly(stream, int.from_bytes(length))
    if not text:
        return None
    head = json.loads(text)
    body = _exactly(stream, head["bytes"])
    return None if body is None else (head, body)


def _exactly(stream: BinaryIO, count: int) -> bytearray | None:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got = stream.readinto(view)  # type: ignore[attr-defined]
        if not got:
            return None
        view = view[got:]
    return data


def serve(requests: BinaryIO, replies: BinaryIO, errors: BinaryIO) -> None:
    """Answer requests until there are no more.

    Args:
        requests: messages with ``job``, ``least_px``, ``seconds`` and ``memory_bytes``.
        replies: takes messages with ``refused``, or with ``dtype``, ``shape`` and the job's other
            results.
        errors: file that standard error goes to.
    """
    send(replies, {"ready": True})
    signal.alarm(0)
    while (request := receive(requests)) is not None:
        head, data = request
        # without a handler, the alarm ends the process wherever it is
        signal.alarm(head["seconds"])
        _limit_memory(head["memory_bytes"] + len(data))
        errors.truncate(0)
        try:
            values, about = _JOBS[head["job"]](bytes(data), head["least_px"])
            errors.seek(0)
            if _JPEG_WARNING in errors.read():
                raise UnreadableFilm(DAMAGED)
            found = np.ascontiguousarray(values)
            about |= {"dtype": found.dtype.str, "shape": found.shape}
            reply: tuple[dict[str, Any], Any] = about, found.reshape(-1).view(np.uint8).data
        except UnreadableFilm as error:
            reply = {"refused": str(error)}, b""
        except MemoryError:
            reply = {"refused": f"decoding it takes too much memory; {AGAIN}"}, b""
        except Exception:  # decoders fail in any way they like; their texts may quote tags
            reply = {"refused": DAMAGED}, b""
        send(replies, *reply)
        signal.alarm(0)


def _limit_memory(limit_bytes: int) -> None:
    if sys.platform == "linux":  # elsewhere the limit is refused, or has no effect
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        most = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


_Reply = tuple[NDArray[Any], dict[str, Any]]
"""The values, and what else was found, in types that JSON has."""


def _of_picture(picture: Picture) -> _Reply:
    about = {
        "remarks": picture.remarks, "spacing_mm": picture.spacing_mm, "file_px": picture.file_px,
    }  # fmt: skip
    return picture.pixels, about | picture.tags._asdict()


def _of_stored(stored: Stored) -> _Reply:
    return stored.values, {"mode": stored.mode}


_JOBS: dict[str, Callable[[bytes, int], _Reply]] = {
    "film": lambda data, least_px: _of_picture(read_raster(data, least_px)),
    "dicom": lambda data, least_px: _of_picture(read_dicom(data)),
    "tags": lambda data, least_px: (np.empty(0), read_tags(data)._asdict()),
    "labels": lambda data, least_px: _of_stored(read_stored(data, as_grey=False)),
    "mask": lambda data, least_px: _of_stored(read_stored(data, as_grey=True)),
}


def main() -> None:
    """Serve on standard input and output."""
    signal.alarm(_START_SECONDS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the other one decides
    # what libraries print must reach neither the replies nor the user's terminal
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    with tempfile.TemporaryFile() as errors, suppress(BrokenPipeError):
        os.dup2(errors.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        serve(requests, replies, errors)
