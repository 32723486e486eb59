"""What the commands show on a terminal, and how they end: a bar, complaints, tables, exit codes.

Rich and the records are imported when something is shown, so that help stays quick.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

from mandora.core.errors import InputError
from mandora.core.terminal import printable, write_line

if TYPE_CHECKING:
    from mandora.core.records import StudyResult
    from mandora.datasets.check.data_set import CheckReport
    from mandora.scoring import Summary
    from mandora.simulate.cohort.statistics import CohortSummary

NOTICE = "For research use only; not a medical device."
EXIT_SOME_FAILED, EXIT_UNUSABLE, EXIT_FAULT, EXIT_INTERRUPTED = 1, 2, 3, 130
MAX_SHOWN = 20  # patients in the table of totals; scores.csv has them all
_NO_MEMORY = (
    "there is not enough memory, or a process was killed for want of it; use fewer workers or "
    "threads, close other programs, or take a machine with more memory"
)
_LOG = logging.getLogger(__name__)

Word = TypeVar("Word", bound=StrEnum)


def fail(message: object) -> NoReturn:
    """An unusable call: say why and leave."""
    number = getattr(message, "errno", None)
    write_line(f"mandora: {str(message).removeprefix(f'[Errno {number}] ')}", err=True)
    raise typer.Exit(EXIT_UNUSABLE)


@contextmanager
def faults_end_the_call() -> Iterator[None]:
    """Turn what is raised into words and an exit code.

    What whoever gave the call can mend is one line. Anything else is a fault of this program: it
    is shown with its traceback, so that it can be reported and is not taken for a wrong call.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise  # typer ends the call; in silence, if nobody reads its output any more
    except KeyboardInterrupt:
        write_line("mandora: interrupted; what was finished is kept", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except (InputError, OSError, FloatingPointError) as error:
        _LOG.debug("where it failed", exc_info=error)
        fail(error)
    except (MemoryError, BrokenExecutor) as error:
        _LOG.debug("where it failed", exc_info=error)
        # training says itself what to lower; other texts are those of a library, or none
        fail(error if type(error) is MemoryError and error.args else _NO_MEMORY)
    except Exception as error:
        write_line("".join(traceback.format_exception(error)).rstrip(), err=True)
        what = f"{type(error).__name__}: {error}"
        write_line(f"mandora: a fault of this program, not of what was given: {what}", err=True)
        write_line("what was finished is kept; please report the lines above", err=True)
        raise typer.Exit(EXIT_FAULT) from None


def lacks_packages(what: str, error: ImportError, extra: str) -> NoReturn:
    """What cannot be loaded: say what to install, unless it is a module of this package."""
    if (error.name or "").partition(".")[0] == "mandora":
        raise error
    fail(f"{what} needs more packages ({error}): pip install 'mandora[{extra}]'")


def one_of(option: str, kind: type[Word], value: str | None) -> Word | None:
    """A word as a member of an enumeration."""
    if value is None:
        return None
    if value not in tuple(kind):
        fail(f"{option} {value}: use {' or '.join(kind)}")
    return kind(value)


class Progress:
    """A bar on standard error, and complaints that do not break it."""

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
        """So much is done."""
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


def print_summary(summary: Summary, truth: Mapping[str, Mapping[str, float]]) -> None:
    """The totals of a scoring run, and all scores if there is one patient.

    Args:
        summary: of the run.
        truth: true scores by target key, of patients whose are known, by their ids.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if summary.only is not None:
        console.print(_joint_table(summary.only, truth.get(summary.only.study)))
    table = Table(title="Totals", title_justify="left")
    table.add_column("patient")
    table.add_column("joints scored", justify="right")
    for title in ("narrowing /168", "erosion /280", "total /448"):
        table.add_column(title, justify="right")
    shown = summary.results[:MAX_SHOWN]
    for patient in shown:
        totals = {total.name: total for total in patient.totals}
        cells = []
        for name in ("Overall_narrowing", "Overall_erosion", "Overall_Tol"):
            total = totals[name]
            mark = "*" if total.method == "pro-rated" else ""
            cells.append("–" if total.value is None else f"{total.value:.1f}{mark}")
        table.add_row(Text(printable(patient.patient, one_line=True)), str(patient.scored), *cells)
        if patient.patient in truth:
            table.add_row("its true scores", "", *_true_totals(truth[patient.patient]))
    if shown:
        console.print(table)
    if len(summary.results) > len(shown):
        console.print(f"and {len(summary.results) - len(shown)} more patients, see scores.csv")
    if any(t.method == "pro-rated" for r in shown for t in r.totals):
        console.print("* pro-rated: some joints are missing", style="dim")
    write_line(f"{summary.scored} of {summary.patients} patients scored: {summary.out}")
    console.print(NOTICE, style="dim")
    if summary.problems:
        items = "1 item" if len(summary.problems) == 1 else f"{len(summary.problems)} items"
        console.print(f"{items} failed; joints.csv says why.")


def print_cohort(summary: CohortSummary) -> None:
    """What a simulated cohort holds, next to what is published."""
    from rich.console import Console
    from rich.table import Table

    def table(title: str, *columns: str) -> Table:
        made = Table(title=title, title_justify="left")
        made.add_column("")
        for column in columns:
            made.add_column(column, justify="right")
        return made

    def cell(r: float | None, reason: str | None) -> str:
        return f"– ({reason})" if r is None else f"{r:.3f}"

    def number(value: float | None, form: str) -> str:
        return "–" if value is None else f"{value:{form}}"

    write_line(f"{summary.patients} patients, {summary.zeros:.1%} of the true grades are 0")
    zeros = table("Share of true grades that are 0", *summary.zeros_by_family)
    zeros.add_row("", *(f"{share:.3f}" for share in summary.zeros_by_family.values()))
    totals = table("True totals", *next(iter(summary.totals.values())))
    for name, quantiles in summary.totals.items():
        totals.add_row(name, *(f"{value:.1f}" for value in quantiles.values()))
    compared = table("Simulated and published", "simulated", "published")
    rows = {
        ("means", "mean of {}"): {k: f"{v:.1f}" for k, v in summary.means.items()},
        ("damaged", "{} above 0"): {k: f"{v:.1%}" for k, v in summary.damaged.items()},
        ("correlations", "r of totals, {}"): {
            k: cell(v.r, v.reason) for k, v in summary.correlations.items()
        },
        ("pairs", "mean r of {}"): {k: cell(v.r, v.reason) for k, v in summary.pairs.items()},
        ("readers", "r of the readers, {}"): {
            k: cell(v.r, v.reason) for k, v in summary.readers.items()
        },
    }
    for (group, words), values in rows.items():
        known = summary.published[group]
        for name in known:
            compared.add_row(words.format(name), values[name], known[name])
        compared.add_section()
    readers = table("The two readers", "r", "RMSE")
    for name, agreement in summary.readers.items():
        readers.add_row(name, cell(agreement.r, agreement.reason), f"{agreement.rmse:.3f}")
    shown = [zeros, totals, compared, readers]
    if summary.changes:
        changes = table(
            "Change since the first visit; SDC: smallest detectable change",
            "years", "mean", "SD", "> 0", "SDC", "≥ SDC",
        )  # fmt: skip
        for c in summary.changes:
            changes.add_row(
                f"{c.visit}: {c.total}", f"{c.years:.1f}", f"{c.mean:.2f}",
                number(c.sd, ".2f"), f"{c.progressed:.1%}", number(c.sdc, ".2f"),
                number(c.detectable, ".1%"),
            )  # fmt: skip
        shown.append(changes)
    for made in shown:
        Console(highlight=False).print(made)


def print_check(report: CheckReport) -> None:
    """Every finding of a data set, by severity and file, and what the data set holds."""
    from rich.console import Console

    from mandora.datasets.findings import Severity

    console = Console(highlight=False)
    for severity in Severity:
        found = [f for f in report.findings if f.severity is severity]
        if found:
            console.print(f"{severity.capitalize()}s", style="bold")
        file = None
        for finding in found:
            if finding.file != file:
                file = finding.file
                console.print(f"  {printable(file, one_line=True)}", markup=False, soft_wrap=True)
            row = "" if finding.row is None else f"row {finding.row}: "
            line = f"    {row}{finding.message} [{finding.code}]"
            console.print(printable(line), markup=False, soft_wrap=True)
    counts = {
        "patients": report.patients, "films": report.films, "pictures of joints": report.rois,
        "scores": report.scores, "marked joints": report.landmarks,
    }  # fmt: skip
    write_line(f"{report.layout}: {', '.join(f'{n} {name}' for name, n in counts.items())}")
    write_line(f"errors: {report.errors}, warnings: {report.warnings}, notes: {report.notes}")


def _true_totals(truth: Mapping[str, float]) -> list[str]:
    """Narrowing, erosion and both, as the table of totals shows them."""
    from mandora.core.anatomy import TARGETS, Damage

    kinds = [
        sum(truth[t.key] for t in TARGETS if t.damage is kind)
        for kind in (Damage.NARROWING, Damage.EROSION)
    ]
    return [f"{value:.1f}" for value in (*kinds, sum(kinds))]


def _joint_table(result: StudyResult, truth: Mapping[str, float] | None) -> Any:
    from rich.table import Table
    from rich.text import Text

    from mandora.core.anatomy import SITES, Damage, Limb, Side

    title = f"Scores of {printable(result.study, one_line=True)}"
    title += " (true scores)" if truth else ""
    table = Table(title=Text(title), title_justify="left")
    table.add_column("joint")
    for side in ("left", "right"):
        for kind in Damage:
            table.add_column(f"{side} {kind}", justify="right")
    by_key = {(s.limb, s.site, s.side, s.kind): s for s in result.scores}
    for limb in Limb:
        for name in dict.fromkeys(s.name for s in SITES if s.limb is limb):
            cells = []
            for side in Side:
                for kind in Damage:
                    found = by_key.get((limb, name, side, kind))
                    value = None if found is None else found.score
                    cell = "" if found is None else "–" if value is None else f"{value:.1f}"
                    true = "" if found is None or truth is None else f" ({truth[found.target]:g})"
                    cells.append(cell + true)
            table.add_row(f"{limb} {name}", *cells)
        table.add_section()
    return table
