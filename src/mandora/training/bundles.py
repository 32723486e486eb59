"""Make a bundle of a finished run: contract, licence and card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mandora import __version__
from mandora.core.anatomy import LANDMARKS, Limb
from mandora.core.errors import InputError
from mandora.core.settings import (
    PRESETS,
    LocateSettings,
    TrainDamageSettings,
    TrainLocateSettings,
    TrainSymmetrySettings,
    preset,
)
from mandora.locate.template import limb_template
from mandora.model.bundle import (
    CARD,
    Bundle,
    BundleInfo,
    Licence,
    write_bundle,
)
from mandora.model.card import THRESHOLDS_HEAD, threshold_section, with_section
from mandora.model.contract import (
    SYMMETRY_FILE,
    Contract,
    DamageContract,
    LocateContract,
    SymmetryContract,
    model_files,
)
from mandora.training.compact import STORAGE_HEAD, compact_networks
from mandora.training.runs import DATA_FILE, RESULT_FILE, SIMULATED, changed_settings, further_data

PACKAGES = ("torch", "kornia", "onnx", "scikit-learn", "numpy", "scipy", "pillow")

LICENCES = {
    SIMULATED: Licence(spdx="Apache-2.0", note="trained on simulated films; no patient's film"),
    "ra2": Licence(
        spdx="LicenseRef-RA2",
        note="trained on films of the RA2 DREAM challenge, which are given out under an agreement "
        "on their use: the weights go no further than that agreement lets them, and a copy for "
        "others needs its permission",
    ),
    "ram-h1200": Licence(
        spdx="CC-BY-4.0", note="trained on RAM-H1200: name the data set wherever the weights go"
    ),
}
"""By layout of the training data: the licence of the weights that its terms lead to."""

OWN_FILMS = Licence(
    spdx="LicenseRef-training-films",
    note="trained on the maker's own films: the consent of the patients and the terms of the "
    "hospital decide who may have the weights; ask before they leave the house",
)


def contract_of(run: Path) -> Contract:
    """The contract of the run's networks, from the settings that trained them.

    Raises:
        ValueError: if a stage is missing, or the two localisers were trained with networks of
            other settings: a contract states one input for both.
    """
    locate, foot, damage, symmetry = _settings_of(run)
    if foot.network != locate.network:
        raise InputError(
            f"the localisers of hand and foot in {run} were trained with other network settings; "
            "train one of them again"
        )
    return Contract(
        locate=locate_contract(locate.network),
        damage=DamageContract.of(damage.network),
        symmetry=SymmetryContract.of(symmetry.forest),
    )


def locate_contract(settings: LocateSettings) -> LocateContract:
    """The contract of localisers with these settings.

    Raises:
        ValueError: if they cannot be used for scoring.
    """
    template = {limb: tuple((float(x), float(y)) for x, y in limb_template(limb)) for limb in Limb}
    return LocateContract.of(settings, template)


def _settings_of(
    run: Path,
) -> tuple[TrainLocateSettings, TrainLocateSettings, TrainDamageSettings, TrainSymmetrySettings]:
    names = [f"locate-{limb}.toml" for limb in Limb] + ["damage.toml"]
    lacking = [name for name in names if not (run / name).exists()]
    if lacking:
        stages = ", ".join(name.removesuffix(".toml") for name in lacking)
        raise InputError(f"{run} lacks {stages}; train those stages first")
    trees = run / "symmetry.toml"
    return (
        TrainLocateSettings.from_toml(run / f"locate-{Limb.HAND}.toml"),
        TrainLocateSettings.from_toml(run / f"locate-{Limb.FOOT}.toml"),
        TrainDamageSettings.from_toml(run / "damage.toml"),
        TrainSymmetrySettings.from_toml(trees) if trees.exists() else TrainSymmetrySettings(),
    )


def make_bundle(
    run: Path, out: Path, name: str, version_: str, licence: Licence | None = None,
    compact: bool | None = None,
) -> Bundle:  # fmt: skip
    """Turn a finished run into a bundle.

    Args:
        run: folder of the run.
        out: folder for the bundle.
        name: of the model.
        version_: of the model.
        licence: of the weights; by default that which follows from the terms of the films.
        compact: round the weights, see :mod:`mandora.training.compact`; by default not those of
            the published design.

    Raises:
        ValueError: if a stage is missing, or the folder exists already.
    """
    contract = contract_of(run)
    names = model_files(contract)
    lacking = [n for n in names if not (run / n).exists()]
    if lacking:
        raise InputError(f"{run} lacks {', '.join(lacking)}; train those first")
    data = json.loads((run / DATA_FILE).read_text(encoding="utf-8"))
    seen = [data, *(about for about in further_data(run) if about != data)]
    nearest, changed = _preset_of(run)
    info = BundleInfo(
        name=name, version=version_, preset=f"{nearest}, changed" if changed else nearest,
        created=f"{datetime.now(UTC):%Y-%m-%d}", contract=contract,
        licence=licence or _licence(seen),
        software={"mandora": __version__, **{p: version(p) for p in PACKAGES}},
        training_data=_in_words(seen),
    )  # fmt: skip
    paths, card = {n: run / n for n in names}, "\n".join([*_card(run, info, data, changed), ""])
    networks: dict[str, bytes] = {}
    if contract.damage.design == "all-joints" if compact is None else compact:
        networks, lines = compact_networks(contract, paths)
        card = with_section(card, STORAGE_HEAD, lines)
    return write_bundle(out, info, {**paths, **networks, CARD: card.encode()})


def _preset_of(run: Path) -> tuple[str, list[str]]:
    """The preset that is nearest to a run's settings, and the names of changed settings."""
    locate, foot, damage, symmetry = _settings_of(run)
    found = []
    for name in PRESETS:
        changed = [
            f"{stage}.{key}"
            for stage, settings in (("locate-hand", locate), ("locate-foot", foot),
                                    ("damage", damage), ("symmetry", symmetry))
            for key in changed_settings(preset(name, type(settings)), settings)
        ]  # fmt: skip
        found.append((len(changed), name, changed))
    _, name, changed = min(found)
    return name, changed


def _licence(seen: Sequence[dict[str, Any]]) -> Licence:
    """The licence that follows from the terms of the films; of several data sets, the strictest."""
    layouts = [about["layout"] for about in seen if about["layout"] != SIMULATED] or [SIMULATED]
    return LICENCES.get(layouts[0], OWN_FILMS) if len(layouts) == 1 else OWN_FILMS


def _in_words(seen: Sequence[dict[str, Any]]) -> str:
    real = [about for about in seen if about["layout"] != SIMULATED]
    if not real:
        return "simulated films only; no patient's film"
    parts, sets = ("patients", "films", "pictures of joints"), []
    for about in real:
        counts = ", ".join(f"{about[part]} {part}" for part in parts if about[part])
        sets.append(f"{about['name']} ({about['layout']}: {counts})")
    return ("simulated films and real ones: " if len(real) < len(seen) else "") + "; ".join(sets)


# ── the card ─────────────────────────────────────────────────────────────────────────────


def _card(
    run: Path, info: BundleInfo, data: dict[str, Any], changed: Sequence[str]
) -> Iterator[str]:
    """Lines of the card: the model, its held-out numbers, its limits."""
    simulated = data["layout"] == SIMULATED
    yield f"# {info.name} {info.version}"
    yield ""
    yield "For research use only. Not a medical device."
    yield ""
    yield f"Preset `{info.preset}`. Trained on {info.training_data}."
    if changed:
        yield f"Changed from the preset: {', '.join(changed)}."
    if not simulated and data["readers"]:
        weights = ", ".join(f"{name} {weight:g}" for name, weight in data["readers"].items())
        yield f"Training labels: weighted mean of the readers ({weights})."
    yield ""
    yield f"Licence of the weights: {info.licence.spdx}"
    yield info.licence.note
    yield ""
    yield "## Measured on held-out " + ("simulated films" if simulated else "patients")
    yield ""
    yield "| network | numbers |"
    yield "|---|---|"
    for name in (*model_files(info.contract),):
        result = run / Path(name).stem / RESULT_FILE
        if result.exists():
            numbers = json.loads(result.read_text(encoding="utf-8"))["numbers"]
            shown = ", ".join(
                f"{k} {v:.3g}" for k, v in numbers.items() if v is not None and k != "score"
            )
            yield f"| {Path(name).stem} | {shown} |"
    yield ""
    yield "`locate`: error as a share of the film's longer side. `damage`: Dice of the mask, and r"
    yield "and RMSE (points) over joints at jittered true positions. `symmetry`: r over joints at"
    yield "predicted positions, before (`patch`) and after the trees (`final`)."
    yield ""
    yield THRESHOLDS_HEAD
    yield ""
    yield from threshold_section(info.contract)
    yield ""
    yield "## Settings"
    yield ""
    for stage in (*(f"locate-{limb}" for limb in Limb), "damage", SYMMETRY_FILE[:-4]):
        path = run / f"{stage}.toml"
        if path.exists():
            yield f"### {stage}"
            yield ""
            yield "```toml"
            yield path.read_text(encoding="utf-8").strip()
            yield "```"
            yield ""
    yield "## Limits"
    yield ""
    if simulated:
        yield "Simulated films are simpler than real ones: scores of real films are not validated."
    else:
        yield "Films of other hospitals and machines may be read worse than those it was trained"
        yield "on; compare it with a reader on some of your own before you use it."
    yield "Views of the hand from its back and of the foot from its top only."
    hand, foot = (len(LANDMARKS[limb]) for limb in (Limb.HAND, Limb.FOOT))
    yield f"It finds {hand} landmarks of a hand and {foot} of a foot."
