from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from mandora.core.anatomy import LANDMARKS, Limb
from mandora.core.settings import (
    DamageSettings,
    LocateSettings,
    SymmetrySettings,
    TrainDamageSettings,
    TrainLocateSettings,
    preset,
)
from mandora.model import bundle as module
from mandora.model.bundle import (
    BUNDLE_SCHEMA,
    MANIFEST,
    STANDARD_FILES,
    BundleError,
    BundleInfo,
    Licence,
    default_bundle,
    migrate_bundle,
    open_bundle,
    verify_bundle,
    write_bundle,
)
from mandora.model.card import describe
from mandora.model.contract import (
    Contract,
    DamageContract,
    LocateContract,
    SymmetryContract,
    model_files,
)

FILES = {name: f"content of {name}".encode() for name in STANDARD_FILES}


def info(**changes: object) -> BundleInfo:
    template = {limb: tuple((0.5, 0.25) for _ in LANDMARKS[limb]) for limb in Limb}
    fields: dict[str, object] = {
        "name": "toy",
        "version": "0.1",
        "preset": "fast",
        "created": "2026-01-31",
        "contract": Contract(
            locate=LocateContract.of(LocateSettings(input_px=128), template),
            damage=DamageContract.of(DamageSettings()),
            symmetry=SymmetryContract.of(SymmetrySettings(blend=0.3)),
        ),
        "licence": Licence(spdx="Apache-2.0", note="simulated films only"),
        "software": {"numpy": "2.4.6"},
        "training_data": "1,000 simulated patients",
    }
    return BundleInfo.model_validate({**fields, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "toy", info(), FILES)
    return tmp_path / "toy"


def edit(folder: Path, change) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def test_what_is_written_is_read_back(folder):
    bundle = open_bundle(folder)
    assert bundle.manifest.model_dump(include=set(BundleInfo.model_fields)) == (info().model_dump())
    assert {n: bundle.path(n).read_bytes() for n in bundle.manifest.files} == FILES
    assert bundle.manifest.contract.locate.input_px == 128
    assert bundle.manifest.contract.symmetry.blend == 0.3
    assert verify_bundle(folder) == []
    assert [p.name for p in folder.parent.iterdir()] == ["toy"]


def test_files_can_be_given_by_their_path(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"network")
    bundle = write_bundle(tmp_path / "toy", info(), {**FILES, "damage.onnx": tmp_path / "x.onnx"})
    assert bundle.path("damage.onnx").read_bytes() == b"network"


def test_the_hash_names_the_model_and_not_the_place(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    same = open_bundle(tmp_path / "copy")
    other = write_bundle(tmp_path / "other", info(), {**FILES, "damage.onnx": b"another"})
    assert open_bundle(folder).sha256 == same.sha256 != other.sha256


@pytest.mark.parametrize("name", STANDARD_FILES)
def test_one_changed_byte_is_refused(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[3] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name}.*was changed.*copy the bundle again"):
        open_bundle(folder)


def test_every_problem_is_reported_at_once(folder):
    (folder / "damage.onnx").unlink()
    (folder / "card.md").write_bytes(b"x")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    (folder / "symmetry.npz").write_bytes(b"C" + FILES["symmetry.npz"][1:])
    problems = "\n".join(verify_bundle(folder))
    assert len(problems.split("\n")) == 4
    for says in (r"damage.onnx: is missing", r"card.md: has 1 bytes", "symmetry.npz: was changed"):
        assert says in problems
    assert "notes.txt: the manifest does not list it" in problems
    with pytest.raises(BundleError) as error:
        open_bundle(folder)
    assert str(error.value) == problems


def test_links_and_folders_are_no_bundle_files(folder, tmp_path):
    shutil.move(folder / "card.md", tmp_path / "card.md")
    (folder / "card.md").symlink_to(tmp_path / "card.md")
    (folder / "damage.onnx").unlink()
    (folder / "damage.onnx").mkdir()
    problems = verify_bundle(folder)
    assert len(problems) == 2
    assert all("plain file" in p for p in problems)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff\xfe", '"x"', "[" * 100_000])
def test_a_manifest_that_is_no_manifest_is_refused(folder, text):
    (folder / MANIFEST).write_bytes(text.encode("latin-1"))
    assert len(verify_bundle(folder)) == 1
    with pytest.raises(BundleError, match=r"manifest\.json"):
        open_bundle(folder)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere", Path(__file__)):
        with pytest.raises(BundleError, match=path.name):
            open_bundle(path)


@pytest.mark.parametrize(
    "name",
    ["../x", "..", "/etc/passwd", "a/b", "a\\b", "C:x", ".hidden", "", "x\n", "é", MANIFEST],
)
def test_names_that_lead_elsewhere_are_refused(folder, tmp_path, name):
    edit(folder, lambda m: m["files"].update({name: m["files"]["card.md"]}))
    with pytest.raises(BundleError, match="files"):
        open_bundle(folder)
    with pytest.raises(BundleError, match="files"):
        write_bundle(tmp_path / "new", info(), {**FILES, name: b"x"})
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "x").exists()


WRONG = {
    "unknown key": (lambda m: m.update(colour="red"), "colour"),
    "unknown key below": (lambda m: m["contract"]["damage"].update(zoom=2), "damage.zoom"),
    "no licence": (lambda m: m.pop("licence"), "licence"),
    "a file too few": (lambda m: m["files"].pop("damage.onnx"), "damage.onnx"),
    "no hash": (lambda m: m["files"]["card.md"].update(sha256="0"), "card.md.sha256"),
    "other card": (lambda m: m.update(card="read.md"), "read.md"),
    "later schema": (lambda m: m.update(schema_version="2.0"), "2.0.*same major version"),
    "no schema": (lambda m: m.pop("schema_version"), "schema_version"),
    "unknown landmark": (
        lambda m: m["contract"]["locate"]["landmarks"]["foot"].__setitem__(0, "heel"),
        "landmarks of the foot",
    ),
    "short template": (lambda m: m["contract"]["locate"]["template"]["hand"].pop(), "template"),
    "sites": (lambda m: m["contract"]["symmetry"]["sites"].pop(), "symmetry.sites"),
    "unknown design": (lambda m: m["contract"]["damage"].update(design="two"), "damage.design"),
    "films that are not seen so": (
        lambda m: m["contract"]["locate"].update(keep_aspect=False),
        "used with keep_aspect = True only",
    ),
    "threshold": (
        lambda m: m["contract"]["locate"].update(found_threshold=2),
        "locate.found_threshold",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_field_is_refused_by_name(folder, case):
    change, says = WRONG[case]
    edit(folder, change)
    with pytest.raises(BundleError, match=rf"manifest\.json.*{says}"):
        open_bundle(folder)


def test_several_wrong_fields_are_reported_together(folder):
    edit(folder, lambda m: (m.update(colour="red"), m.pop("licence")))
    assert len(verify_bundle(folder)) == 2


def test_a_later_minor_schema_is_read(folder):
    edit(folder, lambda m: m.update(schema_version="1.7"))
    assert verify_bundle(folder) == []


def published() -> BundleInfo:
    """What is stated of a bundle of the published design."""
    made = info().contract.locate
    locate = preset("paper", TrainLocateSettings).network
    return info(
        preset="paper",
        contract=Contract(
            locate=LocateContract.of(locate, made.template),
            damage=DamageContract.of(preset("paper", TrainDamageSettings).network),
            symmetry=SymmetryContract.of(SymmetrySettings()),
        ),
    )


def test_a_bundle_needs_the_files_of_its_design(tmp_path):
    stated = published()
    files = {name: name.encode() for name in (*model_files(stated.contract), "card.md")}
    bundle = write_bundle(tmp_path / "paper", stated, files)
    assert set(bundle.manifest.files) == set(files)
    assert bundle.manifest.schema_version == BUNDLE_SCHEMA
    text = describe(bundle)
    for part in ("one-landmark, 1024 × 1024 px", "family, patches of 384", "locate-hand-mcp2.onnx"):
        assert part in text
    # those of the other design do not do
    with pytest.raises(BundleError, match=r"files lacks .*locate-foot-mtp1\.onnx.*damage-eh"):
        write_bundle(tmp_path / "mixed", stated, FILES)
    with pytest.raises(BundleError, match=r"files lacks locate-hand\.onnx"):
        write_bundle(tmp_path / "mixed", info(), files)
    edit(tmp_path / "paper", lambda m: m["files"].pop("locate-hand-mcp2.onnx"))
    with pytest.raises(BundleError, match=r"manifest\.json.*files lacks locate-hand-mcp2\.onnx"):
        open_bundle(tmp_path / "paper")


def as_before_1_4(manifest: dict[str, Any]) -> None:
    """State a contract as schema 1.3 did."""
    manifest["schema_version"] = "1.3"
    locate, damage = manifest["contract"]["locate"], manifest["contract"]["damage"]
    del locate["thresholds"], damage["limits"], damage["along"]
    locate["design"] = {"all-landmarks": "all-points", "one-landmark": "one-point"}[
        locate["design"]
    ]
    locate["heatmap_stride"] = locate.pop("heat_map_stride")
    for stage in (locate, damage):
        stage["points"] = stage.pop("landmarks")


def as_first_written(manifest: dict[str, Any]) -> None:
    """Leave out what schema 1.0 did not know."""
    as_before_1_4(manifest)
    manifest["schema_version"] = "1.0"
    for stage, known in (
        ("locate", {"input_px", "channels", "heatmap_stride", "found_threshold", "points",
                    "template"}),
        ("damage", {"patch_px", "channels", "half_window", "points"}),
    ):  # fmt: skip
        manifest["contract"][stage] = {
            name: value for name, value in manifest["contract"][stage].items() if name in known
        }


def test_bundles_of_the_first_schema_are_read(folder):
    edit(folder, as_first_written)
    bundle = open_bundle(folder)
    made = info().contract
    # all windows of a hand were alike, and a limb was measured by two of its points
    half_window = round(made.damage.half_window / 0.999, 4)
    alike = made.damage.model_copy(
        update={"enlarged": {}, "half_window": half_window, "along": "film"}
    )
    assert bundle.manifest.contract == made.model_copy(update={"damage": alike})


def test_a_bundle_of_the_published_design_keeps_what_its_networks_were_trained_with(tmp_path):
    stated = published()
    files = {name: name.encode() for name in (*model_files(stated.contract), "card.md")}
    write_bundle(tmp_path / "paper", stated, files)

    def earlier(manifest: dict[str, Any]) -> None:
        as_before_1_4(manifest)
        manifest["schema_version"] = "1.2"
        manifest["contract"]["locate"]["found_threshold"] = 0.5
        del manifest["contract"]["locate"]["corner"], manifest["contract"]["damage"]["patch_range"]

    edit(tmp_path / "paper", earlier)
    kept = open_bundle(tmp_path / "paper").manifest.contract
    assert (kept.locate.design, kept.locate.found_threshold) == ("one-landmark", 0.5)
    assert (kept.locate.corner, kept.damage.channels, kept.damage.patch_range) == (0.05, 7, 1)


@pytest.mark.parametrize("schema", ["1.0", "1.1", "1.2", "1.3"])
def test_an_earlier_bundle_is_migrated_in_place_and_once(folder, schema):
    edit(folder, as_before_1_4)
    edit(folder, lambda m: m.update(schema_version=schema))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    read = open_bundle(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    made = migrate_bundle(folder)
    assert made.manifest == read.manifest, "scores as it did before"
    assert made.sha256 != read.sha256
    written = json.loads((folder / "manifest.json").read_bytes())
    assert written["schema_version"] == BUNDLE_SCHEMA
    assert written["contract"]["locate"]["thresholds"]["hand"]["least_fit"] == 0.5
    assert written["contract"]["damage"]["limits"]["least_window_px"] == 22
    stated = json.loads(before["manifest.json"])["contract"]["damage"]["half_window"]
    by_ends = 1 if schema == "1.3" else 0.999  # a limb was measured in another way until 1.2
    assert written["contract"]["damage"]["half_window"] == pytest.approx(stated / by_ends, abs=1e-4)
    changed = {path.name for path in folder.iterdir() if path.read_bytes() != before[path.name]}
    assert changed == {"manifest.json"}
    stamp = (folder / "manifest.json").stat().st_mtime_ns
    assert migrate_bundle(folder) == made
    assert (folder / "manifest.json").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("lacks", ["damage", "half_window"])
def test_an_earlier_manifest_without_a_contract_is_refused(folder, lacks):
    def spoil(manifest: dict[str, Any]) -> None:
        manifest.update(schema_version="1.1")
        (manifest["contract"] if lacks == "damage" else manifest["contract"]["damage"]).pop(lacks)

    edit(folder, spoil)
    with pytest.raises(BundleError, match=rf"manifest\.json.*{lacks}"):
        open_bundle(folder)


@pytest.mark.parametrize(
    ("stage", "field"),
    [("locate", "corner"), ("locate", "thresholds"), ("damage", "enlarged"), ("damage", "limits")],
)
def test_a_contract_states_every_field(folder, stage, field):
    edit(folder, lambda m: m["contract"][stage].pop(field))
    with pytest.raises(BundleError, match=rf"{stage}.*{field}"):
        open_bundle(folder)


def test_a_damaged_bundle_is_not_migrated(folder):
    edit(folder, as_before_1_4)
    before = (folder / "manifest.json").read_bytes()
    (folder / "damage.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"damage\.onnx"):
        migrate_bundle(folder)
    assert (folder / "manifest.json").read_bytes() == before


def test_the_packaged_bundle_is_stated_as_this_version_does():
    raw = json.loads((default_bundle() / "manifest.json").read_bytes())
    assert raw["schema_version"] == BUNDLE_SCHEMA


def test_the_packaged_bundle_is_of_the_default_design():
    contract = open_bundle(default_bundle()).manifest.contract
    assert (contract.locate.design, contract.damage.design) == ("all-landmarks", "all-joints")
    assert model_files(contract) == STANDARD_FILES[:-1]


def test_writing_needs_an_empty_place_and_all_files(folder, tmp_path):
    with pytest.raises(BundleError, match="already there"):
        write_bundle(folder, info(), FILES)
    with pytest.raises(BundleError, match=r"symmetry\.npz"):
        write_bundle(tmp_path / "new", info(), {n: FILES[n] for n in FILES if "sym" not in n})
    with pytest.raises(BundleError, match=r"gone\.onnx"):
        write_bundle(tmp_path / "new", info(), {**FILES, "damage.onnx": tmp_path / "gone.onnx"})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["toy"]
    (tmp_path / "empty").mkdir()
    assert write_bundle(tmp_path / "empty", info(), FILES).manifest.name == "toy"


def test_a_file_that_the_bundle_lacks_cannot_be_asked_for(folder):
    for name in ("other.onnx", "../toy/card.md", MANIFEST):
        with pytest.raises(BundleError, match="has no file"):
            open_bundle(folder).path(name)


def test_opening_ten_megabytes_is_quick(tmp_path):
    write_bundle(tmp_path / "big", info(), {**FILES, "damage.onnx": bytes(10_000_000)})
    times = []
    for _ in range(3):
        start = time.perf_counter()
        open_bundle(tmp_path / "big")
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5  # about 0.02 s on an idle machine


def test_the_packaged_bundle_is_sound_or_its_absence_is_explained(monkeypatch, tmp_path):
    monkeypatch.setattr(module.resources, "files", lambda _: tmp_path)
    with pytest.raises(BundleError, match="no model bundle"):
        default_bundle()
    write_bundle(tmp_path / "default", info(), FILES)
    assert verify_bundle(default_bundle()) == []
