"""Results as one HTML page, and its tables as CSV.

The page needs nothing but itself: pictures are embedded, there is no script, and nothing is
loaded from elsewhere. Vector figures and CSV tables lie beside it and are linked.
"""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

import jinja2

from mandora.core.csv_text import csv_text
from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.records import RESEARCH_NOTICE
from mandora.metrics import Number
from mandora.metrics.bootstrap import Interval

PAGE_FILE, TABLES_FOLDER = "report.html", "tables"
REASON_COLUMN = "why there is no value"
_BESIDE = (("SVG", ".svg"), ("PDF", ".pdf"), ("PNG", ".png"))

Cell = str | int | float | Number | None
"""A value of a table. NaN and None are missing; a :class:`Number` says why."""


@dataclass(frozen=True)
class FigureView:
    """A figure as it stands in the page.

    Attributes:
        png: its file, relative to the page's folder, e.g. ``figures/fig3.png``. The SVG and PDF
            of the same name are linked if they are there.
        caption: below the figure.
        alt: what is to be seen, for those who hear the page; the caption if empty.

    Raises:
        ValueError: if ``png`` is no PNG below the folder, or there is no caption.
    """

    png: str
    caption: str
    alt: str = ""

    def __post_init__(self) -> None:
        _check_below(self.png, ".png")
        if not self.caption.strip():
            raise InputError(f"{self.png} has no caption; say what is to be seen")


@dataclass(frozen=True)
class TableView:
    """A table as it stands in the page and in a CSV file.

    Attributes:
        title: above the table.
        columns: their headings; the first column names the rows.
        rows: as long as ``columns``. The page shows floats with ``digits``, the CSV with all.
            Where a number is missing and says why, a last column gives the reasons.
        csv: the file's name in ``tables/``, e.g. ``fig3.csv``.
        digits: decimals of floats in the page.
        shown: so many rows stand in the page; the CSV has all. None: all.

    Raises:
        ValueError: if a row is too short or too long, or ``csv`` is no name of a CSV file.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    csv: str
    digits: int = 3
    shown: int | None = None

    def __post_init__(self) -> None:
        _check_below(self.csv, ".csv")
        if "/" in self.csv:
            raise InputError(f"{self.csv!r} names a folder; give the name of a file alone")
        if not self.columns:
            raise InputError(f"table {self.title!r} has no columns; give at least one")
        for i, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise InputError(
                    f"table {self.title!r}: row {i} has {len(row)} cells, but there are "
                    f"{len(self.columns)} columns; give one cell for each, None where missing"
                )


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        id: the heading's anchor, letters, digits and hyphens.
        title: the heading.
        text: what was found; blank lines part paragraphs.
        figures: below, in that order.
        tables: below the figures.

    Raises:
        ValueError: if the id cannot be an anchor.
    """

    id: str
    title: str
    text: str
    figures: tuple[FigureView, ...] = ()
    tables: tuple[TableView, ...] = ()

    def __post_init__(self) -> None:
        if not self.id.replace("-", "").isalnum() or not self.id.isascii():
            raise InputError(f"section id {self.id!r}: use letters, digits and hyphens only")


def interval_heads(words: str) -> list[str]:
    """Headings of the three columns of a number with its interval, see :func:`interval_cells`."""
    return [words, f"{words}, low", f"{words}, high"]


def interval_cells(interval: Interval) -> list[Cell]:
    """Number, lower and upper end: three cells of a table's row."""
    return [interval.number, interval.low, interval.high]


def write_page(
    folder: Path,
    head: Mapping[str, object],
    sections: Sequence[Section],
    template: jinja2.Template | None = None,
    **more: object,
) -> Path:
    """Write ``report.html`` and ``tables/*.csv``.

    A figure whose PNG is not there is named as missing; the rest of the page is whole.

    Args:
        folder: an existing one, with the figures; older files of the same names are replaced.
        head: facts about the run, by the words that stand before them: data set, patients,
            films, versions, date. Mappings and sequences become lists.
        sections: in the order of the page.
        template: as from :func:`page_template`; None: the plain page.
        more: what the template needs beside these.

    Returns:
        The path of the page. Equal arguments and figures give equal files.

    Raises:
        ValueError: if two sections have the same id, or two tables the same file.
        OSError: if a file cannot be written.
    """
    _check_unique("section id", [section.id for section in sections])
    tables = [table for section in sections for table in section.tables]
    _check_unique("table file", [table.csv for table in tables])
    for table in tables:
        write_table(folder, table)
    page = (template or page_template("page.html.j2")).render(
        notice=RESEARCH_NOTICE,
        head=[(name, _words(value)) for name, value in head.items()],
        sections=[_section(folder, section) for section in sections],
        **more,
    )
    path = folder / PAGE_FILE
    write_atomically(path, page.encode())
    return path


@lru_cache
def page_template(name: str, package: str = "mandora.evaluation") -> jinja2.Template:
    """A template of a package's folder ``templates``; it may extend ``page.html.j2``."""
    packages = dict.fromkeys((package, "mandora.evaluation"))
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(p, "templates") for p in packages]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def write_table(folder: Path, table: TableView) -> Path:
    """Write a table to ``tables/`` as UTF-8 CSV, numbers with all their digits.

    What is missing is empty. If some missing number says why, there is one more column,
    :data:`REASON_COLUMN`, which names the column if the row has several.
    """
    path = folder / TABLES_FOLDER / table.csv
    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = _reasons(table)
    rows = [[*table.columns, REASON_COLUMN] if reasons else list(table.columns)]
    for i, row in enumerate(table.rows):
        rows.append([*map(_exact, row), *([reasons.get(i, "")] if reasons else [])])
    write_atomically(path, csv_text(rows).encode())
    return path


def _check_below(path: str, ending: str) -> None:
    parts = PurePosixPath(path).parts
    if not path.endswith(ending) or path == ending or path.startswith("/") or ".." in parts:
        raise InputError(f"{path!r}: give the name of a {ending} file inside the page's folder")
    if any(c in '\\:*?"<>|#%' or not c.isprintable() for c in path):
        raise InputError(f"{path!r} cannot be linked: use letters, digits, '-', '_' and '.'")


def _check_unique(what: str, names: Sequence[str]) -> None:
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        raise InputError(f"{what} used twice: {', '.join(twice)}; give each its own")


def _value(cell: Cell) -> str | int | float | None:
    """The cell without its reason; None if it is missing."""
    value = cell.value if isinstance(cell, Number) else cell
    if value is None or isinstance(value, str):
        return value
    return None if math.isnan(value) else value


def _exact(cell: Cell) -> str:
    value = _value(cell)
    # a NumPy float's repr is not a number
    return "" if value is None else repr(float(value)) if _is_float(value) else str(value)


def _shown(cell: Cell, digits: int) -> str:
    value = _value(cell)
    if value is None:
        return "–"
    if _is_float(value):
        return f"{value:,.{digits}f}".replace("-", "−")
    return value if isinstance(value, str) else f"{value:,}".replace("-", "−")


def _is_float(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, Integral)


def _reasons(table: TableView) -> dict[int, str]:
    """By row, why values are missing."""
    made = {}
    for i, row in enumerate(table.rows):
        missing = {
            str(column): cell.reason
            for column, cell in zip(table.columns, row, strict=True)
            if isinstance(cell, Number) and cell.reason
        }
        if len(missing) == 1:
            made[i] = next(iter(missing.values()))
        elif missing:
            made[i] = "; ".join(f"{column}: {reason}" for column, reason in missing.items())
    return made


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float, Number)):
        return _shown(value, 1)
    return "–" if value is None else str(value)


def _section(folder: Path, section: Section) -> dict[str, Any]:
    return {
        "id": section.id,
        "title": section.title,
        "text": paragraphs(section.text),
        "figures": [_figure(folder, figure) for figure in section.figures],
        "tables": [_table(table) for table in section.tables],
    }


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text that blank lines part."""
    return [part.strip() for part in text.split("\n\n") if part.strip()]


def _figure(folder: Path, figure: FigureView) -> dict[str, Any]:
    path = folder / figure.png
    image = None
    if path.is_file():
        image = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    beside = [
        (kind, PurePosixPath(figure.png).with_suffix(ending).as_posix())
        for kind, ending in _BESIDE
        if path.with_suffix(ending).is_file()
    ]
    alt = figure.alt or figure.caption
    return {"png": figure.png, "image": image, "caption": figure.caption, "alt": alt,
            "beside": beside}  # fmt: skip


def _table(table: TableView) -> dict[str, Any]:
    reasons = _reasons(table)
    shown = len(table.rows) if table.shown is None else min(table.shown, len(table.rows))
    known = [[_value(row[i]) for row in table.rows] for i in range(len(table.columns))]
    numeric = [not any(isinstance(value, str) for value in column) for column in known]
    return {
        "title": table.title,
        "columns": list(zip(table.columns, numeric, strict=True)),
        "rows": [
            ([_shown(cell, table.digits) for cell in row], reasons.get(i, ""))
            for i, row in enumerate(table.rows[:shown])
        ],
        "numeric": numeric,
        "has_reasons": bool(reasons),
        "reason_column": REASON_COLUMN,
        "csv": f"{TABLES_FOLDER}/{table.csv}",
        "total": len(table.rows),
    }
