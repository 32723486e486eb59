"""A digest of code changes with what a result is made by, and with nothing else."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("shap")

from mandora.core.anatomy import Limb
from mandora.core.settings import LocateSettings, TrainDamageSettings
from mandora.core.source import PACKAGE, _modules_of, _name_of, code_digest
from mandora.images.read import read_radiograph
from mandora.reproduce import jobs as fold_jobs
from mandora.simulate.cohort.folder import simulate_cohort
from mandora.training import locate, patches
from mandora.training.cache import FilmCache
from mandora.training.films import LabelledFilms, SimulatedFilms
from mandora.training.mixed import InflictedFilms
from mandora.training.out_of_sample import SimulatedPatients
from mandora.training.patches import prepare_patches


def changed(folder: Path, file: str, change: Callable[[str], str]) -> Path:
    """A copy of the package's sources, in which one file is changed."""
    left_out = shutil.ignore_patterns("__pycache__", "default", "example")
    package = shutil.copytree(
        PACKAGE, folder / "mandora", ignore=left_out, copy_function=os.symlink
    )
    text = (package / file).read_text(encoding="utf-8")
    (package / file).unlink()
    (package / file).write_text(change(text), encoding="utf-8")
    return package


def with_a_line(text: str) -> str:
    """Other code, or other JSON, that does the same."""
    return f"{text}\nLATER = 1\n" if "import" in text else f"{text} "


CUT, FOUND, TRAINED = patches._one, fold_jobs.find_landmarks, fold_jobs.train_damage


@pytest.mark.parametrize(
    ("made_by", "file"),
    [
        (CUT, "damage/patches.py"), (CUT, "core/geometry.py"), (CUT, "core/anatomy.py"),
        (CUT, "training/films.py"), (CUT, "locate/templates.json"),
        (CUT, "images/channels.py"), (locate._one, "images/channels.py"),
        (LabelledFilms, "locate/orientation.py"), (LabelledFilms, "datasets/label_maps.py"),
        (LabelledFilms, "images/read.py"), (LabelledFilms, "locate/templates.json"),
        (InflictedFilms, "inflict/erosion.py"), (SimulatedFilms, "simulate/xray/render.py"),
        (SimulatedFilms, "simulate/anatomy/shape_prior.json"),
        (SimulatedPatients, "simulate/xray/render.py"), (FilmCache, "images/dicom.py"),
        (FilmCache, "images/dicom_pixels.py"), (FilmCache, "images/decoder_program.py"),
        (FOUND, "locate/locator.py"), (FOUND, "scoring/pipeline.py"), (FOUND, "reproduce/jobs.py"),
        (TRAINED, "training/loop.py"), (TRAINED, "damage/network.py"),
        (fold_jobs.grow_trees, "symmetry/forest.py"),
        (simulate_cohort, "simulate/cohort/readers.py"),
    ],
)  # fmt: skip
def test_it_changes_with_the_code_and_the_data_of_what_is_used(
    tmp_path: Path, made_by: Callable[..., Any], file: str
) -> None:
    before = code_digest(made_by)
    assert len(before) == 16
    assert code_digest(made_by, package=changed(tmp_path, file, with_a_line)) != before


@pytest.mark.parametrize(
    ("made_by", "file"),
    [
        (CUT, "cli/main.py"), (CUT, "cli/console.py"), (CUT, "outputs/report.py"),
        (CUT, "training/losses.py"), (CUT, "metrics/explain.py"),
        (CUT, "core/settings/commands.py"),
        (FilmCache, "damage/patches.py"), (FilmCache, "simulate/anatomy/shape_prior.json"),
        (TRAINED, "cli/train.py"), (TRAINED, "symmetry/forest.py"),
        (TRAINED, "metrics/explain.py"), (FOUND, "training/loop.py"),
        (fold_jobs.grow_trees, "damage/network.py"),
    ],
)  # fmt: skip
def test_it_stays_when_other_code_changes(
    tmp_path: Path, made_by: Callable[..., Any], file: str
) -> None:
    later = changed(tmp_path, file, with_a_line)
    assert code_digest(made_by, package=later) == code_digest(made_by)


def test_words_and_layout_do_not_count(tmp_path: Path) -> None:
    def other_words(text: str) -> str:
        words = f'"""Another word."""\n\n# and one more\n{text}'
        return words.replace("def window_box(", "\n\ndef window_box(  # here\n", 1)

    later = changed(tmp_path, "damage/patches.py", other_words)
    assert code_digest(CUT, package=later) == code_digest(CUT)


def small_package(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / "small" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")
    return folder / "small"


def function(module: str, name: str) -> Callable[..., Any]:
    def made() -> None: ...

    made.__module__, made.__qualname__ = module, name
    return made


USES = {
    "import within": "def f():\n    from small.b import g\n",
    "module within": "def f():\n    import small.b\n",
    "import above": "from small.b import g\ndef f():\n    return g()\n",
    "another name": "from small.b import g as h\ndef f():\n    return h\n",
    "a module's name": "from small import b\ndef f():\n    return b.g()\n",
    "relative": "from .b import g\ndef f():\n    return g()\n",
    "everything": "from small.b import *\nimport small.b\ndef f():\n    return g()\n",
    "through another": "from small.b import g\ndef e():\n    return g\ndef f():\n    e()\n",
    "through a table": "from small.b import g\nT = {'g': g}\ndef f():\n    return T['g']\n",
    "annotation": "from small.b import g\ndef f(a: g): ...\n",
    "default": "from small.b import g\ndef f(a=g): ...\n",
    "at the import": "from small.b import g\ng()\ndef f(): ...\n",
    "base class": "from small.b import g\nclass f(g): ...\n",
    "passed on": "from small.c import g\ndef f():\n    return g()\n",
}


@pytest.mark.parametrize("way", USES)
def test_whatever_way_a_name_is_used(tmp_path: Path, way: str) -> None:
    digests = set()
    for number in (1, 2):
        package = small_package(
            tmp_path / str(number), a=USES[way], b=f"def g():\n    return {number}\n",
            c="from small.b import g\n",
        )  # fmt: skip
        digests.add(code_digest(function("small.a", "f"), package=package))
    assert len(digests) == 2


def test_an_import_that_only_types_need_does_not_count(tmp_path: Path) -> None:
    source = "if TYPE_CHECKING:\n    from small.b import g\ndef f(a: g): ...\n"
    digests = {
        code_digest(
            function("small.a", "f"),
            package=small_package(tmp_path / str(n), a=source, b=f"def g():\n    return {n}\n"),
        )
        for n in (1, 2)
    }
    assert len(digests) == 1


def test_a_part_of_a_function_counts_as_the_function_and_others_not_at_all() -> None:
    assert code_digest(partial(partial(read_radiograph, "a"), 3)) == code_digest(read_radiograph)
    assert code_digest(LabelledFilms.film) == code_digest(LabelledFilms)
    assert code_digest(shutil.copy) == code_digest(lambda: None) == code_digest()


def code_that_ran(call: Callable[[], Any]) -> set[Path]:
    """Files of the package whose functions ran during a call."""
    files: set[Path] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_name != "<module>":
            files.add(Path(frame.f_code.co_filename))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return {path for path in files if path.is_relative_to(PACKAGE)}


@pytest.mark.parametrize("limb", Limb)
def test_all_code_that_runs_for_an_item_is_in_the_digest(limb: Limb) -> None:
    films = SimulatedFilms(limb, 1, 3, fine=limb is Limb.HAND)
    settings = TrainDamageSettings()
    side = patches.stored_px(settings.network, settings.changes)
    shapes: dict[str, Any] = {}

    def keep(folder: Path, key: str, count: int, given: Any, make: Any, *_: Any) -> None:
        shapes.update(given)
        shapes["make"] = make

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patches, "prepare", keep)
        prepare_patches(films, settings.network, side, Path(), 1, print)
    make = shapes["make"]
    ran = code_that_ran(lambda: (make(0), locate._one(films, LocateSettings(input_px=64), 0)))
    known = _modules_of(tuple(map(_name_of, (make, locate._one, SimulatedFilms))), PACKAGE).values()
    assert len(ran) > 10
    assert ran <= {module.path for module in known}
