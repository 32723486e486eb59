"""Named sets of values: ``fast``, the defaults, and ``paper``."""

from __future__ import annotations

from typing import Any, TypeVar

from mandora.core.errors import InputError
from mandora.core.settings.base import Settings
from mandora.core.settings.commands import (
    ReproduceSettings,
    TrainDamageSettings,
    TrainLocateSettings,
    TrainSymmetrySettings,
)

PRESETS = ("fast", "paper")
ABOVE_BLACK = 0.5 / 255  # a heat map as a picture of 8 bits: what is above this is not black
S = TypeVar("S", bound=Settings)


def preset(name: str, kind: type[S]) -> S:
    """The settings of a preset.

    Raises:
        ValueError: if there is no such preset.
    """
    if name not in PRESETS:
        raise InputError(f"there is no preset {name!r}; use {' or '.join(PRESETS)}")
    # the defaults are those of ``fast``; what the paper does otherwise is below
    return kind.model_validate(_PAPER.get(kind, {})) if name == "paper" else kind()


# Where the published method departs from the defaults; the numbers are those of Li & Guan 2022
# and of the authors' program.
_PAPER: dict[type[Settings], dict[str, Any]] = {
    TrainLocateSettings: {
        "split": {"held": 0.2},
        "network": {
            "design": "one-landmark", "input_px": 1024, "keep_aspect": False, "channels": 3,
            "widths": (9, 18, 36, 72, 144), "kernel_px": 7, "heat_map_stride": 1,
            "target": "square", "square_half_px": 15.0, "landmark_weight": 0.0,
            "decode": "component", "found_threshold": ABOVE_BLACK, "corner": 0.01,
        },
        "changes": {
            "share": 0.0, "turn_deg": 0.0, "shift": 0.0, "scale": (1.0, 1.0), "part_share": 0.0,
            "keep_height": (0.85, 0.95), "keep_below": 0.01, "gamma": 0.0, "noise": 0.0,
            "blur_share": 0.0, "intensity": (0.9, 1.15),
        },
        "loop": {
            "epochs": 100, "batch_size": 5, "optimiser": "adam", "learning_rate": 1e-3,
            "schedule": "steps", "drop_after": 50, "restart_every": 10, "rate_decay": 1e-5,
            "epsilon": 1e-7, "weight_decay": 0.0, "clip_norm": 0.0, "half": False,
        },
    },
    TrainDamageSettings: {
        "split": {"held": 0.2},
        "oversample": True,
        "network": {
            "design": "family", "patch_px": 384, "window": "film", "half_window_px": 192.0,
            "along": "film", "enlarged": {}, "channels": 7, "patch_range": 255.0,
            "widths": (21, 31, 46, 69, 103), "bottleneck": True, "mask_weight": 1.0,
            "dice_weight": 0.0, "score_weight": 1.0,
        },
        "changes": {
            "share": 1.0, "turn_deg": 0.0, "shift": 0.0, "centre_film_px": 10,
            "scale": (1.0, 1.0), "mirror_share": 0.5, "gamma": 0.0, "noise": 0.0, "blur_share": 0.0,
            "intensity": (0.9, 1.15),
        },
        "loop": {
            "epochs": 50, "batch_size": 20, "optimiser": "adam", "learning_rate": 1e-3,
            "schedule": "steps", "drop_after": 10, "restart_every": 10, "rate_decay": 1e-5,
            "epsilon": 1e-7, "weight_decay": 0.0, "clip_norm": 0.0, "half": False,
        },
    },
    TrainSymmetrySettings: {
        "forest": {"drop_extremity": 0.0, "label": "official"}, "split": {"held": 0.2},
    },
}  # fmt: skip
_PAPER[ReproduceSettings] = {
    "plan": "repeated", "folds": 10, "trees_share": 0.3, "locate": _PAPER[TrainLocateSettings],
    "damage": _PAPER[TrainDamageSettings],
    "forest": {**_PAPER[TrainSymmetrySettings]["forest"], "threads": 1},
    "shap_rows": "as they are", "more_folds": 0,
}  # fmt: skip
