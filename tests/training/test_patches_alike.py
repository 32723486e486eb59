"""The patch that training cuts from a film is the one that scoring cuts from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mandora.core.anatomy import (
    LANDMARK_INDEX,
    LANDMARKS,
    LIMB_SIZE_ENDS,
    SLOTS,
    TARGETS,
    JointGroup,
    Limb,
    Side,
    Slot,
)
from mandora.core.geometry import Points
from mandora.core.records import ModelInfo
from mandora.core.settings import (
    LocateSettings,
    SymmetrySettings,
    TrainDamageSettings,
    TrainLocateSettings,
    preset,
)
from mandora.damage.patches import Patch
from mandora.damage.scorer import PatchScore, network_landmark
from mandora.datasets.dataset import Dataset, DatasetFilm
from mandora.images.read import read_radiograph
from mandora.locate.template import limb_template
from mandora.model.contract import Contract, DamageContract, SymmetryContract
from mandora.model.loading import Stages
from mandora.scoring.pipeline import Pipeline
from mandora.simulate.cohort.patients import draw_patient, simulate_film

pytest.importorskip("torch")
pytest.importorskip("kornia")

from mandora.training import patches
from mandora.training.bundles import locate_contract
from mandora.training.damage import DamageTask
from mandora.training.films import LabelledFilms
from mandora.training.patches import prepare_patches, stored_px

MODEL = ModelInfo(
    bundle="fake", bundle_version="1", bundle_sha256="0" * 64, preset="fast", software={}
)


@dataclass
class Template:
    """A localiser that need not look."""

    template: Points


@dataclass
class Recorder:
    """A scorer that keeps what it is given."""

    seen: list[Patch] = field(default_factory=list)

    def score(self, patches: Sequence[Patch]) -> list[PatchScore]:
        self.seen = list(patches)
        return [PatchScore(1.0, 1.0, np.zeros((4, 4), np.float32)) for _ in patches]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[Slot, DatasetFilm]:
    """A film of each slot; those of the right side lie on their side."""
    folder, made = tmp_path_factory.mktemp("films"), {}
    for slot in SLOTS:
        film = simulate_film(draw_patient(5, 0), slot, pixels_per_mm=4)
        pixels, landmarks = film.bright, film.landmarks
        if slot.side is Side.RIGHT:
            landmarks = np.column_stack([landmarks[:, 1], pixels.shape[1] - 1 - landmarks[:, 0]])
            pixels = np.rot90(pixels)
        path = folder / f"P1-{slot.code}.png"
        Image.fromarray(np.round(pixels * 255).astype(np.uint8)).save(path)
        made[slot] = DatasetFilm("P1", slot, path, landmarks)
    return made


def trained_on(
    film: DatasetFilm, settings: TrainDamageSettings, folder: Path
) -> dict[int, NDArray[np.float32]]:
    """What the network sees in training, without changes, by the landmark's index."""
    dataset = Dataset(folder, "manifest", (film,), (), {"P1": np.zeros(len(TARGETS))})
    limb, network = film.slot.limb, settings.network
    source = LabelledFilms(dataset, limb, folder)
    side_px = stored_px(network, settings.changes)
    made = prepare_patches(source, network, side_px, folder, 1, lambda *_: None)
    assert made.refused == {}
    task = DamageTask({limb: source}, settings, {limb: made}, {limb: made})
    seen, numbers = task.sample(len(LANDMARKS[limb]))
    return dict(zip((numbers - network_landmark(limb, 0)).tolist(), seen, strict=True))


def scored(film: DatasetFilm, settings: TrainDamageSettings) -> dict[int, Patch]:
    """What is cut when joints lie where they are known to be."""
    limb = film.slot.limb
    contract = Contract(
        locate=locate_contract(LocateSettings()),
        damage=DamageContract.of(settings.network),
        symmetry=SymmetryContract.of(SymmetrySettings()),
    )
    recorder, template = Recorder(), Template(np.array(limb_template(limb)))
    stages: Any = Stages({limb: template}, recorder, None, contract)  # type: ignore[dict-item]
    Pipeline(stages, MODEL).examine(film.slot, read_radiograph(film.path), film.landmarks)
    return {patch.landmark: patch for patch in recorder.seen}


@pytest.mark.parametrize("design", ["fast", "paper"])
@pytest.mark.parametrize("code", [slot.code for slot in SLOTS])
@pytest.mark.parametrize("lacking", [False, True])
def test_training_and_scoring_cut_the_same_patches(
    films: dict[Slot, DatasetFilm],
    code: str,
    design: str,
    lacking: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # as if nobody erred
    monkeypatch.setattr(patches, "PLACE_ERROR", dict.fromkeys(JointGroup, 0.0))
    monkeypatch.setattr(patches, "SIZE_ERROR", 0.0)
    settings, film = preset(design, TrainDamageSettings), films[Slot.parse(code)]
    if lacking:  # one of the two landmarks that the unit of the mean shape is stated in
        landmarks = film.landmarks.copy()
        landmarks[LANDMARK_INDEX[film.slot.limb][LIMB_SIZE_ENDS[film.slot.limb][1]]] = np.nan
        film = replace(film, landmarks=landmarks)
    taught, seen = trained_on(film, settings, tmp_path), scored(film, settings)
    assert taught.keys() == seen.keys()
    assert len(seen) == np.isfinite(film.landmarks).all(axis=1).sum()
    for landmark, patch in seen.items():
        channels = patch.pixels.reshape(-1, *patch.pixels.shape[-2:])
        # stored patches have 8 bits, or 16: on a faint film half a step is much of its contrast
        least = max(0.08, 0.55 / 255 / patch.grey.std())
        for got, channel in zip(taught[landmark], channels, strict=True):
            assert np.abs(got - channel).max() < least * channel.std() + 1e-6


def test_bundles_state_the_shape_that_training_measures_by() -> None:
    template = locate_contract(preset("fast", TrainLocateSettings).network).template
    for limb in Limb:
        np.testing.assert_array_equal(template[limb], limb_template(limb))
