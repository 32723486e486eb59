"""What was decoded or cut once is found again, and half of it is never taken for whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mandora.core.errors import InputError
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.training import cache
from mandora.training.cache import Arrays, FilmCache, Prepared, prepare

Usage = namedtuple("Usage", "total used free")
SHAPES = {"square": ((2, 2), "uint8"), "number": ((), "float32")}


class Crash(BaseException):
    """The plug is pulled: nothing is tidied afterwards, as after kill -9."""


# ── decoded films ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were decoded, in turn."""
    paths: list[Path] = []

    def watched(path: Path) -> Radiograph:
        paths.append(path)
        return read_radiograph(path)

    monkeypatch.setattr(cache, "read_radiograph", watched)
    return paths


def write_deep(path: Path, seed: int = 0) -> Path:
    """A film with 16-bit grey values."""
    grey = np.random.default_rng(seed).integers(0, 65536, (70, 90), dtype=np.uint16)
    Image.fromarray(grey).save(path)
    return path


def kept_name(path: Path) -> str:
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}.npy"


def test_a_film_is_decoded_once_and_named_by_its_content(
    tmp_path: Path, decoded: list[Path]
) -> None:
    path = write_deep(tmp_path / "a.png")
    films = FilmCache(tmp_path / "cache")
    first = films.film(path)
    assert first.dtype == np.float32
    assert [p.name for p in (tmp_path / "cache").glob("films-*/*")] == [kept_name(path)]
    np.testing.assert_allclose(first, read_radiograph(path).pixels, atol=0.51 / 65535)
    np.testing.assert_array_equal(films.film(path), first)
    np.testing.assert_array_equal(FilmCache(tmp_path / "cache").film(path), first)
    assert decoded == [path]
    # the same content under another name is the same film
    copy = tmp_path / "b.png"
    shutil.copy(path, copy)
    np.testing.assert_array_equal(films.film(copy), first)
    assert decoded == [path]


def test_a_file_that_was_changed_is_decoded_anew(tmp_path: Path, decoded: list[Path]) -> None:
    films, path = FilmCache(tmp_path / "cache"), write_deep(tmp_path / "a.png")
    before = films.film(path)
    write_deep(path, seed=1)
    after = films.film(path)
    assert (after != before).any()
    np.testing.assert_allclose(after, read_radiograph(path).pixels, atol=0.51 / 65535)
    assert decoded == [path, path]


def test_a_film_that_was_half_written_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[Path]
) -> None:
    path = write_deep(tmp_path / "a.png")
    films = FilmCache(tmp_path / "cache")

    def pulled(file: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", pulled)
        with pytest.raises(Crash):
            films.film(path)
    assert not list((tmp_path / "cache").glob("films-*/*.npy"))
    assert films.film(path).shape == (70, 90)
    assert decoded == [path, path]
    assert [p.name for p in (tmp_path / "cache").glob("films-*/*")] == [kept_name(path)]


def test_what_is_no_film_is_refused_by_name_and_not_kept(tmp_path: Path) -> None:
    films = FilmCache(tmp_path / "cache")
    with pytest.raises(ValueError, match=r"none\.png"):
        films.film(tmp_path / "none.png")
    text = tmp_path / "text.png"
    text.write_text("no film", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text\.png"):
        films.film(text)
    assert not list(tmp_path.glob("cache/films-*/*"))


# ── prepared items ───────────────────────────────────────────────────────────────────────


class Maker:
    """Makes items of their index, and remembers which; some are refused."""

    def __init__(self, refused: dict[int, str] | None = None) -> None:
        self.refused, self.made = refused or {}, list[int]()

    def __call__(self, index: int) -> Arrays:
        self.made.append(index)
        if index in self.refused:
            raise InputError(self.refused[index])
        return {"square": np.full((2, 2), 10 + index), "number": np.array(index / 4)}


def made(
    folder: Path, make: Callable[[int], Arrays], count: int = 3, key: str = "k", workers: int = 1
) -> Prepared:
    return prepare(folder, key, count, SHAPES, make, workers, lambda done, of: None)


def test_items_are_made_once_and_found_again(tmp_path: Path) -> None:
    make, told = Maker(), list[tuple[int, int]]()
    first = prepare(tmp_path, "k", 3, SHAPES, make, 1, lambda *now: told.append(now))
    assert make.made == [0, 1, 2]
    assert told == [(1, 3), (2, 3), (3, 3)]
    again = made(tmp_path, make)
    assert make.made == [0, 1, 2]
    for prepared in (first, again):
        assert prepared.refused == {}
        square, number = prepared.arrays["square"], prepared.arrays["number"]
        assert (square.shape, square.dtype) == ((3, 2, 2), np.uint8)
        assert square[:, 1, 1].tolist() == [10, 11, 12]
        assert number.dtype == np.float32
        assert number.tolist() == [0, 0.25, 0.5]
        assert isinstance(square, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            square[0] = 1


def test_another_key_makes_other_items(tmp_path: Path) -> None:
    make = Maker()
    made(tmp_path, make, key="films of 256 px")
    made(tmp_path, make, key="films of 512 px")
    assert make.made == [0, 1, 2, 0, 1, 2]
    assert len(list(tmp_path.iterdir())) == 2
    (about,) = (
        json.loads(f.read_text()) for f in tmp_path.glob("*/done.json") if "512" in f.read_text()
    )
    assert about == {"key": "films of 512 px", "count": 3, "refused": {}}


def test_an_item_that_is_refused_says_why_and_costs_only_itself(tmp_path: Path) -> None:
    make = Maker({1: "b.png: is damaged; export it again"})
    for _ in range(2):  # made, and found again
        prepared = made(tmp_path, make)
        assert prepared.refused == {1: "b.png: is damaged; export it again"}
        assert prepared.arrays["square"][:, 0, 0].tolist() == [10, 0, 12]
        assert prepared.arrays["number"].tolist() == [0, 0, 0.5]
    assert make.made == [0, 1, 2]


def dies_at(index: int, error: BaseException) -> Callable[[int], Arrays]:
    def make(i: int) -> Arrays:
        if i == index:
            raise error
        return Maker()(99)

    return make


@pytest.mark.parametrize("error", [Crash(), KeyError("a slip in the program")])
def test_what_ended_half_way_starts_anew_and_leaves_nothing(
    tmp_path: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        made(tmp_path, dies_at(2, error))
    assert list(tmp_path.iterdir()) == []
    make = Maker()
    prepared = made(tmp_path, make)
    assert make.made == [0, 1, 2]
    assert prepared.arrays["square"][:, 0, 0].tolist() == [10, 11, 12]
    (target,) = tmp_path.iterdir()
    assert sorted(p.name for p in target.iterdir()) == ["done.json", "number.npy", "square.npy"]


HELD_UP = """
import sys, time
from pathlib import Path
from mandora.training.cache import prepare

def make(index):
    print("begun", flush=True)
    time.sleep(60)

prepare(Path(sys.argv[1]), "k", 3, {"number": ((), "float32")}, make, 1, print)
"""


@pytest.fixture
def other_run(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that makes items in ``tmp_path``, and does not come to an end."""
    with subprocess.Popen(
        [sys.executable, "-c", HELD_UP, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield process
        process.kill()


def test_what_another_process_is_making_is_let_alone(
    tmp_path: Path, other_run: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (theirs,) = tmp_path.glob("*.part")
    # as in another container: the same number of process on a machine of the same name
    monkeypatch.setattr(os, "getpid", lambda: other_run.pid)
    made(tmp_path, Maker())
    assert theirs.exists()


def test_what_a_killed_process_left_is_removed(
    tmp_path: Path, other_run: subprocess.Popen[str]
) -> None:
    (theirs,) = tmp_path.glob("*.part")
    other_run.kill()
    other_run.wait()
    made(tmp_path, Maker())
    assert not theirs.exists()
    assert len(list(tmp_path.iterdir())) == 1


def test_of_two_that_make_the_same_the_first_ones_stays(tmp_path: Path) -> None:
    def slower(index: int) -> Arrays:
        made(tmp_path, Maker())
        return Maker()(50)

    assert made(tmp_path, slower).arrays["square"][:, 0, 0].tolist() == [10, 11, 12]
    assert len(list(tmp_path.iterdir())) == 1


def test_arrays_without_their_last_word_are_not_trusted(tmp_path: Path) -> None:
    made(tmp_path, dies_at(9, Crash()))  # its items are all 99
    (done,) = tmp_path.glob("*/done.json")
    done.unlink()
    assert made(tmp_path, Maker()).arrays["square"][:, 0, 0].tolist() == [10, 11, 12]


def test_a_disk_without_room_says_how_much_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [1_000_000_000]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**10, 0, free[0]))
    make, shapes = Maker(), {"film": ((1000, 1000), "float32")}  # 4 MB each, and 0.2 GB to spare

    def attempt() -> None:
        prepare(tmp_path / "cache", "k", 1000, shapes, make, 1, lambda *_: None)

    with pytest.raises(OSError, match=r"4\.2 GB are needed .* 1\.0 GB are free.*--cache"):
        attempt()
    assert make.made == []
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_run_left_does_not_take_the_room(
    tmp_path: Path, other_run: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other_run.kill()
    other_run.wait()

    def usage(_: Path) -> Usage:
        return Usage(10**10, 0, 1000 if list(tmp_path.iterdir()) else 10**9)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert made(tmp_path, Maker()).arrays["number"][2] == 0.5


PICKLED = """
import numpy as np
from mandora.core.errors import InputError

def make(index):
    if index == 3:
        raise InputError("item 3 is damaged")
    return {"square": np.full((2, 2), index), "number": np.random.default_rng(index).random()}
"""


def test_two_processes_make_what_one_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "item_maker.py").write_text(PICKLED, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    from item_maker import make  # type: ignore[import-not-found]

    one, two = (made(tmp_path / f"{n}", make, count=9, workers=n) for n in (1, 2))
    assert one.refused == two.refused == {3: "item 3 is damaged"}
    assert two.arrays["square"][:, 0, 0].tolist() == [0, 1, 2, 0, 4, 5, 6, 7, 8]
    np.testing.assert_array_equal(one.arrays["number"], two.arrays["number"])
    assert len(set(two.arrays["number"].tolist())) == 9


KILLS = """
import os, signal

import numpy as np

def make(index):
    if index == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"square": np.full((2, 2), index), "number": np.array(0.5)}
"""


def test_an_item_that_kills_its_process_is_refused_and_nothing_else_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "killing_maker.py").write_text(KILLS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    from killing_maker import make  # type: ignore[import-not-found]

    cached = tmp_path / "cache"
    prepared = made(cached, make, count=6, workers=2)
    assert prepared.arrays["square"][:, 0, 0].tolist() == [0, 1, 2, 0, 4, 5]
    (target,) = cached.iterdir()
    assert list(prepared.refused) == [3]
    assert "was killed, and once more with no other beside it" in prepared.refused[3]
    assert f"remove {target} to have it tried again" in prepared.refused[3]


# ── what a key depends on ────────────────────────────────────────────────────────────────


def test_films_and_items_of_other_code_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[Path]
) -> None:
    path, make = write_deep(tmp_path / "a.png"), Maker()
    asked: list[object] = []

    def use() -> None:
        FilmCache(tmp_path / "cache").film(path)
        made(tmp_path / "items", make, count=1)

    use()

    def later(*used: object) -> str:
        asked.extend(used)
        return "a later program"

    monkeypatch.setattr(cache, "code_digest", later)
    use()
    assert decoded == [path, path]
    assert make.made == [0, 0]
    assert asked == [FilmCache, make]


def test_joined_parts_are_read_as_one_and_pictures_stay_where_they_are() -> None:
    rng = np.random.default_rng(0)
    parts = [
        Prepared({"pixels": rng.random((n, 70, 70)), "scores": rng.random((n, 2))}, refused)
        for n, refused in ((2, {1: "torn"}), (1, {}), (3, {0: "dark"}))
    ]
    joined = Prepared.joined(parts)
    assert joined.refused == {1: "torn", 3: "dark"}
    pixels = joined.arrays["pixels"]
    assert (len(pixels), pixels.shape, pixels.dtype) == (6, (6, 70, 70), np.float64)
    whole = np.concatenate([part.arrays["pixels"] for part in parts])
    for i in range(6):
        np.testing.assert_array_equal(pixels[i], whole[i])
        np.testing.assert_array_equal(pixels[i, 3, 4:9], whole[i, 3, 4:9])
    assert np.shares_memory(pixels[5], parts[2].arrays["pixels"])
    for beyond in (-1, 6):
        with pytest.raises(IndexError):
            pixels[beyond]
    np.testing.assert_array_equal(joined.arrays["scores"][2], parts[1].arrays["scores"][0])
