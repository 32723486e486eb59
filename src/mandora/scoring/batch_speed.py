"""How fast ``mandora score`` works through a batch, with more or fewer threads.

Each measurement runs in a new process, whose program is this module; see
:mod:`mandora.scoring.speed` for single patients.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mandora.core.errors import InputError
from mandora.model.bundle import open_bundle
from mandora.scoring.batch import score_films
from mandora.scoring.speed import Films, peak_mb


@dataclass(frozen=True)
class BatchSpeed:
    """What one run was measured to do: films read, scored and drawn, all files written.

    Attributes:
        threads: processor threads.
        patients: number of patients, four films each.
        seconds: from the call until everything is written, without Python's own start.
        cpu_seconds: processor seconds of that.
        peak_mb: largest memory of the process, MB (10⁶ bytes).
    """

    threads: int
    patients: int
    seconds: float
    cpu_seconds: float
    peak_mb: float

    @property
    def cores(self) -> float:
        """Processor cores that were busy on average."""
        return self.cpu_seconds / self.seconds

    @property
    def patients_per_hour(self) -> float:
        """How many patients an hour would score."""
        return 3600 * self.patients / self.seconds


def measure_batch(bundle: Path, patients: Sequence[Films], threads: int) -> BatchSpeed:
    """Score patients in a new process, as ``mandora score`` does.

    Args:
        bundle: folder of a model.
        patients: four films each; the same films may be given again.
        threads: processor threads.

    Raises:
        ValueError: if the process failed.
    """
    with TemporaryDirectory() as folder:
        films = Path(folder) / "films"
        films.mkdir()
        for number, patient in enumerate(patients, start=1):
            for slot, path in patient.items():
                link = films / f"P{number:04d}-{slot.code}{path.suffix}"
                link.symlink_to(path.resolve())
        task = {"bundle": str(bundle.resolve()), "threads": threads, "films": str(films)}
        done = subprocess.run(
            [sys.executable, "-m", __name__], input=json.dumps(task), capture_output=True, text=True
        )
    if done.returncode != 0:
        raise InputError(f"scoring failed: {done.stderr.strip()[-500:]}")
    return BatchSpeed(threads, len(patients), **json.loads(done.stdout))


def to_json(runs: Sequence[BatchSpeed]) -> str:
    """All numbers of all runs, under the key ``runs``."""
    rows = [
        asdict(run) | {"cores": run.cores, "patients_per_hour": run.patients_per_hour}
        for run in runs
    ]
    return json.dumps({"runs": rows}, indent=1)


def _run(task: Mapping[str, Any]) -> dict[str, float]:
    with TemporaryDirectory() as out:
        start, spent = time.perf_counter(), time.process_time()
        bundle = open_bundle(task["bundle"])
        summary = score_films(task["films"], out, bundle=bundle, threads=task["threads"])
        seconds = {
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - spent,
            "peak_mb": peak_mb(),
        }
    if summary.scored != summary.patients:
        raise InputError(f"{summary.patients - summary.scored} patients could not be scored")
    return seconds


if __name__ == "__main__":
    json.dump(_run(json.load(sys.stdin)), sys.stdout)
