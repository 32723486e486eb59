from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mandora.cli.main import app
from mandora.core.terminal import printable


def test_nothing_steers_the_terminal() -> None:
    for text in ("\x1b[2J", "\x9b1m", "\u202egpj.x", "\x07", "\ud800", "\u2028", "\x7f", "\x00"):
        shown = printable(f"a{text}b")
        assert shown.isprintable()
        assert shown.startswith("a\\")
    assert printable("é – 骨\nnext") == "é – 骨\nnext"
    assert printable("a\nb\tc", one_line=True) == "a\\x0ab\\x09c"


def test_names_of_files_reach_no_terminal_raw(tmp_path: Path) -> None:
    (tmp_path / "x\x1b]0;owned\x07-LH.png").write_bytes(b"no film")
    (tmp_path / "y\u202e.png").write_bytes(b"no film")
    done = CliRunner().invoke(app, ["score", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    for text in (done.stdout, done.stderr):
        assert not set(text) & set("\x1b\x07\u202e")
    done = CliRunner().invoke(app, ["score", str(tmp_path / "absent\x1b[2J"), "--out", "o"])
    assert "absent\\x1b[2J" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["score", "--help"], ["bundle", "show"], ["score", "--example", "--json"],
     ["score", "--example"], ["score", "é–\udcff.png"]],
)  # fmt: skip
def test_every_command_speaks_to_an_ascii_terminal(tmp_path: Path, arguments: list[str]) -> None:
    if arguments[0] == "score" and arguments[1:] != ["--help"]:
        arguments = [*arguments, "--out", str(tmp_path / "out–é")]
    env = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-m", "mandora", *map(os.fsencode, arguments)],
        capture_output=True, env=env, check=False,
    )  # fmt: skip
    text = done.stdout.decode("ascii") + done.stderr.decode("ascii")
    assert "Traceback" not in text
    assert "Error" not in text
    assert done.returncode == (2 if arguments[1:2] == ["é–\udcff.png"] else 0)
    if "--json" in arguments:
        assert json.loads(done.stdout)["scored"] == 1
