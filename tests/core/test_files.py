from __future__ import annotations

import ast
import os
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from mandora.core import files
from mandora.core.files import (
    OutputError,
    make_output_folder,
    write_atomically,
)

SOURCES = Path(files.__file__).parent.parent


def test_written_file_replaces_the_old_one_and_leaves_nothing_else(tmp_path) -> None:
    path = tmp_path / "a.json"
    for data in (b"first", b"second"):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_failure_names_the_file_and_leaves_the_old_one(tmp_path) -> None:
    (tmp_path / "a.json").mkdir()
    (tmp_path / "a.json" / "x").touch()
    with pytest.raises(OutputError, match=r"cannot write .*a\.json: "):
        write_atomically(tmp_path / "a.json", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_temporary_name_is_nobody_elses(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    # two containers: both are process 1, and both have just begun
    monkeypatch.setattr(os, "getpid", lambda: 1)
    spec = spec_from_file_location("begun", Path(files.__file__))
    assert spec is not None
    assert spec.loader is not None
    names = set()
    for _ in range(2):
        begun = module_from_spec(spec)
        spec.loader.exec_module(begun)
        names |= {begun.temporary_path(tmp_path / "a.json") for _ in range(100)}
    assert len(names) == 200
    assert {(name.parent, name.suffix, name.name[0]) for name in names} == {
        (tmp_path, ".json", ".")
    }


def test_a_file_that_was_there_before_is_not_removed(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"another's")
    monkeypatch.setattr(files, "temporary_path", lambda path: foreign)
    with pytest.raises(OutputError, match=r"cannot write .*a\.json: File exists"):
        write_atomically(tmp_path / "a.json", b"new")
    assert foreign.read_bytes() == b"another's"
    assert [p.name for p in tmp_path.iterdir()] == ["foreign"]


@pytest.mark.parametrize("folder", ["/proc/mandora-out", "/sys/mandora-out"])
def test_unwritable_folder_is_named_with_a_remedy(folder: str) -> None:
    if not Path(folder).parent.is_dir():
        pytest.skip("no such file system here")
    with pytest.raises(OSError, match=rf"{folder}: .*give another folder"):
        make_output_folder(Path(folder))


def test_output_folder_that_is_a_file_is_refused(tmp_path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(ValueError, match="out is a file, not a folder"):
        make_output_folder(tmp_path / "out")


def test_output_folder_below_a_file_is_refused(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write into the output folder"):
        make_output_folder(tmp_path / "file" / "out")


WRITERS = {
    "write_text", "write_bytes", "savefig", "tofile", "to_csv", "save", "savez",
    "savez_compressed", "savetxt", "open_memmap", "copyfile", "copy2", "imwrite",
}  # fmt: skip
"""Names of calls that may write a file."""

ALLOWED = {
    "core/files.py": {
        "write_atomically: temporary.open", "make_output_folder: probe.write_bytes",
    },
    # into a file or folder beside, which gets its name when it is whole
    "model/bundle.py": {"write_bundle: shutil.copyfile", "write_bundle: write_bytes"},
    "datasets/formats/coco.py": {"__init__: part.open"},
    "simulate/cohort/folder.py": {"__enter__: part.open"},
    "training/cache.py": {
        "_fill: np.lib.format.open_memmap", "_remove_leftovers: open", "_unfinished: open",
    },
    "training/export.py": {"export_forest: forest.save"},
    # grow by lines: a torn last one is taken back, or left out when they are read
    "outputs/row_file.py": {"__init__: path.open"},
    "core/parallel/journal.py": {"__init__: self._path.open"},
    "training/history.py": {"append_history: path.open"},
    "training/out_of_sample.py": {"patch_scores: path.open"},
    # write_atomically is behind them
    "reproduce/jobs.py": {"grow_trees: forest.save"},
    "evaluation/figures/style.py": {"save_view: save"},
    "training/loop.py": {"_save: self.checkpoints.save", "_save_best: self.checkpoints.save"},
    # nothing is written: a lock
    "archive/inbox.py": {"alone: self._lock_file.open"},
    # no files: into memory, and tensors as bytes
    "simulate/xray/delivery.py": {"_jpeg: grey.save"},
    "training/checkpoint.py": {"save: save"},
}  # fmt: skip
"""Calls that need not go through ``write_atomically``: function and call, by file."""


def test_every_file_is_written_whole_or_not_at_all() -> None:
    found = {
        path.relative_to(SOURCES).as_posix(): set(_writing_calls(path))
        for path in SOURCES.rglob("*.py")
    }
    unknown = {
        name: calls - ALLOWED.get(name, set())
        for name, calls in found.items()
        if calls - ALLOWED.get(name, set())
    }
    assert unknown == {}, "use mandora.core.files.write_atomically, or say here why not"


def _writing_calls(path: Path):
    """Function and name of each call that may write a file of its own."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        text = ast.unparse(function)
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and _may_write(call, text):
                yield f"{function.name}: {_name(call)}"


def _may_write(call: ast.Call, function: str) -> bool:
    name = ast.unparse(call.func).rpartition(".")[2]
    if name == "open":
        modes = [*call.args, *(word.value for word in call.keywords)]
        texts = [one.value for one in modes if isinstance(one, ast.Constant)]
        return any(isinstance(t, str) and len(t) < 4 and set(t) & set("wax+") for t in texts)
    first = ast.unparse(call.args[0]) if call.args else ""
    in_memory = f"{first} = io.BytesIO()" in function or f"{first}: io.BytesIO" in function
    return name in WRITERS and not in_memory


def _name(call: ast.Call) -> str:
    name = ast.unparse(call.func)
    return name if "(" not in name else name.rpartition(".")[2]
