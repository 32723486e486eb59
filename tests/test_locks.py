"""The locks say exactly what is installed, and nothing about where from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HASHED = ("core", "dev")
LOCKS = (*HASHED, "train")


def lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def pins(name: str) -> dict[str, str]:
    """Release of each package by its name."""
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock(name), re.M))


def wanted(*extras: str) -> set[str]:
    """Names of the packages that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return {re.split(r"[\[<>=~! ;]", line)[0].lower() for line in lines}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_place_to_get_packages_from(name: str) -> None:
    assert "://" not in lock(name)
    assert not re.search(r"^\s*-(?!-hash=)", lock(name), re.M)


@pytest.mark.parametrize("name", HASHED)
def test_every_pin_of_a_hashed_lock_has_hashes(name: str) -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", lock(name).strip())
    assert len(blocks) == len(pins(name)) > 0
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize(
    ("name", "extras"),
    [("core", ()), ("dev", ("dicom", "docs", "dev")), ("train", ("train", "explain"))],
)
def test_a_lock_holds_what_the_project_asks_for(name: str, extras: tuple[str, ...]) -> None:
    assert wanted(*extras) <= pins(name).keys()


def test_scoring_is_locked_without_what_only_training_needs() -> None:
    only_training = wanted("train") - wanted()
    for name in HASHED:
        assert only_training.isdisjoint(pins(name))


def test_the_locks_agree_with_each_other() -> None:
    for name in ("dev", "train"):
        for package, version in pins(name).items():
            assert pins("core").get(package, version) == version, package


def test_pins_of_training_fit_every_build_of_a_release() -> None:
    # a local version such as 2.13.0+cpu exists on some machines only
    assert not [v for v in pins("train").values() if "+" in v]
