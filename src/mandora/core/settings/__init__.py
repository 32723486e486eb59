"""Settings of each command: small, frozen, read from and written to TOML.

Unknown keys are errors. A preset is a set of values for these classes, never a subclass.
"""

from mandora.core.settings.archive import ListenSettings, WebSettings
from mandora.core.settings.base import LoopSettings, Settings
from mandora.core.settings.commands import (
    EquivalenceSettings,
    ReproduceSettings,
    SimulateSettings,
    SplitSettings,
    TrainDamageSettings,
    TrainLocateSettings,
    TrainSymmetrySettings,
)
from mandora.core.settings.networks import (
    DamageSettings,
    FilmChangeSettings,
    LocateSettings,
    PatchChangeSettings,
    SymmetrySettings,
)
from mandora.core.settings.presets import PRESETS, preset

__all__ = [
    "PRESETS",
    "DamageSettings",
    "EquivalenceSettings",
    "FilmChangeSettings",
    "ListenSettings",
    "LocateSettings",
    "LoopSettings",
    "PatchChangeSettings",
    "ReproduceSettings",
    "Settings",
    "SimulateSettings",
    "SplitSettings",
    "SymmetrySettings",
    "TrainDamageSettings",
    "TrainLocateSettings",
    "TrainSymmetrySettings",
    "WebSettings",
    "preset",
]
