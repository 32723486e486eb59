"""Size, speed and accuracy of the packaged networks with 8-bit convolutions.

    python benchmarks/int8.py [PATIENTS [SEED]]

Quantises each network of the packaged model with films of a few simulated patients and compares
it with the float one on films of others (12 of seed 41 if not told otherwise): both in turn, in
one run, on two threads. Then both models score all patients from their films, networks that were
refused as float. Prints one row for each network, and one for the whole. Needs the train extra.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mandora.core.anatomy import SLOTS, TARGETS, Limb, Side, Slot
from mandora.core.geometry import Affine, fit_similarity, limb_size
from mandora.core.inference import Arrays, Network
from mandora.core.records import ModelInfo
from mandora.damage.patches import cut_patches, window_box
from mandora.damage.scorer import network_input, network_landmark
from mandora.datasets.dataset import point_scores
from mandora.images.radiograph import Radiograph
from mandora.locate.published import FilmRule
from mandora.locate.views import views, whole_looks, zoomed_look
from mandora.model.bundle import Bundle, default_bundle, open_bundle
from mandora.model.contract import Contract, damage_file, locate_file
from mandora.model.loading import Stages
from mandora.scoring.pipeline import Pipeline
from mandora.simulate.cohort.patients import draw_patient, simulate_film
from mandora.training.quantise import Check, LandmarksHold, ScoresHold, quantise

CALIBRATION, CALIBRATION_SEED = 4, 40  # patients that set the ranges
PATIENTS, SEED = 12, 41
SEVERITY = 0.8  # films of a cohort's average patient show little to score
PIXELS_PER_MM = 5.0
THREADS, ROUNDS = 2, 5
PLACE_ERROR = 0.012  # of the localiser, in units of the limb


class Film(NamedTuple):
    slot: Slot
    pixels: np.ndarray
    landmarks: np.ndarray
    grades: np.ndarray


def main() -> None:
    patients, seed = (int(a) for a in (*sys.argv[1:3], *(PATIENTS, SEED)[len(sys.argv) - 1 :]))
    bundle = open_bundle(default_bundle())
    contract = bundle.manifest.contract
    learnt = [f for patient in simulated(CALIBRATION_SEED, CALIBRATION) for f in patient]
    cohort = list(simulated(seed, patients))
    held = [f for patient in cohort for f in patient]
    print(f"{bundle.manifest.name} {bundle.manifest.version}, {patients} patients of seed {seed}")
    print(f"{'file':<20} {'MB':>6} {'int8':>6} {'faster':>7}  measured")
    with tempfile.TemporaryDirectory() as folder:
        files = {name: bundle.path(name) for name in bundle.manifest.files}
        for limb in Limb:
            rule = FilmRule(
                contract.locate.input_px, contract.locate.channels, contract.locate.keep_aspect,
                contract.locate.heatmap_stride, contract.locate.decode,
                contract.locate.found_threshold,
            )  # fmt: skip
            calls = list(looks(limb, learnt, contract)), list(looks(limb, held, contract))
            check = LandmarksHold(calls[1], rule.read, rule.stride)
            row(bundle, locate_file(limb), calls, check, files, Path(folder))
        calls = list(patches(learnt, contract)), list(patches(held, contract))
        truth = np.concatenate([film.grades for film in held])
        row(bundle, damage_file(), calls, ScoresHold(calls[1], truth), files, Path(folder))
        whole(cohort, bundle, files)


def simulated(seed: int, patients: int) -> Iterator[list[Film]]:
    for index in range(patients):
        patient = draw_patient(seed, index, severity=SEVERITY)
        grades = np.array([patient.grades[t.key] for t in TARGETS], float)
        films = []
        for slot in SLOTS:
            film = simulate_film(patient, slot, pixels_per_mm=PIXELS_PER_MM)
            films.append(Film(slot, film.bright, film.landmarks, point_scores(grades, slot)))
        yield films


def looks(limb: Limb, films: Sequence[Film], contract: Contract) -> Iterator[Arrays]:
    """What a localiser sees: the whole film and its mirror image, then the limb alone."""
    template, size = np.array(contract.locate.template[limb]), contract.locate.input_px
    for film in films:
        if film.slot.limb is limb:
            height, width = film.pixels.shape
            sign = -1.0 if film.slot.side is Side.RIGHT else 1.0
            matrix = fit_similarity(template * [sign, 1], film.landmarks) * [sign, 1, 1]
            to_film = Affine(matrix, "template", "film")
            seen = [
                *whole_looks((0, 0, width, height), size, views((0,))),
                zoomed_look(template, to_film, limb, size, inverted=False),
            ]
            yield {"film": np.stack([look.sample(film.pixels, size) for look in seen])[:, None]}


def patches(films: Sequence[Film], contract: Contract) -> Iterator[Arrays]:
    """What the damage network sees: the patches of one film, about where the joints are."""
    rng = np.random.default_rng(0)
    for film in films:
        limb, mirrored = film.slot.limb, film.slot.side is Side.RIGHT
        template = np.array(contract.locate.template[limb])
        unit = limb_size(film.landmarks, template)
        found = film.landmarks + rng.normal(0, PLACE_ERROR * unit, film.landmarks.shape)
        boxes = {
            i: window_box(limb, i, xy, unit * contract.damage.half_window, contract.damage.enlarged)
            for i, xy in enumerate(found)
        }
        cut = cut_patches(film.pixels, limb, boxes, contract.damage.patch_px, mirrored=mirrored)
        landmarks = [network_landmark(limb, patch.landmark) for patch in cut]
        yield {"patches": network_input(cut), "points": np.array(landmarks, np.int64)}


def row(
    bundle: Bundle, name: str, calls: tuple[list[Arrays], list[Arrays]], check: Check,
    files: dict[str, Path], folder: Path,
) -> None:  # fmt: skip
    report = quantise(bundle.path(name), folder / name, calls[0], check, THREADS)
    numbers = ", ".join(
        f"{key} {value:.4g}" + (f" (≤ {report.limits[key]:g})" if key in report.limits else "")
        for key, value in report.numbers.items()
    )
    faster = 1.0
    if report.accepted:
        networks = [Network(path, THREADS) for path in (files[name], folder / name)]
        runs = [partial(run_all, network, calls[1][:12]) for network in networks]
        faster = ratio(runs[0], runs[1])
        files[name] = folder / name
    verdict = "accepted" if report.accepted else "REFUSED, float is kept"
    size = f"{report.bytes_before / 1e6:>6.2f} {report.bytes_after / 1e6:>6.2f}"
    print(f"{name:<20} {size} {faster:>6.2f}×  {verdict}: {numbers}")


def run_all(network: Network, calls: Sequence[Arrays]) -> None:
    for call in calls:
        network(**call)


def ratio(before: Callable[[], Any], after: Callable[[], Any]) -> float:
    """How much faster the second is: median over rounds, each of both."""
    ratios = []
    for _ in range(ROUNDS):
        times = []
        for run in (before, after):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        ratios.append(times[0] / times[1])
    return statistics.median(ratios)


def whole(cohort: Sequence[Sequence[Film]], bundle: Bundle, files: dict[str, Path]) -> None:
    """Both models on whole patients: located, scored, through the trees."""
    contract, scores, seconds = bundle.manifest.contract, [], []
    model = ModelInfo(
        bundle="int8", bundle_version="0", bundle_sha256="0" * 64, preset="fast", software={}
    )
    original = {name: bundle.path(name) for name in files}
    pipelines = [
        Pipeline(Stages.load(contract, paths, THREADS), model) for paths in (original, files)
    ]
    for films in cohort:
        rows, times = [], []
        for pipeline in pipelines:
            start, found = time.perf_counter(), {}
            for film in films:
                name = f"{film.slot.code}.png"
                found.update(
                    pipeline.examine(film.slot, Radiograph(film.pixels, name, "0" * 64)).scores
                )
            times.append(time.perf_counter() - start)
            rows.append([found.get(t.key, np.nan) for t in TARGETS])
        scores.append(rows)
        seconds.append(times)
    table = np.array(scores)
    change = np.abs(table[:, 1] - table[:, 0])
    totals = np.abs(np.nansum(table[:, 1], axis=1) - np.nansum(table[:, 0], axis=1))
    before, after = np.median(seconds, axis=0)
    sizes = [sum(path.stat().st_size for path in one.values()) for one in (original, files)]
    print(
        f"{'whole model':<20} {sizes[0] / 1e6:>6.2f} {sizes[1] / 1e6:>6.2f} "
        f"{before / after:>6.2f}×  patch scores change by {np.nanmean(change):.4f} on average, "
        f"{np.nanmax(change):.2f} at most, totals by {totals.mean():.2f}; scored by one only: "
        f"{int((np.isnan(table[:, 0]) != np.isnan(table[:, 1])).sum())}; "
        f"{before:.2f} s → {after:.2f} s per patient without reading and writing"
    )


if __name__ == "__main__":
    main()
