"""Whole training runs: a folder in which the stages leave what a bundle needs.

``locate-hand/``, ``locate-foot/`` and ``damage/`` hold checkpoints, history and settings of
the networks; beside them lie ``locate-hand.onnx``, ``locate-foot.onnx``, ``damage.onnx`` and
``symmetry.npz``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora import __version__
from mandora.anatomy import SLOTS, TARGETS, Limb
from mandora.bundle import (
    DAMAGE_FILE,
    LOCATE_FILES,
    SYMMETRY_FILE,
    Bundle,
    BundleInfo,
    Contract,
    DamageContract,
    Licence,
    LocateContract,
    SymmetryContract,
    write_bundle,
)
from mandora.images.radiograph import Radiograph
from mandora.phantom.patients import draw_patient, mean_shape, simulate_film
from mandora.pipeline import Pipeline, Stages
from mandora.records import ModelInfo
from mandora.settings import (
    Settings,
    TrainDamageSettings,
    TrainLocateSettings,
    TrainSymmetrySettings,
)
from mandora.symmetry.forest import blend
from mandora.training.damage import train_damage
from mandora.training.export import export_damage, export_locator
from mandora.training.locate import train_locator
from mandora.training.symmetry import train_forest

Report = Callable[[str], None]
HELD_SHARE = 0.2  # of the symmetry stage's patients, for the numbers in the card


def run_locate(limb: Limb, settings: TrainLocateSettings, run: Path, report: Report) -> None:
    """Train and export one limb's localiser."""
    folder = _open(run / f"locate-{limb}", settings)
    network = train_locator(limb, settings.network, settings.loop, settings.films, folder, report)
    worst = export_locator(network, settings.network, run / LOCATE_FILES[limb])
    report(f"{run / LOCATE_FILES[limb]} (export differs by at most {worst:.1g})")


def run_damage(settings: TrainDamageSettings, run: Path, report: Report) -> None:
    """Train and export the damage network."""
    folder = _open(run / "damage", settings)
    network = train_damage(settings.network, settings.loop, settings.patients, folder, report)
    worst = export_damage(network, settings.network, run / DAMAGE_FILE)
    report(f"{run / DAMAGE_FILE} (export differs by at most {worst:.1g})")


def run_symmetry(settings: TrainSymmetrySettings, run: Path, report: Report) -> None:
    """Train the trees on patch scores of patients that the networks never saw.

    The patients' patch scores are kept in ``symmetry/patch_scores.csv`` beside the truth. A
    fifth of the patients is held out to say what the trees gain; the trees of the bundle are
    then those trained on the rest.
    """
    folder = _open(run / "symmetry", settings)
    lacking = [n for n in (*LOCATE_FILES.values(), DAMAGE_FILE) if not (run / n).exists()]
    if lacking:
        raise ValueError(f"{run} lacks {', '.join(lacking)}; train those stages first")
    report(f"scoring {settings.patients} simulated patients")
    patch, truth = patch_scores(settings, run)
    _write_scores(folder / "patch_scores.csv", patch, truth)
    held = max(1, round(HELD_SHARE * settings.patients))
    forest = train_forest(patch[held:], truth[held:], settings.forest)
    forest.save(run / SYMMETRY_FILE)
    final = blend(patch[:held], forest.predict(patch[:held]), settings.forest.blend)
    numbers = {"held_out_patients": held, **_agreement(patch[:held], final, truth[:held])}
    (folder / "metrics.json").write_text(json.dumps(numbers, indent=2), encoding="utf-8")
    report("  ".join(f"{k} {v:.3g}" for k, v in numbers.items()))


def patch_scores(
    settings: TrainSymmetrySettings, run: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 86) patch scores at predicted joints, NaN where missing, and (N, 86) true grades."""
    score = partial(_patch_scores, settings, run)
    workers = settings.forest.threads
    if workers == 1:
        rows = [score(i) for i in range(settings.patients)]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            rows = list(pool.map(score, range(settings.patients), chunksize=4))
    return np.array([r[0] for r in rows]), np.array([r[1] for r in rows])


@cache
def _networks(run: Path) -> Pipeline:
    """The run's networks without trees, once in each process."""
    paths = {n: run / n for n in (*LOCATE_FILES.values(), DAMAGE_FILE)}
    model = ModelInfo(
        bundle="run", bundle_version="0", bundle_sha256="0" * 64, preset="fast", software={}
    )
    return Pipeline(Stages.load(contract_of(run), paths, threads=1), model)


def _patch_scores(
    settings: TrainSymmetrySettings, run: Path, index: int
) -> tuple[Sequence[float], Sequence[float]]:
    pipeline = _networks(run)
    patient = draw_patient(settings.cohort_seed, index)
    seen: dict[str, float] = {}
    for slot in SLOTS:
        film = simulate_film(patient, slot, pixels_per_mm=settings.pixels_per_mm)
        name = f"{patient.name}-{slot.code}"
        seen.update(pipeline.examine(slot, Radiograph(film.pixels, name, "0" * 64)).scores)
    return (
        [seen.get(t.key, np.nan) for t in TARGETS],
        [float(patient.grades[t.key]) for t in TARGETS],
    )


def make_bundle(run: Path, out: Path, name: str, version_: str) -> Bundle:
    """Turn a finished run into a bundle.

    Raises:
        ValueError: if a stage is missing, or the folder is taken.
    """
    names = (*LOCATE_FILES.values(), DAMAGE_FILE, SYMMETRY_FILE)
    lacking = [n for n in names if not (run / n).exists()]
    if lacking:
        raise ValueError(f"{run} lacks {', '.join(lacking)}; train those stages first")
    packages = ("torch", "kornia", "onnx", "scikit-learn", "numpy", "scipy", "pillow")
    data = "simulated films only; no patient's film"
    info = BundleInfo(
        name=name, version=version_, preset="fast", created=f"{datetime.now(UTC):%Y-%m-%d}",
        contract=contract_of(run),
        licence=Licence(spdx="Apache-2.0", note=f"trained on {data}"),
        software={"mandora": __version__, **{p: version(p) for p in packages}},
        training_data=data,
    )  # fmt: skip
    files: dict[str, bytes | Path] = {n: run / n for n in names}
    files["card.md"] = _card(run, info).encode()
    return write_bundle(out, info, files)


def contract_of(run: Path) -> Contract:
    """How the run's files are to be used, from the settings they were trained with.

    Raises:
        ValueError: if the two localisers were trained with networks of other settings: a
            contract states one input for both.
    """
    locators = {
        limb: TrainLocateSettings.from_toml(run / f"locate-{limb}" / "settings.toml").network
        for limb in Limb
    }
    locate = locators[Limb.HAND]
    if locators[Limb.FOOT] != locate:
        raise ValueError(
            f"the localisers of hand and foot in {run} were trained with other network settings; "
            "train one of them again"
        )
    damage = TrainDamageSettings.from_toml(run / "damage" / "settings.toml").network
    trees = run / "symmetry" / "settings.toml"
    symmetry = TrainSymmetrySettings.from_toml(trees) if trees.exists() else TrainSymmetrySettings()
    template = {
        limb: tuple((round(float(x), 4), round(float(y), 4)) for x, y in mean_shape(limb))
        for limb in Limb
    }
    return Contract(
        locate=LocateContract.of(locate, template),
        damage=DamageContract.of(damage),
        symmetry=SymmetryContract.of(symmetry.forest),
    )


def _open(folder: Path, settings: Settings) -> Path:
    """The folder of one stage; refuses to go on with other settings than it was begun with."""
    folder.mkdir(parents=True, exist_ok=True)
    path, text = folder / "settings.toml", settings.to_toml()
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{folder} was begun with other settings, see {path}; use another --out or remove it"
        )
    path.write_text(text, encoding="utf-8")
    return folder


def _write_scores(path: Path, patch: NDArray[np.float64], truth: NDArray[np.float64]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["patient", "target", "patch_score", "true_grade"])
        for i in range(len(patch)):
            for k, target in enumerate(TARGETS):
                value = patch[i, k]
                shown = "" if np.isnan(value) else f"{value:.4f}"
                table.writerow([i, target.key, shown, f"{truth[i, k]:.0f}"])


def _agreement(
    patch: NDArray[np.float64], final: NDArray[np.float64], truth: NDArray[np.float64]
) -> dict[str, float]:
    """Pearson's r of each family, before and after the trees, over joints."""
    numbers = {}
    for code in ("nh", "nf", "eh", "ef"):
        columns = [i for i, t in enumerate(TARGETS) if t.site.code.startswith(code)]
        wanted = truth[:, columns].ravel()
        for name, table in (("patch", patch), ("final", final)):
            got = table[:, columns].ravel()
            known = np.isfinite(got)
            numbers[f"r_{code}_{name}"] = float(np.corrcoef(got[known], wanted[known])[0, 1])
    return numbers


def _card(run: Path, info: BundleInfo) -> str:
    """The model card: what it is, what it was measured to do, what it must not be used for."""
    lines = [
        f"# {info.name} {info.version}", "",
        "For research use only. Not a medical device.", "",
        f"Preset `{info.preset}`. Trained on {info.training_data}. Weights: {info.licence.spdx}.",
        "",
        "## Measured on held-out simulated films", "",
        "| stage | numbers |", "|---|---|",
    ]  # fmt: skip
    for stage in ("locate-hand", "locate-foot", "damage"):
        history = run / stage / "history.jsonl"
        if history.exists():
            last = json.loads(history.read_text(encoding="utf-8").splitlines()[-1])
            kept = {k: v for k, v in last.items() if k not in ("epoch", "loss", "minutes")}
            lines.append(
                f"| {stage} | " + ", ".join(f"{k} {v:.3f}" for k, v in kept.items()) + " |"
            )
    metrics = run / "symmetry" / "metrics.json"
    if metrics.exists():
        numbers = json.loads(metrics.read_text(encoding="utf-8"))
        lines.append("| symmetry | " + ", ".join(f"{k} {v:.3g}" for k, v in numbers.items()) + " |")
    lines += [
        "", "`locate`: error as a share of the film's longer side. `damage`: joint-space Dice and "
        "r over joints at jittered true positions. `symmetry`: r over joints at predicted "
        "positions, before (`patch`) and after the trees (`final`).", "",
        "## Limits", "",
        "Simulated films are simpler than real ones: scores of real films are not validated. "
        "Views of the hand from its back and of the foot from its top only.", "",
    ]  # fmt: skip
    return "\n".join(lines)
