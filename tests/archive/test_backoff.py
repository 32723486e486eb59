from __future__ import annotations

from mandora.archive.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(60, 200, now=lambda: 0.0)
    assert [backoff.failed("PACS") for _ in range(4)] == [60, 120, 200, 200]
    assert backoff.failed("other") == 60
    backoff.worked("PACS")
    assert backoff.ready("PACS")
    assert backoff.failed("PACS") == 60


def test_nothing_is_tried_while_its_pause_lasts() -> None:
    clock = [100.0]
    backoff = Backoff(60, 600, now=lambda: clock[0])
    assert backoff.ready("PACS")
    backoff.failed("PACS")
    assert not backoff.ready("PACS")
    assert backoff.ready("other")
    clock[0] = 160.0
    assert backoff.ready("PACS")


def test_a_longest_pause_that_is_shorter_than_the_first_counts_for_nothing() -> None:
    assert Backoff(60, 1, now=lambda: 0.0).failed("PACS") == 60
