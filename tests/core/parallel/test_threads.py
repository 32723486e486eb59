from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from mandora.core.parallel.threads import map_threads


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    def slow_first(i: int) -> int:
        time.sleep(0.02 if i % 3 == 0 else 0)
        return i * i

    assert list(map_threads(slow_first, range(20), threads)) == [i * i for i in range(20)]
    assert list(map_threads(slow_first, [], threads)) == []


def test_so_many_calls_run_at_once_and_no_more() -> None:
    both, most, now = threading.Barrier(2), [0], threading.Semaphore(2)

    def meet(i: int) -> int:
        assert now.acquire(blocking=False), "a third call at once"
        both.wait(timeout=10)  # passes only if two calls run side by side
        most[0] += 1
        now.release()
        return i

    assert list(map_threads(meet, range(6), 2)) == list(range(6))
    assert most == [6]


def test_one_thread_is_that_of_the_caller() -> None:
    here = threading.get_ident()
    assert set(map_threads(lambda _: threading.get_ident(), range(3), 1)) == {here}
    assert here not in set(map_threads(lambda _: threading.get_ident(), range(3), 2))


def test_items_are_not_read_far_ahead() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            read.append(i)
            yield i

    results = map_threads(lambda i: i, items(), 2)
    assert next(results) == 0
    assert len(read) == 3
    results.close()


def test_an_error_is_raised_where_its_result_is_due_and_the_rest_is_left() -> None:
    done: list[int] = []

    def fail_at_two(i: int) -> int:
        if i == 2:
            raise KeyError("two")
        done.append(i)
        return i

    results = map_threads(fail_at_two, range(1000), 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(KeyError, match="two"):
        next(results)
    assert len(done) < 10
