from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mandora.core.parallel import Job, JobContext, JobsFailed, map_jobs, plan, threads_per_worker

ROOT = Path(__file__).resolve().parents[3]
MODULE = "tests.core.parallel.test_runners"


def adds(context: JobContext, number: int) -> int:
    """A job: its number and the values of what it needs; notes that it ran."""
    with (context.folder / "runs.txt").open("a") as file:
        file.write("ran\n")
    total = number + sum(context.values.values())
    (context.folder / "sum.json").write_text(json.dumps(total))
    return total


def fails(context: JobContext) -> None:
    (context.folder / "checkpoint").write_text("half")
    raise OSError(28, f"no space in {context.folder.name}")


def fails_at_first(context: JobContext) -> str:
    checkpoint = context.folder / "checkpoint"
    if not checkpoint.exists():
        checkpoint.write_text("half way")
        raise ValueError("not yet")
    return checkpoint.read_text()


def leaves(context: JobContext) -> None:
    sys.exit(3)


def is_killed(context: JobContext) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def interrupts(context: JobContext) -> None:
    raise KeyboardInterrupt


def gives(context: JobContext, value: Any) -> Any:
    return value


def threads(context: JobContext) -> list[Any]:
    return [context.threads, os.environ["OMP_NUM_THREADS"], os.getpid()]


def waits(context: JobContext) -> None:
    """A job that lasts until a file is there; says who does it."""
    (context.folder / "pid").write_text(str(os.getpid()))
    while not (context.folder.parent / "go").exists():
        time.sleep(0.02)


def job(name: str, number: int = 1, *needs: str, key: str = "") -> Job:
    run = partial(_here("adds"), number=number)
    return Job(name=name, run=run, key=f"{number}{key}", needs=needs, files=("sum.json",))


def doing(name: str, function: str, *needs: str, **values: Any) -> Job:
    return Job(name=name, run=partial(_here(function), **values), key="", needs=needs)


def folds() -> list[Job]:
    jobs = []
    for fold in range(2):
        jobs.append(job(f"fold-{fold}/locate", fold + 1))
        jobs.append(job(f"fold-{fold}/damage", 10, f"fold-{fold}/locate"))
    return [*jobs, job("report", 100, "fold-0/damage", "fold-1/damage")]


FOLDS = {
    "fold-0/locate": 1, "fold-0/damage": 11, "fold-1/locate": 2, "fold-1/damage": 12, "report": 123,
}  # fmt: skip


def _here(function: str) -> Any:
    # by the name under which another process can import this module, however pytest did
    return getattr(importlib.import_module(MODULE), function)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def runs(out: Path) -> dict[str, int]:
    """How often each job was run."""
    found = sorted(out.rglob("runs.txt"))
    return {str(p.parent.relative_to(out)): len(p.read_text().splitlines()) for p in found}


def journal(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]


def wait_for(*paths: Path) -> None:
    end = time.monotonic() + 30
    while not all(path.exists() and path.read_text() for path in paths):
        assert time.monotonic() < end, f"no {paths}"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_jobs_run_after_those_that_they_need_and_the_journal_says_what_is_done(
    tmp_path: Path,
) -> None:
    lines: list[str] = []
    steps: list[tuple[int, int]] = []
    values = map_jobs(
        reversed(folds()), tmp_path / "out", report=lines.append,
        progress=lambda done, count: steps.append((done, count)),
    )  # fmt: skip
    assert values == FOLDS
    assert list(values) == list(reversed(FOLDS))
    assert {line["name"]: line["value"] for line in journal(tmp_path / "out")} == FOLDS
    assert {"name", "key", "value", "seconds", "when"} == set(journal(tmp_path / "out")[0])
    assert steps == [(done, 5) for done in range(6)]
    assert lines[0] == "fold-1/locate starts"
    assert lines[1].startswith("fold-1/locate done in 0 s: 1 of 5, about ")
    assert lines[-1] == "report done in 0 s: 5 of 5"


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    map_jobs(folds()[:2], tmp_path)
    lines: list[str] = []
    assert map_jobs(folds(), tmp_path, report=lines.append) == FOLDS
    assert map_jobs(folds(), tmp_path) == FOLDS
    assert set(runs(tmp_path).values()) == {1}
    assert lines[0] == "2 of 5 jobs are done already"


def test_processes_give_what_serial_gives(tmp_path: Path) -> None:
    serial = map_jobs(folds(), tmp_path / "a")
    assert map_jobs(folds(), tmp_path / "b", "processes", 2) == serial
    sums = [
        {str(p.relative_to(out)): p.read_text() for p in out.rglob("sum.json")}
        for out in (tmp_path / "a", tmp_path / "b")
    ]
    assert sums[0] == sums[1]
    # another runner goes on where one has stopped
    assert map_jobs(folds(), tmp_path / "a", "processes", 2) == serial
    assert set(runs(tmp_path / "a").values()) == {1}


def test_a_changed_key_does_the_job_and_all_that_build_on_it_again(tmp_path: Path) -> None:
    map_jobs(folds(), tmp_path)
    changed = folds()
    changed[0] = job("fold-0/locate", 5)
    lines: list[str] = []
    values = map_jobs(changed, tmp_path, report=lines.append)
    assert values == {**FOLDS, "fold-0/locate": 5, "fold-0/damage": 15, "report": 127}
    assert lines[0] == (
        "set aside, because their settings changed: fold-0/locate, fold-0/damage, report"
    )
    # the new attempt began in an empty folder, the others were left alone
    assert {name: n for name, n in runs(tmp_path).items() if not name.startswith(".")} == (
        dict.fromkeys(FOLDS, 1)
    )
    assert len(journal(tmp_path)) == 8


def test_settings_that_are_changed_back_find_their_results(tmp_path: Path) -> None:
    map_jobs(folds(), tmp_path)
    changed = [job("fold-0/locate", 5), *folds()[1:]]
    map_jobs(changed, tmp_path)
    assert plan(folds(), tmp_path).done == 5
    assert map_jobs(folds(), tmp_path) == FOLDS
    assert (tmp_path / "report" / "sum.json").read_text() == "123"
    assert len(journal(tmp_path)) == 8


@pytest.mark.parametrize("gone", ["fold-0/damage", "fold-0/damage/sum.json"])
def test_what_was_deleted_is_made_again(gone: str, tmp_path: Path) -> None:
    map_jobs(folds(), tmp_path)
    path = tmp_path / gone
    path.rename(tmp_path / "elsewhere")
    assert map_jobs(folds(), tmp_path) == FOLDS
    assert (tmp_path / "fold-0/damage/sum.json").exists()
    assert len(journal(tmp_path)) == 6


@pytest.mark.parametrize("torn", ['{"name": "fold-1/da', "[1]\n", '{"name": "x"}\n', "\n\0\0"])
def test_a_torn_line_of_the_journal_is_ignored(torn: str, tmp_path: Path) -> None:
    map_jobs(folds()[:2], tmp_path)
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write(torn)
    assert map_jobs(folds(), tmp_path) == FOLDS
    assert map_jobs(folds(), tmp_path) == FOLDS
    assert set(runs(tmp_path).values()) == {1}


def test_an_unfinished_folder_is_given_to_the_next_attempt(tmp_path: Path) -> None:
    jobs = [doing("train", "fails_at_first")]
    with pytest.raises(JobsFailed, match="ValueError: not yet"):
        map_jobs(jobs, tmp_path)
    assert "fails_at_first" in (tmp_path / "train" / "error.txt").read_text()
    assert map_jobs(jobs, tmp_path) == {"train": "half way"}
    assert not (tmp_path / "train" / "error.txt").exists()


@pytest.mark.parametrize("runner", ["serial", "processes"])
def test_a_failing_job_costs_only_those_that_need_it(runner: str, tmp_path: Path) -> None:
    jobs = [
        doing("a/fit", "fails"), job("a/use", 1, "a/fit"), job("a/sum", 1, "a/use"),
        job("b/fit", 1), job("b/use", 1, "b/fit"), doing("c", "leaves"), job("d", 1),
    ]  # fmt: skip
    lines: list[str] = []
    with pytest.raises(JobsFailed) as caught:
        map_jobs(jobs, tmp_path, runner, 2, report=lines.append)
    assert caught.value.failed == {
        "a/fit": "OSError: [Errno 28] no space in fit",
        "c": "SystemExit: 3",
    }
    assert caught.value.skipped == {"a/use": ("a/fit",), "a/sum": ("a/use",)}
    assert caught.value.values == {"b/fit": 1, "b/use": 2, "d": 1}
    text = str(caught.value)
    assert "2 failed, 2 not started, 3 done and kept" in text
    assert "a/fit: OSError: [Errno 28] no space in fit" in text
    assert "a/sum: not started, needs a/use" in text
    assert any(line.startswith("a/fit failed: OSError") for line in lines)
    jobs[0], jobs[5] = doing("a/fit", "gives", value=1), doing("c", "gives", value=1)
    assert map_jobs(jobs, tmp_path, runner)["a/sum"] == 3
    assert set(runs(tmp_path).values()) == {1}


def test_a_killed_process_costs_its_job_only(tmp_path: Path) -> None:
    jobs = [
        doing("other", "waits"), doing("hungry", "is_killed"), job("needs", 1, "hungry"),
        job("last"),
    ]  # fmt: skip

    def report(line: str) -> None:
        # the other process was at work all the time
        if line.startswith("last done"):
            (tmp_path / "go").touch()

    with pytest.raises(JobsFailed) as caught:
        map_jobs(jobs, tmp_path, "processes", 2, report=report)
    assert list(caught.value.failed) == ["hungry"]
    assert "killed, most likely for want of memory" in caught.value.failed["hungry"]
    assert "fewer workers" in caught.value.failed["hungry"]
    assert set(caught.value.values) == {"other", "last"}


def test_ctrl_c_in_a_job_stops_the_run_and_keeps_what_is_done(tmp_path: Path) -> None:
    jobs = [job("a"), doing("b", "interrupts"), job("c")]
    with pytest.raises(KeyboardInterrupt):
        map_jobs(jobs, tmp_path)
    assert [line["name"] for line in journal(tmp_path)] == ["a"]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that does two short and two long jobs in two processes of its own."""
    # a shell starts what it puts in the background without Ctrl-C: there it would do nothing
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from mandora.core.parallel import map_jobs
from {MODULE} import doing, job
jobs = [job("a"), job("b", 1, "a"), doing("long-1", "waits", "b"), doing("long-2", "waits", "b")]
map_jobs([*jobs, job("c", 1, "long-1")], Path({str(tmp_path)!r}), "processes", 2)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_leaves_no_process_and_goes_on(
    how: signal.Signals, program: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    pids = [tmp_path / name / "pid" for name in ("long-1", "long-2")]
    wait_for(*pids)
    jobs = [
        job("a"),
        job("b", 1, "a"),
        doing("long-1", "waits", "b"),
        doing("long-2", "waits", "b"),
    ]
    with pytest.raises(ValueError, match="another process works there"):
        map_jobs(jobs, tmp_path)
    begun = time.monotonic()
    program.send_signal(how)
    program.wait(10)
    workers = [int(pid.read_text()) for pid in pids]
    while any(map(is_alive, workers)):
        assert time.monotonic() < begun + 5, "processes of the killed run go on"
        time.sleep(0.02)
    assert [line["name"] for line in journal(tmp_path)] == ["a", "b"]
    (tmp_path / "go").touch()
    lines: list[str] = []
    values = map_jobs([*jobs, job("c", 1)], tmp_path, report=lines.append)
    assert values == {"a": 1, "b": 2, "long-1": None, "long-2": None, "c": 1}
    assert runs(tmp_path) == {"a": 1, "b": 1, "c": 1}
    assert lines[0] == "2 of 5 jobs are done already"


def test_processes_share_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert [threads_per_worker(n) for n in (1, 3, 8, 20)] == [8, 2, 1, 1]
    values = map_jobs([doing("a", "threads")], tmp_path, "processes", 2)
    assert values["a"][:2] == [4, "4"]
    assert values["a"][2] != os.getpid()
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert [threads_per_worker(n) for n in (1, 3)] == [3, 2]


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ([job("a"), job("a")], "two jobs are called a"),
        ([job("a", 1, "b", "c"), job("b")], "a needs c: there is no such job"),
        ([job("a", 1, "b"), job("b", 1, "a")], r"wait for each other: (a, b, a|b, a, b)"),
        ([job("a"), job("a/b")], "the folder of a/b would lie in that of the job a"),
    ],
)
def test_jobs_that_cannot_be_put_in_order_are_refused(
    jobs: list[Job], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        map_jobs(jobs, tmp_path / "out")
    with pytest.raises(ValueError, match=words):
        plan(jobs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", "../a", ".hidden", "a/.key", "a b", "a\n"]
)
def test_names_that_cannot_be_folders_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name is parts of letters"):
        job(name)


def test_unusable_calls_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="runner 'slurm': use serial, processes, ray"):
        map_jobs([], tmp_path, "slurm")
    with pytest.raises(ValueError, match="workers 0: use 1 or more"):
        map_jobs([], tmp_path, workers=0)
    with pytest.raises(ValueError, match="minutes 0 is not above 0"):
        Job(name="a", run=adds, key="", minutes=0)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.doc").touch()
    with pytest.raises(ValueError, match="a holds files that no job left there"):
        map_jobs([job("b"), job("a")], tmp_path)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["thesis.doc"]


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, Path("a")])
def test_a_value_that_is_not_json_is_a_failure(value: Any, tmp_path: Path) -> None:
    with pytest.raises(JobsFailed, match="a: InputError: what it returned is not JSON"):
        map_jobs([doing("a", "gives", value=value)], tmp_path)


def test_values_are_the_same_when_they_come_from_the_journal(tmp_path: Path) -> None:
    text = "ü\u2028\x85\udcff"  # line ends of other sorts, half a character
    jobs = [doing("a", "gives", value={1: (2.5, None, text)})]
    assert map_jobs(jobs, tmp_path) == {"a": {"1": [2.5, None, text]}}
    assert map_jobs(jobs, tmp_path) == {"a": {"1": [2.5, None, text]}}
    assert len(journal(tmp_path)) == 1


def test_files_that_are_promised_must_be_left(tmp_path: Path) -> None:
    jobs = [Job(name="a", run=partial(gives, value=1), key="", files=("model.npz",))]
    with pytest.raises(JobsFailed, match=r"a: FileNotFoundError: it did not leave model\.npz"):
        map_jobs(jobs, tmp_path)


def test_a_job_that_cannot_be_sent_fails_alone(tmp_path: Path) -> None:
    jobs = [Job(name="a", run=lambda _: 1, key=""), job("b")]
    with pytest.raises(JobsFailed) as caught:
        map_jobs(jobs, tmp_path, "processes")
    assert list(caught.value.failed) == ["a"]
    assert caught.value.values == {"b": 1}


def test_plan_says_what_is_left_to_do(tmp_path: Path) -> None:
    jobs = []
    for fold in range(4):
        first, second = f"fold-{fold}/locate", f"fold-{fold}/damage"
        run = partial(adds, number=1)
        jobs.append(Job(name=first, run=run, key="", minutes=10, disk_mb=200))
        jobs.append(Job(name=second, run=run, key="", needs=(first,), minutes=50, disk_mb=300))
    made = plan(jobs, tmp_path / "out", workers=2)
    assert not (tmp_path / "out").exists()
    assert (made.jobs, made.done, made.hours, made.disk_mb) == (8, 0, 2.0, 2000.0)
    assert made.chain_minutes == 60
    assert plan(jobs, tmp_path / "out", workers=100).hours == 1.0
    map_jobs(jobs[:3], tmp_path / "out")
    assert str(plan(jobs, tmp_path / "out", workers=2)).splitlines() == [
        "jobs    all  done   to do    disk",
        "locate    4     2  20 min  400 MB",
        "damage    4     1   2.5 h  900 MB",
        "5 of 8 jobs to do: about 85 min with 2 workers, 60 min at best; 1.3 GB",
    ]
    map_jobs(jobs, tmp_path / "out")
    assert str(plan(jobs, tmp_path / "out")).splitlines()[1:] == [
        "locate    4     4      –     –",
        "damage    4     4      –     –",
        "0 of 8 jobs to do: about 0 s with 1 worker, 0 s at best; 0 MB",
    ]


def test_ray_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'mandora\[ray\]'"):
        map_jobs([job("a")], tmp_path, "ray")


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("the extra `ray` is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    import ray

    yield ray
    with suppress(Exception):
        ray.shutdown()


@pytest.mark.slow
def test_ray_gives_what_serial_gives_and_says_what_failed(tmp_path: Path, ray: Any) -> None:
    assert map_jobs(folds(), tmp_path / "a", "ray", 2) == FOLDS
    assert not ray.is_initialized()
    jobs = [
        *folds(), doing("x", "fails"), doing("y", "is_killed"), doing("z", "threads"),
        Job(name="v", run=partial(print, file=sys.stderr), key=""),
    ]  # fmt: skip
    with pytest.raises(JobsFailed) as caught:
        map_jobs(jobs, tmp_path / "a", "ray", 2)
    assert set(caught.value.failed) == {"x", "y", "v"}
    assert caught.value.failed["x"] == "OSError: [Errno 28] no space in x"
    assert "killed, most likely for want of memory" in caught.value.failed["y"]
    wanted = threads_per_worker(2)
    assert caught.value.values["z"][:2] == [wanted, str(wanted)]
    assert set(runs(tmp_path / "a").values()) == {1}


def test_a_cluster_that_does_not_answer_is_named(
    tmp_path: Path, ray: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ConnectionError, match=r"RAY_ADDRESS=127\.0\.0\.1:1: no cluster answers"):
        map_jobs([job("a")], tmp_path, "ray")


@pytest.mark.slow
def test_a_cluster_of_the_caller_is_used_and_left_alone(
    tmp_path: Path, ray: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray.init(address="local", num_cpus=6, include_dashboard=False, log_to_driver=False)
    assert map_jobs([doing("a", "threads")], tmp_path, "ray", 2)["a"][:2] == [3, "3"]
    assert ray.is_initialized()
