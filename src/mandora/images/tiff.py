"""Whether the strips or tiles of a TIFF are whole.

libtiff, which decodes them, reports a damaged LZW strip. Of a damaged JPEG it only warns, where
nobody sees it, and it stops reading a deflated strip before its checksum: both are checked here.
Values that are stored without compression have no checksum.
"""

from __future__ import annotations

import struct
import zlib

from mandora.images import jpeg
from mandora.images.radiograph import DAMAGED, SEVERAL_PICTURES, UnreadableFilm, check_size

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _PLANAR = 256, 257, 258, 259, 277, 284
_STRIPS, _ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _JPEG_TABLES = 322, 323, 324, 325, 347
_SAMPLE_FORMAT = 339
_SIGNED, _FLOAT, _APART = 2, 3, 2  # values of the tags of sample format and of planes
_WANTED = frozenset({
    _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _PLANAR, _STRIPS, _ROWS, _STRIP_BYTES,
    _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _JPEG_TABLES, _SAMPLE_FORMAT,
})  # fmt: skip
_TYPES = {1: "B", 3: "H", 4: "L", 7: "B", 13: "L", 16: "Q", 18: "Q"}  # whole numbers and bytes
_JPEG, _DEFLATE = (7,), (8, 32946)
_READ = frozenset({1, 2, 3, 4, 5, 6, *_JPEG, *_DEFLATE, 32771, 32773, 34925, 50000})
"""Compressions that Pillow's libtiff decodes, by their number in the tag."""

_NAMES = {
    33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 33007: "JPEG 2000",
    34712: "JPEG 2000", 34887: "LERC", 34892: "lossy JPEG of DNG", 50001: "WebP",
    50002: "JPEG XL", 52546: "JPEG XL", 34661: "JBIG", 34715: "JBIG2", 34933: "PNG",
    22610: "JPEG XR", 34934: "JPEG XR",
}  # fmt: skip


def check(data: bytes, least_px: int) -> None:
    """Refuse a TIFF of several pictures or of a size that no film has, or with damaged parts.

    Raises:
        UnreadableFilm: with a fault in words.
        Exception: whatever a malformed directory leads to.
    """
    tags = _directory(data)
    width, height = tags[_WIDTH][0], tags[_HEIGHT][0]
    check_size(width, height, least_px)
    compression = tags.get(_COMPRESSION, (1,))[0]
    if compression not in _READ:
        name = _NAMES.get(compression, f"number {compression}")
        raise UnreadableFilm(
            f"the TIFF has the compression {name}, which is not read; save it without "
            "compression, or as PNG"
        )
    _check_values(tags)
    if compression not in (*_JPEG, *_DEFLATE):
        return
    places, lengths = (
        tags[a] if a in tags else tags[b]
        for a, b in ((_STRIPS, _TILES), (_STRIP_BYTES, _TILE_BYTES))
    )
    parts = (data[at : at + length] for at, length in zip(places, lengths, strict=True))
    if compression in _JPEG:
        for part in parts:
            _check_jpeg(part, bytes(tags.get(_JPEG_TABLES, ())), width * height)
    else:
        needs, most = _part_bytes(tags, width, height, len(places))
        for part, need in zip(parts, needs, strict=True):
            _check_deflate(part, need, most)


def _check_values(tags: dict[int, tuple[int, ...]]) -> None:
    """Refuse kinds of values that Pillow takes for others, or not at all."""
    bits = max(tags.get(_BITS, (1,)))
    kind = tags.get(_SAMPLE_FORMAT, (1,))[0]
    fault = None
    if kind == _FLOAT and bits != 32:
        fault = f"floating-point numbers of {bits} bits"
    elif kind == _SIGNED and bits <= 8:
        fault = f"signed numbers of {bits} bits"
    elif kind > _FLOAT and bits > 8:
        fault = "numbers of no known kind"
    elif bits > 8 and tags.get(_PLANAR, (1,))[0] == _APART and tags.get(_SAMPLES, (1,))[0] > 1:
        fault = f"colours of {bits} bits in planes of their own"
    if fault:
        raise UnreadableFilm(
            f"the TIFF holds {fault}, which are not read; save it as grey with 8 or 16 bits"
        )


def _directory(data: bytes) -> dict[int, tuple[int, ...]]:
    """Values of the wanted tags of the only directory."""
    big = data[2:4] in (b"+\0", b"\0+")
    order = "<" if data[:2] == b"II" else ">"
    # what differs between TIFF and BigTIFF: the number of entries, an entry's head, an offset
    forms = ("Q", "HHQ", "Q") if big else ("H", "HHL", "L")
    count_form, head, offset = (order + form for form in forms)
    (at,) = struct.unpack_from(offset, data, 8 if big else 4)
    (count,) = struct.unpack_from(count_form, data, at)
    at += struct.calcsize(count_form)
    head_bytes, offset_bytes = struct.calcsize(head), struct.calcsize(offset)
    size = head_bytes + offset_bytes
    tags = {}
    for i in range(count):
        tag, kind, number = struct.unpack_from(head, data, at + size * i)
        if tag in _WANTED and kind in _TYPES:
            form = f"{order}{number}{_TYPES[kind]}"
            place = at + size * i + head_bytes
            if struct.calcsize(form) > offset_bytes:
                (place,) = struct.unpack_from(offset, data, place)
            if struct.calcsize(form) > len(data):
                raise UnreadableFilm(DAMAGED)
            tags[tag] = struct.unpack_from(form, data, place)
    (following,) = struct.unpack_from(offset, data, at + size * count)
    if following:  # a chain of directories is not followed: it may be long, or a circle
        raise UnreadableFilm(SEVERAL_PICTURES)
    return tags


def _check_jpeg(part: bytes, tables: bytes, most_px: int) -> None:
    # the tables are a stream of their own, without a picture: start, tables, end
    stream = jpeg.parse(part[:2] + tables[2:-2] + part[2:])
    if stream.width * stream.height > 2 * most_px + (1 << 20):  # tiles reach over the border
        raise UnreadableFilm(DAMAGED)
    jpeg.check_process(stream)
    jpeg.decoded(stream)


def _part_bytes(
    tags: dict[int, tuple[int, ...]], width: int, height: int, parts: int
) -> tuple[list[int], int]:
    """Bytes that each strip or tile must give, and those that one may give at most."""
    samples = tags.get(_SAMPLES, (1,))[0]
    planes = samples if tags.get(_PLANAR, (1,))[0] == _APART else 1
    bits = max(tags.get(_BITS, (1,))) * (samples // planes)
    if _TILES in tags and _STRIPS not in tags:
        whole = -(-tags[_TILE_WIDTH][0] * bits // 8) * tags[_TILE_HEIGHT][0]
        return [whole] * parts, whole
    row = -(-width * bits // 8)
    rows = min(tags.get(_ROWS, (height,))[0], height)
    each = parts // planes
    needs = [row * min(rows, max(height - rows * i, 0)) for i in range(each)] * planes
    return needs, row * rows


def _check_deflate(part: bytes, need: int, most: int) -> None:
    stream = zlib.decompressobj()
    try:
        got = len(stream.decompress(part, most + 1))
    except zlib.error:
        raise UnreadableFilm(DAMAGED) from None
    if not need <= got <= most or not stream.eof:
        raise UnreadableFilm(DAMAGED)
