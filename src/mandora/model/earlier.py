"""Manifests of earlier schemas, stated as this version does."""

from __future__ import annotations

from typing import Any

from mandora.model.contract import DEFAULT_LIMITS, DEFAULT_THRESHOLDS

# What a schema that did not know a field was used with. 1.1 states the design; 1.2 larger windows;
# 1.3 the range of the patch's own channels and what is a corner; 1.4 thresholds and limits;
# 1.5 along what patches are cut.
_UNSTATED: dict[str, dict[str, Any]] = {
    "locate": {
        "design": "all-landmarks", "keep_aspect": True, "decode": "peak", "corner": 0.05,
        "seeds": 1,
        "thresholds": {
            limb.value: thresholds.model_dump(mode="json")
            for limb, thresholds in DEFAULT_THRESHOLDS.items()
        },
    },
    "damage": {
        "design": "all-joints", "window": "limb", "half_window_px": 192.0, "enlarged": {},
        "along": "film",
        "patch_range": 1.0, "mask": "space", "limits": DEFAULT_LIMITS.model_dump(mode="json"),
    },
}  # fmt: skip
_RENAMED = {"points": "landmarks", "heatmap_stride": "heat_map_stride"}  # in 1.4
_DESIGNS = {"all-points": "all-landmarks", "one-point": "one-landmark"}  # in 1.4
_BY_ENDS = ("1.0", "1.1", "1.2")  # a limb's size was |MCP2-MCP5| or |MTP1-MTP5| in training
# Size of a limb by all its landmarks / by these ends, geometric mean over simulated hands and feet:
# python benchmarks/limb_size.py
_SIZE_PER_ENDS = 0.999


def is_earlier(schema: str) -> bool:
    """Whether a schema of this major version is one that this module can bring up to date."""
    return schema in (*_BY_ENDS, "1.3", "1.4")


def as_current(manifest: dict[str, Any], schema: str) -> dict[str, Any]:
    """The content of an earlier manifest as schema ``schema`` states it; scores stay the same.

    What is not as it should be is left for the check of the fields to find.
    """
    contract = dict(manifest["contract"])
    for stage, unstated in _UNSTATED.items():
        known = {_RENAMED.get(name, name): value for name, value in contract[stage].items()}
        contract[stage] = {**unstated, **known}
        design = contract[stage]["design"]
        contract[stage]["design"] = _DESIGNS.get(design, design)
    if manifest["schema_version"] in _BY_ENDS:  # patches stay as large on average
        half_window = contract["damage"]["half_window"]
        contract["damage"]["half_window"] = min(round(half_window / _SIZE_PER_ENDS, 4), 1.0)
    return {**manifest, "contract": contract, "schema_version": schema}
