"""The commands that read films: ``mandora score``, ``locate`` and ``challenge``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mandora.cli.app import Commands
from mandora.cli.console import EXIT_SOME_FAILED, NOTICE, Progress, fail, load
from mandora.cli.options import (
    BundleOption,
    IdKeyOption,
    JsonOption,
    KeepIdsOption,
    ManifestOption,
    StrictOption,
    ThreadsOption,
    open_model,
)
from mandora.core.anatomy import Damage, Limb, Side
from mandora.core.terminal import printable, write_line

if TYPE_CHECKING:
    from mandora.archive.web import WebArchive
    from mandora.core.records import StudyResult, Total
    from mandora.core.totals import Part
    from mandora.scoring import Summary

MAX_SHOWN = 20  # patients in the table of totals; totals.csv has them all
_KINDS = (Damage.NARROWING, Damage.EROSION, None)  # the columns of totals

commands = Commands()


@commands.command()
def score(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(help="Films, DICOM files, zip archives, or folders of them."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("mandora-out"),
    template: Annotated[
        Path | None, typer.Option(help="CSV file whose columns and order scores.csv gets.")
    ] = None,
    manifest: ManifestOption = None,
    strict: StrictOption = False,
    keep_ids: KeepIdsOption = False,
    id_key: IdKeyOption = None,
    bundle: BundleOption = None,
    example: Annotated[
        bool, typer.Option("--example", help="Score the packaged example patient.")
    ] = False,
    dicom: Annotated[
        bool, typer.Option("--dicom", help="Also write results as DICOM objects.")
    ] = False,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="DICOM objects and films without identity.")
    ] = False,
    dicomweb: Annotated[
        str | None, typer.Option(help="URL of a DICOMweb service that has the films.")
    ] = None,
    study: Annotated[
        list[str] | None, typer.Option(help="Study Instance UID there; may be repeated.")
    ] = None,
    store: Annotated[
        bool, typer.Option("--store", help="Send the DICOM objects to the service.")
    ] = False,
    threads: ThreadsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Score every joint of one or many patients.

    `mandora intake` shows whose films they are taken for. Writes scores.csv, joints.csv,
    totals.csv, quality.csv, summary.json, results/, overlays/ and reports/, and dicom/ with
    --dicom. With --dicomweb, films are fetched from there; no other call uses the network. Exit
    code 0: all scored; 1: some files, films or joints failed, each with its reason; 2: the input or
    an option cannot be used; 3: a fault of the program; 130: stopped by Ctrl-C.
    """
    from mandora.core.files import OutputError
    from mandora.datasets.intake.plan import Intake
    from mandora.scoring import EXAMPLE, example_films, example_truth, score_films

    web = None
    if dicomweb is not None or study or store:
        web = _web_archive(dicomweb, bool(study), bool(inputs or manifest or example))
        if store and deidentify:
            fail("--store sends results to the patient's study, --deidentify takes it off: choose")
    elif not inputs and not example and manifest is None:
        fail("name at least one film or folder, or use --manifest or --example")
    if (inputs or manifest) and example:
        named = ", ".join(str(path) for path in (*(inputs or ()), manifest) if path)
        fail(f"--example scores the packaged patient alone: leave out --example, or {named}")
    if deidentify and not dicom:
        fail("--deidentify is about the DICOM objects: add --dicom, or leave it out")
    chosen = example_films() if example else inputs or []
    intake = Intake(manifest, strict, keep_ids, id_key)
    model = open_model(bundle)
    try:
        with Progress(show=not as_json) as progress, _films(web, study, out, progress) as fetched:
            summary = score_films(
                chosen if fetched is None else fetched, out,
                bundle=model, template=template, intake=intake, threads=threads,
                dicom="deidentified" if deidentify else "as given" if dicom or store else None,
                progress=progress.step, warn=progress.warn,
            )  # fmt: skip
    except OutputError as error:
        fail(f"{error}; finished results are kept")
    if as_json:
        write_line(summary.to_json())
    else:
        print_summary(summary, {EXAMPLE: example_truth()} if example else {})
        if deidentify:
            write_line("Text in the pictures is not removed: look at all films in dicom/ first.")
    stored = not store or _store(web, out, study or [])
    if summary.problems or not stored:
        raise typer.Exit(EXIT_SOME_FAILED)


def _web_archive(url: str | None, study: bool, others: bool) -> WebArchive:
    if url is None or not study:
        fail("--dicomweb, --study and --store go together: give the service's URL and a study")
    if others:
        fail("--dicomweb says where the films are: leave out other films, --manifest, --example")
    web = load("archive.web", "archive")
    from mandora.core.settings import WebSettings

    archive: WebArchive = web.WebArchive(WebSettings(url=url))
    if archive.unencrypted:
        write_line(f"films and results are sent without encryption: {archive.host}", err=True)
    return archive


@contextmanager
def _films(
    web: WebArchive | None, studies: list[str] | None, out: Path, progress: Progress
) -> Iterator[list[Path] | None]:
    """Films of an archive; None without one."""
    if web is None:
        yield None
        return
    from mandora.archive.fetch import fetched

    with fetched(web, studies or [], out, progress.step) as films:
        yield films


def _store(web: WebArchive | None, out: Path, studies: list[str]) -> bool:
    """Whether the objects of a run are in the archive."""
    from mandora.archive.errors import ArchiveError
    from mandora.archive.fetch import store_results

    assert web is not None  # --store goes with --dicomweb
    try:
        sent = store_results(web, out, studies)
    except ArchiveError as error:
        write_line(
            f"mandora: {error}; the objects are in {out / 'dicom'}: the same call again sends "
            "them, and the archive keeps one copy of each", err=True,
        )  # fmt: skip
        return False
    write_line(f"{sent} objects sent to {web.host}", err=True)
    return True


@commands.command()
def locate(
    films: Annotated[
        list[Path], typer.Argument(help="Films, DICOM files, zip archives, or folders of them.")
    ],
    out: Annotated[Path, typer.Option(help="CSV file for the landmarks.")],
    limb: Annotated[
        Limb | None, typer.Option(help="What all films show; found out if not given.")
    ] = None,
    side: Annotated[
        Side | None, typer.Option(help="The patient's side; found out if not given.")
    ] = None,
    manifest: ManifestOption = None,
    bundle: BundleOption = None,
    threads: ThreadsOption = 2,
) -> None:
    """Find the joints on films: film,limb,side,site,x,y,confidence in px of the film.

    Limb and side come from the options, else from the manifest, else from DICOM tags, else from
    names of file and folders, else from what the film looks like.
    """
    from mandora.datasets.intake.plan import Intake
    from mandora.scoring import locate_films

    model = open_model(bundle)
    with Progress(show=True) as progress:
        failed = locate_films(
            films, out, bundle=model, threads=threads, limb=limb, side=side,
            intake=Intake(manifest),
            progress=progress.step, warn=progress.warn,
        )  # fmt: skip
    write_line(f"{progress.total - failed} of {progress.total} films located: {out}")
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


@commands.command()
def challenge(
    test: Annotated[Path, typer.Argument(help="Folder with template.csv and the films.")],
    out: Annotated[Path, typer.Argument(help="Folder for predictions.csv.")],
    fill: Annotated[
        bool,
        typer.Option(
            "--fill",
            help="No blanks: a missing score gets what the patient's other joints let expect.",
        ),
    ] = False,
    bundle: BundleOption = None,
    threads: ThreadsOption = 2,
) -> None:
    """Predict what template.csv asks for, as the RA2 DREAM challenge wants it.

    Exit code 0: predictions.csv has all rows and no blank; 1: some cells are blank; 2: the input
    or an option cannot be used.
    """
    from mandora.scoring import PREDICTIONS_FILE, predict_template

    model = open_model(bundle)
    with Progress(show=True) as progress:
        missing = predict_template(
            test, out, bundle=model, threads=threads, fill=fill,
            progress=progress.step, warn=progress.warn,
        )  # fmt: skip
    write_line(f"{progress.total} patients: {out / PREDICTIONS_FILE}")
    if missing and not fill:
        raise typer.Exit(EXIT_SOME_FAILED)


def print_summary(summary: Summary, truth: Mapping[str, Mapping[str, float]]) -> None:
    """The totals of a scoring run, and all scores if there is one patient.

    Args:
        summary: of the run.
        truth: of patients whose true scores are known: patient id → target key → score.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mandora.core.totals import Part

    console = Console(highlight=False)
    if summary.only is not None:
        console.print(_joint_table(summary.only, truth.get(summary.only.study)))
    table = Table(title="Totals", title_justify="left")
    for title in ("patient", "scores", "totals of"):
        table.add_column(title, justify="right" if title == "scores" else "left")
    for kind in _KINDS:
        table.add_column(kind or "total", justify="right")
    shown = summary.results[:MAX_SHOWN]
    for patient in shown:
        name = f"{patient.patient} {patient.visit}" if patient.visit else patient.patient
        about = (Text(printable(name, one_line=True)), str(patient.scored))
        for part, cells in _totals_by_part(patient.totals).items():
            table.add_row(*about, part.title, *cells)
            about = (Text(), "")
            if part == Part() and patient.patient in truth:
                table.add_row("its true scores", "", "", *_true_totals(truth[patient.patient]))
    if shown:
        console.print(table)
    if len(summary.results) > len(shown):
        console.print(f"and {len(summary.results) - len(shown)} more patients, see totals.csv")
    if any(t.method == "pro-rated" for r in shown for t in r.totals):
        console.print("* pro-rated: some joints are missing", style="dim")
    write_line(f"{summary.scored} of {summary.patients} patients scored: {summary.out}")
    write_line(str(summary.files))
    console.print(NOTICE, style="dim")
    if summary.problems:
        items = "1 item" if len(summary.problems) == 1 else f"{len(summary.problems)} items"
        console.print(f"{items} failed; see joints.csv for the reasons.")


def _totals_by_part(totals: Sequence[Total]) -> dict[Part, list[str]]:
    """The largest parts of a patient that have totals, those as text, in order of ``_KINDS``."""
    from mandora.core.totals import Part, TotalOf, largest_parts

    by_name = {total.name: total for total in totals}
    known = {Part(t.limb, t.side) for t in totals if t.value is not None}
    rows = {}
    for part in largest_parts(known) or (Part(),):
        cells = []
        for kind in _KINDS:
            total = by_name[TotalOf(part, kind).name]
            mark = "*" if total.method == "pro-rated" else ""
            value = "–" if total.value is None else f"{total.value:.1f}{mark}"
            cells.append(f"{value} /{total.maximum}")
        rows[part] = cells
    return rows


def _true_totals(truth: Mapping[str, float]) -> list[str]:
    from mandora.core.anatomy import TARGETS
    from mandora.core.totals import Part, TotalOf, all_totals

    totals = all_totals([truth[target.key] for target in TARGETS])
    return [f"{totals[TotalOf(Part(), kind).name].value[0]:.1f}" for kind in _KINDS]


def _joint_table(result: StudyResult, truth: Mapping[str, float] | None) -> Any:
    from rich.table import Table
    from rich.text import Text

    from mandora.core.anatomy import SITES, Damage

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
