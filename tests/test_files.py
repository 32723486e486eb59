from __future__ import annotations

import pytest

from mandora.files import OutputError, write_atomically


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
