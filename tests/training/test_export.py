from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mandora.inference import Network
from mandora.settings import DamageSettings, LocateSettings

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
import torch

from mandora.damage.network import DamageNet
from mandora.locate.network import LocateNet
from mandora.training import export
from mandora.training.export import TOLERANCE, export_damage, export_locator

LOCATE = LocateSettings(input_px=64, widths=(4, 6))
DAMAGE = DamageSettings(patch_px=32, widths=(4, 6), condition_width=4)


def test_an_exported_localiser_gives_the_same_heat_maps(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, path = LocateNet(6, LOCATE), tmp_path / "locate-foot.onnx"
    assert export_locator(network, LOCATE, path) <= TOLERANCE
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # one file, weights inside
    films = torch.randn(5, 1, 64, 64)  # another batch size than the export saw
    (maps,) = Network(path, 1)(film=films.numpy())
    with torch.no_grad():
        wanted = torch.sigmoid(network.eval()(films))
    np.testing.assert_allclose(maps, wanted.numpy(), atol=TOLERANCE)


@pytest.mark.parametrize("batch", [1, 27])
def test_an_exported_damage_network_gives_the_same_scores(
    damage: tuple[DamageNet, Path], batch: int
) -> None:
    network, path = damage
    patches, points = torch.randn(batch, 1, 32, 32), torch.arange(batch) % 27
    masks, scores = Network(path, 1)(patches=patches.numpy(), points=points.numpy())
    with torch.no_grad():
        logits, wanted = network.eval()(patches, points)
    np.testing.assert_allclose(masks, torch.sigmoid(logits).numpy(), atol=TOLERANCE)
    np.testing.assert_allclose(scores, wanted.numpy(), atol=TOLERANCE)


@pytest.fixture(scope="module")
def damage(tmp_path_factory: pytest.TempPathFactory) -> tuple[DamageNet, Path]:
    torch.manual_seed(0)
    network, path = DamageNet(DAMAGE), tmp_path_factory.mktemp("net") / "damage.onnx"
    export_damage(network, DAMAGE, path)
    return network, path


@pytest.mark.parametrize("error", [2 * TOLERANCE, float("nan")])
def test_an_export_that_changes_the_numbers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: float
) -> None:
    network = LocateNet(6, LOCATE)

    class Astray:
        """The network with an error."""

        def __init__(self, path: Path, threads: int) -> None: ...

        def __call__(self, film: np.ndarray) -> list[np.ndarray]:
            with torch.no_grad():
                return [torch.sigmoid(network(torch.from_numpy(film))).numpy() + error]

    def no_export(*args: Any, **options: Any) -> None: ...

    monkeypatch.setattr(export, "Network", Astray)
    monkeypatch.setattr(torch.onnx, "export", no_export)
    with pytest.raises(ValueError, match=r"locate-foot\.onnx differs from the trained network"):
        export_locator(network, LOCATE, tmp_path / "locate-foot.onnx")
