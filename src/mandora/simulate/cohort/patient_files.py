"""Files of one simulated patient: films of every visit, masks, and rows for the tables."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mandora.core.anatomy import LANDMARKS, SLOTS, Limb, Slot
from mandora.core.files import write_atomically
from mandora.core.ra2 import RA2_COLUMNS, RA2_ID
from mandora.core.settings import SimulateSettings
from mandora.datasets.formats.labelled_film import LabelledFilm
from mandora.datasets.formats.labelme import labelme_document
from mandora.datasets.outlines import Outline, clipped, outlines_of, site_name
from mandora.simulate.cohort.patients import (
    Patient,
    bone_names,
    draw_patient,
    simulate_film,
    simulate_pair,
    true_row,
)
from mandora.simulate.cohort.progression import visits
from mandora.simulate.cohort.readers import READER_COLUMNS, READERS_CSV, reading_rows
from mandora.simulate.xray.render import SimulatedFilm

MASKS = ("spaces", "erosions", "bones")
PAIRS_FOLDER = "pairs"
ORIENTATION = "upright"  # fingers and toes point up

TABLES: Mapping[str, tuple[str, ...]] = {
    "training.csv": RA2_COLUMNS,
    "template.csv": RA2_COLUMNS,
    "truth/visits.csv": ("patient", "visit", "years"),
    "truth/films.csv": (
        "film", "limb", "side", "orientation", "width", "height", "spacing_mm", "inverted",
    ),
    "truth/joints.csv": ("film", "limb", "side", "site", "x", "y"),
    "truth/latent.csv": (
        "patient", "film", "site", "loss", "focal", "shift", "fused", "narrowing", "erosions",
    ),
    "truth/erosions.csv": (
        "patient", "film", "site", "anchor", "weight", "radius", "depth", "reach", "inset",
    ),
    READERS_CSV: READER_COLUMNS,
}  # fmt: skip
"""The columns of each table of a visit's folder, by its path there."""


@dataclass(frozen=True)
class VisitRows:
    """Rows of a patient for the tables and polygon files of one visit.

    Attributes:
        tables: rows by the table's path, see :data:`TABLES`.
        spaces: joint spaces of each film.
        bones: bones of each film, before erosion and within the film.
    """

    tables: Mapping[str, list[list[str]]] = field(default_factory=lambda: {t: [] for t in TABLES})
    spaces: list[LabelledFilm] = field(default_factory=list)
    bones: list[LabelledFilm] = field(default_factory=list)


def visit_folder(out: Path, visit: int) -> Path:
    """The folder of a visit: the cohort's own for the first, ``visit-2`` … in it for others."""
    return out if visit == 1 else out / f"visit-{visit}"


@cache
def bone_labels() -> tuple[str, ...]:
    """Labels of the outlines of all bones, such as ``hand-mc3``."""
    return tuple(f"{limb}-{name}" for limb in Limb for name in bone_names(limb))


def write_patient(settings: SimulateSettings, out: Path, index: int) -> list[VisitRows]:
    """Write the films of a patient with their masks.

    Args:
        settings: of the cohort.
        out: its folder; the subfolders of each visit exist.
        index: of the patient.

    Returns:
        The patient's rows for the tables of each visit.

    Raises:
        OSError: if a file cannot be written; no file is left half written.
    """
    patients = visits(draw_patient(settings.seed, index), settings.visits)
    return [_write_visit(settings, visit_folder(out, p.visit), p) for p in patients]


def _write_visit(settings: SimulateSettings, folder: Path, patient: Patient) -> VisitRows:
    rows = rows_without_films(patient)
    for slot in SLOTS:
        film = simulate_film(
            patient, slot, wide=settings.wide, pixels_per_mm=settings.pixels_per_mm
        )
        _write_film(film, folder, f"{patient.name}-{slot.code}", rows)
    if settings.pairs:
        for limb in Limb:
            both = simulate_pair(
                patient, limb, wide=settings.wide, pixels_per_mm=settings.pixels_per_mm
            )
            for film in both:
                name = f"{patient.name}-{limb.plural}-{film.side}"
                image = f"{PAIRS_FOLDER}/{patient.name}-{limb.plural}.jpg"
                _write_film(film, folder, name, rows, image)
    return rows


def rows_without_films(patient: Patient) -> VisitRows:
    """A patient's rows for the tables that do not depend on films."""
    rows = VisitRows()
    row = true_row(patient)
    rows.tables["training.csv"].append([row[column] for column in RA2_COLUMNS])
    rows.tables["template.csv"].append([row[c] if c == RA2_ID else "" for c in RA2_COLUMNS])
    rows.tables["truth/visits.csv"].append(
        [patient.name, str(patient.visit), f"{patient.years:.3f}"]
    )
    rows.tables[READERS_CSV].extend(reading_rows(patient))
    for slot in SLOTS:
        _add_latent(patient, slot, rows)
    return rows


def _write_film(
    film: SimulatedFilm, folder: Path, name: str, rows: VisitRows, image: str | None = None
) -> None:
    """Write a film, ``<name>.jpg`` unless ``image`` is given, and the masks of its limb."""
    height, width = film.spaces.shape
    image = image or f"{name}.jpg"
    _save(Image.fromarray((film.pixels * 255 + 0.5).astype(np.uint8)), folder / image, "JPEG")
    bones = _bone_outlines(film)
    masks = {"spaces": film.spaces, "erosions": film.erosions, "bones": _bone_map(film, bones)}
    for kind in MASKS:
        _save(Image.fromarray(masks[kind]), folder / "truth" / kind / f"{name}.png", "PNG")
    spaces = outlines_of(film.spaces, film.limb)
    landmarks = {
        site_name(p): (float(x), float(y))
        for p, (x, y) in zip(LANDMARKS[film.limb], film.landmarks, strict=True)
    }
    document = labelme_document(spaces, f"../../{image}", (width, height), landmarks)
    write_atomically(folder / "truth" / "labelme" / f"{name}.json", json.dumps(document).encode())
    rows.spaces.append(LabelledFilm(image, (width, height), spaces))
    rows.bones.append(LabelledFilm(image, (width, height), bones))
    rows.tables["truth/films.csv"].append(
        [image, film.limb, film.side, ORIENTATION, str(width), str(height),
         f"{film.spacing_mm:.6f}", str(int(film.inverted))]
    )  # fmt: skip
    rows.tables["truth/joints.csv"].extend(
        [image, film.limb, film.side, p.name, f"{x:.2f}", f"{y:.2f}"]
        for p, (x, y) in zip(LANDMARKS[film.limb], film.landmarks, strict=True)
    )


def _add_latent(patient: Patient, slot: Slot, rows: VisitRows) -> None:
    image = f"{patient.name}-{slot.code}.jpg"
    for site, state in patient.states[slot].items():
        where = [patient.name, image, site]
        rows.tables["truth/latent.csv"].append(
            [*where, f"{state.loss:.5f}", str(int(state.focal)), f"{state.shift:.5f}",
             str(int(state.fused)), f"{state.narrowing_score:.5f}", str(len(state.erosions))]
        )  # fmt: skip
        rows.tables["truth/erosions.csv"].extend(
            [*where, str(e.anchor), str(e.weight)]
            + [f"{measure:.5f}" for measure in (e.radius, e.depth, e.reach, e.inset)]
            for e in state.erosions
        )


def _bone_map(film: SimulatedFilm, bones: Sequence[Outline]) -> NDArray[np.uint8]:
    """(H, W) uint8, 1 + index of the bone in ``bone_names``; later bones cover earlier ones."""
    height, width = film.spaces.shape
    image = Image.new("L", (width, height), 0)
    canvas = ImageDraw.Draw(image)
    labels = {f"{film.limb}-{n}": i for i, n in enumerate(bone_names(film.limb), start=1)}
    for bone in sorted(bones, key=lambda b: labels[b.site]):
        canvas.polygon([tuple(p) for p in bone.points.tolist()], fill=labels[bone.site])
    return np.array(image)


def _bone_outlines(film: SimulatedFilm) -> tuple[Outline, ...]:
    height, width = film.spaces.shape
    inside = {name: clipped(outline, (width, height)) for name, outline in film.bones.items()}
    return tuple(Outline(f"{film.limb}-{n}", points) for n, points in inside.items() if len(points))


def _save(image: Image.Image, path: Path, kind: str) -> None:
    data = io.BytesIO()
    image.save(data, format=kind, **({"quality": 92} if kind == "JPEG" else {}))
    write_atomically(path, data.getvalue())
