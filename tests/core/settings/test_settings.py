from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mandora.core.settings import (
    DamageSettings,
    LocateSettings,
    LoopSettings,
    Settings,
    SimulateSettings,
    SymmetrySettings,
    TrainDamageSettings,
    TrainLocateSettings,
    TrainSymmetrySettings,
    preset,
)

EXAMPLES: list[Settings] = [
    LoopSettings(minutes=12.5, seed=9),
    LocateSettings(widths=(8, 16), found_threshold=0.5),
    DamageSettings(patch_px=48),
    SymmetrySettings(blend=1.0),
    TrainLocateSettings(films=8, network=LocateSettings(input_px=64)),
    TrainDamageSettings(loop=LoopSettings(epochs=2)),
    TrainSymmetrySettings(patients=2),
    SimulateSettings(patients=3),
]


def write(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("settings", EXAMPLES, ids=lambda s: type(s).__name__)
def test_settings_are_read_back_as_they_were_written(settings: Settings, tmp_path: Path) -> None:
    assert type(settings).from_toml(write(tmp_path, settings.to_toml())) == settings


def test_keys_that_are_absent_keep_their_defaults(tmp_path: Path) -> None:
    settings = TrainLocateSettings.from_toml(write(tmp_path, "films = 80\n[network]\ninput_px=64"))
    assert settings.films == 80
    assert settings.network == LocateSettings(input_px=64)
    assert settings.loop == TrainLocateSettings().loop


def test_an_unknown_key_is_refused_with_file_and_key(tmp_path: Path) -> None:
    path = write(tmp_path, "[loop]\nepoch = 3\n")
    with pytest.raises(ValueError, match=r"my\.toml does not fit TrainDamageSettings.*loop\.epoch"):
        TrainDamageSettings.from_toml(path)


def test_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "epochs = 0\nbatch_size = 'many'\nlearnin_rate = 1\n")
    with pytest.raises(ValueError, match="epochs") as caught:
        LoopSettings.from_toml(path)
    assert all(key in str(caught.value) for key in ("epochs", "batch_size", "learnin_rate"))


def test_what_is_no_toml_is_refused_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"my\.toml is not valid TOML"):
        LoopSettings.from_toml(write(tmp_path, "epochs: 3"))
    binary = tmp_path / "film.toml"
    binary.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match=r"film\.toml is not valid TOML"):
        LoopSettings.from_toml(binary)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (LocateSettings, {"input_px": 100}),  # the U-Net halves it five times
        (DamageSettings, {"patch_px": 40}),
        (DamageSettings, {"enlarged": {"wrist": 1.5}}),
        (DamageSettings, {"enlarged": {"radius": 0.5}}),
        (SymmetrySettings, {"blend": 1.1}),
        (SymmetrySettings, {"drop_extremity": 1.0}),
        (SimulateSettings, {"patients": 0}),
        (LoopSettings, {"minutes": 0}),
    ],
)
def test_values_that_cannot_work_are_refused(kind: type[Settings], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        kind(**values)


@pytest.mark.parametrize("kind", [TrainLocateSettings, TrainDamageSettings])
def test_published_networks_see_items_of_one_size(kind: type[Settings]) -> None:
    published = preset("paper", kind).model_dump()
    published["loop"]["small_share"] = 0.5
    with pytest.raises(ValidationError, match="takes items of one size only"):
        kind.model_validate(published)


def test_settings_do_not_change_under_a_run() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        LoopSettings().epochs = 3  # type: ignore[misc]


def test_a_file_changes_only_its_own_keys_of_a_preset(tmp_path: Path) -> None:
    path = write(tmp_path, "[loop]\nepochs = 3\n")
    base = preset("fast", TrainLocateSettings)
    changed = TrainLocateSettings.from_toml(path, base)
    assert changed.loop == base.loop.model_copy(update={"epochs": 3})
    assert changed.network == base.network


def test_an_unknown_key_is_refused_on_top_of_a_preset_too(tmp_path: Path) -> None:
    path = write(tmp_path, "[loop]\nepoch = 3\n")
    with pytest.raises(ValueError, match=r"loop\.epoch"):
        TrainDamageSettings.from_toml(path, preset("fast", TrainDamageSettings))


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'slow'; use fast"):
        preset("slow", TrainDamageSettings)


@pytest.mark.parametrize(
    ("line", "new"),
    [("heatmap_stride = 2", "heat_map_stride"), ('design = "all-points"', "all-landmarks")],
)
def test_a_name_of_an_earlier_version_is_refused_with_the_new_one(
    tmp_path: Path, line: str, new: str
) -> None:
    (tmp_path / "a.toml").write_text(f"[network]\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"a\.toml does not fit .*\(write {new}, its name"):
        TrainLocateSettings.from_toml(tmp_path / "a.toml")
