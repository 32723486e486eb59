"""When something that failed is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable


class Backoff:
    """Pauses after failures, by name: each further one in a row doubles the pause.

    So one message for each failure stays few messages, however long the fault lasts.

    Args:
        first_s: after the first failure.
        longest_s: of all pauses.
        now: seconds on a clock that does not jump.
    """

    def __init__(
        self, first_s: float, longest_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._first_s, self._longest_s, self._now = first_s, max(first_s, longest_s), now
        self._after: dict[str, tuple[float, float]] = {}  # pause, its end

    def ready(self, name: str) -> bool:
        """Whether no pause of this name lasts."""
        return self._now() >= self._after.get(name, (0.0, 0.0))[1]

    def failed(self, name: str) -> float:
        """Begin a pause; returns how long it is, s."""
        last = self._after.get(name)
        pause = self._first_s if last is None else min(2 * last[0], self._longest_s)
        self._after[name] = pause, self._now() + pause
        return pause

    def worked(self, name: str) -> None:
        """The next failure is a first one again."""
        self._after.pop(name, None)
