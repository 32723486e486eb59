from __future__ import annotations

import hashlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin

from mandora.images.radiograph import MIN_JOINT_PX, UnreadableFilm
from mandora.images.read import read_radiograph

QUADRANTS = np.repeat(np.repeat(np.array([[0, 80], [160, 255]], np.uint8), 40, 0), 50, 1)
"""(80, 100) uint8: each quarter has a level of its own, so that turns and flips show."""
NOISE = np.random.default_rng(0).integers(0, 256, (80, 100), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def saved(folder: Path, data: bytes, name: str = "P1-LH.png") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def read_image(
    folder: Path, image: Image.Image, kind: str = "PNG", **options: object
) -> np.ndarray:
    return read_radiograph(saved(folder, encoded(image, kind, **options))).pixels


# --- what comes in ----------------------------------------------------------------------------


def test_a_film_carries_its_name_and_hash(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(QUADRANTS), "PNG", dpi=(300, 300))
    film = read_radiograph(saved(tmp_path, data, "P1-LH.PNG"))
    assert film.name == "P1-LH.PNG"
    assert film.sha256 == hashlib.sha256(data).hexdigest()
    assert film.shape == (80, 100)
    assert film.pixels.flags.c_contiguous
    assert not film.pixels.flags.writeable
    assert film.spacing_mm is None, "a print resolution says nothing about the detector"
    assert film.remarks == ()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_8_bit_grey_is_divided_by_255(tmp_path: Path, kind: str) -> None:
    levels = np.clip(NOISE, 20, 200)
    assert np.array_equal(
        read_image(tmp_path, Image.fromarray(levels), kind), levels.astype(np.float32) / 255
    )


def test_jpeg_is_read_closely(tmp_path: Path) -> None:
    pixels = read_image(tmp_path, Image.fromarray(QUADRANTS), "JPEG", quality=95)
    assert np.abs(pixels - QUADRANTS / 255).max() < 0.05


def test_the_extension_does_not_matter(tmp_path: Path) -> None:
    path = saved(tmp_path, encoded(Image.fromarray(QUADRANTS), "TIFF"), "P1-LH.jpg")
    assert np.array_equal(read_radiograph(path).pixels, QUADRANTS.astype(np.float32) / 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("top", [4095, 65535])
def test_16_bit_is_spread_over_the_values_present(tmp_path: Path, kind: str, top: int) -> None:
    levels = np.linspace(100, top, 8000).astype(np.uint16).reshape(80, 100)
    expected = (levels - 100.0) / (top - 100)
    assert np.allclose(read_image(tmp_path, Image.fromarray(levels), kind), expected, atol=1e-6)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "raw"])
def test_tiff_compressions(tmp_path: Path, compression: str) -> None:
    levels = NOISE.astype(np.uint16) * 100
    pixels = read_image(tmp_path, Image.fromarray(levels), "TIFF", compression=compression)
    assert np.allclose(pixels, NOISE / 255, atol=1e-6)


def tiff16(levels: np.ndarray, photometric: int, order: str = "<") -> bytes:
    """A plain TIFF of one strip, written by hand: Pillow writes no white-is-zero."""
    height, width = levels.shape
    tags = [
        (256, width), (257, height), (258, 16), (259, 1), (262, photometric),
        (273, 8), (277, 1), (278, height), (279, levels.size * 2),
    ]  # fmt: skip
    strip = levels.astype(f"{order}u2").tobytes()
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(strip))
    ifd = struct.pack(f"{order}H", len(tags))
    for tag, value in tags:
        ifd += struct.pack(f"{order}HHII", tag, 4, 1, value)
    return head + strip + ifd + b"\0" * 4


def test_tiff_white_is_zero_shows_the_same_film(tmp_path: Path) -> None:
    levels = NOISE.astype(np.uint16) * 16
    black = read_radiograph(saved(tmp_path, tiff16(levels, 1), "a.tif"))
    white = read_radiograph(saved(tmp_path, tiff16(levels.max() - levels, 0), "b.tif"))
    motorola = read_radiograph(saved(tmp_path, tiff16(levels, 1, ">"), "c.tif"))
    assert np.allclose(black.pixels, white.pixels, atol=1e-6)
    assert np.array_equal(black.pixels, motorola.pixels)
    assert np.allclose(black.pixels, NOISE / 255, atol=1e-6)


def test_grey_survives_colour_palette_and_alpha(tmp_path: Path) -> None:
    grey = Image.fromarray(QUADRANTS)
    expected = QUADRANTS.astype(np.float32) / 255
    palette = Image.fromarray(QUADRANTS // 80, "L").copy()
    palette.putpalette([value for level in (0, 80, 160, 255) for value in (level,) * 3])
    variants = [grey.convert("RGB"), grey.convert("RGBA"), grey.convert("LA"), palette]
    for image in variants:
        assert np.array_equal(read_image(tmp_path, image), expected), image.mode
    for image in (grey, grey.convert("RGB"), grey.convert("RGBA"), palette):
        assert np.array_equal(read_image(tmp_path, image, "BMP"), expected), image.mode


def test_a_reversed_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.fromarray(255 - QUADRANTS).convert("P")
    image.putpalette([255 - i // 3 for i in range(768)])
    assert np.array_equal(read_image(tmp_path, image), QUADRANTS.astype(np.float32) / 255)


def test_transparent_parts_are_black(tmp_path: Path) -> None:
    image = Image.merge("LA", (Image.new("L", (100, 80), 255), Image.fromarray(QUADRANTS)))
    assert np.allclose(read_image(tmp_path, image), QUADRANTS / 255, atol=0.003)


def test_alpha_that_hides_everything_is_ignored(tmp_path: Path) -> None:
    image = Image.merge("LA", (Image.fromarray(QUADRANTS), Image.new("L", (100, 80), 0)))
    film = read_radiograph(saved(tmp_path, encoded(image, "PNG")))
    assert np.array_equal(film.pixels, QUADRANTS.astype(np.float32) / 255)
    assert "transparen" in film.remarks[0]


def test_one_bit_pictures(tmp_path: Path) -> None:
    bits = Image.fromarray(NOISE > 127)
    for kind in ("PNG", "TIFF", "BMP"):
        assert np.array_equal(read_image(tmp_path, bits, kind), (NOISE > 127).astype(np.float32))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    # what a camera stores when it is held so: the inverse of what a viewer does
    stored = {
        1: QUADRANTS,
        2: np.fliplr(QUADRANTS),
        3: np.rot90(QUADRANTS, 2),
        4: np.flipud(QUADRANTS),
        5: QUADRANTS.T,
        6: np.rot90(QUADRANTS, 1),
        7: np.rot90(QUADRANTS, 2).T,
        8: np.rot90(QUADRANTS, -1),
    }[orientation]
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif)
    film = read_radiograph(saved(tmp_path, data))
    assert film.shape == QUADRANTS.shape
    assert np.abs(film.pixels - QUADRANTS / 255).max() < 0.1
    assert film.pixels.flags.c_contiguous
    assert bool(film.remarks) == (orientation != 1)


def test_broken_exif_does_not_spoil_a_film(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(QUADRANTS), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_radiograph(saved(tmp_path, data)).shape == (80, 100)


# --- what is refused --------------------------------------------------------------------------


def refusal(path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnreadableFilm) as caught:
            read_radiograph(path)
    message = str(caught.value)
    assert message.startswith(f"{path.name}: ")
    assert str(path.parent) not in message
    assert ";" in message, "the message says what to do"
    return message


def test_missing_empty_folder_and_foreign_files(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "P1-LH.png")
    assert "folder" in refusal(tmp_path)
    assert "0 bytes" in refusal(saved(tmp_path, b""))
    assert "not a PNG" in refusal(saved(tmp_path, b"Patient_ID,Overall_Tol\n" * 50))
    assert "not a PNG" in refusal(saved(tmp_path, b"BMI is 27, " * 50))
    assert "this is GIF" in refusal(saved(tmp_path, encoded(Image.fromarray(QUADRANTS), "GIF")))


def test_permission_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    path = saved(tmp_path, encoded(Image.fromarray(QUADRANTS), "PNG"))
    monkeypatch.setattr("mandora.core.archives.open_regular", denied)
    assert "permissions" in refusal(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "regular file" in refusal(tmp_path / "pipe.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_truncated_files(tmp_path: Path, kind: str) -> None:
    data = encoded(Image.fromarray(NOISE), kind)
    # the pixels of a TIFF may be followed by its directory
    for kept in (20, 200, len(data) // 2, len(data) * 9 // 10, len(data) - 12):
        assert "truncated" in refusal(saved(tmp_path, data[:kept]))


def test_truncated_files_are_refused_even_where_pillow_was_told_to_accept_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded(Image.fromarray(NOISE), "JPEG")
    assert "truncated" in refusal(saved(tmp_path, data[: len(data) // 2]))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True, "the caller's switch is left as it was"


def test_a_flipped_bit_in_a_png_is_noticed(tmp_path: Path) -> None:
    data = bytearray(encoded(Image.fromarray(NOISE), "PNG"))
    data[len(data) // 2] ^= 1
    assert "damaged" in refusal(saved(tmp_path, bytes(data)))


def test_too_small(tmp_path: Path) -> None:
    small = Image.fromarray(NOISE[:63])
    assert "100 × 63 px" in refusal(saved(tmp_path, encoded(small, "PNG")))
    assert read_image(tmp_path, Image.fromarray(NOISE[:64, :64])).shape == (64, 64)


def test_a_picture_of_one_joint_may_be_smaller(tmp_path: Path) -> None:
    joint = saved(tmp_path, encoded(Image.fromarray(NOISE[:20, :MIN_JOINT_PX]), "BMP"), "R.bmp")
    assert "16 × 20 px" in refusal(joint)
    pixels = read_radiograph(joint, MIN_JOINT_PX).pixels
    assert np.allclose(pixels, NOISE[:20, :MIN_JOINT_PX] / 255)
    speck = saved(tmp_path, encoded(Image.fromarray(NOISE[:20, :15]), "BMP"), "U.bmp")
    with pytest.raises(UnreadableFilm, match=r"15 × 20 px, too few .*\(at least 16 on each side"):
        read_radiograph(speck, MIN_JOINT_PX)


def huge_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body
            + struct.pack(">I", zlib.crc32(kind + body))
        )  # fmt: skip

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_001, 50_000, 2**31 - 1])
def test_absurd_sizes_are_refused_from_the_header(tmp_path: Path, side: int) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    assert "megapixels" in refusal(saved(tmp_path, huge_png(side, side)))
    tiff = bytearray(tiff16(np.zeros((80, 100), np.uint16), 1))
    at = tiff.index(struct.pack("<HHII", 256, 4, 1, 100))
    tiff[at : at + 24] = struct.pack("<HHIIHHII", 256, 4, 1, side, 257, 4, 1, side)
    assert "megapixels" in refusal(saved(tmp_path, bytes(tiff)))
    jpeg = bytearray(encoded(Image.fromarray(NOISE), "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", min(side, 65535), min(side, 65535))
    assert "megapixels" in refusal(saved(tmp_path, bytes(jpeg)))
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_more_than_one_picture(tmp_path: Path, kind: str) -> None:
    pages = [Image.fromarray(NOISE), Image.fromarray(QUADRANTS)]
    data = encoded(pages[0], kind, save_all=True, append_images=pages[1:])
    assert "more than one picture" in refusal(saved(tmp_path, data))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("level", [0, 77, 255])
def test_blank_films(tmp_path: Path, dtype: type, level: int) -> None:
    image = Image.fromarray(np.full((80, 100), level, dtype))
    assert "blank film" in refusal(saved(tmp_path, encoded(image, "PNG")))
    assert "blank film" in refusal(saved(tmp_path, encoded(image, "TIFF")))


def test_a_bomb_in_a_text_chunk(tmp_path: Path) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "a" * 80_000_000, zip=True)
    refusal(saved(tmp_path, encoded(Image.fromarray(NOISE), "PNG", pnginfo=notes)))


# --- whatever bytes come, only UnreadableFilm gets out -------------------------------------------


def film_bytes() -> dict[str, bytes]:
    image = Image.fromarray(NOISE)
    return {
        "png": encoded(image, "PNG"),
        "jpeg": encoded(image, "JPEG"),
        "tiff": encoded(image, "TIFF"),
        "lzw": encoded(image, "TIFF", compression="tiff_lzw"),
        "bmp": encoded(image.convert("P"), "BMP"),
    }


SEEDS = film_bytes()
Mutation = list[tuple[int, int]]
mutations = st.lists(
    # most of what can go wrong is in the first and last few hundred bytes
    st.tuples(
        st.one_of(st.integers(0, 300), st.integers(-300, -1), st.integers(0, 8000)),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=6,
)


def mutated(
    data: bytes, changes: Mutation, fix: Callable[[bytearray], None] | None = None
) -> bytes:
    result = bytearray(data)
    for at, value in changes:
        result[at % len(result)] = value
    if fix:
        fix(result)
    return bytes(result)


def right_checksums(data: bytearray) -> None:
    """Let a mutated PNG get past the checksums."""
    at = 8
    while at + 12 <= len(data):
        end = at + 12 + struct.unpack_from(">I", data, at)[0]
        if end > len(data):
            return
        struct.pack_into(">I", data, end - 4, zlib.crc32(data[at + 4 : end - 4]))
        at = end


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(SEEDS)), changes=mutations)
def test_mutated_files_are_read_or_refused(tmp_path: Path, kind: str, changes: Mutation) -> None:
    fix = right_checksums if kind == "png" else None
    path = saved(tmp_path, mutated(SEEDS[kind], changes, fix), "P1-LH.xyz")
    try:
        film = read_radiograph(path)
    except UnreadableFilm:
        return
    assert film.pixels.min() >= 0
    assert film.pixels.max() <= 1


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    magic=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*"]),
    rest=st.binary(max_size=300),
)
def test_noise_is_refused(tmp_path: Path, magic: bytes, rest: bytes) -> None:
    refusal(saved(tmp_path, magic + rest))


@pytest.mark.films
def test_real_films_are_read(films: Path) -> None:
    for path in sorted((films / "films").glob("*.jpg"))[::25]:
        film = read_radiograph(path)
        assert film.pixels.max() > 0.5
        assert film.spacing_mm is None
