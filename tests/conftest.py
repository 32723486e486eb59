"""What all tests share."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
FILMS = ROOT.parent / "shared" / "radiographs"

# The machines that run the tests differ in speed: an example that is slow is no error. On CI the
# same examples are drawn each time, so that a failure is one of the change under test.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def chromium_path() -> str | None:
    """Where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    no_films = pytest.mark.skip(reason=f"no real films in {FILMS}")
    no_browser = pytest.mark.skip(reason="no Chromium on this machine")
    for item in items:
        if item.get_closest_marker("films") and not FILMS.is_dir():
            item.add_marker(no_films)
        if item.get_closest_marker("browser") and chromium_path() is None:
            item.add_marker(no_browser)


@pytest.fixture
def read_in_pairs(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let a module read its films only if two threads read one each at the same time."""

    def patch(module: str) -> None:
        from mandora.images.read import read_radiograph

        both = threading.Barrier(2)

        def read(path: Path, *size: float) -> object:
            both.wait(timeout=30)
            return read_radiograph(path, *size)

        monkeypatch.setattr(f"{module}.read_radiograph", read)

    return patch


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to other machines: films and scores never leave this one."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = str(address[0]) if isinstance(address, tuple) else "local"
        if host not in {"local", "localhost", "::1"} and not host.startswith("127."):
            raise OSError(f"a test tried to reach {host}; only this machine is allowed")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def films() -> Path:
    """The folder with real films; a test that asks for it is skipped where there is none."""
    if not FILMS.is_dir():
        pytest.skip(f"no real films in {FILMS}")
    return FILMS


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium; a test that asks for it is skipped where there is none."""
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium on this machine")
    return path


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle that is quick and foolish, but behaves like a model.

    Its localisers put the mean shape of a limb where the film is bright, and find nothing where
    brightness has no large structure, as in noise. Its damage network has random weights, its
    trees learnt random numbers.
    """
    torch = pytest.importorskip("torch", reason="the test bundle is exported with torch")
    pytest.importorskip("sklearn", reason="the test bundle's trees are grown by scikit-learn")
    import numpy as np

    from mandora.core.anatomy import TARGETS, Limb
    from mandora.core.settings import DamageSettings, LocateSettings, SymmetrySettings
    from mandora.damage.network import DamageNet
    from mandora.locate.template import limb_template
    from mandora.model.bundle import BundleInfo, Licence, write_bundle
    from mandora.model.contract import (
        DAMAGE_FILE,
        LOCATE_FILES,
        SYMMETRY_FILE,
        Contract,
        DamageContract,
        LocateContract,
        SymmetryContract,
    )
    from mandora.training.export import export_damage, export_locator
    from mandora.training.symmetry import train_forest

    run = tmp_path_factory.mktemp("run")
    locate = LocateSettings(input_px=64, widths=(4, 4))
    # films of tests are small, and joints of few px count as too coarse to be scored
    damage = DamageSettings(
        patch_px=32, widths=(4, 4, 8, 8), condition_width=4, half_window=0.5,
        enlarged={"radius": 1.25},
    )  # fmt: skip
    trees = SymmetrySettings(trees=2, depth=2, threads=1)
    template = {limb: limb_template(limb) for limb in Limb}

    class FollowBrightness(torch.nn.Module):
        """(B, 1, 64, 64) film → (B, points, 32, 32) logits of heat maps."""

        def __init__(self, shape: np.ndarray) -> None:
            super().__init__()
            size = locate.input_px
            scale = 0.45 * size / np.ptp(shape, axis=0).max()
            centres = torch.arange(size // 2) * 2.0 + 0.5
            self.register_buffer("x", torch.tensor(shape[:, 0] * scale, dtype=torch.float32))
            self.register_buffer("y", torch.tensor(shape[:, 1] * scale, dtype=torch.float32))
            self.register_buffer("pixel", torch.arange(size, dtype=torch.float32))
            self.register_buffer("centre", centres)

        def forward(self, film: torch.Tensor) -> torch.Tensor:
            bright = torch.relu(film[:, 0])
            total = bright.sum((1, 2)).clamp_min(1e-3)[:, None]
            x = self.x + (bright.sum(1) * self.pixel).sum(1, keepdim=True) / total
            y = self.y + (bright.sum(2) * self.pixel).sum(1, keepdim=True) / total
            dx = (self.centre - x[:, :, None])[:, :, None, :]
            dy = (self.centre - y[:, :, None])[:, :, :, None]
            coarse = torch.nn.functional.avg_pool2d(film, 8).var((1, 2, 3), correction=0)
            structure = torch.relu(0.2 - coarse)[:, None, None, None]
            return 6 - (dx**2 + dy**2) / 8 - 100 * structure

    torch.manual_seed(1)
    for limb in Limb:
        network = FollowBrightness(template[limb])
        export_locator(network, locate, run / LOCATE_FILES[limb])
    export_damage(DamageNet(damage), damage, run / DAMAGE_FILE)
    rng = np.random.default_rng(1)
    truth = rng.uniform(0, [t.maximum for t in TARGETS], (12, len(TARGETS)))
    train_forest(truth, truth, trees).save(run / SYMMETRY_FILE)
    info = BundleInfo(
        name="tiny", version="0.1", preset="fast", created="2026-01-31",
        contract=Contract(
            locate=LocateContract.of(
                locate, {k: tuple(map(tuple, v.tolist())) for k, v in template.items()}
            ),
            damage=DamageContract.of(damage),
            symmetry=SymmetryContract.of(trees),
        ),
        licence=Licence(spdx="Apache-2.0"),
        software={},
        training_data="nothing: for tests of the flow, not of the scores",
    )  # fmt: skip
    names = (*LOCATE_FILES.values(), DAMAGE_FILE, SYMMETRY_FILE)
    files: dict[str, bytes | Path] = {name: run / name for name in names}
    return write_bundle(run / "bundle", info, {**files, "card.md": b"for tests"}).folder


@pytest.fixture(scope="session")
def small_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four small simulated films, ``P1-LH.png`` and so on. Copy, do not change."""
    import numpy as np
    from PIL import Image

    from mandora.core.anatomy import SLOTS
    from mandora.simulate.cohort.patients import draw_patient, simulate_film

    folder = tmp_path_factory.mktemp("films")
    # a patient of whom the small bundle puts all joints onto the films, far from their borders
    patient = draw_patient(11, 0)
    for slot in SLOTS:
        film = simulate_film(patient, slot, pixels_per_mm=2)
        grey = Image.fromarray((film.pixels * 255 + 0.5).astype(np.uint8))
        grey.save(folder / f"P1-{slot.code}.png")
    return folder


@pytest.fixture(scope="session")
def noise_film() -> Callable[[Path], Path]:
    """Write a picture of a film's size that shows nothing."""
    import numpy as np
    from PIL import Image

    def write(path: Path) -> Path:
        # a few specks on black: no part of it is brighter than its surroundings, however small
        # the film is shown
        specks = np.random.default_rng(1).random((400, 400)) < 0.0002
        Image.fromarray(np.where(specks, 255, 0).astype(np.uint8)).save(path)
        return path

    return write
