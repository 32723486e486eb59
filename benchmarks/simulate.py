"""What `mandora simulate` costs: time and bytes per film, peak memory, and whether bytes repeat.

    python benchmarks/simulate.py [--patients N]

Times one process on one core at full size, with everything that is written. Peak memory is that
of a process that makes N patients and of one that makes three times as many, at low resolution:
their ratio must stay near 1. Needs Linux. Prints a table; exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mandora.core.anatomy import SLOTS
from mandora.core.settings import SimulateSettings
from mandora.simulate.cohort.folder import BYTES_PER_FILM, SECONDS_PER_FILM, simulate_cohort

LOW = 1.5  # px/mm, where only the number of films matters
FILMS_PER_SECOND = 1.0
MEMORY_RATIO = 1.1

ALONE = """
import sys
from pathlib import Path
from mandora.simulate.cohort.folder import simulate_cohort
from mandora.core.settings import SimulateSettings
settings = SimulateSettings(patients=int(sys.argv[1]), pixels_per_mm=float(sys.argv[2]))
simulate_cohort(settings, Path(sys.argv[3]))
# not ru_maxrss: a process inherits it from the one that started it
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


def main() -> int:
    """Measure, print, and compare with the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=12)
    patients = parser.parse_args().patients
    speed, size = full_size(patients)
    few, many = peak_mib(patients), peak_mib(3 * patients)
    same = digests(1) == digests(2)
    rows = [
        ("films per second on one core, full size", f"{speed:.2f}", f"at least {FILMS_PER_SECOND}"),
        ("seconds per film", f"{1 / speed:.2f}", f"assumed {SECONDS_PER_FILM:.2f}"),
        ("kB per film, with its truth", f"{size / 1e3:.0f}", f"assumed {BYTES_PER_FILM / 1e3:.0f}"),
        (f"peak memory, {patients} patients, MiB", f"{few:.0f}", ""),
        (f"peak memory, {3 * patients} patients, MiB", f"{many:.0f}", ""),
        ("their ratio", f"{many / few:.3f}", f"at most {MEMORY_RATIO}"),
        ("same bytes with 1 and 2 workers", "yes" if same else "no", "yes"),
    ]
    for name, value, wanted in rows:
        print(f"{name:<42} {value:>10}   {wanted}")
    return int(not (same and speed >= FILMS_PER_SECOND and many / few <= MEMORY_RATIO))


def full_size(patients: int) -> tuple[float, float]:
    """Films per second and bytes per film of a cohort at the resolution that is drawn."""
    films = patients * len(SLOTS)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        simulate_cohort(SimulateSettings(patients=patients), Path(folder))
        seconds = time.perf_counter() - start
        size = sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())
    return films / seconds, size / films


def peak_mib(patients: int) -> float:
    """Peak memory of a process of its own that makes a cohort."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-c", ALONE, str(patients), str(LOW), folder]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


def digests(workers: int) -> dict[str, str]:
    """Hash of every file of a small cohort."""
    with tempfile.TemporaryDirectory() as folder:
        settings = SimulateSettings(patients=3, visits=2, pixels_per_mm=LOW, workers=workers)
        simulate_cohort(settings, Path(folder))
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }


if __name__ == "__main__":
    sys.exit(main())
