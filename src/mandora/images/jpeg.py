"""JPEG streams: what their segments say, and whether the picture in them is whole.

The decoders of this family go on when a stream is damaged and tell of it in a warning that most
programs, Pillow among them, never see. Here such a warning is an error. What is noticed is what
changes the number of blocks in a scan, or is no code; a changed bit that does neither is not.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import simplejpeg

from mandora.images.radiograph import DAMAGED, UnreadableFilm

MAX_SCANS = 200
"""A progressive JPEG has about ten; each is a pass over the whole picture."""

MAX_SEGMENTS = 10_000
"""A JPEG has some twenty; one of 64 MiB of private data has a thousand."""

START = b"\xff\xd8\xff"
_END = b"\xff\xd9"
# in a scan's data, 0xFF stands before a stuffed 0, a restart marker or another 0xFF
_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_EOI, _SOS = 0xD9, 0xDA
_COLOURS = {1: "GRAY", 3: "RGB", 4: "CMYK"}


class Jpeg(NamedTuple):
    """A JPEG stream taken apart.

    Attributes:
        width: px.
        height: px.
        components: 1 for grey.
        bits: per component.
        scans: number of passes over the picture.
        stream: the bytes from start to end, without what lies between segments or after the end,
            which some programs put there and which does no harm.
    """

    width: int
    height: int
    components: int
    bits: int
    scans: int
    stream: bytes


def take_apart(data: bytes) -> Jpeg:
    """Walk through the segments of a JPEG stream; nothing is decoded.

    Raises:
        UnreadableFilm: if it is cut off, has no picture, or more scans than any film has.
    """
    frame: tuple[int, int, int, int] | None = None
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
            frame = width, height, data[body + 7], data[body + 2]
        if marker == _SOS:
            scans += 1
            if scans > MAX_SCANS:
                raise UnreadableFilm(
                    f"the JPEG has more than {MAX_SCANS} scans; save the film as PNG or as a "
                    "plain JPEG"
                )
            stop = _SCAN_END.search(data, end)
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
    return Jpeg(*frame, scans, b"".join([*parts, _END]))


def check_whole(jpeg: Jpeg) -> None:
    """Decode a stream of 8 bits and refuse it for anything that the decoder warns of.

    Its size must have been checked before. Other kinds (12 bit, lossless) pass unseen.

    Raises:
        UnreadableFilm: if it is damaged.
    """
    if jpeg.bits != 8 or jpeg.components not in _COLOURS:
        return
    try:
        simplejpeg.decode_jpeg(jpeg.stream, _COLOURS[jpeg.components])
    except ValueError:
        raise UnreadableFilm(DAMAGED) from None
