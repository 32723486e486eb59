"""What a word names: a packaged model or a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mandora.cli.main import app
from mandora.model import bundle as module
from mandora.model.bundle import BundleError, default_bundle
from mandora.model.packaged import named_bundle, open_named, packaged_bundles


@pytest.fixture
def installed(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with both models; the call is made in a folder that has an `open` of its own."""
    package, here = tmp_path / "package", tmp_path / "here"
    for name in ("default", "open"):
        shutil.copytree(tiny_bundle, package / name)
    manifest = package / "open" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("Apache-2.0", "CC0-1.0"))
    shutil.copytree(tiny_bundle, here / "open")
    monkeypatch.setattr(module.resources, "files", lambda _: package)
    monkeypatch.chdir(here)
    return package


def test_a_name_is_a_packaged_model_and_a_path_a_folder(installed: Path) -> None:
    assert named_bundle(None) == named_bundle("default") == default_bundle()
    assert named_bundle("open") == installed / "open"
    for path in ("./open", Path("open"), "open/", str(Path("open").resolve())):
        assert open_named(path).folder.resolve() == Path("open").resolve()
    assert list(packaged_bundles()) == ["default", "open"]


def test_a_model_that_is_not_there_is_not_looked_for_elsewhere(installed: Path) -> None:
    shutil.rmtree(installed / "open")
    assert list(packaged_bundles()) == ["default"]
    with pytest.raises(BundleError, match="no model bundle"):
        named_bundle("open")
    shutil.rmtree(installed / "default")
    assert packaged_bundles() == {}
    done = CliRunner().invoke(app, ["bundle", "list"])
    assert done.exit_code == 2
    assert "no model" in done.stderr


def test_the_list_names_each_model_with_its_licence_and_its_films(installed: Path) -> None:
    done = CliRunner().invoke(app, ["bundle", "list"])
    assert done.exit_code == 0, done.output
    default, opened = done.stdout.split("open: ")
    assert default.startswith("default: ")
    assert "Apache-2.0" in default
    assert "CC0-1.0" in opened
    manifest = open_named("open").manifest
    assert manifest.training_data in opened
    assert f"{manifest.name} {manifest.version}" in opened


def test_commands_take_the_name(installed: Path) -> None:
    shown = CliRunner().invoke(app, ["bundle", "show", "open"])
    assert str(installed / "open") in shown.stdout.replace("\n", "")
    shown = CliRunner().invoke(app, ["bundle", "show", "./open"])
    assert str(installed) not in shown.stdout
    assert CliRunner().invoke(app, ["bundle", "verify", "open"]).exit_code == 0
