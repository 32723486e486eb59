"""The base class of all settings, and the settings of the training loop."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mandora.core.errors import InputError
from mandora.core.files import AnyPath
from mandora.core.inputs import read_text


class Settings(BaseModel):
    """Base of all settings: frozen, read from TOML and written to it; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def from_toml(cls, path: AnyPath, base: Self | None = None) -> Self:
        """Read settings from a file.

        Args:
            path: the file.
            base: gives the values of absent keys, in tables too; without it they are the
                defaults of the classes.

        Raises:
            ValueError: naming the file and every key that is wrong.
        """
        try:
            given = tomllib.loads(read_text(Path(path)))
            values = _merged(base.model_dump(exclude_none=True), given) if base else given
            return cls.model_validate(values)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not valid TOML: {error}") from error
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg']}{_new_name(e)}" for e in error.errors()
            )
            raise InputError(f"{path} does not fit {cls.__name__}: {problems}") from error

    def to_toml(self) -> str:
        """The settings as TOML; keys that are None are left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


_RENAMED = {
    "heatmap_stride": "heat_map_stride", "point_weight": "landmark_weight",
    "all-points": "all-landmarks", "one-point": "one-landmark",
}  # fmt: skip
"""Keys and values of earlier versions."""


def _new_name(error: Mapping[str, Any]) -> str:
    """What to write instead, if this is a key or a value of an earlier version."""
    for given in (*error["loc"][-1:], error["input"]):
        if isinstance(given, str) and given in _RENAMED:
            return f" (write {_RENAMED[given]}, its name in this version)"
    return ""


def _merged(base: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """``base``, updated by ``given``, table by table."""
    merged = dict(base)
    for key, value in given.items():
        known = base.get(key)
        both = isinstance(value, dict) and isinstance(known, dict)
        merged[key] = _merged(known, value) if both and known is not None else value
    return merged


class LoopSettings(Settings):
    """The training loop of all networks."""

    epochs: int = Field(24, ge=1, description="passes over the training items")
    batch_size: int = Field(32, ge=1, description="items per step, over all processes")
    optimiser: Literal["adamw", "adam"] = Field("adamw", description="`adamw` or `adam`")
    learning_rate: float = Field(2e-3, gt=0, description="highest learning rate")
    schedule: Literal["one-cycle", "steps"] = Field(
        "one-cycle", description="`one-cycle`, or `steps`: constant, lowered once"
    )
    drop_after: int | None = Field(
        None, ge=1, description="`steps`: epochs at the full rate; it is never lowered if absent"
    )
    drop_factor: float = Field(0.1, gt=0, le=1, description="`steps`: its factor after that")
    restart_every: int | None = Field(
        None, ge=1,
        description="`steps`: the optimiser is restarted every so many epochs, counted from "
        "`drop_after`, and at `drop_after` itself; never if absent",
    )  # fmt: skip
    rate_decay: float = Field(
        0.0, ge=0,
        description="the rate is divided by 1 + this × number of steps since the optimiser was "
        "started",
    )  # fmt: skip
    epsilon: float = Field(
        1e-8, gt=0,
        description="is added to the root of the mean squared gradient; by `adam` as in Keras, "
        "before the bias correction of that mean",
    )  # fmt: skip
    weight_decay: float = Field(1e-4, ge=0, description="of AdamW")
    clip_norm: float = Field(
        1.0, ge=0, description="gradients are clipped to this norm; 0: not clipped"
    )
    ema: float | None = Field(
        None, gt=0, lt=1,
        description="decay per step of averaged weights, which are then the weights that are kept",
    )  # fmt: skip
    keep: Literal["last", "best"] = Field(
        "last", description="export the `last` weights, or the `best` by the held-out score"
    )
    patience: int | None = Field(
        None, ge=1, description="stop after this number of epochs without a better held-out score"
    )
    minutes: float | None = Field(None, gt=0, description="stop when an epoch ends after this time")
    small_share: float = Field(
        0.0, ge=0, lt=1,
        description="share of the epochs (the first ones) that show items with about half of their "
        "px, which takes about half of the time",
    )  # fmt: skip
    checkpoint_minutes: float = Field(
        2.0, ge=0, description="minutes between checkpoints within an epoch; 0: after every step"
    )
    seed: int = Field(1, description="seed of simulated items, their order and first weights")
    threads: int = Field(2, ge=1, description="processor threads; processes that simulate")
    loaders: int = Field(
        0, ge=0, description="processes that prepare batches; 0: the training process does"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto`, `cpu` or `cuda`")
    half: bool = Field(True, description="16-bit arithmetic where the processor or GPU supports it")
    deterministic: bool = Field(
        True, description="use only operations that give the same bits every time"
    )

    @model_validator(mode="after")
    def _restarts(self) -> Self:
        if self.restart_every is not None and self.schedule != "steps":
            raise InputError("restart_every works with schedule 'steps' only")
        return self
