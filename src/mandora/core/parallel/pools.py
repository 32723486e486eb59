"""Where jobs run: in this process, in processes of their own, or as tasks of Ray."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.parallel.jobs import Job, JobContext
from mandora.core.parallel.journal import ERROR_FILE, missing_files
from mandora.core.parallel.workers import LOST, Workers


@dataclass(frozen=True)
class JobResult:
    """A job that has run.

    Attributes:
        name: of the job.
        seconds: how long it took.
        value: what it returned, as read back from JSON.
        error: why it failed; None if it is done.
    """

    name: str
    seconds: float = 0.0
    value: Any = None
    error: str | None = None


class Pool(Protocol):
    """Runs jobs: at most ``workers`` at a time, each with ``threads`` processor threads."""

    workers: int
    threads: int

    def start(self, job: Job, context: JobContext) -> None:
        """Start a job."""

    def wait(self) -> list[JobResult]:
        """Wait until a started job has finished or failed."""

    def close(self, *, stop: bool) -> None:
        """Release processes and clusters; with ``stop``, kill the jobs that still run."""


class SerialPool:
    """One job after the other in this process; ``workers`` are not used."""

    def __init__(self, workers: int) -> None:
        self.workers, self.threads = 1, threads_per_worker(1)
        self._next: list[tuple[Job, JobContext]] = []

    def start(self, job: Job, context: JobContext) -> None:
        """Remember the job: it runs in :meth:`wait`."""
        self._next.append((job, context))

    def wait(self) -> list[JobResult]:
        """Run the job."""
        return [_run(*self._next.pop())]

    def close(self, *, stop: bool) -> None:
        """Nothing to release."""


class ProcessPool:
    """Processes on this machine.

    Each is a pool of one worker: when a process is killed it is known which job it had, and the
    others go on.
    """

    def __init__(self, workers: int) -> None:
        self.workers, self.threads = workers, threads_per_worker(workers)
        self._idle: list[Workers] = []
        self._running: dict[Future[JobResult], tuple[Workers, str]] = {}

    def start(self, job: Job, context: JobContext) -> None:
        """Give the job to an idle process, or to a new one."""
        pool = self._idle.pop() if self._idle else Workers(1)
        # libraries read it when they are loaded, which a process may do before its first job
        with _environment(OMP_NUM_THREADS=str(self.threads)):
            self._running[pool.submit(_run_in_worker, job, context)] = (pool, job.name)

    def wait(self) -> list[JobResult]:
        """Wait until a process has finished its job or was killed."""
        results = []
        for future in wait(self._running, return_when=FIRST_COMPLETED).done:
            pool, name = self._running.pop(future)
            try:
                results.append(future.result())
            except BrokenProcessPool:
                pool.shutdown()
                results.append(JobResult(name, error=LOST))
                continue
            except Exception as error:  # the job cannot be sent to another process
                results.append(JobResult(name, error=_reason(error)))
            self._idle.append(pool)
        return results

    def close(self, *, stop: bool) -> None:
        """End the processes."""
        for pool in (*self._idle, *(pool for pool, _ in self._running.values())):
            if stop:
                pool.kill()
            else:
                pool.shutdown()


class RayPool:
    """Tasks of Ray, on the cluster of ``RAY_ADDRESS`` or on one that is started for the run.

    All machines of a cluster must see the jobs' folders under the same path.

    Raises:
        ValueError: if Ray is not installed.
        ConnectionError: if there is no cluster at ``RAY_ADDRESS``.
    """

    def __init__(self, workers: int) -> None:
        self.workers, self.threads = workers, threads_per_worker(workers)
        self._ray = _import_ray()
        self._own_cluster = not self._ray.is_initialized()
        self._running: dict[Any, str] = {}
        self._refused: list[JobResult] = []
        if self._own_cluster:
            self._connect()
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        # a task must fit on one machine; one that fits on none would wait forever
        largest = max(node.get("CPU", 0) for node in nodes)
        share = sum(node.get("CPU", 0) for node in nodes) // workers
        self.threads = max(1, int(min(share, largest)))
        gpus = sum(node.get("GPU", 0) for node in nodes) / workers
        self._task = self._ray.remote(_run_on_ray).options(
            num_cpus=self.threads,
            # a task that asks for no GPU may be shown none; Ray counts in 1/10000
            num_gpus=int(gpus) if gpus >= 1 else int(gpus * 10_000) / 10_000,
            max_retries=0,
        )

    def _connect(self) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        address = os.environ.get("RAY_ADDRESS")
        if address:
            _must_answer(address)
            self._ray.init(**quiet)
            return
        # a token, for clusters that others can reach, would be written to the home folder
        with _environment(RAY_AUTH_MODE=os.environ.get("RAY_AUTH_MODE", "disabled")):
            self._ray.init(
                address="local",  # not a cluster that was left running here
                num_cpus=self.workers * self.threads,
                include_dashboard=False,
                **quiet,
            )

    def start(self, job: Job, context: JobContext) -> None:
        """Submit the job as a task."""
        try:
            # in a list, so that the task itself fetches it, after its threads are set
            task = self._task.remote([self._ray.put(job)], context)
        except Exception as error:  # the job cannot be sent to another process
            self._refused.append(JobResult(job.name, error=_reason(error)))
        else:
            self._running[task] = job.name

    def wait(self) -> list[JobResult]:
        """Wait until a task has finished."""
        if self._refused:
            refused, self._refused = self._refused, []
            return refused
        (task,), _ = self._ray.wait(list(self._running), num_returns=1)
        name = self._running.pop(task)
        lost = (self._ray.exceptions.WorkerCrashedError, self._ray.exceptions.OutOfMemoryError)
        try:
            return [self._ray.get(task)]
        except lost:
            return [JobResult(name, error=LOST)]
        except self._ray.exceptions.RayError as error:
            return [JobResult(name, error=_reason(error))]

    def close(self, *, stop: bool) -> None:
        """Cancel what runs, and shut down the cluster if it was started here."""
        for task in self._running if stop else ():
            self._ray.cancel(task, force=True)
        if self._own_cluster:
            self._ray.shutdown()


RUNNERS: dict[str, Callable[[int], Pool]] = {
    "serial": SerialPool,
    "processes": ProcessPool,
    "ray": RayPool,
}
"""What :func:`mandora.core.parallel.map_jobs` can run jobs on."""


@contextmanager
def open_pool(runner: str, workers: int) -> Iterator[Pool]:
    """A pool for use in ``with``; after an error or Ctrl-C its jobs are killed."""
    pool = RUNNERS[runner](workers)
    stop = True
    try:
        yield pool
        stop = False
    finally:
        pool.close(stop=stop)


def threads_per_worker(workers: int) -> int:
    """Threads for each of several jobs on this machine: workers × threads are its cores.

    ``OMP_NUM_THREADS``, if it is set, is the most that one job gets.
    """
    usable = getattr(os, "sched_getaffinity", None)
    cores = len(usable(0)) if usable else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores // workers, int(limit) if limit.isdecimal() else cores))


def _run(job: Job, context: JobContext) -> JobResult:
    start = time.monotonic()
    try:
        value = _as_json(job.run(context))
        missing = missing_files(context.folder, job)
        if missing:
            raise FileNotFoundError(f"it did not leave {', '.join(missing)}")
    except (Exception, SystemExit) as error:
        # only text goes back: not every exception can be sent between processes
        with suppress(OSError):
            text = "".join(traceback.format_exception(error))
            write_atomically(context.folder / ERROR_FILE, text.encode("utf-8", "backslashreplace"))
        return JobResult(job.name, time.monotonic() - start, error=_reason(error))
    return JobResult(job.name, time.monotonic() - start, value)


def _run_in_worker(job: Job, context: JobContext) -> JobResult:
    # torch is not imported for this: a job may not need it
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(context.threads)
    return _run(job, context)


def _run_on_ray(job: list[Any], context: JobContext) -> JobResult:
    import ray

    # Ray's own choice is one thread, or what the shell had that started the cluster
    os.environ["OMP_NUM_THREADS"] = str(context.threads)
    return _run_in_worker(ray.get(job[0]), context)


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _as_json(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"what it returned is not JSON: {error}") from error


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _must_answer(address: str) -> None:
    # Ray itself tries for more than five minutes
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise ConnectionError(
                f"RAY_ADDRESS={address}: no cluster answers there ({error}); start it, or unset "
                "RAY_ADDRESS for one on this machine"
            ) from error


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise InputError(
            "the runner ray needs Ray, which is not installed: pip install 'mandora[ray]', or use "
            "the runner processes"
        ) from None
    return ray
