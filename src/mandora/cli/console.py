"""What all commands show on a terminal, and how they end: progress, warnings, exit codes.

Rich is imported when a bar is shown, so that help stays quick.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

import typer

from mandora.core.errors import InputError
from mandora.core.terminal import printable, write_line

NOTICE = "For research use only; not a medical device."
EXIT_SOME_FAILED, EXIT_UNUSABLE, EXIT_FAULT, EXIT_INTERRUPTED = 1, 2, 3, 130
INTERRUPTED = "mandora: interrupted; finished results are kept"
_NO_MEMORY = (
    "there is not enough memory, or a process was killed because it ran out; use fewer workers or "
    "threads, close other programs, or use a machine with more memory"
)
_LOG = logging.getLogger(__name__)


def fail(message: object) -> NoReturn:
    """End a call that cannot be used, with the reason."""
    number = getattr(message, "errno", None)
    write_line(f"mandora: {str(message).removeprefix(f'[Errno {number}] ')}", err=True)
    raise typer.Exit(EXIT_UNUSABLE)


@contextmanager
def faults_end_the_call() -> Iterator[None]:
    """Turn what is raised into words and an exit code.

    What the user can correct is one line. Anything else is a fault of this program: it is shown
    with its traceback, so that it can be reported and is not taken for a wrong call.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise  # typer ends the call; silently, if nobody reads its output any more
    except KeyboardInterrupt:
        write_line(INTERRUPTED, err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except (InputError, OSError, FloatingPointError) as error:
        _LOG.debug("where it failed", exc_info=error)
        fail(error)
    except (MemoryError, BrokenExecutor) as error:
        _LOG.debug("where it failed", exc_info=error)
        # training says what to lower; other texts come from a library, or are empty
        fail(error if type(error) is MemoryError and error.args else _NO_MEMORY)
    except Exception as error:
        write_line("".join(traceback.format_exception(error)).rstrip(), err=True)
        what = f"{type(error).__name__}: {error}"
        write_line(f"mandora: a fault of this program, not of the input: {what}", err=True)
        write_line("finished results are kept; please report the lines above", err=True)
        raise typer.Exit(EXIT_FAULT) from None


def load(module: str, extra: str) -> Any:
    """A module of this package that needs the packages of an extra, or a call to install them.

    Args:
        module: its name without ``mandora.``
        extra: name of the extra, or of several: ``train,explain``.
    """
    try:
        return import_module(f"mandora.{module}")
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "mandora":
            raise
        fail(f"this command needs more packages ({error}): pip install 'mandora[{extra}]'")


class Progress:
    """A bar on standard error, and lines of text that do not break it."""

    def __init__(self, *, show: bool) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.total = 0
        console = Console(stderr=True)
        self._bar = Progress(console=console, disable=not (show and console.is_terminal))
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def step(self, done: int, total: int) -> None:
        """Show how many of the items are done."""
        self.total = total
        self._bar.update(self._task, completed=done, total=total)

    def warn(self, text: str) -> None:
        """One line on standard error."""
        self._say(text, err=True)

    def report(self, text: str) -> None:
        """One line on standard output; above the bar while there is one."""
        self._say(text, err=False)

    def _say(self, text: str, *, err: bool) -> None:
        if self._bar.disable:
            write_line(text, err=err)
        else:
            self._bar.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
