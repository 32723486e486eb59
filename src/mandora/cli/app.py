"""What all commands have in common: a log that can be turned on, and how they end."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Annotated, Any, TypeVar

import typer

from mandora.cli.console import faults_end_the_call
from mandora.core.terminal import write_line

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS = {
    "verbose": Annotated[bool, typer.Option("--verbose", help="Log each step on standard error.")],
    "debug": Annotated[
        bool, typer.Option("--debug", help="Log more, and where in the program an error arose.")
    ],
}


class Commands(typer.Typer):
    """Commands that have ``--verbose`` and ``--debug``, and all end in the same way."""

    def command(self, *args: Any, **kwargs: Any) -> Callable[[Function], Function]:
        """Register a function as a command, see :func:`mandora.cli.console.faults_end_the_call`."""
        register = super().command(*args, **kwargs)

        def add(function: Function) -> Function:
            register(_command(function))
            return function

        return add


def _command(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with both options, the log, and the common end."""

    @wraps(function)
    def run(*args: Any, verbose: bool, debug: bool, **kwargs: Any) -> None:
        with _logged(verbose=verbose, debug=debug), faults_end_the_call():
            function(*args, **kwargs)

    own = inspect.signature(function, eval_str=True)
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in _OPTIONS.items()
    ]
    # typer reads both
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), *more])  # type: ignore[attr-defined]
    run.__annotations__ = {**function.__annotations__, **_OPTIONS}
    return run


@contextmanager
def _logged(*, verbose: bool, debug: bool) -> Iterator[None]:
    """The package's log on standard error, for as long as a command runs."""
    if not (verbose or debug):
        yield
        return
    log, handler = logging.getLogger("mandora"), _OnStandardError()
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
    )
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


class _OnStandardError(logging.Handler):
    """Writes to the present standard error, which a progress bar replaces while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        write_line(self.format(record), err=True)
