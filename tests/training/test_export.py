from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from mandora.core.anatomy import SITES, TARGETS, Damage, Limb, Site
from mandora.core.inference import Network
from mandora.core.settings import DamageSettings, LocateSettings, SymmetrySettings
from mandora.model.bundle import default_bundle, open_bundle
from mandora.symmetry.forest import JointForest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("sklearn")
import onnx
import torch
from torch import nn

from mandora.damage.network import build_damage_net
from mandora.locate.network import build_locate_net
from mandora.training import export
from mandora.training.export import (
    TOLERANCE,
    check_forest,
    export_damage,
    export_forest,
    export_locator,
    forget_origin,
)
from mandora.training.symmetry import train_forest

LOCATE = {
    "all-landmarks": LocateSettings(input_px=64, widths=(4, 6)),
    "one-landmark": LocateSettings(
        design="one-landmark", input_px=64, keep_aspect=False, channels=3, widths=(3, 4),
        kernel_px=7, heat_map_stride=1, decode="component",
    ),
}  # fmt: skip
DAMAGE = {
    "all-joints": DamageSettings(patch_px=32, widths=(4, 6), condition_width=4),
    "all-joints, bottleneck": DamageSettings(
        patch_px=32, widths=(4, 6), condition_width=4, bottleneck=True
    ),
    "family": DamageSettings(
        design="family", patch_px=32, channels=7, window="film", widths=(4, 5), bottleneck=True
    ),
}
FAMILY = (Limb.FOOT, Damage.EROSION)
MAXIMA = np.array([t.maximum for t in TARGETS])
TREES = SymmetrySettings(trees=4, depth=3, threads=1)


class Exported(NamedTuple):
    network: nn.Module
    channels: int
    path: Path
    worst: float


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """A small network of each design, with weights and statistics of a start."""
    torch.manual_seed(0)
    made = {}
    for design, settings in LOCATE.items():
        network = build_locate_net(Limb.FOOT, settings)
        network.train()(torch.rand(4, settings.channels, 64, 64))
        path = tmp_path_factory.mktemp("net") / f"{design}.onnx"
        worst = export_locator(network, settings, path)
        made[design] = Exported(network, settings.channels, path, worst)
    for design, settings in DAMAGE.items():
        network = build_damage_net(settings, FAMILY if design == "family" else None)
        network.train()(torch.rand(4, settings.channels, 32, 32), torch.arange(4))
        path = tmp_path_factory.mktemp("net") / f"{design}.onnx"
        worst = export_damage(network, settings, path)
        made[design] = Exported(network, settings.channels, path, worst)
    return made


# ── networks ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("design", LOCATE)
@pytest.mark.parametrize("batch", [1, 5])
def test_an_exported_localiser_gives_the_same_heat_maps(
    exported: dict[str, Exported], design: str, batch: int
) -> None:
    network, channels, path, worst = exported[design]
    films = torch.randn(batch, channels, 64, 64)
    (maps,) = Network(path, 1)(film=films.numpy())
    with torch.no_grad():
        wanted = torch.sigmoid(network.eval()(films))
    np.testing.assert_allclose(maps, wanted.numpy(), atol=TOLERANCE)
    assert worst <= TOLERANCE


@pytest.mark.parametrize("design", DAMAGE)
@pytest.mark.parametrize("batch", [1, 27])
def test_an_exported_damage_network_gives_the_same_scores(
    exported: dict[str, Exported], design: str, batch: int
) -> None:
    network, channels, path, worst = exported[design]
    patches, landmarks = torch.randn(batch, channels, 32, 32), torch.arange(batch) % 27
    told = {} if design == "family" else {"points": landmarks.numpy()}
    masks, scores = Network(path, 1)(patches=patches.numpy(), **told)
    with torch.no_grad():
        logits, wanted, _ = network.eval()(patches, landmarks)
    np.testing.assert_allclose(masks, torch.sigmoid(logits).numpy(), atol=TOLERANCE)
    np.testing.assert_allclose(scores, wanted.numpy(), atol=TOLERANCE)
    assert worst <= TOLERANCE


def test_a_file_is_alone_and_its_outputs_have_names(exported: dict[str, Exported]) -> None:
    for design, one in exported.items():
        names = ("heat_maps",) if design in LOCATE else ("masks", "scores")
        assert Network(one.path, 1).outputs == names
        assert [p.name for p in one.path.parent.iterdir()] == [one.path.name]  # weights inside


# what the exporter notes of where a network came from: folders, files, lines of source
ORIGIN = re.compile(
    rb"/(work|home|tmp|usr|root|Users)/|/\w{3,}\.py|site-packages|stack_trace|pkg\.torch"
    rb"|class_hierarchy|line \d+, in|torch\.ops"
)


def test_no_file_tells_where_and_of_what_source_it_was_made(exported: dict[str, Exported]) -> None:
    bundle = open_bundle(default_bundle())
    packaged = [bundle.path(name) for name in bundle.manifest.files]
    networks = [path for path in packaged if path.suffix == ".onnx"]
    assert len(networks) == 3
    for path in [*packaged, *(one.path for one in exported.values())]:
        if path.name != bundle.manifest.card:  # its text is for people
            assert not ORIGIN.search(path.read_bytes()), path


def test_an_origin_would_be_found_and_is_forgotten(
    exported: dict[str, Exported], tmp_path: Path
) -> None:
    source, path = exported["all-joints"].path, tmp_path / "noted.onnx"
    model = onnx.load(source)
    for part in (model, model.graph, model.graph.node[0], model.graph.initializer[0]):
        part.doc_string = 'File "/work/me/net.py", line 3, in forward'
        part.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="return x")
    onnx.save(model, path)
    assert len(ORIGIN.findall(path.read_bytes())) >= 8
    forget_origin(path)
    assert not ORIGIN.search(path.read_bytes())
    assert path.read_bytes() == source.read_bytes(), "nothing else was changed"


class Watched:
    """Instead of the exported file: the network itself, with an error on some batches.

    Attributes:
        seen: the first input of each call.
        error: of the answer to a batch.
    """

    def __init__(self, network: nn.Module, error: Callable[[np.ndarray], float]) -> None:
        self.network, self.error, self.outputs = network.eval(), error, ("heat_maps",)
        self.seen: list[np.ndarray] = []

    def __call__(self, film: np.ndarray) -> list[np.ndarray]:
        self.seen.append(film)
        with torch.no_grad():
            maps = torch.sigmoid(self.network(torch.from_numpy(film))).numpy()
        return [maps + np.float32(self.error(film))]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    def watch(error: Callable[[np.ndarray], float] = lambda film: 0.0) -> Watched:
        one = Watched(build_locate_net(Limb.FOOT, LOCATE["all-landmarks"]), error)
        monkeypatch.setattr(export, "Network", lambda path, threads: one)
        monkeypatch.setattr(torch.onnx, "export", lambda *args, **_: Path(args[2]).write_bytes(b""))
        return one

    return watch


def test_exports_are_compared_on_random_simulated_and_given_films(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    network, given = watched(), np.random.default_rng(1).random((5, 1, 64, 64), np.float32)
    export_locator(network.network, LOCATE["all-landmarks"], tmp_path / "a.onnx", given)
    assert [len(films) for films in network.seen] == [1, 3, 2, 4, 1]
    simulated = network.seen[2]
    # standardised by what is on the film, and padded with its background
    np.testing.assert_allclose(simulated.mean(axis=(1, 2, 3)), 0, atol=0.5)
    np.testing.assert_allclose(simulated.std(axis=(1, 2, 3)), 1, atol=0.3)
    assert not np.array_equal(*simulated)
    np.testing.assert_array_equal(np.concatenate(network.seen[3:]), given)
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize("error", [2 * TOLERANCE, float("nan")])
@pytest.mark.parametrize(("size", "where"), [(1, "1 random"), (2, "simulated"), (4, "the given")])
def test_an_export_that_changes_the_numbers_is_not_written(
    watched: Callable[..., Watched], tmp_path: Path, error: float, size: int, where: str
) -> None:
    network = watched(lambda film: error if len(film) == size else 0.0)
    given = np.zeros((4, 1, 64, 64), np.float32)
    says = rf"locate-foot\.onnx differs from the trained network.*on {where}.*not written"
    with pytest.raises(ValueError, match=says):
        export_locator(
            network.network, LOCATE["all-landmarks"], tmp_path / "locate-foot.onnx", given
        )
    assert list(tmp_path.iterdir()) == []


def test_an_export_with_other_outputs_is_not_written(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    network = watched()
    network.outputs = ("heat",)
    with pytest.raises(ValueError, match=r"a\.onnx has the outputs heat instead of heat_maps"):
        export_locator(network.network, LOCATE["all-landmarks"], tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_training_goes_on_with_the_network_as_it_was(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    network = build_locate_net(Limb.FOOT, LOCATE["all-landmarks"]).train()
    watched().network.load_state_dict(network.state_dict())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    export_locator(network, LOCATE["all-landmarks"], tmp_path / "a.onnx")
    assert network.training
    assert network.head.weight.is_contiguous(memory_format=torch.channels_last)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_patches_of_all_joints_need_their_points(tmp_path: Path) -> None:
    network = build_damage_net(DAMAGE["all-joints"])
    with pytest.raises(ValueError, match="give those of patches"):
        export_damage(
            network, DAMAGE["all-joints"], tmp_path / "damage.onnx", np.zeros((2, 1, 32, 32))
        )
    assert list(tmp_path.iterdir()) == []


# ── trees ────────────────────────────────────────────────────────────────────────────────


class Grown(NamedTuple):
    forest: JointForest
    models: dict[Site, Any]
    unseen: np.ndarray


@pytest.fixture(scope="module")
def grown() -> Grown:
    rng = np.random.default_rng(0)
    patch, truth = rng.uniform(0, MAXIMA, (2, 12, len(TARGETS)))
    models: dict[Site, Any] = {}
    forest = train_forest(patch, np.round(truth), TREES, None, models)
    unseen = rng.uniform(0, MAXIMA, (9, len(TARGETS)))
    unseen[rng.random(unseen.shape) < 0.3] = np.nan
    return Grown(forest, models, unseen)


def test_exported_trees_give_the_same_scores(tmp_path: Path, grown: Grown) -> None:
    path = tmp_path / "symmetry.npz"
    assert export_forest(*grown[:2], path, grown.unseen) <= 1e-6
    np.testing.assert_array_equal(
        JointForest.load(path).predict(grown.unseen), grown.forest.predict(grown.unseen)
    )
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("error", [2 * TOLERANCE, float("nan")])
def test_trees_that_differ_are_not_written_and_named(
    tmp_path: Path, grown: Grown, error: float
) -> None:
    class Astray:
        def predict(self, rows: np.ndarray) -> np.ndarray:
            return grown.models[SITES[7]].predict(rows) + error

    wrong = {**grown.models, SITES[7]: Astray()}
    path = tmp_path / "symmetry.npz"
    path.write_bytes(b"of an earlier run")
    says = rf"symmetry\.npz was not written: the trees of {SITES[7].code} .*export them again"
    with pytest.raises(ValueError, match=says):
        export_forest(grown.forest, wrong, path, grown.unseen)
    assert path.read_bytes() == b"of an earlier run"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_sites_without_trees_are_not_compared(grown: Grown) -> None:
    few = {site: grown.models[site] for site in SITES[:3]}
    assert check_forest(grown.forest, few, grown.unseen) <= 1e-6
