"""Jobs: what is to be done, in which order, and what their results depend on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath
from typing import Any

from mandora.core.errors import InputError
from mandora.core.source import code_digest

# no part starts with a dot: such names are used for files of this package
_NAME = re.compile(r"(?!\.)[\w.+=-]+(/(?!\.)[\w.+=-]+)*")


@dataclass(frozen=True)
class JobContext:
    """What a job gets when it runs.

    Attributes:
        folder: the job's own folder, absolute; holds what an unfinished attempt has left.
        threads: processor threads that the job may use.
        folders: folders of the jobs that it needs, by name.
        values: what these jobs returned, by name.
    """

    folder: Path
    threads: int
    folders: Mapping[str, Path]
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One piece of work. Its result is the files that it leaves in its folder and a small value.

    Attributes:
        name: a path, such as ``fold-03/damage``; also the path of the job's folder. The last part
            is the kind of job.
        run: called with the context, returns a small JSON value. To run in another process it
            must be a function of a module, or ``functools.partial`` of one with arguments that
            can be pickled.
        key: text that names everything that the result depends on: settings, hashes of data, code
            of other packages. The code of this package that ``run`` uses is added to it.
        needs: names of the jobs that must be done before.
        files: names of files that the job must leave in its folder.
        minutes: estimate of how long the job takes.
        disk_mb: estimate of the size of what it leaves, MB.

    Raises:
        ValueError: if the name cannot be that of a folder, or ``minutes`` is not above 0.
    """

    name: str
    run: Callable[[JobContext], Any]
    key: str
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    minutes: float = 1.0
    disk_mb: float = 0.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"job {self.name!r}: a name is parts of letters, digits and _ . + = - that do not "
                "start with a dot, with / between them"
            )
        if not self.minutes > 0:
            raise InputError(f"job {self.name}: minutes {self.minutes} is not above 0")

    @property
    def kind(self) -> str:
        """The last part of the name."""
        return PurePosixPath(self.name).name


def sort_jobs(jobs: Iterable[Job]) -> dict[str, Job]:
    """Jobs by name, each after those that it needs.

    Raises:
        ValueError: if two jobs have the same name, the folder of one lies in that of another, a
            job needs one that does not exist, or jobs wait for each other; with the names.
    """
    by_name: dict[str, Job] = {}
    for job in jobs:
        if job.name in by_name:
            raise InputError(f"two jobs are called {job.name}")
        by_name[job.name] = job
    for job in by_name.values():
        unknown = [name for name in job.needs if name not in by_name]
        if unknown:
            raise InputError(f"{job.name} needs {', '.join(unknown)}: there is no such job")
        above = [str(p) for p in PurePosixPath(job.name).parents if str(p) in by_name]
        if above:
            raise InputError(f"the folder of {job.name} would lie in that of the job {above[0]}")
    try:
        order = list(TopologicalSorter({j.name: j.needs for j in by_name.values()}).static_order())
    except CycleError as error:
        raise InputError(f"these jobs wait for each other: {', '.join(error.args[1])}") from None
    return {name: by_name[name] for name in order}


def job_keys(ordered: Mapping[str, Job]) -> dict[str, str]:
    """Digest of all that a job's result depends on, 16 hexadecimal digits, by name.

    It covers the job's key, the code that it runs, and the same of all jobs that it needs.

    Args:
        ordered: see :func:`sort_jobs`.
    """
    keys: dict[str, str] = {}
    for name, job in ordered.items():
        needs = [[need, keys[need]] for need in sorted(job.needs)]
        depends = json.dumps([job.key, code_digest(job.run), needs])
        keys[name] = hashlib.sha256(depends.encode()).hexdigest()[:16]
    return keys


def longest_chain(ordered: Mapping[str, Job], minutes: Mapping[str, float]) -> float:
    """Time of the longest chain of jobs that need each other, in the unit of ``minutes``.

    Args:
        ordered: see :func:`sort_jobs`.
        minutes: how long each job still takes; a job that is not named is done.
    """
    ends: dict[str, float] = {}
    for name, job in ordered.items():
        ends[name] = minutes.get(name, 0.0) + max((ends[n] for n in job.needs), default=0.0)
    return max(ends.values(), default=0.0)
