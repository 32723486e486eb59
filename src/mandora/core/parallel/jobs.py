"""Jobs: what is to be done, after what, and what it depends on."""

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

# no part begins with a dot: such names are the runner's own
_NAME = re.compile(r"(?!\.)[\w.+=-]+(/(?!\.)[\w.+=-]+)*")


@dataclass(frozen=True)
class Place:
    """Where a job runs, and what it is given.

    Attributes:
        folder: the job's own, absolute; holds what an attempt that did not end has left.
        threads: processor threads that it may use.
        folders: those of the jobs that it needs, by name.
        values: what those jobs returned, by name.
    """

    folder: Path
    threads: int
    folders: Mapping[str, Path]
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One thing to do. Its result is the files that it leaves in its folder, and a small value.

    Attributes:
        name: a path, such as ``fold-03/damage``; also that of its folder. Its last part says of
            what kind it is.
        run: gets its place and returns a small JSON value. To leave this process it must be a
            function of a module, or ``functools.partial`` of one with arguments that can be
            pickled.
        key: text that is another one whenever the result would be: settings, hashes of data,
            code of others. What ``run`` uses of this package is looked at without it.
        needs: names of the jobs that must be done before.
        files: names of files that it promises to leave in its folder.
        minutes: estimate of how long it takes.
        disk_mb: estimate of what it leaves, MB.

    Raises:
        ValueError: if the name cannot be that of a folder, or ``minutes`` is not above 0.
    """

    name: str
    run: Callable[[Place], Any]
    key: str
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    minutes: float = 1.0
    disk_mb: float = 0.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"job {self.name!r}: a name is parts of letters, digits and _ . + = - that do not "
                "begin with a dot, with / between them"
            )
        if not self.minutes > 0:
            raise InputError(f"job {self.name}: minutes {self.minutes} is not above 0")

    @property
    def kind(self) -> str:
        """The last part of the name."""
        return PurePosixPath(self.name).name


def in_order(jobs: Iterable[Job]) -> dict[str, Job]:
    """Jobs by name, each after those that it needs.

    Raises:
        ValueError: if two jobs have one name, one's folder lies in another's, a job needs one
            that is not there, or jobs wait for each other; with the names.
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
    """What each job and all that it builds on depend on, as 16 hexadecimal digits.

    Args:
        ordered: see :func:`in_order`.
    """
    keys: dict[str, str] = {}
    for name, job in ordered.items():
        needs = [[need, keys[need]] for need in sorted(job.needs)]
        depends = json.dumps([job.key, code_digest(job.run), needs])
        keys[name] = hashlib.sha256(depends.encode()).hexdigest()[:16]
    return keys


def longest_chain(ordered: Mapping[str, Job], minutes: Mapping[str, float]) -> float:
    """What the jobs take with any number of workers, in the unit of ``minutes``.

    Args:
        ordered: see :func:`in_order`.
        minutes: how long each job still takes; one that is not named is done.
    """
    ends: dict[str, float] = {}
    for name, job in ordered.items():
        ends[name] = minutes.get(name, 0.0) + max((ends[n] for n in job.needs), default=0.0)
    return max(ends.values(), default=0.0)
