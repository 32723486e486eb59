"""What a run will cost, before it starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mandora.core.parallel.jobs import Job, job_keys, longest_chain, sort_jobs
from mandora.core.parallel.journal import finished, read_journal


@dataclass(frozen=True)
class KindPlan:
    """The jobs of one kind, that is, with the same last part of the name.

    Attributes:
        kind: that part.
        jobs: number of jobs.
        done: number of jobs that are done.
        minutes: estimate for the others, one after the other.
        disk_mb: estimate of what the others will leave, MB.
    """

    kind: str
    jobs: int
    done: int
    minutes: float
    disk_mb: float


@dataclass(frozen=True)
class Plan:
    """What there is to do. ``str`` makes a table of it.

    Attributes:
        kinds: the kinds of jobs, in the order in which they first appear.
        workers: jobs at a time.
        chain_minutes: estimate for the longest chain of jobs that need each other: the least time
            with any number of workers.
    """

    kinds: tuple[KindPlan, ...]
    workers: int
    chain_minutes: float

    @property
    def jobs(self) -> int:
        """Number of jobs."""
        return sum(kind.jobs for kind in self.kinds)

    @property
    def done(self) -> int:
        """Number of jobs that are done."""
        return sum(kind.done for kind in self.kinds)

    @property
    def hours(self) -> float:
        """Estimate for the jobs that are not done, with these workers."""
        return max(sum(k.minutes for k in self.kinds) / self.workers, self.chain_minutes) / 60

    @property
    def disk_mb(self) -> float:
        """Estimate of what the jobs that are not done will leave, MB."""
        return sum(kind.disk_mb for kind in self.kinds)

    def __str__(self) -> str:
        """A table with a line per kind, and a line with the sums."""
        rows = [("jobs", "all", "done", "to do", "disk")]
        for kind in self.kinds:
            left = (span(60 * kind.minutes), size(kind.disk_mb)) if kind.done < kind.jobs else ()
            rows.append((kind.kind, str(kind.jobs), str(kind.done), *(left or ("–", "–"))))
        first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
        lines = ["  ".join([row[0].ljust(first), *map(str.rjust, row[1:], others)]) for row in rows]
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        lines.append(
            f"{self.jobs - self.done} of {self.jobs} jobs to do: about {span(3600 * self.hours)} "
            f"with {workers}, {span(60 * self.chain_minutes)} at best; {size(self.disk_mb)}"
        )
        return "\n".join(lines)


def plan(jobs: Iterable[Job], out: Path, workers: int = 1) -> Plan:
    """What :func:`mandora.core.parallel.map_jobs` would do; nothing is written.

    Args:
        jobs: with their estimates.
        out: folder of the run; need not exist.
        workers: jobs at a time; 1 for ``serial``.

    Raises:
        ValueError: if the jobs are unusable.
    """
    jobs = list(jobs)
    ordered = sort_jobs(jobs)
    keys, entries = job_keys(ordered), read_journal(out)
    to_do = {j.name: j for j in jobs if not finished(entries, out, j, keys[j.name])}
    kinds = []
    for kind in dict.fromkeys(job.kind for job in jobs):
        of_kind = [job for job in jobs if job.kind == kind]
        left = [job for job in of_kind if job.name in to_do]
        minutes, disk_mb = sum(job.minutes for job in left), sum(job.disk_mb for job in left)
        kinds.append(KindPlan(kind, len(of_kind), len(of_kind) - len(left), minutes, disk_mb))
    chain = longest_chain(ordered, {name: job.minutes for name, job in to_do.items()})
    return Plan(tuple(kinds), workers, chain)


def span(seconds: float) -> str:
    """A duration for people: ``40 s``, ``12 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def size(disk_mb: float) -> str:
    """Space on the disk for people: ``80 MB``, ``1.5 GB``."""
    return f"{disk_mb:.0f} MB" if disk_mb < 1000 else f"{disk_mb / 1000:.1f} GB"
