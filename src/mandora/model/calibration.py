"""A bundle with what was measured on films that did not train it: thresholds and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mandora.core.anatomy import Limb
from mandora.core.files import AnyPath
from mandora.core.specs import LimbThresholds
from mandora.model.bundle import (
    THRESHOLDS_HEAD,
    Bundle,
    BundleInfo,
    threshold_section,
    write_bundle,
)
from mandora.model.contract import IntervalContract

_INTERVALS_HEAD = "## Intervals"


def with_calibration(
    bundle: Bundle,
    folder: AnyPath,
    thresholds: Mapping[Limb, LimbThresholds] | None = None,
    intervals: tuple[IntervalContract, str] | None = None,
) -> Bundle:
    """Write a bundle anew with other thresholds or intervals, or both.

    Args:
        bundle: the model; its networks and trees stay as they are.
        folder: for the new bundle; must not exist or be empty.
        thresholds: of the limbs that were measured; None: none was.
        intervals: how sure its scores are, and in words the patients, who trained nothing, that
            this was measured on; None: not measured.

    Raises:
        BundleError: if the folder is taken.
    """
    manifest = bundle.manifest
    contract = manifest.contract.with_thresholds(thresholds or {})
    card = bundle.path(manifest.card).read_text(encoding="utf-8")
    if thresholds:
        card = with_section(card, THRESHOLDS_HEAD, "\n".join(threshold_section(contract)))
    if intervals:
        contract = contract.model_copy(update={"intervals": intervals[0]})
        card = with_section(card, _INTERVALS_HEAD, _interval_lines(*intervals))
    files: dict[str, bytes | Path] = {name: bundle.path(name) for name in manifest.files}
    files[manifest.card] = card.encode()
    about = manifest.model_dump(include=set(BundleInfo.model_fields))
    return write_bundle(folder, BundleInfo(**{**about, "contract": contract}), files)


def _interval_lines(intervals: IntervalContract, measured_on: str) -> str:
    return (
        f"Intervals hold {100 * intervals.level:g} % of the labels of patients like those that "
        f"they were measured on: {measured_on}, {intervals.patients} patients who trained "
        "nothing. Of others they need not."
    )


def with_section(card: str, head: str, text: str) -> str:
    """A card whose section of that head, the last if there is none, holds the text."""
    before, found, after = card.partition(f"{head}\n")
    rest = after.partition("\n## ")[2] if found else ""
    parts = [before.rstrip(), f"{head}\n\n{text}", f"## {rest.rstrip()}" if rest else ""]
    return "\n\n".join(part for part in parts if part) + "\n"
