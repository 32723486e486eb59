"""How long a patient takes whose films are DICOM, against the same films as PNG.

    python benchmarks/score_dicom.py --rounds 3

Scores the packaged example patient in turns, so that a machine that is busy is so for all. Prints
a Markdown table: the median time of a patient, and the median over the rounds of its ratio to PNG
in the same round. The last line also writes results as DICOM objects (``--dicom``).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from openjpeg.utils import encode_array
from PIL import Image
from pydicom import uid
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate

from mandora.model.packaged import open_named
from mandora.scoring import example_films, score_films

BUNDLE: str | None = None  # the packaged model
SYNTAXES = {
    "DICOM, uncompressed": uid.ExplicitVRLittleEndian,
    "DICOM, RLE": uid.RLELossless,
    "DICOM, JPEG-LS": uid.JPEGLSLossless,
    "DICOM, JPEG 2000": uid.JPEG2000Lossless,
}
PNG, WITH_OBJECTS = "PNG, 16 bits", "DICOM, uncompressed, and `--dicom`"


def write_films(folder: Path) -> dict[str, list[Path]]:
    """The example's films in each format, 12 bits in use, by the name of the format."""
    films: dict[str, list[Path]] = {PNG: [], **{name: [] for name in SYNTAXES}}
    for number, path in enumerate(example_films()):
        with Image.open(path) as image:
            grey = np.asarray(image.convert("L")).astype(np.uint16) * 16
        for name, paths in films.items():
            suffix = "png" if name == PNG else "dcm"
            paths.append(folder / name.replace(" ", "-") / f"{path.stem}.{suffix}")
            paths[-1].parent.mkdir(exist_ok=True)
            if name == PNG:
                Image.fromarray(grey).save(paths[-1])
            else:
                write_dicom(paths[-1], grey, SYNTAXES[name], number)
    return films


def write_dicom(path: Path, grey: np.ndarray, syntax: uid.UID, number: int) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = uid.ComputedRadiographyImageStorage, f"1.2.3.{number}"
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.4", f"1.2.5.{number}"
    ds.PatientID, ds.PatientName, ds.StudyDate = "EXAMPLE", "Example", "20260101"
    ds.Modality, ds.Rows, ds.Columns = "CR", *grey.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = grey.tobytes()
    if syntax == uid.JPEG2000Lossless:  # pydicom's own encoder needs one more package
        ds.PixelData = encapsulate([encode_array(grey, 12, 2)])
        meta.TransferSyntaxUID = syntax
    elif syntax.is_encapsulated:
        ds.compress(syntax, generate_instance_uid=False)
    ds.save_as(path, enforce_file_format=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    bundle = open_named(BUNDLE)
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as work:
        films = write_films(Path(work))
        films[WITH_OBJECTS] = films["DICOM, uncompressed"]
        for turn in range(rounds + 1):
            for name, paths in films.items():
                out = Path(work, "out", f"{turn}-{name.strip('`').replace(' ', '-')}")
                start = time.perf_counter()
                objects = "as given" if name == WITH_OBJECTS else None
                summary = score_films(paths, out, bundle=bundle, threads=1, dicom=objects)
                if summary.problems:
                    raise SystemExit(f"{name}: {summary.problems}")
                if turn > 0:  # the first loads packages and models
                    seconds.setdefault(name, []).append(time.perf_counter() - start)
    print("| films | s per patient | against PNG |\n|---|---|---|")
    for name, times in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(times, seconds[PNG], strict=True))
        print(f"| {name} | {statistics.median(times):.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
