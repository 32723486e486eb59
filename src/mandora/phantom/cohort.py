"""Simulated patients: who has which damage, and the films of it.

Every number is drawn from (seed, patient, purpose), so that a film does not depend on which
other films are made, in which order, or by how many processes.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.special import ndtri

from mandora import __version__
from mandora.anatomy import (
    POINT_INDEX,
    POINTS,
    RA2_COLUMNS,
    RA2_ID,
    RA2_TOTALS,
    SLOTS,
    TARGETS,
    UNIT_ENDS,
    Damage,
    JointGroup,
    Limb,
    Slot,
    Target,
)
from mandora.cohorts.polygons import (
    Film,
    labelme_document,
    outlines_of,
    read_labelme,
    site_name,
    write_coco,
)
from mandora.phantom.damage import JointState, draw_state
from mandora.phantom.exposure import Imaging
from mandora.phantom.foot import build_foot
from mandora.phantom.hand import WRIST_ANCHORS, build_hand
from mandora.phantom.readers import READER_COLUMNS, READERS_CSV, reading_rows
from mandora.phantom.render import Placement, SimulatedFilm, render
from mandora.phantom.skeleton import Traits
from mandora.settings import SimulateSettings

# purposes of a random stream; readers.py has the next one
_TRAITS, _GRADES, _SHAPE, _FILM = range(4)

# Share of joints that reach at least grade 1, 2, … in a cohort of average severity. Most
# joints of people with RA score 0; the foot's erosion counts two bone sides.
_SHARES: dict[tuple[Limb, Damage], tuple[float, ...]] = {
    (Limb.HAND, Damage.NARROWING): (0.30, 0.18, 0.09, 0.025),
    (Limb.FOOT, Damage.NARROWING): (0.28, 0.17, 0.09, 0.025),
    (Limb.HAND, Damage.EROSION): (0.24, 0.14, 0.08, 0.035, 0.018),
    (Limb.FOOT, Damage.EROSION): tuple(0.26 * 0.74**k for k in range(10)),
}

# What damage has in common, as shares of the variance: the patient, hands or feet, the kind of
# damage, the same joint of both sides, one joint's narrowing and erosion, one side, neighbours
# in the wrist. What is left over is each joint's own.
_COMMON = {
    "patient": 0.42, "limb": 0.08, "damage": 0.06, "pair": 0.14, "joint": 0.10, "side": 0.03,
    "group": 0.05,
}  # fmt: skip


@dataclass(frozen=True)
class Patient:
    """One simulated patient.

    Attributes:
        name: study id.
        seed: of the cohort.
        index: within the cohort.
        traits: build of the bones.
        states: latent damage of each film's places.
        grades: true SvH grade by target key.
    """

    name: str
    seed: int
    index: int
    traits: Traits
    states: Mapping[Slot, Mapping[str, JointState]]
    grades: Mapping[str, int]


def draw_patient(
    seed: int, index: int, *, severity: float = 0.0, immature_share: float = 0.0
) -> Patient:
    """Patient ``index`` of cohort ``seed``.

    Args:
        seed: of the cohort.
        index: within the cohort.
        severity: 0 is an ordinary cohort; each unit moves it by one s.d. of damage.
        immature_share: share of patients with open growth plates.
    """
    traits = Traits.draw(np.random.default_rng([seed, index, _TRAITS]), immature_share)
    rng = np.random.default_rng([seed, index, _GRADES])
    grades = _draw_grades(rng, severity)
    states: dict[Slot, dict[str, JointState]] = {}
    for slot in SLOTS:
        by_name: dict[str, dict[Damage, int]] = {}
        for target in TARGETS:
            if target.slot == slot:
                by_name.setdefault(target.site.name, {})[target.damage] = grades[target]
        wrist = {t.site.name for t in TARGETS if t.site.group is JointGroup.WRIST}
        states[slot] = {
            name: draw_state(
                rng, kinds.get(Damage.NARROWING, 0), kinds.get(Damage.EROSION, 0), slot.limb,
                WRIST_ANCHORS if name in wrist else 4,
            )
            for name, kinds in by_name.items()
        }  # fmt: skip
    return Patient(
        _name(index), seed, index, traits, states,
        {t.key: g for t, g in grades.items()},
    )  # fmt: skip


def _draw_grades(rng: np.random.Generator, severity: float) -> dict[Target, int]:
    """Correlated grades: a Gaussian copula with the families' shares as thresholds."""
    drawn: dict[tuple[object, ...], float] = {}

    def common(kind: str, *what: object) -> float:
        key = (kind, *what)
        if key not in drawn:
            drawn[key] = float(rng.standard_normal()) * float(np.sqrt(_COMMON[kind]))
        return drawn[key]

    own = float(np.sqrt(1 - sum(_COMMON.values())))
    grades = {}
    for t in TARGETS:
        z = (
            common("patient") + common("limb", t.limb) + common("damage", t.damage)
            + common("pair", t.limb, t.site.name) + common("joint", t.slot, t.site.name)
            + common("side", t.side) + common("group", t.slot, t.site.group, t.damage)
            + own * float(rng.standard_normal()) + severity
        )  # fmt: skip
        limits = -ndtri(np.array(_SHARES[t.limb, t.damage]))
        grades[t] = int(np.searchsorted(limits, z))
    return grades


def simulate_film(
    patient: Patient, slot: Slot, *, wide: bool = False, pixels_per_mm: float | None = None
) -> SimulatedFilm:
    """One film of a patient.

    Args:
        patient: as drawn.
        slot: which limb.
        wide: cover bad framing and exposure as well, for training.
        pixels_per_mm: fixed resolution; drawn like real cohorts if absent.
    """
    place = SLOTS.index(slot)
    shape = np.random.default_rng([patient.seed, patient.index, _SHAPE, slot.limb is Limb.HAND])
    film = np.random.default_rng([patient.seed, patient.index, _FILM, place])
    build = build_hand if slot.limb is Limb.HAND else build_foot
    skeleton = build(patient.traits, patient.states[slot], shape, film)
    placement = Placement.draw(skeleton, slot.side, film, wide=wide, pixels_per_mm=pixels_per_mm)
    return render(skeleton, placement, Imaging.draw(film, wide=wide), film)


def true_row(patient: Patient) -> dict[str, str]:
    """The patient's row of RA2's ``training.csv``."""
    row = {RA2_ID: patient.name}
    for name, kinds in RA2_TOTALS.items():
        row[name] = str(sum(patient.grades[t.key] for t in TARGETS if t.damage in kinds))
    row.update({t.ra2_column: str(patient.grades[t.key]) for t in TARGETS})
    return row


BYTES_PER_PATIENT = 3_000_000  # four films, masks and tables; measured on 20 patients


def simulate_cohort(
    settings: SimulateSettings,
    out: Path,
    *,
    force: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Write a cohort in RA2 layout with its truth.

    ``<id>-LH.jpg`` …, ``training.csv``, ``template.csv`` and ``truth/`` with ``joints.csv``
    (every point, px), ``readers.csv`` (two readers' grades of every target), ``spaces/`` and
    ``erosions/`` (PNG label maps: 1 + index of the point),
    ``labelme/`` and ``coco.json`` (the joint spaces as polygons of annotation tools)
    and ``cohort.json`` (settings and version).

    Args:
        settings: size, seed, resolution, processes.
        out: a folder that does not exist or is empty, unless ``force``.
        force: overwrite files of an earlier cohort.
        progress: called with the number of finished patients.

    Raises:
        ValueError: if the folder is not empty or too little disk space is free.
        OSError: if a file cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; give a folder for the cohort")
    if out.exists() and any(out.iterdir()) and not force:
        raise ValueError(f"{out} is not empty; give another folder or use --force to overwrite")
    for kind in ("spaces", "erosions", "labelme"):
        (out / "truth" / kind).mkdir(parents=True, exist_ok=True)
    need, free = settings.patients * BYTES_PER_PATIENT, shutil.disk_usage(out).free
    if need > free:
        raise ValueError(
            f"{settings.patients} patients need about {need / 1e9:.1f} GB, {out} has "
            f"{free / 1e9:.1f} GB free; ask for fewer patients or another disk"
        )
    with (
        (out / "training.csv").open("w", newline="", encoding="utf-8") as scores_file,
        (out / "template.csv").open("w", newline="", encoding="utf-8") as template_file,
        (out / "truth" / "joints.csv").open("w", newline="", encoding="utf-8") as joints_file,
        (out / READERS_CSV).open("w", newline="", encoding="utf-8") as readers_file,
    ):
        scores = csv.DictWriter(scores_file, RA2_COLUMNS)
        template = csv.DictWriter(template_file, RA2_COLUMNS)
        joints = csv.writer(joints_file)
        readers = csv.writer(readers_file)
        scores.writeheader()
        template.writeheader()
        joints.writerow(["film", "limb", "side", "site", "x", "y"])
        readers.writerow(READER_COLUMNS)
        for done, (row, places, readings) in enumerate(_made(settings, out), start=1):
            scores.writerow(row)
            template.writerow({RA2_ID: row[RA2_ID]})
            joints.writerows(places)
            readers.writerows(readings)
            progress(done)
    write_coco(out / "truth" / "coco.json", _outlined(settings, out))
    about = {"software": f"mandora {__version__}", "settings": settings.model_dump(mode="json")}
    (out / "truth" / "cohort.json").write_text(json.dumps(about, indent=2), encoding="utf-8")


Made = tuple[dict[str, str], list[list[str]], list[list[str]]]


def _made(settings: SimulateSettings, out: Path) -> Iterator[Made]:
    make = partial(_write_patient, settings, out)
    if settings.workers == 1:
        yield from map(make, range(settings.patients))
        return
    with ProcessPoolExecutor(settings.workers, mp_context=get_context("spawn")) as pool:
        # in slices, so that memory stays flat in the number of patients
        for start in range(0, settings.patients, 64):
            yield from pool.map(make, range(start, min(start + 64, settings.patients)))


def _outlined(settings: SimulateSettings, out: Path) -> Iterator[Film]:
    """The outlines of every film, one film at a time: a large cohort's would fill the memory."""
    for index in range(settings.patients):
        for slot in SLOTS:
            film = read_labelme(out / "truth" / "labelme" / f"{_name(index)}-{slot.code}.json")
            yield film.image_name, film.size, film.outlines


def _name(index: int) -> str:
    return f"SIM{index + 1:04d}"


def _write_patient(settings: SimulateSettings, out: Path, index: int) -> Made:
    patient = draw_patient(settings.seed, index)
    places = []
    for slot in SLOTS:
        film = simulate_film(patient, slot, pixels_per_mm=settings.pixels_per_mm)
        name = f"{patient.name}-{slot.code}"
        grey = Image.fromarray((film.pixels * 255 + 0.5).astype(np.uint8))
        _save(grey, out / f"{name}.jpg", quality=92)
        _save(Image.fromarray(film.spaces), out / "truth" / "spaces" / f"{name}.png")
        _save(Image.fromarray(film.erosions), out / "truth" / "erosions" / f"{name}.png")
        _save_outlines(film, out, name)
        places += [
            [f"{name}.jpg", slot.limb, slot.side, p.name, f"{x:.2f}", f"{y:.2f}"]
            for p, (x, y) in zip(POINTS[slot.limb], film.points, strict=True)
        ]
    return true_row(patient), places, reading_rows(patient)


def _save(image: Image.Image, path: Path, **options: int) -> None:
    """Write a picture whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        image.save(part, format="JPEG" if path.suffix == ".jpg" else "PNG", **options)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _save_outlines(film: SimulatedFilm, out: Path, name: str) -> None:
    """Write the film's joint spaces and points as a LabelMe file."""
    height, width = film.spaces.shape
    points = {
        site_name(p): (float(x), float(y))
        for p, (x, y) in zip(POINTS[film.limb], film.points, strict=True)
    }
    document = labelme_document(
        outlines_of(film.spaces, film.limb), f"../../{name}.jpg", (width, height), points
    )
    path = out / "truth" / "labelme" / f"{name}.json"
    path.write_text(json.dumps(document), encoding="utf-8")


def mean_shape(limb: Limb) -> NDArray[np.float64]:
    """(N, 2) mean of the points of a simulated left limb, centred, in units of its size."""
    build = build_hand if limb is Limb.HAND else build_foot
    shapes = []
    for index in range(200):
        rng = np.random.default_rng([index, _SHAPE])
        skeleton = build(Traits(), {}, np.random.default_rng([index]), rng)
        shapes.append((skeleton.points - skeleton.points.mean(axis=0)) / skeleton.unit)
    mean = np.mean(shapes, axis=0)
    # the mean of shapes of size 1 is a little smaller
    first, last = (mean[POINT_INDEX[limb][name]] for name in UNIT_ENDS[limb])
    return np.asarray(mean / np.linalg.norm(first - last))
