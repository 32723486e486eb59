"""What all tests share."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
FILMS = ROOT.parent / "shared" / "radiographs"

# The machines that run the tests differ in speed: an example that is slow is no error. On CI the
# same examples are drawn each time, so that a failure is one of the change under test.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def chromium_path() -> str | None:
    """Where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    no_films = pytest.mark.skip(reason=f"no real films in {FILMS}")
    no_browser = pytest.mark.skip(reason="no Chromium on this machine")
    for item in items:
        if item.get_closest_marker("films") and not FILMS.is_dir():
            item.add_marker(no_films)
        if item.get_closest_marker("browser") and chromium_path() is None:
            item.add_marker(no_browser)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to other machines: films and scores never leave this one."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = str(address[0]) if isinstance(address, tuple) else "local"
        if host not in {"local", "localhost", "::1"} and not host.startswith("127."):
            raise OSError(f"a test tried to reach {host}; only this machine is allowed")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def films() -> Path:
    """The folder with real films; a test that asks for it is skipped where there is none."""
    if not FILMS.is_dir():
        pytest.skip(f"no real films in {FILMS}")
    return FILMS


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium; a test that asks for it is skipped where there is none."""
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium on this machine")
    return path
