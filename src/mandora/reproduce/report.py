"""The report on the paper: what it states beside what a run found, and a verdict on each claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mandora.evaluation.page import Section, page_template, paragraphs, write_page
from mandora.reproduce.claims import SORTS, Verdict, counts


@dataclass(frozen=True)
class Result:
    """One experiment.

    Attributes:
        section: what was found.
        paper: what the paper states, in short and in our words; blank lines part paragraphs.
            Empty if the experiment goes beyond the paper.
        verdicts: on the claims that it tests.
    """

    section: Section
    paper: str = ""
    verdicts: tuple[Verdict, ...] = ()


def write_report(
    folder: Path,
    head: Mapping[str, object],
    results: Sequence[Result],
    verdicts: Sequence[Verdict],
) -> Path:
    """Write ``report.html`` and ``tables/*.csv``, see :func:`mandora.evaluation.page.write_page`.

    Args:
        folder: an existing one, with the figures.
        head: facts about the run.
        results: in the order of the report.
        verdicts: on all claims, see :func:`mandora.reproduce.claims.complete`.

    Returns:
        The path of the report.

    Raises:
        ValueError: if two sections have the same id, or two tables the same file.
        OSError: if a file cannot be written.
    """
    return write_page(
        folder, head, [result.section for result in results],
        page_template("report.html.j2", "mandora.reproduce"),
        sorts=[
            (sort, SORTS[sort], found, [v for v in verdicts if v.claim.sort == sort])
            for sort, found in counts(verdicts).items()
        ],
        section_of={v.claim.id: result.section.id for result in results for v in result.verdicts},
        results={
            result.section.id: {"paper": paragraphs(result.paper), "verdicts": result.verdicts}
            for result in results
        },
    )  # fmt: skip
