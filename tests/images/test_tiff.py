from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import read_labels, read_radiograph

GREY = np.random.default_rng(0).integers(0, 64, (300, 400), dtype=np.uint8) * 4


def saved(path: Path, compression: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "TIFF", compression=compression, **options)
    path.write_bytes(buffer.getvalue())
    return buffer.getvalue()


@pytest.mark.parametrize("compression", ["jpeg", "tiff_adobe_deflate", "tiff_deflate", "tiff_lzw"])
def test_damage_within_a_strip_is_refused(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "P1-LH.tif"
    data = saved(path, compression)
    assert read_radiograph(path).shape == (300, 400)
    for at in range(1500, len(data) - 1500, len(data) // 12):
        for middle in (bytes(300), bytes(b ^ 255 for b in data[at : at + 300])):
            path.write_bytes(data[:at] + middle + data[at + 300 :])
            with pytest.raises(UnreadableFilm, match="damaged"):
                read_radiograph(path)


@pytest.mark.parametrize("compression", ["raw", "jpeg", "tiff_lzw"])
def test_labels_in_tiff_are_read(tmp_path: Path, compression: str) -> None:
    saved(tmp_path / "labels.tif", compression)
    mode, values = read_labels(tmp_path / "labels.tif")
    assert mode == "L"
    assert np.abs(values.astype(int) - GREY).mean() < (20 if compression == "jpeg" else 1e-9)


def test_a_chain_of_directories_is_not_followed(tmp_path: Path) -> None:
    tags = [(256, 400), (257, 300), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 300),
            (279, GREY.size)]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags
    )
    first = 8 + GREY.size
    data = b"II*\0" + struct.pack("<L", first) + GREY.tobytes()
    (tmp_path / "one.tif").write_bytes(data + directory + bytes(4))
    assert np.array_equal(read_radiograph(tmp_path / "one.tif").pixels, GREY / np.float32(255))
    (tmp_path / "circle.tif").write_bytes(data + directory + struct.pack("<L", first))
    with pytest.raises(UnreadableFilm, match="more than one picture"):
        read_radiograph(tmp_path / "circle.tif")
