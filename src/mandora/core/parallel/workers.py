"""Many items through the processes of this machine, in their order, though one be killed."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_WHY = (
    "most likely for want of memory: give the call again with fewer workers, or on a machine with "
    "more memory"
)
LOST = f"its process was killed, {_WHY}"
KILLED_ALONE = (
    "the process that worked on it was killed, and once more with no other beside it: the file "
    "makes a library crash, or needs more memory than there is"
)
AHEAD = 8  # items for each process that are given out before the first one is done
MOST_KILLED = 3  # items in a row; then it is not they


def in_order(
    function: Callable[[T], R],
    items: Iterable[T],
    workers: int,
    killed: Callable[[T], R] | None = None,
) -> Iterator[R]:
    """What a function makes of each item, in the order of the items.

    If a process is killed, all items that were being worked on are tried again one at a time,
    each in a process of its own, to find the one that it was.

    Args:
        function: of a module, or ``functools.partial`` of one.
        items: not read far ahead of the results.
        workers: processes; 1 works in this one.
        killed: stands for an item whose process was killed with no other beside it.

    Raises:
        ChildProcessError: if there is such an item and no ``killed``, or several in a row: what
            has come before is good.
    """
    if workers == 1:
        yield from map(function, items)
        return
    rest, waiting = iter(items), deque[tuple[T, Future[R]]]()
    pool = _processes(workers)
    try:
        while True:
            for item in islice(rest, AHEAD * workers - len(waiting)):
                waiting.append((item, _begin(pool, function, item)))
            if not waiting:
                return
            if not _was_killed(waiting[0][1]):
                yield waiting.popleft()[1].result()
                continue
            pool.shutdown()  # all of its processes have ended
            yield from _one_at_a_time(function, waiting, killed)
            waiting.clear()
            pool = _processes(workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _one_at_a_time(
    function: Callable[[T], R],
    waiting: Iterable[tuple[T, Future[R]]],
    killed: Callable[[T], R] | None,
) -> Iterator[R]:
    """What had been done of these items, and what can be done of the others."""
    bad: list[T] = []  # in a row
    for item, begun in waiting:
        future = begun
        if _was_killed(begun):
            future = _apart(partial(function, item))
        if not _was_killed(future):
            yield from map(killed, bad) if killed else ()
            bad = []
            yield future.result()
            continue
        bad.append(item)
        if killed is None or len(bad) == MOST_KILLED:
            raise ChildProcessError(f"one process after the other was killed, {_WHY}")
    yield from map(killed, bad) if killed else ()


def apart(function: Callable[[], R]) -> R:
    """What a function gives in a new process of its own.

    Raises:
        ChildProcessError: if that is killed.
    """
    future = _apart(function)
    if _was_killed(future):
        raise ChildProcessError(LOST)
    return future.result()


def _apart(function: Callable[[], R]) -> Future[R]:
    with _processes(1) as pool:
        return pool.submit(function)


def _begin(pool: ProcessPoolExecutor, function: Callable[[T], R], item: T) -> Future[R]:
    try:
        return pool.submit(function, item)
    except BrokenProcessPool as error:  # seen when the results of the others are asked for
        future = Future[R]()
        future.set_exception(error)
        return future


def _was_killed(future: Future[R]) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)


def _processes(workers: int) -> ProcessPoolExecutor:
    # spawned: a fork would copy locks of the numerical libraries
    return ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=leave_interrupts
    )


def leave_interrupts() -> None:
    """Ctrl-C reaches every process; only the first one answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
