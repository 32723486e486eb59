"""Damaged films of every format, read: how many are read, refused, crash, hang, or take memory.

    python benchmarks/fuzz_films.py [--films N] [--seed S] [--journal FILE]

Each film is a small one of :func:`originals` with one to three changes in its header or in its
pixels: bytes changed, numbers set to extremes, parts cut out, doubled, or put in from another
film. Film number n is the same in every run with the same seed. The journal has a line for each
film; a run with a journal goes on where it ended.

A film is ``read`` or ``refused`` by an error that names the fault. ``failed`` is any other
exception. ``crashed`` and ``hung`` are those that end the process which reads films: there must
be none. Some decoders run in a process of their own; where a film ended that one, it was
refused, and is counted as ``contained``. Exit status 1 if a film failed, crashed or hung.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mandora.images import decoder
from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import peek_tags, read_radiograph

HUNG_SECONDS = decoder.SECONDS + 60
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
HEADER_BYTES = 700
CHANGES = (0.40, 0.25, 0.08, 0.08, 0.14, 0.05)
"""Of kinds of change: a byte, a number set to an extreme, cut out, doubled, put in, cut off."""
SAME = 0.02
"""Mean absolute difference in grey up to which a damaged film still shows the same picture."""
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def picture() -> np.ndarray:
    """(96, 72) uint16, 12 bits in use: smooth shapes with a little noise."""
    y, x = np.mgrid[:96, :72]
    noise = np.random.default_rng(0).normal(0, 12, y.shape)
    waves = 2000 + 1200 * np.sin(x / 9) + 700 * np.cos(y / 13)
    return np.clip(waves + noise, 0, 4095).astype(np.uint16)


def originals() -> dict[str, bytes]:
    """Whole small films of every format, by a name."""
    levels = picture()
    grey = Image.fromarray((levels >> 4).astype(np.uint8))
    deep = Image.fromarray(levels)
    files = {
        "png 8": encoded(grey, "PNG"),
        "png 16": encoded(deep, "PNG"),
        "png palette": encoded(grey.convert("P"), "PNG"),
        "jpeg": encoded(grey, "JPEG", quality=90),
        "jpeg progressive": encoded(grey, "JPEG", quality=90, progressive=True),
        "jpeg colour": encoded(grey.convert("RGB"), "JPEG", quality=90),
        "bmp": encoded(grey, "BMP"),
        "tiff": encoded(deep, "TIFF"),
        "tiff lzw": encoded(deep, "TIFF", compression="tiff_lzw"),
        "tiff deflate": encoded(deep, "TIFF", compression="tiff_adobe_deflate"),
        "tiff jpeg": encoded(grey, "TIFF", compression="jpeg"),
        "tiff packbits": encoded(grey, "TIFF", compression="packbits"),
    }
    return files | dicom_originals(levels)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def dicom_originals(levels: np.ndarray) -> dict[str, bytes]:
    """DICOM films in the transfer syntaxes that pydicom, Pillow and gdcm can write."""
    try:
        import gdcm
        from pydicom.uid import (
            DeflatedExplicitVRLittleEndian,
            ExplicitVRBigEndian,
            ExplicitVRLittleEndian,
            ImplicitVRLittleEndian,
            JPEG2000Lossless,
            JPEGBaseline8Bit,
            RLELossless,
        )
    except ImportError:
        return {}
    eight = (levels >> 4).astype(np.uint8)
    j2k = encoded(Image.fromarray(levels), "JPEG2000", no_jp2=True, irreversible=False)
    jpeg = encoded(Image.fromarray(eight), "JPEG", quality=90)
    plain = dicom_file(levels, ExplicitVRLittleEndian)
    files = {
        "dicom explicit": plain,
        "dicom implicit": dicom_file(levels, ImplicitVRLittleEndian),
        "dicom big endian": dicom_file(levels, ExplicitVRBigEndian),
        "dicom deflated": dicom_file(levels, DeflatedExplicitVRLittleEndian),
        "dicom rle": dicom_file(levels, RLELossless),
        "dicom j2k": dicom_file(levels, JPEG2000Lossless, j2k),
        "dicom jpeg": dicom_file(eight, JPEGBaseline8Bit, jpeg),
    }
    kinds = gdcm.TransferSyntax
    for name, kind in (
        ("jpeg lossless", kinds.JPEGLosslessProcess14_1),
        ("jpeg-ls", kinds.JPEGLSLossless),
    ):
        files[f"dicom {name}"] = by_gdcm(plain, kind)
    return files


def dicom_file(levels: np.ndarray, syntax: str, stream: bytes | None = None) -> bytes:
    from pydicom import dcmwrite
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import (
        ComputedRadiographyImageStorage,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        RLELossless,
    )

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3"
    ds.Modality, ds.BodyPartExamined, ds.ImageLaterality = "CR", "HAND", "L"
    ds.PixelSpacing, ds.WindowCenter, ds.WindowWidth = [1.5, 1.5], 2048, 4096
    ds.Rows, ds.Columns = levels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = 8 * levels.dtype.itemsize
    ds.BitsStored = 12 if levels.dtype == np.uint16 else 8
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    ds.PixelData = levels.astype(levels.dtype.newbyteorder(order)).tobytes()
    ds["PixelData"].VR = "OW" if levels.dtype == np.uint16 else "OB"
    if syntax == RLELossless:
        ds.compress(RLELossless, generate_instance_uid=False)
    elif stream is not None:
        ds.PixelData = encapsulate([stream])
        ds["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def by_gdcm(plain: bytes, syntax: int) -> bytes:
    """The same film in another transfer syntax."""
    import gdcm

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.dcm", Path(folder) / "after.dcm"
        before.write_bytes(plain)
        reader, writer = gdcm.ImageReader(), gdcm.ImageWriter()
        reader.SetFileName(str(before))
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        writer.SetFileName(str(after))
        if not reader.Read():
            raise RuntimeError("gdcm cannot read its own film")
        change.SetInput(reader.GetImage())
        if not change.Change():
            raise RuntimeError("gdcm cannot write this transfer syntax")
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.Write()
        return after.read_bytes()


def damaged(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """The film with one to three changes."""
    result = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        end = min(HEADER_BYTES, len(result)) if rng.random() < 0.5 else len(result)
        at, length = int(rng.integers(0, max(end, 1))), int(rng.integers(1, 65))
        kind = int(rng.choice(6, p=CHANGES))
        if kind == 0:
            result[at : at + 1] = rng.bytes(1)
        elif kind == 1:
            size = int(rng.choice([1, 2, 4]))
            value = int(rng.choice(EXTREMES)) & ((1 << 8 * size) - 1)
            result[at : at + size] = value.to_bytes(size, "little" if rng.random() < 0.5 else "big")
        elif kind == 2:
            del result[at : at + length]
        elif kind == 3:
            result[at:at] = result[at : at + length]
        elif kind == 4:
            other = others[int(rng.integers(len(others)))]
            result[at : at + length] = other[at : at + length]
        else:
            del result[int(rng.integers(1, len(result) + 1)) :]
        if not result:
            break
    return bytes(result)


def read_films(first: int, last: int, seed: int, journal: Path) -> None:
    """Read films and write a line each; runs in a process of its own."""
    files = originals()
    names, whole = list(files), {}
    with tempfile.TemporaryDirectory() as folder, journal.open("a") as lines:
        path = Path(folder) / "film"
        for name, data in files.items():
            path.write_bytes(data)
            whole[name] = read_radiograph(path).pixels
        for number in range(first, last):
            rng = np.random.default_rng((seed, number))
            name = names[number % len(names)]
            kin = [d for n, d in files.items() if n.split()[0] == name.split()[0]]
            path.write_bytes(damaged(files[name], kin, rng))
            signal.alarm(HUNG_SECONDS)
            before, start = decoder._process, time.monotonic()
            outcome = read_one(path, whole[name])
            signal.alarm(0)
            outcome |= {"film": number, "of": name, "s": round(time.monotonic() - start, 3)}
            outcome["contained"] = before is not None and decoder._process is not before
            print(json.dumps(outcome), file=lines, flush=True)
        decoder.stop()
        own, its = (
            resource.getrusage(who).ru_maxrss * RSS_UNIT / 2**20
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        print(json.dumps({"memory": [round(own), round(its)]}), file=lines, flush=True)


def read_one(path: Path, whole: np.ndarray) -> dict[str, Any]:
    try:
        peek_tags(path)
        film = read_radiograph(path)
    except UnreadableFilm as error:
        return {"got": "refused", "why": str(error).partition(": ")[2]}
    except Exception as error:
        return {"got": "failed", "why": repr(error)[:200]}
    same = film.shape == whole.shape and float(np.abs(film.pixels - whole).mean()) < SAME
    return {"got": "read" if same else "read as another picture"}


def run(films: int, seed: int, journal: Path) -> Counter[str]:
    """All films, in new processes after each that was ended by one."""
    while (done := len(journal_of(journal))) < films:
        command = [sys.executable, __file__, "--seed", str(seed), "--journal", str(journal),
                   "--range", str(done), str(films)]  # fmt: skip
        ended = subprocess.run(command, check=False).returncode
        got = len(journal_of(journal))
        if got < films and ended >= 0:
            raise SystemExit(f"the process that reads films ended with status {ended}")
        if got < films:
            what = "hung" if ended == -signal.SIGALRM else "crashed"
            with journal.open("a") as lines:
                print(json.dumps({"film": got, "got": what, "s": 0}), file=lines)
    return Counter(line["got"] for line in journal_of(journal))


def journal_of(path: Path, what: str = "film") -> list[dict[str, Any]]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in map(json.loads, lines) if what in line]


def show(journal: Path, counts: Counter[str]) -> None:
    lines = journal_of(journal)
    kinds = ("read", "read as another picture", "refused", "failed", "crashed", "hung")
    print(f"{'':22}" + "".join(f"{kind:>25}" for kind in kinds))
    for name in dict.fromkeys(line.get("of", "?") for line in lines):
        of = Counter(line["got"] for line in lines if line.get("of", "?") == name)
        print(f"{name:22}" + "".join(f"{of[kind]:>25}" for kind in kinds))
    print(f"{'all ' + str(len(lines)):22}" + "".join(f"{counts[kind]:>25}" for kind in kinds))
    contained = sum(line.get("contained", False) for line in lines)
    print(f"contained: {contained} films ended the decoding process and were refused")
    print(f"longest: {max(line['s'] for line in lines):.1f} s")
    peaks = [line["memory"] for line in journal_of(journal, "memory")]
    own, its = (max((peak[i] for peak in peaks), default=0) for i in (0, 1))
    print(f"peak memory: {own} MiB reading, {its} MiB decoding")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--films", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--journal", type=Path, help="kept; a new one if not given")
    parser.add_argument("--range", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.range:
        read_films(*given.range, given.seed, given.journal)
        return
    with tempfile.TemporaryDirectory() as folder:
        journal = given.journal or Path(folder) / "journal.jsonl"
        counts = run(given.films, given.seed, journal)
        show(journal, counts)
    if any(counts[kind] for kind in ("failed", "crashed", "hung")):
        sys.exit(1)


if __name__ == "__main__":
    main()
