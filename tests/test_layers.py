"""What the core install is allowed to load, and how fast the command line answers."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "sklearn", "kornia", "onnx", "onnxscript", "safetensors", "ray")
"""Packages of the extras: a program that only scores must never load them."""


def loaded_after(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after running the code."""
    script = textwrap.dedent(code) + textwrap.dedent(
        """
        import json, sys
        print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def without_extras(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter in which the packages of the extras cannot be imported."""
    block = f"import sys\nfor name in {HEAVY!r}: sys.modules[name] = None\n"
    return subprocess.run(
        [sys.executable, "-c", block + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def scoring_modules() -> list[str]:
    """Every module but those that may load the extras: networks, training, DICOM objects …"""
    package = ROOT / "src" / "mandora"
    names = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if (
            parts[0] not in {"training", "metrics", "evaluation", "reproduce", "archive"}
            and parts[:2] != ("outputs", "dicom")
            and parts[-1] not in {"network", "openjpeg_plugin"}
        ):
            names.append(".".join(("mandora", *(p for p in parts if p != "__init__"))))
    return names


def test_no_module_that_scores_loads_a_package_of_the_extras() -> None:
    modules = scoring_modules()
    assert {"mandora.cli.main", "mandora.scoring.pipeline", "mandora.symmetry.forest"} <= set(
        modules
    )
    assert loaded_after(f"import {', '.join(modules)}").isdisjoint(HEAVY)


def test_scoring_starts_without_what_takes_long_to_load() -> None:
    assert loaded_after("import mandora.scoring.pipeline").isdisjoint(
        {"scipy", "matplotlib", "pandas", "highdicom", "pydicom"}
    )


def test_the_command_line_and_the_pipeline_work_where_the_extras_are_not_installed() -> None:
    done = without_extras("import mandora.cli.main, mandora.scoring.pipeline, mandora.simulate")
    assert done.returncode == 0, done.stderr


def test_help_is_printed_without_loading_what_only_scoring_needs() -> None:
    # help has to answer in half a second: each of these costs a good part of that
    code = """
    import contextlib, io
    from mandora.cli.main import main
    sys_argv = __import__("sys").argv
    sys_argv[:] = ["mandora", "--help"]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main()
    """
    assert loaded_after(code).isdisjoint({*HEAVY, "onnxruntime", "scipy", "pydicom"})


def test_help_answers_in_under_half_a_second() -> None:
    # time of the processor, not of the clock: other work on the machine is no fault of ours
    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    seconds = []
    call = "import sys; sys.argv = ['mandora', '--help']; from mandora.cli.main import main; main()"
    for _ in range(4):
        before = spent()
        done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True)
        seconds.append(spent() - before)
        assert done.returncode == 0, done.stderr
        assert "score" in done.stdout
    assert min(seconds) < 0.5


def test_training_without_its_extra_says_which_one_to_install() -> None:
    done = without_extras(
        """
        sys.argv[:] = ["mandora", "train", "locate", "--out", "nowhere"]
        from mandora.cli.main import main
        main()
        """
    )
    assert done.returncode == 2
    assert "mandora[train]" in done.stderr
    assert "Traceback" not in done.stderr
