"""JPEG streams: what their segments say, and whether the picture in them is whole.

JPEG decoders go on when a stream is damaged and give a warning that most programs, Pillow among
them, never show. Here such a warning is an error. Damage is found if it changes the number of
blocks in a scan, or gives a code that does not exist; a changed bit that does neither is not.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from mandora.images.radiograph import DAMAGED, UnreadableFilm

MAX_SCANS = 200
"""A progressive JPEG has about ten; each is a pass over the whole picture."""

MAX_SEGMENTS = 10_000
"""A JPEG has about twenty; one with 64 MiB of private data has a thousand."""

START = b"\xff\xd8\xff"
_END = b"\xff\xd9"
# in a scan's data, 0xFF stands before a stuffed 0, a restart marker or another 0xFF
_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SCAN_END_LS = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")  # a 0 bit is stuffed, not a byte
_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_EOI, _SOS = 0xD9, 0xDA
LOSSLESS, LS = 0xC3, 0xF7
"""Processes that are not based on the cosine transform."""

_KINDS = {
    LOSSLESS: "lossless JPEG", LS: "JPEG-LS",
    **dict.fromkeys((0xC9, 0xCA, 0xCB), "arithmetic-coded JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical JPEG"),
}  # fmt: skip
_COLOURS = {1: "GRAY", 3: "RGB", 4: "CMYK"}


class JpegStream(NamedTuple):
    """What the segments of a JPEG stream say.

    Attributes:
        width: px.
        height: px.
        components: 1 for grey.
        bits: per component.
        process: second byte of the frame's marker, ``C0`` for baseline, see :data:`LOSSLESS`.
        scans: number of passes over the picture.
        data: the bytes from start to end, without harmless bytes that some programs put between
            segments or after the end.
    """

    width: int
    height: int
    components: int
    bits: int
    process: int
    scans: int
    data: bytes


def parse(data: bytes) -> JpegStream:
    """Walk through the segments of a JPEG stream; nothing is decoded.

    Raises:
        UnreadableFilm: if it is cut off, has no picture, or more scans or segments than a film has.
    """
    frame: tuple[int, int, int, int, int] | None = None
    parts, scans, at = [data[:2]], 0, 2
    while (found := _MARKER.search(data, at)) is not None:
        marker, body = found[1][0], found.end()
        if marker == _EOI:
            break
        if marker in _ALONE:
            at = body
            continue
        end = body + int.from_bytes(data[body : body + 2])
        if end < body + 2 or end > len(data):
            raise UnreadableFilm(DAMAGED)
        if marker in _FRAMES:
            if frame is not None or end < body + 8:
                raise UnreadableFilm(DAMAGED)
            height, width = (int.from_bytes(data[i : i + 2]) for i in (body + 3, body + 5))
            frame = width, height, data[body + 7], data[body + 2], marker
        if marker == _SOS:
            scans += 1
            if scans > MAX_SCANS:
                raise UnreadableFilm(
                    f"the JPEG has more than {MAX_SCANS} scans; save the film as PNG or as a "
                    "plain JPEG"
                )
            ends = _SCAN_END_LS if frame is not None and frame[4] == LS else _SCAN_END
            stop = ends.search(data, end)
            if stop is None:
                raise UnreadableFilm(DAMAGED)
            end = stop.start()
        parts.append(data[body - 2 : end])
        if len(parts) > MAX_SEGMENTS:
            raise UnreadableFilm(
                f"the JPEG has more than {MAX_SEGMENTS} segments; save the film as PNG or as a "
                "plain JPEG"
            )
        at = end
    else:
        raise UnreadableFilm(DAMAGED)
    if frame is None or not scans:
        raise UnreadableFilm(DAMAGED)
    return JpegStream(*frame, scans, b"".join([*parts, _END]))


def check_process(stream: JpegStream) -> None:
    """Refuse kinds of JPEG that only DICOM files may hold.

    Raises:
        UnreadableFilm: naming the kind.
    """
    kind = _KINDS.get(stream.process)
    if kind is None and stream.bits != 8:
        kind = f"{stream.bits}-bit JPEG"
    if kind:
        raise UnreadableFilm(
            f"this is {kind}, which is read within DICOM files only; export the film as PNG, TIFF "
            "or DICOM"
        )


def decoded(stream: JpegStream) -> NDArray[np.uint8] | None:
    """Decode a stream of 8 bits, and refuse it for any warning of the decoder.

    Its size must have been checked before.

    Returns:
        (H, W) grey or (H, W, 3) RGB; None for other kinds (12 bit, lossless, four colours), which
        are not checked, or only checked.

    Raises:
        UnreadableFilm: if it is damaged.
    """
    if stream.bits != 8 or stream.components not in _COLOURS:
        return None
    try:
        values = simplejpeg.decode_jpeg(stream.data, _COLOURS[stream.components])
    except ValueError:
        raise UnreadableFilm(DAMAGED) from None
    # Pillow knows what programs mean by four colours
    return None if stream.components == 4 else values[:, :, 0] if values.shape[2] == 1 else values
