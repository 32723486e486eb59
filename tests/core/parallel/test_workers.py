"""Items go through several processes in their order, and a killed one costs its item only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mandora.core.parallel.workers import KILLED_ALONE, map_items, run_alone

MODULE = "tests.core.parallel.test_workers"


def doubled(item: int) -> int:
    if item < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * item


def killed_at_first(item: Path) -> str:
    """Killed as long as others are there, as where memory is short."""
    if not item.exists():
        item.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item.name


def waits(folder: Path) -> None:
    """Says who works on it, and lasts."""
    (folder / "pid").write_text(f"{os.getpid()}\n")
    time.sleep(60)


def refuses(item: int) -> int:
    raise ValueError(f"item {item} is damaged")


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., object]], object]:
    """Functions of this module as a new process can import them."""
    import importlib

    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3]))
    module = importlib.import_module(MODULE)
    return lambda function: getattr(module, function.__name__)


def test_results_come_in_the_order_of_the_items(importable) -> None:
    for workers in (1, 2):
        assert list(map_items(importable(doubled), iter(range(40)), workers)) == [
            2 * i for i in range(40)
        ]


@pytest.mark.parametrize("bad", [[3], [8, 9]])
def test_an_item_that_kills_its_process_costs_itself_only(importable, bad: list[int]) -> None:
    items = [-i - 1 if i in bad else i for i in range(10)]
    found = list(map_items(importable(doubled), items, 2, lambda item: f"{item} was lost"))
    assert found == [f"{-i - 1} was lost" if i in bad else 2 * i for i in range(10)]
    assert "killed" in KILLED_ALONE


def test_what_was_killed_for_others_sake_is_done_in_the_end(importable, tmp_path: Path) -> None:
    items = [tmp_path / "a", tmp_path / "b"]
    items[1].touch()
    assert list(map_items(importable(killed_at_first), items, 2)) == ["a", "b"]


def test_if_all_are_killed_it_is_not_the_items(importable) -> None:
    def never(item: int) -> int:
        raise AssertionError("no item is to blame")

    found = map_items(importable(doubled), [1, 2, -1, -2, -3, -4, 3], 2, never)
    assert [next(found), next(found)] == [2, 4]
    with pytest.raises(ChildProcessError, match=r"one process after the other .*fewer workers"):
        next(found)


def test_where_no_item_can_be_left_out_the_call_ends_with_a_line(importable) -> None:
    found = map_items(importable(doubled), [1, -1, 2], 2)
    assert next(found) == 2
    with pytest.raises(ChildProcessError, match="was killed, most likely for want of memory"):
        next(found)


def test_work_in_a_process_of_its_own_that_is_killed_ends_with_a_line(importable) -> None:
    assert run_alone(partial(importable(doubled), 4)) == 8
    with pytest.raises(ChildProcessError, match="its process was killed, most likely"):
        run_alone(partial(importable(doubled), -1))


def test_other_errors_are_those_of_the_item(importable) -> None:
    with pytest.raises(ValueError, match="item 1 is damaged"):
        list(map_items(importable(refuses), [1, 2], 2))


def test_items_are_not_read_far_ahead(importable) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    found = map_items(importable(doubled), items(), 2)
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert len(taken) <= 20


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[3])!r})
from pathlib import Path
from mandora.core.parallel.workers import map_items
from {MODULE} import waits
folders = [Path(folder) for folder in sys.argv[1:]]
list(map_items(waits, folders, len(folders)))
"""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    program = subprocess.Popen([sys.executable, "-c", code, *map(str, folders)])
    try:
        end = time.monotonic() + 30
        notes = [folder / "pid" for folder in folders]
        while not all(note.exists() and note.read_text().endswith("\n") for note in notes):
            assert time.monotonic() < end, "the workers did not start"
            time.sleep(0.02)
    finally:
        program.kill()
        program.wait()
    workers = [int(note.read_text()) for note in notes]
    end = time.monotonic() + 5
    while any(map(is_alive, workers)):
        assert time.monotonic() < end, "workers of the killed process go on"
        time.sleep(0.02)
