"""Worker processes on this machine: started here, and used to work through many items.

Jobs that need one another are another matter, see :mod:`mandora.core.parallel.run`; they run in
the same processes.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
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
AHEAD = 8  # items per process that are handed out before the first result is used
MOST_KILLED = 3  # items in a row: then the machine is at fault, not the items


class Workers(ProcessPoolExecutor):
    """A pool of new processes. They end when this process ends, however it ends.

    They ignore Ctrl-C, which a terminal sends to all processes: this one decides.

    Args:
        count: processes.
    """

    def __init__(self, count: int) -> None:
        # spawned: a fork would copy locks of the numerical libraries
        context = get_context("spawn")
        self._watched, self._alive = context.Pipe(duplex=False)
        super().__init__(count, context, _start_worker, (self._watched,))

    def kill(self) -> None:
        """End the processes at once, whatever they are doing."""
        self._alive.close()
        self.shutdown(cancel_futures=True)


def _start_worker(watched: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def leave() -> None:
        # Nothing is ever sent: this returns when the parent closes its side or has ended. A
        # worker that went on would write into the folder of the same job of the next run.
        with suppress(EOFError, OSError):
            watched.recv_bytes()
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()


def map_items(
    function: Callable[[T], R],
    items: Iterable[T],
    workers: int,
    killed: Callable[[T], R] | None = None,
) -> Iterator[R]:
    """The function's result for each item, in the order of the items.

    If a process is killed, all items that were in work are tried again one at a time, each in a
    process of its own, to find the one that causes it.

    Args:
        function: a function of a module, or ``functools.partial`` of one.
        items: are not read far ahead of the results.
        workers: processes; with 1 the work is done in this process.
        killed: gives the result of an item whose process was killed while it ran alone.

    Raises:
        ChildProcessError: if there is such an item and no ``killed``, or if there are several in
            a row. The results before that are good.
    """
    if workers == 1:
        yield from map(function, items)
        return
    rest, waiting = iter(items), deque[tuple[T, Future[R]]]()
    pool = Workers(workers)
    try:
        while True:
            for item in islice(rest, AHEAD * workers - len(waiting)):
                waiting.append((item, _submit(pool, function, item)))
            if not waiting:
                return
            if not _was_killed(waiting[0][1]):
                yield waiting.popleft()[1].result()
                continue
            pool.shutdown()  # all of its processes have ended
            yield from _one_at_a_time(function, waiting, killed)
            waiting.clear()
            pool = Workers(workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _one_at_a_time(
    function: Callable[[T], R],
    waiting: Iterable[tuple[T, Future[R]]],
    killed: Callable[[T], R] | None,
) -> Iterator[R]:
    """The results of these items: those that are there, and new ones for the others."""
    bad: list[T] = []  # in a row
    for item, future in waiting:
        if _was_killed(future):
            future = _run_alone(partial(function, item))
        if not _was_killed(future):
            yield from map(killed, bad) if killed else ()
            bad = []
            yield future.result()
            continue
        bad.append(item)
        if killed is None or len(bad) == MOST_KILLED:
            raise ChildProcessError(f"one process after the other was killed, {_WHY}")
    yield from map(killed, bad) if killed else ()


def run_alone(function: Callable[[], R]) -> R:
    """The function's result from a new process of its own.

    Raises:
        ChildProcessError: if that process is killed.
    """
    future = _run_alone(function)
    if _was_killed(future):
        raise ChildProcessError(LOST)
    return future.result()


def _run_alone(function: Callable[[], R]) -> Future[R]:
    with Workers(1) as pool:
        return pool.submit(function)


def _submit(pool: Workers, function: Callable[[T], R], item: T) -> Future[R]:
    try:
        return pool.submit(function, item)
    except BrokenProcessPool as error:  # a process of the pool was killed before this call
        future = Future[R]()
        future.set_exception(error)
        return future


def _was_killed(future: Future[R]) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)
