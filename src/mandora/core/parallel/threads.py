"""Threads of this process that work through items side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_threads(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """The function's result for each item, in the order of the items.

    It is worth while where the function spends its time in networks, pictures and arrays, which
    other threads need not wait for. What one call raises is raised where its result is due; items
    that have not been started by then are left out.

    Args:
        function: may be called in several threads at once.
        items: are read one ahead of those that are worked on, and no further: memory does not grow
            with their number.
        threads: calls at a time; with 1 they are made in this thread.
    """
    if threads == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
