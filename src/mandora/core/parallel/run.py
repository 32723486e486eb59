"""``map_jobs``: begin what can begin, note what is done, tell what failed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mandora.core.errors import InputError
from mandora.core.parallel.jobs import Job, Place, in_order, job_keys, longest_chain
from mandora.core.parallel.journal import ERROR_FILE, Entry, Journal, begin, finished, make_room
from mandora.core.parallel.plan import span
from mandora.core.parallel.pools import RUNNERS, Ended, Pool, open_pool

_LOG = logging.getLogger(__name__)


class JobsFailed(RuntimeError):
    """Some jobs failed; all that could be done without them is done and kept.

    Attributes:
        failed: why, by name.
        skipped: by name of a job that was not begun, the needed jobs that are not done.
        values: what the jobs that are done returned.
    """

    def __init__(
        self,
        failed: Mapping[str, str],
        skipped: Mapping[str, tuple[str, ...]],
        values: Mapping[str, Any],
    ) -> None:
        self.failed, self.skipped, self.values = dict(failed), dict(skipped), dict(values)
        lines = [
            f"{len(failed)} failed, {len(skipped)} not begun, {len(values)} done and kept; the "
            "same call does only what is missing",
            *(f"  {name}: {reason}" for name, reason in failed.items()),
            *(f"  {name}: not begun, needs {', '.join(n)}" for name, n in skipped.items()),
        ]
        super().__init__("\n".join(lines))


def map_jobs(
    jobs: Iterable[Job],
    out: Path,
    runner: str = "serial",
    workers: int = 1,
    *,
    report: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> dict[str, Any]:
    """Do all jobs that are not done, each after those that it needs.

    A job whose key, or that of one it builds on, has changed is done again; what it left before
    is set aside. Jobs begin in the given order as far as their needs allow.

    Args:
        jobs: what to do.
        out: folder of the jobs' folders and of the journal; is made if it is not there.
        runner: one of :data:`mandora.core.parallel.RUNNERS`.
        workers: jobs at a time; ``serial`` always has one.
        report: gets a line when a job begins and when it ends.
        progress: gets the number of jobs that are done, and of all.

    Returns:
        what each job returned, in the given order.

    Raises:
        ValueError: if jobs, runner or workers are unusable, Ray is not installed, another process
            works in the folder, or there are files in it that no job has left.
        JobsFailed: in the end, if jobs failed.
        OSError: if the folder or its journal cannot be written.
    """
    jobs = list(jobs)
    ordered = in_order(jobs)
    if runner not in RUNNERS:
        raise InputError(f"runner {runner!r}: use {', '.join(RUNNERS)}")
    if workers < 1:
        raise InputError(f"workers {workers}: use 1 or more")
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with Journal(out) as journal:
        run = _Run([job.name for job in jobs], ordered, out, journal, report, progress)
        run.recall()
        if run.waiting:
            with open_pool(runner, workers) as pool:
                run.work(pool)
        values = {job.name: run.values[job.name] for job in jobs if job.name in run.values}
        if run.failed:
            raise JobsFailed(run.failed, run.skipped(), values)
    return values


class _Run:
    """The state of one call.

    Attributes:
        values: of the jobs that are done.
        failed: reasons, by name.
        waiting: names of the jobs that have not begun, in the given order.
        running: when those that run began, seconds of the monotonic clock.
    """

    def __init__(
        self,
        names: list[str],
        ordered: dict[str, Job],
        out: Path,
        journal: Journal,
        report: Callable[[str], None],
        progress: Callable[[int, int], None],
    ) -> None:
        self.jobs, self.out, self.journal = ordered, out, journal
        self.report, self.progress = report, progress
        self.keys = job_keys(ordered)
        self.values: dict[str, Any] = {}
        self.failed: dict[str, str] = {}
        self.waiting = names
        self.running: dict[str, float] = {}
        self._measured = self._estimated = 0.0  # s, of the jobs that this call has done

    def recall(self) -> None:
        """Take what is done from the journal; set aside what was made with other settings."""
        replaced = [name for name in self.waiting if make_room(self.out, name, self.keys[name])]
        if replaced:
            self.report(f"set aside, because their settings changed: {', '.join(replaced)}")
        for name, job in self.jobs.items():
            entry = finished(self.journal.entries, self.out, job, self.keys[name])
            if entry:
                self.values[name] = entry.value
                self.waiting.remove(name)
        if self.values:
            self.report(f"{len(self.values)} of {len(self.jobs)} jobs are done already")
        self.progress(len(self.values), len(self.jobs))

    def work(self, pool: Pool) -> None:
        """Until nothing runs and nothing can begin."""
        while True:
            while len(self.running) < pool.workers and (job := self._next()):
                self._begin(job, pool)
            if not self.running:
                return
            for ended in pool.wait():
                self._end(ended, pool.workers)

    def skipped(self) -> dict[str, tuple[str, ...]]:
        """Jobs that could not begin, and what they would have needed."""
        return {
            name: tuple(need for need in self.jobs[name].needs if need not in self.values)
            for name in self.waiting
        }

    def _next(self) -> Job | None:
        for name in self.waiting:
            if all(need in self.values for need in self.jobs[name].needs):
                return self.jobs[name]
        return None

    def _begin(self, job: Job, pool: Pool) -> None:
        self.waiting.remove(job.name)
        place = Place(
            begin(self.out, job.name, self.keys[job.name]),
            pool.threads,
            {need: self.out / need for need in job.needs},
            {need: self.values[need] for need in job.needs},
        )
        self.running[job.name] = time.monotonic()
        _LOG.info("%s begins in %s with %d threads", job.name, place.folder, place.threads)
        self.report(f"{job.name} begins")
        pool.start(job, place)

    def _end(self, ended: Ended, workers: int) -> None:
        name = ended.name
        del self.running[name]
        if ended.error is not None:
            self.failed[name] = ended.error
            trace = self.out / name / ERROR_FILE
            if trace.exists():
                _LOG.debug("%s failed: %s", name, trace.read_text("utf-8", "backslashreplace"))
            self.report(f"{name} failed: {ended.error}" + (f" ({trace})" if trace.exists() else ""))
            return
        when = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        entry = Entry(name, self.keys[name], ended.value, round(ended.seconds, 3), when)
        self.journal.append(entry)
        self.values[name] = ended.value
        _LOG.info("%s is done, in %.2f s", name, ended.seconds)
        self._measured += ended.seconds
        self._estimated += 60 * self.jobs[name].minutes
        done, count = len(self.values), len(self.jobs)
        left = f", about {span(self._seconds_left(workers))} left" if done < count else ""
        self.report(f"{name} done in {span(ended.seconds)}: {done} of {count}{left}")
        self.progress(done, count)

    def _seconds_left(self, workers: int) -> float:
        # what was measured corrects what was estimated
        pace, now = self._measured / self._estimated, time.monotonic()
        left = {
            name: max(0.0, 60 * pace * self.jobs[name].minutes - now + self.running.get(name, now))
            for name in (*self.waiting, *self.running)
        }
        return max(sum(left.values()) / workers, longest_chain(self.jobs, left))
