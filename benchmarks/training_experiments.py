"""Which network for two cores? Variants of the preset ``fast``, one change at a time.

    python benchmarks/training_experiments.py damage|locate FOLDER [VARIANT…]

Every variant is trained on the same simulated films with the same seed and measured on the same
others; a variant that is finished in FOLDER is not trained again. Printed: what it costs, how
many items a second it trains on with one thread, and what it reaches.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mandora.core.anatomy import Limb
from mandora.core.settings import (
    FilmChangeSettings,
    LoopSettings,
    TrainDamageSettings,
    TrainLocateSettings,
    preset,
)
from mandora.damage.network import build_damage_net
from mandora.locate.network import build_locate_net
from mandora.training.damage import DamageTask
from mandora.training.describe import describe_network
from mandora.training.films import SimulatedFilms
from mandora.training.locate import LocateTask, prepare_films
from mandora.training.loop import fit
from mandora.training.patches import prepare_patches, stored_px

SEED, HELD_SEED = 11, 12
PATIENTS, HELD_PATIENTS, DAMAGE_EPOCHS = 200, 100, 3
FILMS, HELD_FILMS, LOCATE_EPOCHS = 600, 150, 5

SMALLER_FIRST = "smaller first"
DAMAGE: dict[str, dict[str, Any]] = {
    "as fast": {},
    "patch 80": {"patch_px": 80},
    "patch 144": {"patch_px": 144},
    "narrow": {"widths": (12, 24, 44, 68)},
    "wide": {"widths": (28, 56, 100, 156)},
    "20 to 112": {"widths": (20, 40, 72, 112)},
    "no overlap": {"dice_weight": 0.0},
    "ordinal": {"head": "ordinal", "score_weight": 1.0},
    "family heads": {"heads": "family"},
    "ordinal, family heads": {"head": "ordinal", "heads": "family", "score_weight": 1.0},
    "no mask": {"mask": "none"},
    SMALLER_FIRST: {},
}
LOCATE: dict[str, dict[str, Any]] = {
    "as fast": {},
    "input 192": {"input_px": 192},
    "input 320": {"input_px": 320},
    "narrow": {"widths": (12, 24, 36, 48, 72, 96)},
    "wide": {"widths": (24, 48, 72, 96, 144, 192)},
    "map 1:4": {"heat_map_stride": 4, "sigma_px": 1.0},
    "component": {"decode": "component"},
    SMALLER_FIRST: {},
}
# more epochs in about the same time; else all of them show items at full size
SMALLER = {
    "damage": {"epochs": 5, "small_share": 0.8},
    "locate": {"epochs": 7, "small_share": 0.75},
}


def damage(folder: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    """One row for each variant of the damage network."""
    base = preset("fast", TrainDamageSettings)
    for name in names:
        loop = _loop(base.loop, DAMAGE_EPOCHS, SMALLER["damage"] if name == SMALLER_FIRST else {})
        network = base.network.model_copy(update=DAMAGE[name])
        settings = base.model_copy(update={"network": network, "loop": loop})
        side = stored_px(network, base.changes)
        parts: list[dict[Limb, Any]] = [{}, {}]
        films = {}
        for limb in Limb:
            sources = (
                SimulatedFilms(limb, PATIENTS, SEED, fine=True),
                SimulatedFilms(limb, HELD_PATIENTS, HELD_SEED, fine=True),
            )
            films[limb] = sources[0]
            for part, source in zip(parts, sources, strict=True):
                part[limb] = prepare_patches(source, network, side, folder / "cache", 2, _silent)
        torch.manual_seed(SEED)
        task = DamageTask(films, settings, *parts)
        yield _trained(
            name, folder / name.replace(" ", "-"), build_damage_net(network), loop, task,
            describe_network("damage", network),
        )  # fmt: skip


def locate(folder: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    """One row for each variant of the hand's localiser."""
    base = preset("fast", TrainLocateSettings)
    for name in names:
        loop = _loop(base.loop, LOCATE_EPOCHS, SMALLER["locate"] if name == SMALLER_FIRST else {})
        network = base.network.model_copy(update=LOCATE[name])
        sources = (
            SimulatedFilms(Limb.HAND, FILMS, SEED, fine=False),
            SimulatedFilms(Limb.HAND, HELD_FILMS, HELD_SEED, fine=False),
        )
        parts = [prepare_films(s, network, folder / "cache", 2, _silent) for s in sources]
        torch.manual_seed(SEED)
        task = LocateTask(sources[0], network, FilmChangeSettings(), *parts)
        # how heat maps are read makes no difference to the training
        weights = "as fast" if set(LOCATE[name]) == {"decode"} else name
        yield _trained(
            name, folder / weights.replace(" ", "-"), build_locate_net(Limb.HAND, network), loop,
            task, describe_network("locate", network),
        )  # fmt: skip


def _loop(base: LoopSettings, epochs: int, change: Mapping[str, Any]) -> LoopSettings:
    own = {"epochs": epochs, "small_share": 0.0, "seed": SEED, "threads": 1}
    return base.model_copy(update={**own, **change})


def _trained(
    name: str, run: Path, network: Any, loop: LoopSettings, task: Any, cost: Any
) -> dict[str, Any]:
    began = time.monotonic()
    fit(network, loop, task, run, lambda line: print(f"  {line}", file=sys.stderr))
    with torch.no_grad():
        numbers = task.validate(network, torch.device("cpu"))
    rates = [
        json.loads(line)["items_per_second"]
        for line in (run / "history.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return {
        "variant": name, "parameters": cost.parameters, "gmac": cost.gmac,
        "items_per_second": float(np.median(rates)), **numbers,
    }  # fmt: skip


def _silent(done: int, count: int) -> None: ...


def _shown(row: Mapping[str, Any]) -> str:
    cells = [row["variant"], f"{row['parameters'] / 1e6:.2f} M", f"{row['gmac']:.3f}"]
    rest = [v for k, v in row.items() if k not in ("variant", "parameters", "gmac")]
    return "| " + " | ".join([*cells, *(f"{value:.3g}" for value in rest)]) + " |"


def main() -> None:
    """Print a table of what is asked for."""
    stages = {"damage": (damage, DAMAGE), "locate": (locate, LOCATE)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=stages)
    parser.add_argument("folder", type=Path)
    parser.add_argument("variants", nargs="*", help="all if none is named")
    args = parser.parse_args()
    make, variants = stages[args.stage]
    for number, row in enumerate(make(args.folder, args.variants or list(variants))):
        if number == 0:
            print("| " + " | ".join(row) + " |")
            print("|" + "---|" * len(row))
        print(_shown(row), flush=True)


if __name__ == "__main__":
    main()
