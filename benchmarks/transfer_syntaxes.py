"""Which transfer syntaxes of DICOM are read here: a small film in each of them, read back.

    python benchmarks/transfer_syntaxes.py

Prints a Markdown table: the name and UID, what decodes it, and the largest difference from the
film, in grey levels of 4095. The compressed streams lie in ``tests/images/streams`` and show the
film of :func:`levels`.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
from pydicom import dcmwrite, uid
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder

from mandora.images import openjpeg_plugin
from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import read_radiograph

STREAMS = Path(__file__).resolve().parent.parent / "tests" / "images" / "streams"
WHITE = 4095
SYNTAXES: tuple[tuple[uid.UID, str | None, int], ...] = (
    # transfer syntax, stream (None: written by pydicom), bits
    (uid.ImplicitVRLittleEndian, None, 12),
    (uid.ExplicitVRLittleEndian, None, 12),
    (uid.ExplicitVRBigEndian, None, 12),
    (uid.DeflatedExplicitVRLittleEndian, None, 12),
    (uid.RLELossless, None, 12),
    (uid.JPEGBaseline8Bit, "jpeg-8", 8),
    (uid.JPEGExtended12Bit, "jpeg-8", 8),
    (uid.JPEGExtended12Bit, "jpeg-12", 12),
    (uid.JPEGLossless, "jpeg-lossless", 12),
    (uid.JPEGLosslessSV1, "jpeg-lossless", 12),
    (uid.JPEGLSLossless, "jpeg-ls", 12),
    (uid.JPEGLSNearLossless, "jpeg-ls-near", 12),
    (uid.JPEG2000Lossless, "j2k", 12),
    (uid.JPEG2000, "j2k-lossy", 12),
    (uid.HTJ2KLossless, "htj2k", 12),
    (uid.HTJ2KLosslessRPCL, "htj2k", 12),
    (uid.HTJ2K, "htj2k-lossy", 12),
    (uid.MPEG2MPML, None, 12),
)


def levels() -> np.ndarray:
    """(64, 64) uint16, 12 bits in use, bright at the lower right."""
    rows, columns = np.mgrid[:64, :64]
    return (40 * columns + 24 * rows).astype(np.uint16)


def film(syntax: uid.UID, stream: str | None, bits: int) -> bytes:
    grey = levels() if bits == 12 else (levels() >> 4).astype(np.uint8)
    meta = FileMetaDataset()
    written = uid.ExplicitVRLittleEndian if syntax == uid.RLELossless else syntax
    meta.TransferSyntaxUID = written
    meta.MediaStorageSOPClassUID = uid.ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = uid.ComputedRadiographyImageStorage, "1.2.3"
    ds.Rows, ds.Columns = grey.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored = 8 * grey.dtype.itemsize, bits
    ds.HighBit, ds.PixelRepresentation = bits - 1, 0
    order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
    ds.PixelData = grey.astype(grey.dtype.newbyteorder(order)).tobytes()
    ds["PixelData"].VR = "OW" if bits == 12 else "OB"
    if syntax == uid.RLELossless:
        ds.compress(syntax, generate_instance_uid=False)
    elif syntax.is_encapsulated:
        data = (STREAMS / stream).read_bytes() if stream else b"no stream"
        ds.PixelData = encapsulate([data])
        ds["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def row(folder: Path, syntax: uid.UID, stream: str | None, bits: int) -> str:
    path = folder / "film.dcm"
    path.write_bytes(film(syntax, stream, bits))
    truth = levels() / levels().max()
    try:
        shown = read_radiograph(path).pixels
        outcome = f"{np.abs(shown - truth).max() * WHITE:.0f}"
    except UnreadableFilm as error:
        outcome = f"refused: {str(error).partition(': ')[2]}"
    decoders = "pydicom"
    if syntax.is_encapsulated and syntax != uid.RLELossless:
        try:
            decoder = get_decoder(syntax)
            openjpeg_plugin.use(decoder)
            found = decoder.available_plugins
            # the one that is used stands first
            decoders = ", ".join(sorted(found, key=lambda n: n != openjpeg_plugin.NAME)) or "none"
        except NotImplementedError:
            decoders = "none"
    return f"| {syntax.name} | {syntax} | {bits} | {decoders} | {outcome} |"


def main() -> None:
    print("| transfer syntax | UID | bits | decoders here | largest difference |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for syntax, stream, bits in SYNTAXES:
            print(row(Path(folder), syntax, stream, bits))


if __name__ == "__main__":
    main()
