"""``map_jobs``: start the jobs that can start, note finished ones, report failures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mandora.core.errors import InputError
from mandora.core.parallel.jobs import Job, JobContext, job_keys, longest_chain, sort_jobs
from mandora.core.parallel.journal import (
    ERROR_FILE,
    Entry,
    Journal,
    finished,
    job_folder,
    set_aside,
)
from mandora.core.parallel.plan import span
from mandora.core.parallel.pools import RUNNERS, JobResult, Pool, open_pool

_LOG = logging.getLogger(__name__)


class JobsFailed(RuntimeError):
    """Some jobs failed; all jobs that do not need them are done and kept.

    Attributes:
        failed: reasons by name.
        skipped: names of the needed jobs that are not done, by name of a job that did not start.
        values: what the finished jobs returned, by name.
    """

    def __init__(
        self,
        failed: Mapping[str, str],
        skipped: Mapping[str, tuple[str, ...]],
        values: Mapping[str, Any],
    ) -> None:
        self.failed, self.skipped, self.values = dict(failed), dict(skipped), dict(values)
        lines = [
            f"{len(failed)} failed, {len(skipped)} not started, {len(values)} done and kept; the "
            "same call does only what is missing",
            *(f"  {name}: {reason}" for name, reason in failed.items()),
            *(f"  {name}: not started, needs {', '.join(n)}" for name, n in skipped.items()),
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
    """Run all jobs that are not done, each after those that it needs.

    A job is done again if its key or that of a job that it needs has changed; what it left before
    is set aside. Jobs start in the given order as far as their needs allow.

    Args:
        jobs: the jobs.
        out: gets the jobs' folders and the journal; made if it does not exist.
        runner: one of :data:`mandora.core.parallel.RUNNERS`.
        workers: jobs at a time; ``serial`` always has one.
        report: called with a line when a job starts and when it ends.
        progress: called with the number of finished jobs and of all jobs.

    Returns:
        what each job returned, in the given order.

    Raises:
        ValueError: if jobs, runner or workers are unusable, Ray is not installed, another process
            works in the folder, or there are files in it that no job has left.
        JobsFailed: in the end, if jobs failed.
        OSError: if the folder or its journal cannot be written.
    """
    jobs = list(jobs)
    ordered = sort_jobs(jobs)
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
        values: what the finished jobs returned, by name.
        failed: reasons by name.
        waiting: names of the jobs that have not started, in the given order.
        running: start times of the running jobs by name, seconds of the monotonic clock.
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
        self._measured = self._estimated = 0.0  # seconds of the jobs that this call has done

    def recall(self) -> None:
        """Take the finished jobs from the journal; set aside results of other keys."""
        replaced = [name for name in self.waiting if set_aside(self.out, name, self.keys[name])]
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
        """Run jobs until none is running and none can start."""
        while True:
            while len(self.running) < pool.workers and (job := self._next()):
                self._start(job, pool)
            if not self.running:
                return
            for result in pool.wait():
                self._finish(result, pool.workers)

    def skipped(self) -> dict[str, tuple[str, ...]]:
        """The needed jobs that are not done, by name of a job that could not start."""
        return {
            name: tuple(need for need in self.jobs[name].needs if need not in self.values)
            for name in self.waiting
        }

    def _next(self) -> Job | None:
        for name in self.waiting:
            if all(need in self.values for need in self.jobs[name].needs):
                return self.jobs[name]
        return None

    def _start(self, job: Job, pool: Pool) -> None:
        self.waiting.remove(job.name)
        context = JobContext(
            job_folder(self.out, job.name, self.keys[job.name]),
            pool.threads,
            {need: self.out / need for need in job.needs},
            {need: self.values[need] for need in job.needs},
        )
        self.running[job.name] = time.monotonic()
        _LOG.info("%s starts in %s with %d threads", job.name, context.folder, context.threads)
        self.report(f"{job.name} starts")
        pool.start(job, context)

    def _finish(self, result: JobResult, workers: int) -> None:
        name = result.name
        del self.running[name]
        if result.error is not None:
            self.failed[name] = result.error
            trace = self.out / name / ERROR_FILE
            where = ""
            if trace.exists():
                where = f" ({trace})"
                _LOG.debug("%s failed: %s", name, trace.read_text("utf-8", "backslashreplace"))
            self.report(f"{name} failed: {result.error}{where}")
            return
        when = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        entry = Entry(name, self.keys[name], result.value, round(result.seconds, 3), when)
        self.journal.append(entry)
        self.values[name] = result.value
        _LOG.info("%s is done, in %.2f s", name, result.seconds)
        self._measured += result.seconds
        self._estimated += 60 * self.jobs[name].minutes
        done, count = len(self.values), len(self.jobs)
        left = f", about {span(self._seconds_left(workers))} left" if done < count else ""
        self.report(f"{name} done in {span(result.seconds)}: {done} of {count}{left}")
        self.progress(done, count)

    def _seconds_left(self, workers: int) -> float:
        # the estimates, corrected by what was measured
        pace, now = self._measured / self._estimated, time.monotonic()
        left = {
            name: max(0.0, 60 * pace * self.jobs[name].minutes - now + self.running.get(name, now))
            for name in (*self.waiting, *self.running)
        }
        return max(sum(left.values()) / workers, longest_chain(self.jobs, left))
