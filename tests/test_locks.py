"""The locks say exactly what is installed, and nothing about where from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HASHED = ("core", "dev", "build", "oldest")
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
    for name in ("core", "dev"):
        assert only_training.isdisjoint(pins(name))


def test_the_locks_agree_with_each_other() -> None:
    for names in (("core", "dev", "train"), ("core", "dev", "build"), ("build", "oldest")):
        for name in names[1:]:
            for package, version in pins(name).items():
                assert pins(names[0]).get(package, version) == version, package


def test_the_oldest_releases_are_the_lower_bounds_of_the_core() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = pins("oldest")
    for line in project["dependencies"]:
        name, bound = re.fullmatch(r"([\w.-]+)>=([\d.]+)", line).groups()
        parts = [[int(n) for n in text.split(".")] for text in (oldest[name], bound)]
        assert parts[0][: len(parts[1])] == parts[1], line
        assert not any(parts[0][len(parts[1]) :]), line


def test_the_package_is_built_with_nothing_that_is_not_locked() -> None:
    backend = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]
    assert {re.split("[<>=]", line)[0] for line in backend["requires"]} <= pins("build").keys()
    for name in ("Makefile", "Containerfile", ".ci/run", ".ci/extras", "README.md",
                 "docs/install.md"):  # fmt: skip
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            if re.search(r"(pip|INSTALL\)) (install|wheel)?.*--no-deps", line):
                assert "--no-build-isolation" in line, f"{name}: {line}"
            for hashed in HASHED:
                if f"-r requirements/{hashed}.txt" in line:
                    assert "--require-hashes" in line, f"{name}: {line}"


def test_pins_of_training_fit_every_build_of_a_release() -> None:
    # a local version such as 2.13.0+cpu exists on some machines only
    assert not [v for v in pins("train").values() if "+" in v]
