"""A bundle with what was measured on films that did not train it: thresholds and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mandora.core.anatomy import Limb
from mandora.core.files import AnyPath
from mandora.core.specs import LimbThresholds
from mandora.model.bundle import Bundle, BundleInfo, write_bundle
from mandora.model.card import (
    INTERVALS_HEAD,
    THRESHOLDS_HEAD,
    interval_section,
    threshold_section,
    with_section,
)
from mandora.model.contract import IntervalContract


def with_calibration(
    bundle: Bundle,
    folder: AnyPath,
    thresholds: Mapping[Limb, LimbThresholds] | None = None,
    intervals: IntervalContract | None = None,
) -> Bundle:
    """Write a bundle anew with other thresholds or intervals, or both.

    Args:
        bundle: the model; its networks and trees stay as they are.
        folder: for the new bundle; must not exist or be empty.
        thresholds: of the limbs that were measured; None: none was.
        intervals: how sure its scores are; None: not measured.

    Raises:
        BundleError: if the folder is taken.
    """
    manifest = bundle.manifest
    contract = manifest.contract.with_thresholds(thresholds or {})
    card = bundle.path(manifest.card).read_text(encoding="utf-8")
    if thresholds:
        card = with_section(card, THRESHOLDS_HEAD, threshold_section(contract))
    if intervals:
        contract = contract.model_copy(update={"intervals": intervals})
        card = with_section(card, INTERVALS_HEAD, interval_section(intervals))
    files: dict[str, bytes | Path] = {name: bundle.path(name) for name in manifest.files}
    files[manifest.card] = card.encode()
    about = manifest.model_dump(include=set(BundleInfo.model_fields))
    return write_bundle(folder, BundleInfo(**{**about, "contract": contract}), files)
