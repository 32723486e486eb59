"""Time and peak memory of scoring the bundled example patient, start of Python included.

Run by `make bench` with the core install. Prints one line per run and the median.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 3
# ru_maxrss is in KiB on Linux and in bytes on macOS
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def main() -> int:
    mandora = Path(sys.executable).with_name("mandora")
    seconds = []
    for run in range(1, RUNS + 1):
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            done = subprocess.run(
                [mandora, "score", "--example", "--out", out], capture_output=True, text=True
            )
            seconds.append(time.perf_counter() - start)
        if done.returncode != 0:
            print(done.stderr, file=sys.stderr)
            return done.returncode
        print(f"run {run}: {seconds[-1]:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * RSS_UNIT / 2**20
    print(f"median {statistics.median(seconds):.2f} s, peak memory {peak:.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
