"""How fast patients are scored: a model and the published design, in one run on one machine.

Each measurement runs in a new process, whose program is this module, so that its start and its
peak memory are measured as well. Numbers of different machines cannot be compared.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import numpy as np

from mandora.core.anatomy import SLOTS, TARGETS, Slot
from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.records import ModelInfo
from mandora.images.read import read_radiograph
from mandora.model.bundle import open_bundle
from mandora.model.contract import SYMMETRY_FILE, Contract
from mandora.model.loading import Stages
from mandora.scoring.pipeline import Pipeline

Films = Mapping[Slot, Path]
"""The four films of a patient."""

STAGES = ("read", "locate", "damage", "trees", "rest")
"""Parts of a patient's processor time. ``rest``: cutting patches, making the record, writing it."""

# ru_maxrss is in KiB on Linux and in bytes on macOS
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class ScoringSpeed:
    """What one process was measured to do.

    Attributes:
        design: ``fast`` or ``published``.
        threads: processor threads.
        patients: number of patients, scored one after the other.
        startup_seconds: from the start of the program until the first film could be scored.
        first_seconds: of the first patient.
        seconds_per_patient: median: four films read and scored, the record written as JSON.
        stages: median processor seconds of each of :data:`STAGES`; with several threads they are
            more in sum than the seconds of a patient.
        peak_mb: largest memory of the process, MB (10⁶ bytes).
        peak_mb_halfway: the same after half of the patients; equal if memory does not grow with
            their number.
    """

    design: str
    threads: int
    patients: int
    startup_seconds: float
    first_seconds: float
    seconds_per_patient: float
    stages: dict[str, float]
    peak_mb: float
    peak_mb_halfway: float


@dataclass(frozen=True)
class Published:
    """Networks of the published design.

    Attributes:
        contract: how they are used.
        files: by their names in a bundle, without trees.
    """

    contract: Contract
    files: Mapping[str, Path]


def measure_scoring(
    bundle: Path, patients: Sequence[Films], threads: int, published: Published | None = None
) -> ScoringSpeed:
    """Score patients in a new process.

    Args:
        bundle: folder of a model.
        patients: four films each.
        threads: processor threads.
        published: measure these networks instead, with the bundle's trees: 54 passes of
            localisers and 86 of damage networks a patient. They may be untrained: patches are cut
            where the bundle finds the joints.

    Raises:
        ValueError: if there is no patient, one has fewer than four films, or the process failed.
    """
    if not patients or any(set(films) != set(SLOTS) for films in patients):
        raise InputError("speed is measured on patients with all four films; give at least one")
    joints = None
    if published is not None:
        pipeline = Pipeline.from_bundle(open_bundle(bundle), threads)
        joints = [{s.code: _joints(pipeline, s, p) for s, p in films.items()} for films in patients]
    task = {
        "bundle": str(bundle.resolve()),
        "threads": threads,
        "patients": [{s.code: str(p.resolve()) for s, p in films.items()} for films in patients],
        "published": published and {
            "contract": published.contract.model_dump_json(),
            "files": {name: str(path.resolve()) for name, path in published.files.items()},
            "joints": joints,
        },
        "called": time.time(),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", __name__], input=json.dumps(task), capture_output=True, text=True
    )
    if done.returncode != 0:
        raise InputError(f"scoring failed: {done.stderr.strip()[-500:]}")
    return ScoringSpeed(**json.loads(done.stdout))


def to_json(runs: Sequence[ScoringSpeed]) -> str:
    """All numbers; first those of the run with the most threads and of the published design.

    Keys: ``seconds_per_patient``, ``published_seconds_per_patient``, ``ratio``,
    ``startup_seconds``, ``peak_mb`` and ``runs``; null where the published design was left out.
    """
    by_design = {run.design: run for run in sorted(runs, key=lambda run: run.threads)}
    fast, slow = by_design["fast"], by_design.get("published")
    made = {
        "seconds_per_patient": fast.seconds_per_patient,
        "published_seconds_per_patient": slow and slow.seconds_per_patient,
        "ratio": slow and slow.seconds_per_patient / fast.seconds_per_patient,
        "startup_seconds": fast.startup_seconds,
        "peak_mb": fast.peak_mb,
        "runs": [asdict(run) for run in runs],
    }
    return json.dumps(made, indent=1)


# ── the measured process ─────────────────────────────────────────────────────────────────


class _Clock:
    """Processor seconds of each stage, of the current patient.

    Args:
        now: of the thread, where films are side by side; otherwise of the process, whose networks
            have threads of their own.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.seconds: dict[str, float] = {}
        self._lock = Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = self.now()
        yield
        spent = self.now() - start
        with self._lock:
            self.seconds[name] = self.seconds.get(name, 0.0) + spent


class _Timed:
    """A stage, one of whose methods is timed."""

    def __init__(self, clock: _Clock, name: str, stage: Any, method: str) -> None:
        self._clock, self._name, self._stage, self._method = clock, name, stage, method

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stage, name)
        if name != self._method:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._clock.stage(self._name):
                return found(*args, **kwargs)

        return call


def _timed(stages: Stages, clock: _Clock) -> Stages:
    def timed(name: str, stage: Any, method: str) -> Any:
        return _Timed(clock, name, stage, method)

    locators = {limb: timed("locate", one, "locate") for limb, one in stages.locators.items()}
    return replace(
        stages,
        locators=locators,
        scorer=timed("damage", stages.scorer, "score"),
        forest=stages.forest and timed("trees", stages.forest, "predict"),
    )


def _run(task: Mapping[str, Any]) -> ScoringSpeed:
    threads = int(task["threads"])
    bundle, published = open_bundle(Path(task["bundle"])), task["published"]
    manifest = bundle.manifest
    paths = {name: bundle.path(name) for name in manifest.files}
    contract = manifest.contract
    if published:
        trees = {SYMMETRY_FILE: paths[SYMMETRY_FILE]}
        contract = Contract.model_validate_json(published["contract"])
        paths = {**{name: Path(p) for name, p in published["files"].items()}, **trees}
    about = ModelInfo(
        bundle=manifest.name, bundle_version=manifest.version, bundle_sha256=bundle.sha256,
        preset=manifest.preset, software={},
    )  # fmt: skip
    loaded = Stages.load(contract, paths, threads)
    clock = _Clock(time.thread_time if loaded.films_at_once > 1 else time.process_time)
    pipeline = Pipeline(_timed(loaded, clock), about)
    startup = time.time() - task["called"]
    patients = [
        {Slot.parse(code): Path(path) for code, path in films.items()} for films in task["patients"]
    ]
    seconds, stages, halfway = [], [], 0.0
    with TemporaryDirectory() as folder:
        for i, films in enumerate(patients):
            clock.seconds = {}
            start, spent = time.perf_counter(), time.process_time()
            if not published:
                result = pipeline.score(f"P{i}", films).result
                write_atomically(Path(folder) / f"P{i}.json", result.model_dump_json().encode())
            else:
                _published_patient(pipeline, films, published["joints"][i], clock)
            seconds.append(time.perf_counter() - start)
            spent = time.process_time() - spent
            if not published:  # measured again: the pipeline reads films itself
                with clock.stage("read"):
                    for path in films.values():
                        read_radiograph(path)
            clock.seconds["rest"] = spent - sum(clock.seconds.values())
            stages.append(clock.seconds)
            if i + 1 <= (len(patients) + 1) // 2:
                halfway = peak_mb()
    return ScoringSpeed(
        "published" if published else "fast", threads, len(patients), startup, seconds[0],
        statistics.median(seconds),
        {name: statistics.median(s.get(name, 0.0) for s in stages) for name in STAGES},
        peak_mb(), halfway,
    )  # fmt: skip


def _joints(pipeline: Pipeline, slot: Slot, path: Path) -> list[list[float]]:
    """Where the joints of a film are, px; NaN where not found."""
    found: list[list[float]] = pipeline.locate(
        read_radiograph(path), slot.limb, slot.side
    ).landmarks.tolist()
    return found


def _published_patient(
    pipeline: Pipeline, films: Films, joints: Mapping[str, Any], clock: _Clock
) -> None:
    """All passes of a patient, whatever untrained networks give."""
    for slot, path in films.items():
        with clock.stage("read"):
            film = read_radiograph(path)
        pipeline.locate(film, slot.limb, slot.side)
        pipeline.examine(slot, film, np.array(joints[slot.code]))
    pipeline.expected(np.full(len(TARGETS), np.nan))


def peak_mb() -> float:
    """Largest memory of this process so far, MB (10⁶ bytes)."""
    # on Linux a new process inherits ru_maxrss from its parent; VmHWM starts anew
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / 1e6


if __name__ == "__main__":
    json.dump(asdict(_run(json.load(sys.stdin))), sys.stdout)
