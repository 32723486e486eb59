from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mandora.images import jpeg
from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import read_labels, read_radiograph
from mandora.scoring import example_films

SIZE = 300  # bytes of a damage


def film(**options: object) -> bytes:
    """A picture of 400 × 500 px with structures of all sizes."""
    noise = np.random.default_rng(0).normal(size=(400, 500))
    smooth = sum(ndimage.gaussian_filter(noise, s) * s for s in (1, 4, 16))
    levels = np.clip(128 + 60 * smooth, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


KINDS = {
    "baseline": film(),
    "restarts": film(restart_marker_rows=1),
    "progressive": film(progressive=True),
}


def damaged(data: bytes, how: str, at: int) -> bytes:
    middle = data[at : at + SIZE]
    kept = {"cut": b"", "zeroed": bytes(SIZE), "flipped": bytes(b ^ 255 for b in middle)}[how]
    return data[:at] + kept + data[at + SIZE :]


def refused(path: Path, data: bytes) -> bool:
    path.write_bytes(data)
    try:
        read_radiograph(path)
    except UnreadableFilm as error:
        assert "damaged" in str(error)  # noqa: PT017
        return True
    return False


@pytest.mark.parametrize("how", ["cut", "zeroed", "flipped"])
@pytest.mark.parametrize("kind", ["baseline", "restarts"])
def test_damage_in_mid_stream_is_refused(tmp_path: Path, kind: str, how: str) -> None:
    data = KINDS[kind]
    start = data.index(b"\xff\xda") + 14
    places = np.random.default_rng(1).integers(start, len(data) - SIZE - 10, 100).tolist()
    noticed = [refused(tmp_path / "P1-LH.jpg", damaged(data, how, at)) for at in places]
    # now and then the number of blocks comes out right; in real films in one of 250
    assert sum(noticed) >= 90


@pytest.mark.parametrize("how", ["cut", "zeroed", "flipped"])
def test_damage_in_the_first_scans_of_a_progressive_film_is_refused(
    tmp_path: Path, how: str
) -> None:
    # an error in the last scan, which adds the last bit, may stay unseen
    data = KINDS["progressive"]
    start = data.index(b"\xff\xda") + 14
    end = data.rindex(b"\xff\xda") - SIZE
    places = np.random.default_rng(1).integers(start, end, 50).tolist()
    assert sum(refused(tmp_path / "P1-LH.jpg", damaged(data, how, at)) for at in places) >= 44


@pytest.mark.parametrize("how", ["cut", "zeroed", "flipped"])
def test_the_example_is_not_scored_with_a_damaged_film(tmp_path: Path, how: str) -> None:
    for path in example_films():
        data = path.read_bytes()
        assert refused(tmp_path / path.name, damaged(data, how, len(data) // 2))


def test_labels_are_read_by_the_same_rules(tmp_path: Path) -> None:
    data = KINDS["baseline"]
    (tmp_path / "mask.jpg").write_bytes(damaged(data, "cut", len(data) // 2))
    with pytest.raises(UnreadableFilm, match="damaged"):
        read_labels(tmp_path / "mask.jpg", as_grey=True)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_bytes_between_segments_and_after_the_end_do_no_harm(tmp_path: Path, kind: str) -> None:
    data = KINDS[kind]
    at = data.index(b"\xff\xdb")
    odd = data[:at] + b"abc\x00" + data[at:] + bytes(1000) + b"\xff\xd8\xffanother"
    path = tmp_path / "P1-LH.jpg"
    path.write_bytes(odd)
    shown = read_radiograph(path).pixels
    path.write_bytes(data)
    assert np.array_equal(shown, read_radiograph(path).pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_sound_films_of_every_colour_are_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "P1-LH.jpg"
    Image.open(io.BytesIO(KINDS["baseline"])).convert(mode).save(path, quality=95)
    assert read_radiograph(path).shape == (400, 500)


def test_a_film_of_thousands_of_scans_is_refused_unread(tmp_path: Path) -> None:
    data = KINDS["progressive"]
    last = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(UnreadableFilm, match="scans"):
        jpeg.parse(data[:-2] + last * jpeg.MAX_SCANS + b"\xff\xd9")


@pytest.mark.films
def test_a_flood_of_segments_or_chunks_is_refused_unread(tmp_path: Path) -> None:
    data = film()
    flood = data[:2] + b"\xff\xfe\x00\x02" * (jpeg.MAX_SEGMENTS + 1) + data[2:]
    (tmp_path / "flood.jpg").write_bytes(flood)
    with pytest.raises(UnreadableFilm, match="segments"):
        read_radiograph(tmp_path / "flood.jpg")
    Image.linear_gradient("L").resize((64, 64)).save(tmp_path / "sound.png")
    png = (tmp_path / "sound.png").read_bytes()
    empty = b"\x00\x00\x00\x00teXt" + zlib.crc32(b"teXt").to_bytes(4)
    (tmp_path / "flood.png").write_bytes(png[:33] + empty * 100_001 + png[33:])
    with pytest.raises(UnreadableFilm, match="chunks"):
        read_radiograph(tmp_path / "flood.png")
    (tmp_path / "some.png").write_bytes(png[:33] + empty * 100 + png[33:])
    assert read_radiograph(tmp_path / "some.png").shape == (64, 64)


def test_no_sound_real_film_is_refused(films: Path) -> None:
    paths = [*(films / "films").glob("*.jpg"), *(films / "wrists" / "films").glob("*.jpg")]
    assert len(paths) == 518
    for path in paths:
        read_radiograph(path)


COLOURED = np.random.default_rng(2).integers(0, 255, (60, 80, 3), np.uint8)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("L", {}), ("L", {"progressive": True}), ("RGB", {}), ("RGB", {"subsampling": 0}),
        ("RGB", {"subsampling": 2, "progressive": True}), ("CMYK", {}),
    ],
)  # fmt: skip
def test_a_film_is_read_as_pillow_decodes_it(tmp_path: Path, mode: str, options: dict) -> None:
    large = Image.fromarray(COLOURED).resize((320, 240), Image.Resampling.BICUBIC).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    large.save(tmp_path / "P1-LH.jpg", quality=90, exif=exif, **options)
    with Image.open(tmp_path / "P1-LH.jpg") as image:
        wanted = np.asarray(image.convert("L").transpose(Image.Transpose.ROTATE_270))
    film = read_radiograph(tmp_path / "P1-LH.jpg")
    np.testing.assert_array_equal(film.pixels, wanted.astype(np.float32) / np.float32(255))
    assert film.remarks == ("turned as its EXIF orientation says",)
