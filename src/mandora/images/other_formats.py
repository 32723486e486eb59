"""Names of file formats that are not read, found from a file's first bytes."""

from __future__ import annotations

import re

# Debian's file(1) and the formats' own specifications say what the files begin with
_BRANDS = {  # of files in the ISO base media format, ISO/IEC 14496-12
    b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"heim": "HEIC", b"heis": "HEIC",
    b"mif1": "HEIC", b"msf1": "HEIC", b"avif": "AVIF", b"avis": "AVIF", b"mp42": "MP4",
    b"isom": "MP4", b"qt  ": "MOV",
}  # fmt: skip
_MAGIC = (
    (rb"RIFF....WEBP", "WebP"),
    (rb"GIF8[79]a", "GIF"),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (rb"II\xbc", "JPEG XR"),
    (rb"\0\0\x01\0", "an icon"),
    (rb"%PDF-", "PDF"),
    (rb"PK\x03\x04", "zip"),
    (rb"8BPS", "Photoshop"),
    (rb"n[+i]1\0|\x5c\x01\0\0", "NIfTI"),
    (rb"NRRD000", "NRRD"),
    (rb"\x89HDF\r\n\x1a\n", "HDF5"),
    (rb"P[1-6]\s", "PNM"),
    (rb"\s*<(\?xml|svg|!DOCTYPE)", "XML, SVG or HTML"),
    (rb"\x1f\x8b", "gzip"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Microsoft Office"),
)
_PATTERNS = [(re.compile(magic, re.DOTALL), name) for magic, name in _MAGIC]
_REMEDY = {
    "zip": "unpack it and give its files",
    "gzip": "unpack it and give its files",
    "PDF": "export the picture in it as PNG, TIFF or DICOM",
}
_EXPORT = "export the film as PNG, TIFF or DICOM"


def format_named(data: bytes) -> str | None:
    """The name of a known format that is not read, e.g. ``HEIC``."""
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "HEIC, AVIF or MP4")
    return next((name for pattern, name in _PATTERNS if pattern.match(data)), None)


def not_read(name: str) -> str:
    """What is said of a file in such a format."""
    return f"this is {name}, a format that is not read; {_REMEDY.get(name, _EXPORT)}"
