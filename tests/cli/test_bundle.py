"""``mandora bundle …``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mandora.cli.main import app
from mandora.model.bundle import BUNDLE_SCHEMA


def mandora(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def unusable(done: Result) -> str:
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    assert done.stdout == ""
    return done.stderr


@pytest.fixture
def spoiled(tiny_bundle: Path, tmp_path: Path) -> Path:
    folder = shutil.copytree(tiny_bundle, tmp_path / "spoiled")
    data = bytearray((folder / "damage.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "damage.onnx").write_bytes(data)
    return folder


def test_a_bundle_with_a_wrong_hash_is_refused(spoiled: Path, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for command in ("score", "locate"):
        said = unusable(mandora(command, films, "--out", out, "--bundle", spoiled))
        assert "damage.onnx: was changed" in said
    assert not out.exists()
    assert "damage.onnx: was changed" in unusable(mandora("bundle", "show", spoiled))
    verified = mandora("bundle", "verify", spoiled)
    assert verified.exit_code == 1
    assert "damage.onnx: was changed" in verified.stderr
    assert "no such folder" in unusable(mandora("score", films, "--bundle", tmp_path / "absent"))


def test_an_earlier_bundle_is_migrated(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_bundle, tmp_path / "earlier")
    manifest = folder / "manifest.json"
    today = manifest.read_text()
    manifest.write_text(
        today.replace(f'"schema_version": "{BUNDLE_SCHEMA}"', '"schema_version": "1.3"')
    )
    earlier = manifest.read_text()
    assert earlier != today
    assert mandora("bundle", "verify", folder).exit_code == 0
    assert mandora("bundle", "migrate", folder).exit_code == 0
    assert manifest.read_text() == today
    assert mandora("bundle", "verify", folder).exit_code == 0
    assert "no such folder" in unusable(mandora("bundle", "migrate", tmp_path / "absent"))


def test_a_sound_bundle_is_verified_and_shown(tiny_bundle: Path) -> None:
    assert mandora("bundle", "verify", tiny_bundle).exit_code == 0
    shown = mandora("bundle", "show", tiny_bundle)
    assert shown.exit_code == 0
    assert "tiny 0.1" in shown.stdout
