"""The preset ``paper`` is what the documentation says, and that is what was published."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mandora.core.settings import (
    Settings,
    TrainDamageSettings,
    TrainLocateSettings,
    TrainSymmetrySettings,
    preset,
)

PAGE = Path(__file__).resolve().parent.parent / "docs" / "paper.md"
STAGES: dict[str, type[Settings]] = {
    "locate": TrainLocateSettings, "damage": TrainDamageSettings,
    "symmetry": TrainSymmetrySettings,
}  # fmt: skip


def leaves(settings: Settings, above: str = "") -> dict[str, Any]:
    """All values by their names in TOML."""
    found: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, Settings):
            found |= leaves(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = value
    return found


def shown(value: object) -> str:
    if value is None:
        return "none"
    return f"`{list(value) if isinstance(value, tuple) else value}`"


def rows() -> list[tuple[str, list[str], str, str, str]]:
    """(published, stages, setting, value in paper, in fast) of the table."""
    text = PAGE.read_text(encoding="utf-8").split("\n## ")[0]
    found = []
    for line in text.splitlines():
        if match := re.fullmatch(r"\| (.+) \| `([a-z, ]+) ([a-z_.]+)` \| (.+) \| (.+) \|", line):
            published, stages, *rest = match.groups()
            found.append((published, stages.split(", "), *rest))
    return found


def test_the_table_states_the_values_of_both_presets() -> None:
    assert len(rows()) > 60
    for published, stages, setting, *values in rows():
        for stage in stages:
            for name, value in zip(("paper", "fast"), values, strict=True):
                set_to = leaves(preset(name, STAGES[stage]))[setting]
                assert value == shown(set_to), f"{stage} {setting} in {name}: {published}"


@pytest.mark.parametrize("stage", STAGES)
def test_the_table_has_all_in_which_the_presets_differ(stage: str) -> None:
    paper, fast = (leaves(preset(name, STAGES[stage])) for name in ("paper", "fast"))
    told = {setting for _, stages, setting, *_ in rows() if stage in stages}
    differ = {name for name, value in paper.items() if value != fast[name]}
    assert differ - told - {"loop.small_share"} == set()


PUBLISHED: dict[str, dict[str, Any]] = {
    "locate": {
        "network.input_px": 1024, "network.widths": (9, 18, 36, 72, 144), "network.kernel_px": 7,
        "network.square_half_px": 15, "network.found_threshold": 0.5 / 255, "network.corner": 0.01,
        "changes.keep_height": (0.85, 0.95), "changes.keep_below": 0.01,
        "changes.intensity": (0.9, 1.15), "loop.batch_size": 5, "loop.epochs": 100,
        "loop.drop_after": 50, "loop.restart_every": 10, "loop.epsilon": 1e-7,
        "loop.rate_decay": 1e-5, "loop.learning_rate": 1e-3, "loop.drop_factor": 0.1,
        "loop.small_share": 0, "split.held": 0.2,
    },
    "damage": {
        "network.patch_px": 384, "network.half_window_px": 192, "network.channels": 7,
        "network.patch_range": 255, "network.widths": (21, 31, 46, 69, 103),
        "network.bottleneck": True, "network.mask": "space", "network.mask_weight": 1,
        "network.score_weight": 1, "network.dice_weight": 0, "changes.centre_film_px": 10,
        "changes.shift": 0, "changes.mirror_share": 0.5, "changes.intensity": (0.9, 1.15),
        "oversample": True, "loop.batch_size": 20, "loop.epochs": 50, "loop.drop_after": 10,
        "loop.restart_every": 10, "loop.epsilon": 1e-7, "loop.rate_decay": 1e-5,
        "loop.learning_rate": 1e-3, "loop.drop_factor": 0.1, "loop.small_share": 0,
        "split.networks": 0.5, "split.held": 0.2, "split.trees": 0.3,
    },
    "symmetry": {
        "forest.trees": 500, "forest.depth": 4, "forest.blend": 0.5, "forest.max_features": 1,
        "forest.drop_extremity": 0, "forest.label": "official",
    },
}  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_the_preset_has_the_published_numbers(stage: str) -> None:
    paper = leaves(preset("paper", STAGES[stage]))
    assert {name: paper[name] for name in PUBLISHED[stage]} == PUBLISHED[stage]
