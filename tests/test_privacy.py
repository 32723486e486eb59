"""No command reaches for another machine, and none writes anywhere but where it was told to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import mandora
from mandora.core.anatomy import Limb
from mandora.model.contract import LOCATE_FILES
from mandora.scoring import example_films

SOURCE = Path(mandora.__file__).parent.parent
CALLS = "socket,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat"
# several commands in one interpreter: most of their time is that of loading packages
DRIVER = """
import json, sys
from mandora.cli.main import app
calls = json.loads(sys.argv[1])
print(json.dumps([app(words, standalone_mode=False) or 0 for words in calls]), file=sys.stderr)
"""
# no file of theirs says anything of a film, a patient or this machine's user
LEFT_BY_PACKAGES = re.compile(
    r"home/(\.cache|\.config)(/matplotlib(/fontlist-v[\d.]+\.json)?)?"  # names of fonts
    r"|temp/torchinductor_\w+"  # an empty folder
)

LIGHT = {
    "score", "intake", "locate", "challenge", "simulate", "describe", "check", "bundle show",
    "bundle verify", "bundle list", "bundle migrate", "evaluate", "bundle calibrate",
}  # fmt: skip
HEAVY = {
    "train locate", "train damage", "train symmetry", "bundle make", "bundle compact",
    "bench inference", "bench score", "bench training", "reproduce",
}  # fmt: skip
NETWORK = {"listen"}
"""It is there for the network; ``tests/archive`` shows whom it hears and where it writes."""


@dataclass(frozen=True)
class Seen:
    """What a call did: exit codes, sockets for other machines, paths made, and what is left."""

    codes: list[int]
    sockets: list[str]
    made: set[Path]
    left: set[str]


def traced(log: str) -> tuple[list[str], set[Path]]:
    """Sockets of the Internet, and paths that were made or opened for writing."""
    sockets, made, begun = [], set(), {}
    for part in log.splitlines():
        # calls of several processes are written in turns: the beginning of one, later its end
        process, _, line = part.partition(" ")
        if line.endswith("<unfinished ...>"):
            begun[process] = line.removesuffix("<unfinished ...>")
            continue
        if resumed := re.match(r"\s*<\.\.\. \w+ resumed>(.*)", line):
            line = begun.pop(process, "") + resumed[1]
        if "AF_INET" in line:
            sockets.append(line)
        call, quoted = re.search(r"(\w+)\(", line), re.findall(r'"([^"]*)"', line)
        if not call or not quoted or re.search(r"= -1 E", line):
            continue
        if not call[1].startswith("open") or re.search(r"O_WRONLY|O_RDWR|O_CREAT", line):
            # a path that is not absolute begins in the folder in angle brackets
            folder = re.search(r"<([^>]*)>", line)
            made.add(Path(folder[1] if folder else "/", quoted[-1]))
    return sockets, made


@pytest.fixture
def watch(tmp_path: Path) -> Callable[..., Seen]:
    """Run commands under strace, with homes and temporary folders of their own."""
    if shutil.which("strace") is None:
        pytest.skip("no strace on this machine: it shows what a program asks of the system")
    if subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace may not watch programs on this machine")

    def run(*calls: list[Any], cwd: Path | None = None) -> Seen:
        places = {name: tmp_path / "own" / name for name in ("home", "temp", "work")}
        for place in places.values():
            place.mkdir(parents=True, exist_ok=True)
        log = tmp_path / "strace.log"
        own = {
            "HOME": places["home"], "TMPDIR": places["temp"], "PYTHONPATH": SOURCE,
            "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        kept = {
            name: value for name, value in os.environ.items()
            if not name.startswith(("XDG_", "ORT_", "RAY_", "MPL"))
        }  # fmt: skip
        words = json.dumps([[str(word) for word in call] for call in calls])
        done = subprocess.run(
            ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", log,
             sys.executable, "-c", DRIVER, words],
            env={**kept, **{name: str(value) for name, value in own.items()}},
            cwd=places["work"], capture_output=True, text=True, timeout=900,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        sockets, made = traced(log.read_text(errors="replace"))
        left = {str(path.relative_to(tmp_path / "own")) for path in (tmp_path / "own").rglob("*")}
        return Seen(json.loads(done.stderr.splitlines()[-1]), sockets, made, left - set(places))

    return run


def assert_private(seen: Seen, *allowed: Path) -> None:
    """All calls succeeded, reached for nobody, and wrote in the allowed places only."""
    assert set(seen.codes) == {0}
    assert seen.sockets == []
    places = (*allowed, Path("/dev"), Path("/proc"))
    assert {p for p in seen.made if not any(p.is_relative_to(place) for place in places)} == set()
    assert {path for path in seen.left if not LEFT_BY_PACKAGES.fullmatch(path)} == set()


def test_the_trace_is_read_as_it_is_written() -> None:
    log = "\n".join([
        '7 openat(AT_FDCWD</work>, "out/a.csv", O_WRONLY|O_CREAT, 0666) = 3</work/out/a.csv>',
        '7 openat(6</home/u/.cache>, "deviceid.tmp", O_WRONLY|O_CREAT, 0600) = 7</home/u/x>',
        '7 openat(AT_FDCWD</work>, "/etc/hosts", O_RDONLY|O_CLOEXEC) = 3</etc/hosts>',
        '7 openat(AT_FDCWD</work>, "/no/where", O_WRONLY|O_CREAT) = -1 ENOENT (No such file)',
        '8 mkdir("/var/x", 0777) = 0',
        "8 socket(AF_UNIX, SOCK_STREAM, 0) = 4<UNIX-STREAM:[1]>",
        "8 socket(AF_INET6, SOCK_DGRAM, IPPROTO_IP) = 5<UDPv6:[2]>",
        '7   mkdir("/was/there", 0777 <unfinished ...>',
        '8   mkdir("/was/not", 0777 <unfinished ...>',
        '7   <... mkdir resumed>)             = -1 EEXIST (File exists)',
        '8   <... mkdir resumed>)             = 0',
    ])  # fmt: skip
    sockets, made = traced(log)
    assert len(sockets) == 1
    assert made == {
        Path("/work/out/a.csv"), Path("/home/u/.cache/deviceid.tmp"), Path("/var/x"),
        Path("/was/not"),
    }  # fmt: skip


def test_every_command_is_watched() -> None:
    from typer.main import get_command

    from mandora.cli.main import app

    def walk(group: Any, words: tuple[str, ...] = ()) -> Iterator[str]:
        for name, command in group.commands.items():
            inner = (*words, name)
            yield from walk(command, inner) if hasattr(command, "commands") else (" ".join(inner),)

    assert set(walk(get_command(app))) == LIGHT | HEAVY | NETWORK


def test_scoring_opens_no_socket_and_writes_where_it_was_told_to(
    watch: Callable[..., Seen], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    seen = watch(["score", "--example", "--out", out])
    assert_private(seen, out)
    assert seen.left == set()
    assert (out / "scores.csv").is_file()


def test_light_commands_do_not_either(
    watch: Callable[..., Seen], tmp_path: Path, tiny_bundle: Path
) -> None:
    pytest.importorskip("matplotlib", reason="the page of an evaluation has figures")
    out, cohort = tmp_path / "out", tmp_path / "out" / "cohort"
    (out / "test").mkdir(parents=True)
    for film in example_films():
        shutil.copy(film, out / "test")
    (out / "test" / "template.csv").write_text("Patient_ID,LH_mcp_E__2\nEXAMPLE,\n", "utf-8")
    shutil.copytree(tiny_bundle, out / "bundle")
    bundle = ["--bundle", tiny_bundle]
    calls = [
        ["locate", out / "test" / "EXAMPLE-LF.jpg", "--out", out / "points.csv", *bundle],
        ["challenge", out / "test", out / "predictions", *bundle, "--fill"],
        ["simulate", "--patients", 2, "--out", cohort],
        ["intake", cohort, "--out", out / "plan.csv"],
        ["describe", cohort],
        ["check", cohort],
        ["bundle", "list"],
        ["bundle", "show"],
        ["bundle", "verify"],
        ["bundle", "migrate", out / "bundle"],
        ["evaluate", tiny_bundle, cohort, "--out", out / "page"],
        ["bundle", "calibrate", tiny_bundle, cohort, "--out", out / "calibrated"],
    ]
    assert {next(n for n in LIGHT if " ".join(map(str, c)).startswith(n)) for c in calls} == (
        LIGHT - {"score"}
    )
    assert_private(watch(*calls), out, tmp_path / "own")


TINY = {
    "locate": "films = 8\n[network]\ninput_px = 64\n[loop]\nepochs = 1\nthreads = 1\n",
    "damage": "patients = 2\n[network]\npatch_px = 32\n[loop]\nepochs = 1\nthreads = 1\n",
    "symmetry": "patients = 6\n[forest]\ntrees = 3\ndepth = 2\nthreads = 2\n",
}


@pytest.mark.slow
def test_training_and_its_bundle_do_not_either(
    watch: Callable[..., Seen], tmp_path: Path, tiny_bundle: Path, small_films: Path
) -> None:
    out, run = tmp_path / "out", tmp_path / "out" / "run"
    out.mkdir()
    for stage, text in TINY.items():
        (out / f"{stage}.toml").write_text(text, encoding="utf-8")

    def train(stage: str) -> list[Any]:
        return ["train", stage, "--out", run, "--settings", out / f"{stage}.toml"]

    own = tmp_path / "own"
    assert_private(watch(train("locate"), train("damage")), out, own)
    for limb in Limb:  # what an epoch of eight films teaches finds no limb
        shutil.copy(tiny_bundle / LOCATE_FILES[limb], run / LOCATE_FILES[limb])
    films = out / "films"
    shutil.copytree(small_films, films)
    seen = watch(
        train("symmetry"),
        ["bundle", "make", run, "--out", out / "bundle", "--no-compact"],
        ["bundle", "compact", out / "bundle", "--out", out / "compact"],
        ["bench", "inference", films, "--no-published", "--patients", 2, "--threads", 1],
        ["bench", "score", films, "--patients", 2],
    )
    assert_private(seen, out, own)


@pytest.mark.slow
def test_experiments_and_the_bench_of_training_do_not_either(
    watch: Callable[..., Seen], tmp_path: Path
) -> None:
    pytest.importorskip("shap")
    out = tmp_path / "out"
    seen = watch(
        ["reproduce", "--out", out / "report", "--smoke", "--runner", "processes"],
        ["bench", "training", "--preset", "fast", "--patients", 4, "--minutes", 0.01],
    )
    assert_private(seen, out, tmp_path / "own")
