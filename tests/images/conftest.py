from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MakeDicom = Callable[..., Path]


@pytest.fixture
def make_dicom(tmp_path: Path) -> MakeDicom:
    """Writes a DICOM film: pixels, transfer syntax, a compressed stream or none, and tags.

    A tag that is None is left out.
    """
    pytest.importorskip("pydicom")
    from pydicom import dcmwrite
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRBigEndian

    def make(
        levels: np.ndarray, syntax: str = "1.2.840.10008.1.2.1", stream: bytes | None = None,
        **tags: Any,
    ) -> Path:  # fmt: skip
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = syntax
        meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
        meta.MediaStorageSOPInstanceUID = "1.2.3"
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3"
        ds.PatientName = "Doe^Jane"
        ds.Rows, ds.Columns = levels.shape[:2]
        ds.SamplesPerPixel = 1 if levels.ndim == 2 else 3
        ds.PhotometricInterpretation = "MONOCHROME2" if levels.ndim == 2 else "RGB"
        if levels.ndim == 3:
            ds.PlanarConfiguration = 0
        ds.BitsAllocated = levels.dtype.itemsize * 8
        ds.BitsStored = 12 if levels.dtype.itemsize == 2 else ds.BitsAllocated
        ds.HighBit = ds.BitsStored - 1
        ds.PixelRepresentation = int(levels.dtype.kind == "i")
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        ds.PixelData = levels.astype(levels.dtype.newbyteorder(order)).tobytes()
        ds["PixelData"].VR = "OW" if levels.dtype.itemsize > 1 else "OB"
        if stream is not None:
            ds.PixelData = encapsulate([stream])
            ds["PixelData"].is_undefined_length = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of these files are wrong on purpose
            for keyword, value in tags.items():
                if value is None:
                    delattr(ds, keyword)
                else:
                    setattr(ds, keyword, value)
            path = tmp_path / "film.dcm"
            dcmwrite(path, ds, enforce_file_format=True)
        return path

    return make
