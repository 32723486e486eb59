"""What all commands have in common: how they end, and their log."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.main import get_command
from typer.testing import CliRunner, Result

from mandora.cli.app import Commands
from mandora.cli.console import Progress, load
from mandora.cli.main import app
from mandora.core.errors import InputError
from mandora.core.files import OutputError
from mandora.core.settings import SimulateSettings

LOG = logging.getLogger("mandora.test")


def call(body: Callable[[], None], *words: str) -> Result:
    """Run a command that does this."""
    commands = Commands()

    @commands.command()
    def act(name: str = "nobody") -> None:
        """Act."""
        assert isinstance(name, str)
        body()

    return CliRunner().invoke(commands, list(words))


def raising(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


def bad_settings() -> Exception:
    try:
        SimulateSettings(patients=0)
    except ValidationError as error:
        return error
    raise AssertionError("they should be refused")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (InputError("x.csv: has no column film; add it"), "x.csv: has no column film; add it"),
        (FileNotFoundError(2, "No such file", "x.toml"), "No such file: 'x.toml'"),
        (OutputError(Path("x"), OSError(28, "No space left")), "cannot write x: No space left"),
        (FloatingPointError("the loss is nan; lower the rate"), "the loss is nan; lower the rate"),
        (MemoryError("lower loop.batch_size"), "lower loop.batch_size"),
        (MemoryError(), "not enough memory"),
        (BrokenProcessPool("A process was terminated abruptly"), "use fewer workers"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_user_can_mend_is_one_line(error: Exception, says: str) -> None:
    done = call(raising(error))
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("mandora: ")
    assert says in line


@pytest.mark.parametrize(
    "error",
    [
        ValueError("operands could not be broadcast together"), KeyError("mcp2"),
        ZeroDivisionError("division by zero"), RuntimeError("no"), AssertionError(),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "no text"), bad_settings(),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_a_fault_of_the_program_is_shown_as_one(error: Exception) -> None:
    done = call(raising(error))
    assert done.exit_code == 3
    assert isinstance(done.exception, SystemExit)
    assert "Traceback" in done.stderr
    assert ", in body" in done.stderr
    assert "mandora: a fault of this program, not of the input: " in done.stderr
    assert "please report" in done.stderr


def test_ctrl_c_and_an_exit_code_of_a_command_are_no_faults() -> None:
    import typer

    done = call(raising(KeyboardInterrupt()))
    assert (done.exit_code, done.stderr) == (
        130, "mandora: interrupted; finished results are kept\n"
    )  # fmt: skip
    assert call(raising(typer.Exit(7))).exit_code == 7


def test_a_reader_that_leaves_ends_a_command_in_silence() -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", "import mandora.cli.main as c; c.main()", "bundle", "show"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert run.stdout is not None
    run.stdout.close()
    assert run.stderr is not None
    assert run.stderr.read() == b""
    run.stderr.close()
    assert run.wait(60) != 0


def test_only_packages_of_others_are_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load("core.errors", "train").InputError is InputError
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        load("no_such_module", "train")
    monkeypatch.delitem(sys.modules, "mandora.training.losses", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    done = call(lambda: load("training.losses", "train"))
    assert done.exit_code == 2
    assert "pip install 'mandora[train]'" in done.stderr


# --- the log ----------------------------------------------------------------------------------


def all_commands() -> Iterator[tuple[str, Any]]:
    def walk(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, (*words, name))
            else:
                yield " ".join((*words, name)), command

    return walk(get_command(app), ())


def test_every_command_has_both_options_and_keeps_its_own() -> None:
    commands = dict(all_commands())
    assert {"score", "train locate", "bundle show", "bench inference", "reproduce"} <= set(commands)
    for name, command in commands.items():
        options = {option for p in command.params for option in p.opts}
        assert {"--verbose", "--debug"} <= options, name
        assert command.help, name
    assert "--template" in {o for p in commands["score"].params for o in p.opts}


def chat() -> None:
    LOG.info("one film is read")
    LOG.debug("it has 4 px")


def test_a_command_says_nothing_of_what_it_does_unless_it_is_asked() -> None:
    assert call(chat).stderr == ""
    told = call(chat, "--verbose").stderr
    assert "INFO mandora.test: one film is read" in told
    assert "4 px" not in told
    told = call(chat, "--debug", "--name", "you").stderr
    assert "one film is read" in told
    assert "DEBUG mandora.test: it has 4 px" in told
    # and what it was asked is over with the call
    assert call(chat).stderr == ""
    assert logging.getLogger("mandora").level == logging.NOTSET


def test_debug_shows_where_a_call_that_cannot_be_used_was_refused() -> None:
    done = call(raising(InputError("no film")), "--debug")
    assert done.exit_code == 2
    assert ", in body" in done.stderr
    assert done.stderr.splitlines()[-1] == "mandora: no film"
    assert "Traceback" not in call(raising(InputError("no film")), "--verbose").stderr


def test_the_log_leaves_the_bar_and_what_steers_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # rich draws as on a terminal
    monkeypatch.setenv("TERM", "xterm")

    def body() -> None:
        with Progress(show=True) as progress:
            progress.step(1, 2)
            LOG.info("film \x1b[2J-LH.jpg is read")
            progress.step(2, 2)

    told = call(body, "--verbose").stderr
    assert "100%" in told
    lines = [line for line in told.replace("\r", "\n").split("\n") if "is read" in line]
    assert len(lines) == 1
    assert "%" not in lines[0]
    assert "\x1b[2J" not in told
    assert r"\x1b[2J" in told


def test_importing_the_package_sets_up_no_log() -> None:
    code = (
        "import logging, mandora.scoring.pipeline, mandora.scoring\n"
        "log = logging.getLogger('mandora')\n"
        "assert [type(h) for h in log.handlers] == [logging.NullHandler], log.handlers\n"
        "assert not logging.getLogger().handlers\n"
        "logging.getLogger('mandora.scoring.failures').error('a fault')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_scoring_tells_of_patients_and_films(
    tiny_bundle: Path, small_films: Path, tmp_path: Path
) -> None:
    words = ["score", small_films / "P1-LF.png", "--bundle", tiny_bundle, "--threads", 1]

    def told(*more: str) -> list[str]:
        given = [*words, "--out", tmp_path / "out", *more]
        done = CliRunner().invoke(app, [str(word) for word in given])
        assert done.exit_code == 0, done.output
        return done.stderr.splitlines()

    assert told() == []
    verbose, debug = told("--verbose"), told("--debug")
    assert any("model tiny 0.1" in line for line in verbose)
    assert any("P1: 1 of 1 films used, 12 scores" in line for line in verbose)
    assert not any("examined in" in line for line in verbose)
    assert any("P1-LF.png: read in" in line and "12 of 12 scores" in line for line in debug)
