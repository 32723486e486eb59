"""Where jobs run: in this process, in processes of their own, or as tasks of Ray."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Protocol

from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.parallel.jobs import Job, Place
from mandora.core.parallel.journal import ERROR_FILE, missing_files
from mandora.core.parallel.workers import LOST


@dataclass(frozen=True)
class Ended:
    """How an attempt at a job ended.

    Attributes:
        name: of the job.
        seconds: that it took.
        value: what it returned, as JSON gives it back.
        error: why it failed; None if it is done.
    """

    name: str
    seconds: float = 0.0
    value: Any = None
    error: str | None = None


class Pool(Protocol):
    """What can run jobs. At most ``workers`` are started at a time, each with ``threads``."""

    workers: int
    threads: int

    def start(self, job: Job, place: Place) -> None:
        """Begin a job."""

    def wait(self) -> list[Ended]:
        """Wait until a started job has ended."""

    def close(self, *, stop: bool) -> None:
        """Give everything back; with ``stop``, jobs that still run are killed."""


class Serial:
    """One job after the other in this process; ``workers`` are not used."""

    def __init__(self, workers: int) -> None:
        self.workers, self.threads = 1, threads_per_worker(1)
        self._next: list[tuple[Job, Place]] = []

    def start(self, job: Job, place: Place) -> None:
        """Remember the job: it runs when it is waited for."""
        self._next.append((job, place))

    def wait(self) -> list[Ended]:
        """Run the job."""
        return [_attempt(*self._next.pop())]

    def close(self, *, stop: bool) -> None:
        """Nothing is held."""


class Processes:
    """Processes on this machine.

    Each has a pool of its own: when one is killed it is known which job it had, and the others
    do not notice.
    """

    def __init__(self, workers: int) -> None:
        self.workers, self.threads = workers, threads_per_worker(workers)
        self._context = get_context("spawn")
        self._watched, self._alive = self._context.Pipe(duplex=False)
        self._idle: list[ProcessPoolExecutor] = []
        self._running: dict[Future[Ended], tuple[ProcessPoolExecutor, str]] = {}

    def start(self, job: Job, place: Place) -> None:
        """Give the job to an idle process, or to a new one."""
        if not self._idle:
            self._idle.append(
                ProcessPoolExecutor(1, self._context, _live_with_parent, (self._watched,))
            )
        pool = self._idle.pop()
        # libraries read it when they are loaded, which a process may do before its first job
        with _environment(OMP_NUM_THREADS=str(self.threads)):
            self._running[pool.submit(_attempt_in_worker, job, place)] = (pool, job.name)

    def wait(self) -> list[Ended]:
        """Wait for a process to end its job, or to be killed."""
        ended = []
        for future in wait(self._running, return_when=FIRST_COMPLETED).done:
            pool, name = self._running.pop(future)
            try:
                ended.append(future.result())
            except BrokenProcessPool:
                pool.shutdown()
                ended.append(Ended(name, error=LOST))
                continue
            except Exception as error:  # the job cannot be sent to another process
                ended.append(Ended(name, error=_reason(error)))
            self._idle.append(pool)
        return ended

    def close(self, *, stop: bool) -> None:
        """End the processes."""
        if stop:
            self._alive.close()
        for pool in (*self._idle, *(pool for pool, _ in self._running.values())):
            pool.shutdown(cancel_futures=True)
        self._alive.close()
        self._watched.close()


class OnRay:
    """Tasks of Ray: on the cluster of ``RAY_ADDRESS``, or on one that lives as long as the run.

    All machines of a cluster must see the jobs' folders under the same path.

    Raises:
        ValueError: if Ray is not installed.
        ConnectionError: if there is no cluster at ``RAY_ADDRESS``.
    """

    def __init__(self, workers: int) -> None:
        self.workers, self.threads = workers, threads_per_worker(workers)
        self._ray = _import_ray()
        self._ours = not self._ray.is_initialized()
        self._running: dict[Any, str] = {}
        self._refused: list[Ended] = []
        if self._ours:
            self._connect()
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        # a task must fit on one machine; one that fits on none would wait for ever
        largest = max(node.get("CPU", 0) for node in nodes)
        share = sum(node.get("CPU", 0) for node in nodes) // workers
        self.threads = max(1, int(min(share, largest)))
        gpus = sum(node.get("GPU", 0) for node in nodes) / workers
        self._task = self._ray.remote(_attempt_on_ray).options(
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
        # tokens are for clusters that others can reach, and would be written to the home folder
        with _environment(RAY_AUTH_MODE=os.environ.get("RAY_AUTH_MODE", "disabled")):
            self._ray.init(
                address="local",  # not a cluster that was left running here
                num_cpus=self.workers * self.threads,
                include_dashboard=False,
                **quiet,
            )

    def start(self, job: Job, place: Place) -> None:
        """Submit the job as a task."""
        try:
            # within a list it is fetched by the task, after its threads are set
            task = self._task.remote([self._ray.put(job)], place)
        except Exception as error:  # the job cannot be sent to another process
            self._refused.append(Ended(job.name, error=_reason(error)))
        else:
            self._running[task] = job.name

    def wait(self) -> list[Ended]:
        """Wait for a task to end."""
        if self._refused:
            refused, self._refused = self._refused, []
            return refused
        (task,), _ = self._ray.wait(list(self._running), num_returns=1)
        name = self._running.pop(task)
        lost = (self._ray.exceptions.WorkerCrashedError, self._ray.exceptions.OutOfMemoryError)
        try:
            return [self._ray.get(task)]
        except lost:
            return [Ended(name, error=LOST)]
        except self._ray.exceptions.RayError as error:
            return [Ended(name, error=_reason(error))]

    def close(self, *, stop: bool) -> None:
        """Cancel what runs, and shut down the cluster if it was started here."""
        for task in self._running if stop else ():
            self._ray.cancel(task, force=True)
        if self._ours:
            self._ray.shutdown()


RUNNERS: dict[str, Callable[[int], Pool]] = {
    "serial": Serial,
    "processes": Processes,
    "ray": OnRay,
}
"""What :func:`mandora.core.parallel.map_jobs` can run jobs on."""


@contextmanager
def open_pool(runner: str, workers: int) -> Iterator[Pool]:
    """A pool that is closed in the end; if there is an error or Ctrl-C, its jobs are killed."""
    pool = RUNNERS[runner](workers)
    stop = True
    try:
        yield pool
        stop = False
    finally:
        pool.close(stop=stop)


def threads_per_worker(workers: int) -> int:
    """Threads for each of several jobs on this machine: together, as many as it has cores.

    ``OMP_NUM_THREADS``, where it is set, is the most that one gets.
    """
    usable = getattr(os, "sched_getaffinity", None)
    cores = len(usable(0)) if usable else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores // workers, int(limit) if limit.isdecimal() else cores))


def _attempt(job: Job, place: Place) -> Ended:
    begun = time.monotonic()
    try:
        value = _as_json(job.run(place))
        missing = missing_files(place.folder, job)
        if missing:
            raise FileNotFoundError(f"it did not leave {', '.join(missing)}")
    except (Exception, SystemExit) as error:
        # only text goes back: not every exception survives the way between processes
        with suppress(OSError):
            text = "".join(traceback.format_exception(error))
            write_atomically(place.folder / ERROR_FILE, text.encode("utf-8", "backslashreplace"))
        return Ended(job.name, time.monotonic() - begun, error=_reason(error))
    return Ended(job.name, time.monotonic() - begun, value)


def _attempt_in_worker(job: Job, place: Place) -> Ended:
    # torch must not be imported for this: a job may do without
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(place.threads)
    return _attempt(job, place)


def _attempt_on_ray(job: list[Any], place: Place) -> Ended:
    import ray

    # Ray's own choice is one thread, or what the shell had that started the cluster
    os.environ["OMP_NUM_THREADS"] = str(place.threads)
    return _attempt_in_worker(ray.get(job[0]), place)


def _live_with_parent(watched: Connection) -> None:
    # Ctrl-C reaches all processes of a terminal: the parent decides
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def leave() -> None:
        # nothing is ever sent; it ends when the parent closes its side, or is gone. A worker
        # that went on would write into the folder of the same job of the next run.
        with suppress(EOFError, OSError):
            watched.recv_bytes()
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()


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
