from __future__ import annotations

import io
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandora.images import decoder
from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import read_radiograph


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    decoder.stop()
    yield
    decoder.stop()


def pid() -> int:
    assert decoder._process is not None
    return decoder._process.pid


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def film(tmp_path: Path) -> Path:
    levels = np.arange(80 * 100, dtype=np.uint16).reshape(80, 100)
    Image.fromarray(levels).save(tmp_path / "P1-LH.tif")
    return tmp_path / "P1-LH.tif"


def long_work(path: Path, side: int = 9_900) -> Path:
    """A deflated TIFF of a fair size that takes seconds."""
    row = np.random.default_rng(0).integers(0, 65_536, side, dtype=np.uint16).tobytes()
    strip = zlib.compress(row * 10, 1)
    count, first = side // 10, 8
    ends = first + len(strip)
    tags = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 16), (259, 3, 1, 8), (262, 3, 1, 1),
            (273, 4, count, ends), (277, 3, 1, 1), (278, 4, 1, 10),
            (279, 4, count, ends + 4 * count)]  # fmt: skip
    data = b"II*\0" + struct.pack("<L", ends + 8 * count) + strip
    data += struct.pack(f"<{count}L", *[first] * count)
    data += struct.pack(f"<{count}L", *[len(strip)] * count)
    data += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHLL", *tag) for tag in tags)
    path.write_bytes(data + bytes(4))
    return path


def test_one_process_decodes_many_films(film: Path) -> None:
    first = read_radiograph(film)
    process = pid()
    began = time.perf_counter()
    for _ in range(20):
        assert np.array_equal(read_radiograph(film).pixels, first.pixels)
    assert pid() == process
    assert time.perf_counter() - began < 5


def test_a_film_that_takes_too_long_costs_that_film(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = long_work(tmp_path / "slow.tif")
    monkeypatch.setattr(decoder, "SECONDS", 1)
    with pytest.raises(UnreadableFilm, match=r"slow\.tif: decoding it takes more than 1 seconds;"):
        read_radiograph(slow)
    assert read_radiograph(film).shape == (80, 100)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_film_that_takes_too_much_memory_costs_that_film(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = long_work(tmp_path / "large.tif", 5_000)
    with monkeypatch.context() as patch:
        patch.setattr(decoder, "MEMORY_BYTES", 200 << 20)
        with pytest.raises(UnreadableFilm, match=r"large\.tif: .*memory|large\.tif: .*damaged"):
            read_radiograph(large)
    assert read_radiograph(large).shape == (5_000, 5_000)
    assert read_radiograph(film).shape == (80, 100)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (signal.SIGKILL, "was killed"),
        (signal.SIGSEGV, "damaged"),
        (signal.SIGALRM, "more than"),
    ],
)
def test_a_process_that_dies_costs_one_film(
    film: Path, number: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        os.kill(pid(), number)
        while alive(pid()):
            time.sleep(0.01)
        raise BrokenPipeError

    read_radiograph(film)
    with monkeypatch.context() as patch:
        patch.setattr(decoder, "send", dies)
        with pytest.raises(UnreadableFilm, match=says):
            read_radiograph(film)
    assert read_radiograph(film).shape == (80, 100)


def test_a_process_that_was_ended_while_idle_costs_no_film(film: Path) -> None:
    read_radiograph(film)
    os.kill(pid(), signal.SIGKILL)
    while alive(pid()):
        time.sleep(0.01)
    assert read_radiograph(film).shape == (80, 100)


def _mean(path: Path) -> tuple[float, int]:
    return float(read_radiograph(path).pixels.mean()), pid()


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_it_works_in_a_pools_workers(film: Path, method: str) -> None:
    wanted, own = _mean(film)
    with multiprocessing.get_context(method).Pool(1) as pool:  # its workers are daemons
        found, other = pool.apply(_mean, (film,))
        assert found == wanted
        assert other != own
    assert _mean(film) == (wanted, own), "the parent's process is still its own"


@pytest.mark.parametrize("end", ["sys.exit()", "os.kill(os.getpid(), 9)"])
def test_it_ends_with_the_process_that_started_it(film: Path, end: str) -> None:
    # no main guard: a script as people write them
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom mandora.images import decoder\n"
        "from mandora.images.read import read_radiograph\n"
        f"read_radiograph(Path({str(film)!r}))\nprint(decoder._process.pid, flush=True)\n{end}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    process, until = int(done.stdout), time.monotonic() + 10
    while alive(process) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(process)
    assert done.stderr == ""


def test_a_process_that_cannot_be_started_is_told_apart_from_damage(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/absent/python")
    with pytest.raises(UnreadableFilm, match="could not be started"):
        read_radiograph(film)


def test_quick_formats_start_no_process(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(8000, dtype=np.uint8).reshape(80, 100))
    for kind in ("png", "jpeg", "bmp"):
        buffer = io.BytesIO()
        image.save(buffer, kind)
        (tmp_path / "film").write_bytes(buffer.getvalue())
        read_radiograph(tmp_path / "film")
    assert decoder._process is None
