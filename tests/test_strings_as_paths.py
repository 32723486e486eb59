"""The Python interface takes a string wherever it takes a path."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mandora.core.anatomy import SLOTS
from mandora.core.files import paths_of
from mandora.core.inference import Network
from mandora.core.records import read_result
from mandora.core.settings import LocateSettings, SimulateSettings
from mandora.datasets.intake.plan import Intake, make_plan
from mandora.datasets.layouts import layout_of, open_dataset, read_dataset
from mandora.images.read import peek_header, peek_kind, peek_size, read_labels, read_radiograph
from mandora.model.bundle import (
    BundleInfo,
    check_unused,
    migrate_bundle,
    open_bundle,
    verify_bundle,
    write_bundle,
)
from mandora.model.calibration import with_calibration
from mandora.model.contract import IntervalContract
from mandora.model.loading import Stages
from mandora.scoring import locate_films, predict_template, score_films
from mandora.scoring.pipeline import Pipeline
from mandora.scoring.summary import first_few
from mandora.simulate.cohort.folder import simulate_cohort

ROOT = Path(__file__).resolve().parent.parent


def documented() -> Iterator[tuple[str, Any]]:
    """Functions and methods of docs/api.md that take a path, by their names."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for kind, name in re.findall(r"auto(module|function|class):: ([\w.]+)\n", page):
        if kind == "module":
            module = import_module(name)
            members = [v for v in vars(module).values() if getattr(v, "__module__", "") == name]
        else:
            owner, _, own = name.rpartition(".")
            members = [getattr(import_module(owner), own)]
        for member in members:
            yield from of_member(member)


def of_member(member: Any) -> Iterator[tuple[str, Any]]:
    if inspect.isclass(member):
        # a record is made by a reader, and has paths as it found them
        made_by_hand = not dataclasses.is_dataclass(member)
        for name, method in vars(member).items():
            function = getattr(method, "__func__", method)
            if name.startswith("_") and not (name == "__init__" and made_by_hand):
                continue
            if inspect.isfunction(function) and takes_path(function):
                yield f"{member.__name__}.{name}", function
    elif inspect.isfunction(member) and not member.__name__.startswith("_") and takes_path(member):
        yield member.__name__, member


def takes_path(function: Any) -> bool:
    return any("Path" in str(p.annotation) for p in inspect.signature(function).parameters.values())


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strings") / "cohort"
    simulate_cohort(SimulateSettings(patients=1, seed=5, pixels_per_mm=2), folder)
    return folder


Kind = Callable[[Path], Any]

READERS: dict[str, Callable[[Kind, Path, Path, Path], Any]] = {
    # as: how a path is given; a model, a folder with the film P1-LH.png, a cohort
    "read_radiograph": lambda as_, model, films, cohort: (
        read_radiograph(as_(films / "P1-LH.png")).sha256
    ),
    "read_labels": lambda as_, model, films, cohort: (
        read_labels(as_(films / "P1-LH.png")).values.sum()
    ),
    "peek_size": lambda as_, model, films, cohort: peek_size(as_(films / "P1-LH.png")),
    "peek_header": lambda as_, model, films, cohort: peek_header(as_(films / "P1-LH.png")),
    "peek_kind": lambda as_, model, films, cohort: peek_kind(as_(films / "P1-LH.png")),
    "make_plan": lambda as_, model, films, cohort: (
        make_plan([as_(films)]), make_plan(as_(films))
    ),
    "Intake.with_key_in": lambda as_, model, films, cohort: (
        Intake().with_key_in(as_(films)).id_key
    ),
    "first_few": lambda as_, model, films, cohort: first_few([as_(films)]),
    "layout_of": lambda as_, model, films, cohort: layout_of(as_(cohort)),
    "read_dataset": lambda as_, model, films, cohort: len(read_dataset(as_(cohort))[0].films),
    "open_dataset": lambda as_, model, films, cohort: open_dataset(as_(cohort)).root,
    "open_bundle": lambda as_, model, films, cohort: open_bundle(as_(model)).folder,
    "migrate_bundle": lambda as_, model, films, cohort: migrate_bundle(as_(model)).folder,
    "check_unused": lambda as_, model, films, cohort: check_unused(as_(films / "bundle")),
    "verify_bundle": lambda as_, model, films, cohort: verify_bundle(as_(model)),
    "Network.__init__": lambda as_, model, films, cohort: (
        Network(as_(model / "damage.onnx"), 1).outputs
    ),
    "Stages.load": lambda as_, model, films, cohort: stages(as_, model).contract.symmetry,
    "Pipeline.score": lambda as_, model, films, cohort: (
        Pipeline.from_bundle(open_bundle(model), 1)
        .score("P1", {SLOTS[0]: as_(films / "P1-LH.png")}).result
    ),
}  # fmt: skip
WRITERS = {
    "read_result", "Settings.from_toml", "write_bundle", "with_calibration", "score_films",
    "locate_films", "predict_template", "read_structured_report",
}  # fmt: skip


def stages(as_: Kind, model: Path) -> Stages:
    bundle = open_bundle(model)
    paths = {name: as_(bundle.path(name)) for name in bundle.manifest.files}
    return Stages.load(bundle.manifest.contract, paths, 1)


@pytest.fixture
def films(tmp_path: Path, small_films: Path) -> Path:
    (tmp_path / "films").mkdir()
    shutil.copy(small_films / "P1-LH.png", tmp_path / "films")
    return tmp_path / "films"


def test_every_function_of_the_documentation_is_tried() -> None:
    pytest.importorskip("pydicom", reason="the page has the objects of the extra dicom, too")
    found = dict(documented())
    assert {"read_radiograph", "score_films", "Pipeline.score"} <= set(found)
    assert set(found) - set(READERS) <= WRITERS
    for name, function in found.items():
        hints = [str(p.annotation) for p in inspect.signature(function).parameters.values()]
        bare = [h for h in hints if re.search(r"\bPath\b", h)]
        assert not bare, f"{name} takes {bare}: use AnyPath"


@pytest.mark.parametrize("name", READERS)
def test_a_string_is_read_as_the_path_is(
    tiny_bundle: Path, films: Path, cohort: Path, name: str
) -> None:
    given = [READERS[name](kind, tiny_bundle, films, cohort) for kind in (str, Path)]
    assert given[0] == given[1]


def test_whole_runs_take_strings(tiny_bundle: Path, films: Path, tmp_path: Path) -> None:
    bundle, template = open_bundle(tiny_bundle), films / "template.csv"
    template.write_text("Patient_ID,LH_mcp_E__2\nP1,\n", encoding="utf-8")
    out = str(tmp_path / "out")
    # one string is one film or folder, not a list of letters
    summary = score_films(str(films), out, bundle=bundle, template=str(template), threads=1)
    assert summary.scored == 1
    assert summary.out == tmp_path / "out"
    record = str(tmp_path / "out" / "results" / "P1.json")
    assert read_result(record) == summary.only
    points = str(tmp_path / "points.csv")
    assert locate_films([str(films / "P1-LH.png")], points, bundle=bundle, threads=1) == 0
    assert (tmp_path / "points.csv").stat().st_size > 100
    predict_template(str(films), str(tmp_path / "test"), bundle=bundle, threads=1)
    assert (tmp_path / "test" / "predictions.csv").is_file()


def test_settings_and_bundles_take_strings(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "network.toml"
    path.write_text("input_px = 64\n", encoding="utf-8")
    assert LocateSettings.from_toml(str(path)) == LocateSettings(input_px=64)
    bundle = open_bundle(tiny_bundle)
    files = {name: str(bundle.path(name)) for name in bundle.manifest.files}
    about = BundleInfo(**bundle.manifest.model_dump(include=set(BundleInfo.model_fields)))
    copied = write_bundle(str(tmp_path / "copy"), about, files)
    assert copied.folder == tmp_path / "copy"
    assert copied.manifest.files == bundle.manifest.files
    sure = IntervalContract(level=0.9, edges=(), joints={}, totals={}, patients=9)
    made = with_calibration(bundle, str(tmp_path / "sure"), intervals=sure)
    assert made.folder == tmp_path / "sure"
    assert made.manifest.contract.intervals == sure


def test_paths_of_one_and_of_several() -> None:
    assert paths_of("films") == [Path("films")]
    assert paths_of(Path("films")) == [Path("films")]
    assert paths_of(["a", Path("b")]) == [Path("a"), Path("b")]
    assert np.array(paths_of(())).size == 0
