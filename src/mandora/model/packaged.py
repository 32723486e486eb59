"""The models that come with the package, and what a word on the command line names.

``default`` is the best one, and its weights may be for research only. ``open`` was trained on
simulated films and on films with an open licence only. An installation may have the first alone.
"""

from __future__ import annotations

from pathlib import Path

from mandora.core.files import AnyPath
from mandora.model.bundle import PACKAGED, Bundle, BundleError, open_bundle, packaged_bundle


def packaged_bundles() -> dict[str, Path]:
    """The folders of the packaged models by name, the default first."""
    found = {}
    for name in PACKAGED:
        try:
            found[name] = packaged_bundle(name)
        except BundleError:
            continue
    return found


def named_bundle(word: AnyPath | None) -> Path:
    """The folder that a word names: ``default``, ``open`` or a path.

    The name of a packaged model always means that model, whatever lies in the current folder; a
    folder of the same name is given in another way, such as ``./open``.

    Args:
        word: name or path, as the user gave it; None is the default. A :class:`Path` is never a
            name, because it does not tell ``./open`` from ``open``.

    Raises:
        BundleError: if it is the name of a packaged model that this installation lacks.
    """
    if word is None:
        return packaged_bundle(PACKAGED[0])
    return packaged_bundle(word) if word in PACKAGED else Path(word)


def open_named(word: AnyPath | None) -> Bundle:
    """Open the bundle that a word names, see :func:`named_bundle`.

    Raises:
        BundleError: naming every file that is wrong, and what to do.
    """
    return open_bundle(named_bundle(word))


def table_lines(bundles: dict[str, Bundle]) -> list[str]:
    """Lines for people: each model, its size, its licence, what it was trained on.

    Args:
        bundles: by name.
    """
    lines = []
    for name, bundle in bundles.items():
        m = bundle.manifest
        total = sum(entry.bytes for entry in m.files.values())
        note = f": {m.licence.note}" if m.licence.note else ""
        lines += [
            f"{name}: {m.name} {m.version}, created {m.created}, {total / 1e6:.1f} MB",
            f"  licence     {m.licence.spdx}{note}",
            f"  trained on  {m.training_data}",
            f"  folder      {bundle.folder}",
        ]
    return lines
