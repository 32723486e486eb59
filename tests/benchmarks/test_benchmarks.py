"""Every program in benchmarks/ runs on a small input, and a page names its command."""

from __future__ import annotations

import csv
import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandora.core.anatomy import LANDMARKS, SLOTS, TARGETS, Limb
from mandora.core.ra2 import RA2_COLUMNS
from mandora.core.settings import SimulateSettings
from mandora.datasets.layouts import open_dataset
from mandora.simulate.cohort.folder import simulate_cohort
from mandora.simulate.cohort.patients import draw_patient, simulate_film

ROOT = Path(__file__).resolve().parents[2]
SHARED_CODE = {"real_films", "real_trial", "target_rows"}
PROGRAMS = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - SHARED_CODE
REAL_SETS = {"dha": 1, "rsna": 1, "unifesp": 1}  # how many films of each are tried

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a program with its options; returns what it prints."""

    def program(name: str, *words: object, **constants: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        module = importlib.import_module(name)
        for constant, value in constants.items():
            monkeypatch.setattr(module, constant, value)
        module.main()
        return capsys.readouterr().out

    return program


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of the real films with the four films of a simulated patient.

    The set ``rsna`` is the left hand alone; the wrist of the right hand is a film of its own, with
    erosion, that of the left hand another, without. People have looked at the feet.
    """
    folder = tmp_path_factory.mktemp("simulated")
    patient = draw_patient(4, 0, severity=-8.0)
    sets = {"LH": "rsna", "RH": "dha", "LF": "unifesp", "RF": "unifesp"}
    films: list[dict[str, object]] = []
    joints: list[dict[str, object]] = []
    for slot in SLOTS:
        film = simulate_film(patient, slot, pixels_per_mm=4)
        name = f"P1-{slot.code}"
        Image.fromarray((film.bright * 255).astype(np.uint8)).save(folder / f"{name}.png")
        films.append({
            "film": name, "file": f"{name}.png", "set": sets[slot.code], "body_part": slot.limb,
            "view": "PA", "limbs": 1, "side": slot.side, "orientation": "up", "patient": "P1",
        })  # fmt: skip
        joints += [
            {"film": name, "limb": "a", "side": slot.side, "site": known.name, "x": x, "y": y,
             "source": "by_eye"}
            for known, (x, y) in zip(LANDMARKS[slot.limb], film.landmarks, strict=True)
        ]  # fmt: skip
    write_table(folder / "films.csv", films)
    write_table(folder / "joints.csv", joints)
    write_table(folder / "impressions.csv", [
        {"film": f"P1-{slot}", "limb": "a", "site": site, "impression": seen}
        for slot in ("LF", "RF")
        for site, seen in (("mtp1", "normal"), ("mtp2", "unclear"), ("mtp3", "damaged"))
    ])  # fmt: skip
    write_wrists(folder, [j for j in joints if str(j["film"]).endswith("H")])
    return folder


def write_wrists(folder: Path, joints: list[dict[str, object]]) -> None:
    """The wrists of two hands as films of their own."""
    (folder / "wrists").mkdir()
    films, points = [], []
    for slot, erosive in (("LH", 0), ("RH", 1)):
        own = [j for j in joints if j["film"] == f"P1-{slot}"]
        bottom = max(float(str(j["y"])) for j in own if str(j["site"]).startswith("mcp"))
        top = round(bottom) + 8
        with Image.open(folder / f"P1-{slot}.png") as hand:
            hand.crop((0, top, *hand.size)).save(folder / "wrists" / f"ram-{slot}.png")
        films.append({"film": f"ram-{slot}", "file": f"ram-{slot}.png", "side": slot[0],
                      "erosive": erosive, "patient": slot})  # fmt: skip
        points += [
            {"film": f"ram-{slot}", "site": j["site"], "x": j["x"], "y": float(str(j["y"])) - top}
            for j in own
            if float(str(j["y"])) > top
        ]
    write_table(folder / "wrists" / "wrists.csv", films)
    write_table(folder / "wrists" / "points.csv", points)
    seen = [{"film": "ram-RH", "site": "ulna", "impression": "damaged"},
            {"film": "ram-RH", "site": "cmc3", "impression": "normal"}]  # fmt: skip
    write_table(folder / "wrists" / "impressions.csv", seen)


@pytest.fixture(scope="module")
def real(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of the real films cut down to a few of them, which stay where they are."""
    folder = tmp_path_factory.mktemp("real")

    def rows(name: str) -> list[dict[str, object]]:
        with (films / name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    marked = {row["film"] for row in rows("joints.csv") if row["source"] != "pseudo"}
    all_films = [row for row in rows("films.csv") if row["film"] in marked]
    chosen = [
        {**row, "file": films / str(row["file"])}
        for name, count in REAL_SETS.items()
        for row in [r for r in all_films if r["set"] == name][:count]
    ]
    names = {row["film"] for row in chosen}
    write_table(folder / "films.csv", chosen)
    write_table(folder / "joints.csv", [r for r in rows("joints.csv") if r["film"] in names])
    return folder


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.films)])
def folder(request: pytest.FixtureRequest) -> Path:
    """A folder of films with known joints; the set ``rsna`` has hands."""
    return Path(request.getfixturevalue(request.param))


def test_each_program_is_tried_here_and_named_with_its_command() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    shown = "\n".join(page.read_text(encoding="utf-8") for page in (*pages, ROOT / "Makefile"))
    for name in PROGRAMS:
        assert re.search(rf'run\(\s*"{name}"', text), name
        assert f"python benchmarks/{name}.py" in shown, name


def test_cohort_statistics(run: Run) -> None:
    out = run("cohort_statistics", "--patients", 12, "--visits", 2)
    assert out.startswith("12 patients")
    assert "Change since the first visit" in out


def test_film_cases(run: Run, tmp_path: Path) -> None:
    example = ROOT / "src" / "mandora" / "scoring" / "example" / "EXAMPLE-LH.jpg"
    cases = []
    for name, expect in (("copy", "same"), ("empty", "refuse"), ("grey", "same")):
        (tmp_path / name).mkdir()
        data = b"" if name == "empty" else example.read_bytes()
        (tmp_path / name / f"{name}-LH.jpg").write_bytes(data)
        cases.append({"name": name, "expect": expect, "slot": "LH", "note": ""})
    grey = Image.open(example).convert("L").transpose(Image.Transpose.ROTATE_180)
    grey.save(tmp_path / "grey" / "grey-LH.jpg")
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    out = run("film_cases", tmp_path, "--only", "copy", "empty")
    assert re.search(r"^ +\| copy +\| same +\| same +\| 0\.000", out, re.MULTILINE)
    assert re.search(r"^ +\| empty +\| refuse +\| refuse +\| the file is empty", out, re.MULTILINE)
    assert "2 cases: 2 as expected, 0 to look at" in out
    with pytest.raises(SystemExit):
        run("film_cases", tmp_path, "--only", "grey")


def test_film_cases_of_names_and_tables(run: Run, tmp_path: Path) -> None:
    cases = [{"name": "n-under", "expect": "either", "slot": "LH", "note": "a blank"}]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    (tmp_path / "n-under").mkdir()
    for name in ("P1_LH.jpg", "P1 RH.jpg", "P1-LF (1).jpg", "P1-RF copy.jpg"):
        (tmp_path / "n-under" / name).write_bytes(name.encode())
    cells = ["P1", *"1" * (len(RA2_COLUMNS) - 2), "999"]
    (tmp_path / "tables" / "dash").mkdir(parents=True)
    table = "\n".join([",".join(RA2_COLUMNS), ",".join(cells)])
    (tmp_path / "tables" / "dash" / "training.csv").write_text(table)
    out = run("film_cases", tmp_path, "--tables", tmp_path / "tables")
    assert re.search(r"^ +\| n-under +\| P1 4 +\| P1 4 +\| a blank", out, re.MULTILINE)
    assert re.search(r"^ +\| t-dash +\| refused +\| refused +\| column", out, re.MULTILINE)


@pytest.mark.slow
def test_fuzz_films(run: Run, tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    out = run("fuzz_films", "--films", 42, "--journal", journal)
    assert re.search(r"all 42 +\d+ +\d+ +\d+ +0 +0 +0$", out, re.MULTILINE)
    assert re.search(r"peak memory: \d+ MiB reading", out)
    # a run that was ended goes on, and film 5 is the same again
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:5], ""]))
    run("fuzz_films", "--films", 6, "--journal", journal)
    again = json.loads(journal.read_text().splitlines()[5])
    whole = json.loads(lines[5])
    assert (again["film"], again["got"], again["of"]) == (5, whole["got"], whole["of"])


def test_transfer_syntaxes(run: Run) -> None:
    pytest.importorskip("gdcm")
    pytest.importorskip("openjpeg")
    out = run("transfer_syntaxes")
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    for line in out.splitlines()[2:]:
        name, identifier, bits, _, difference = line.strip("| ").split(" | ")
        assert f"| {name} | {identifier} | {bits} |" in page
        if not difference.startswith("refused"):
            assert f"| {difference} |" in page
    assert out.count("refused") == 1


@pytest.mark.slow
def test_inflict(run: Run, folder: Path) -> None:
    out = run("inflict", folder, "rsna", "--part", part_of_first(folder, "rsna"))
    assert re.search(r"finger +narrowing .*grade 4 0\.\d\d", out)
    refused, calls = map(int, re.search(r"refused: (\d+) of (\d+) calls", out).groups())
    assert refused < calls / 2


def part_of_first(folder: Path, set_name: str) -> str:
    """The part to which the first film of a set belongs."""
    with (folder / "films.csv").open(newline="", encoding="utf-8") as file:
        first = next(row["film"] for row in csv.DictReader(file) if row["set"] == set_name)
    return importlib.import_module("real_films").parts_of(folder)[first]


def test_closed_joint_spaces_score_higher(run: Run, simulated: Path) -> None:
    part = part_of_first(simulated, "rsna")
    out = run("closed_joint_spaces", simulated, "--part", part, CLOSED=(0.0, 0.9), BITES=())
    open_, closed = map(float, re.search(r"fingers narrowing.*?: (\S+), .*?: (\S+)", out).groups())
    assert closed > open_ + 0.5


def test_healthy_joints(run: Run, tmp_path: Path) -> None:
    out = run("healthy_joints", "--films", 1, "--montage", tmp_path)
    assert re.search(r"simulated foot, erosion\n.*mtp5 +1 +mean +\d+\.\d\d", out, re.S)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(
        f"foot-{mark.name}" for mark in LANDMARKS[Limb.FOOT]
    )


def test_locate_parts(run: Run, simulated: Path) -> None:
    rows = run("locate_parts", simulated, "--part", part_of_first(simulated, "rsna")).splitlines()
    accepted = {row[:16].strip(): row[16:].split()[:2] for row in rows[1:]}
    assert accepted["wrist only"][0] == "1"


def test_data_sets_of_real_and_of_damaged_films(run: Run, folder: Path, tmp_path: Path) -> None:
    healthy, damaged = tmp_path / "healthy", tmp_path / "damaged"
    out = run("real_films_data_set", folder, "rsna", "dha", "--healthy", "--out", healthy)
    count = int(re.match(r"(\d+) films", out)[1])
    assert len(open_dataset(healthy / "manifest.csv").patients) == count > 0
    out = run("inflicted_films_data_set", healthy, "--out", damaged)
    assert int(re.match(r"(\d+) films", out)[1]) == count
    with (damaged / "manifest.csv").open(newline="", encoding="utf-8") as file:
        grades = [v for row in csv.DictReader(file) for k, v in row.items() if ":" in k]
    assert len(set(grades) - {""}) > 2


def test_labels_of_adults(run: Run, simulated: Path, tmp_path: Path) -> None:
    out = run("real_films_data_set", simulated, "unifesp", "ram", "--out", tmp_path / "adults")
    assert re.match(r"4 films, ", out)
    dataset = open_dataset(tmp_path / "adults")
    films = {film.path.stem: film for film in dataset.films}
    known = {
        name: {
            target.key.partition("-")[2]
            for target, score in zip(TARGETS, dataset.official[film.patient], strict=True)
            if score == 0
        }
        for name, film in films.items()
        if film.patient in dataset.official
    }
    assert not {key for keys in known.values() for key in keys if "mtp2" in key or "mtp3" in key}
    assert known["P1-LF"] == {"mtp1:narrowing", "mtp1:erosion"}
    bones = {f"{b}:erosion" for b in ("mc1", "mul", "nav", "lunate", "radius", "ulna")}
    assert known["ram-LH"] == bones, "the expert says that it has no erosion"
    assert known["ram-RH"] == {"cmc3:narrowing"}, "what is called normal on an erosive film"
    assert (films["ram-LH"].erosive, films["ram-RH"].erosive) == (False, True)
    assert films["P1-LF"].impressions["mtp3"] == "damaged"
    assert dataset.persons == {
        "P1-LF": "unifesp-P1", "P1-RF": "unifesp-P1", "ram-LH": "ram-LH", "ram-RH": "ram-RH",
    }  # fmt: skip
    # the fingers are placed beyond the film of the wrist, or not at all
    with Image.open(films["ram-LH"].path) as film:
        size = np.array(film.size)
    fingers = films["ram-LH"].landmarks[:10]
    placed = fingers[np.isfinite(fingers).all(axis=1)]
    assert len(placed) > 5
    assert ((placed < 0) | (placed > size - 1)).any(axis=1).all()


def test_real_adults(run: Run, simulated: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")  # of the extra explain, which evaluations need

    def table(*words: object, **constants: object) -> str:
        return run("real_adults", simulated, "--part", "train", "test", "--work", tmp_path / "work",
                   "--workers", 1, *words, **constants)  # fmt: skip

    out = table("--only", "feet", "hands", "wrists", "located", "--json", tmp_path / "a.json")
    assert re.search(
        r"^feet +erosion, normal +2 +1 +marked +\d\.\d{3} .*<= 0\.25 +(yes|no)$", out, re.M
    )
    assert re.search(r"^wrists +AUC of erosive films +2 +2 +marked ", out, re.M)
    assert re.search(
        r"^located +films of one limb, within 0\.15 limb sizes +\d+ +\d+ +found ", out, re.M
    )
    assert "hands" not in out, "nobody has looked at fingers"
    rows = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["rows"]
    judged = [row for row in rows if row["met"]]
    met = sum(row["met"] == "yes" for row in judged)
    assert f"{met} of {len(judged)} targets are met" in out


@pytest.mark.slow
def test_real_adults_against_another_model(run: Run, simulated: Path, tmp_path: Path) -> None:
    before = {"block": "simulated", "what": "plain, hand erosion, r", "value": 0.123}
    (tmp_path / "before.json").write_text(json.dumps({"rows": [before]}), encoding="utf-8")
    out = run("real_adults", simulated, "--part", "train", "development", "test", "--work",
              tmp_path / "work", "--only", "adolescents", "inflicted", "simulated", "--workers", 1,
              "--than", tmp_path / "before.json", COHORT_PATIENTS=2, ADULT_COPIES=1)  # fmt: skip
    assert re.search(r"^simulated +plain, hand erosion, r .* >= 0\.123 +(yes|no)$", out, re.M)
    assert re.search(r"^simulated +plain, Dice of toes .* >= 0\.85 +(yes|no)$", out, re.M)
    assert re.search(r"^adolescents +erosion, share >= 1\.5 of normal +\d+ +\d+ +found ", out, re.M)
    assert re.search(r"^inflicted +hands of adolescents, erosion, r of \w+ ", out, re.M)
    assert re.search(r"^inflicted +feet of adults, narrowing, r ", out, re.M)


def test_limb_size(run: Run, folder: Path) -> None:
    out = run("limb_size", "--patients", 10, "--films", 1, "--real", folder)
    assert re.search(r"pairs +/ends 0\.9\d|pairs +/ends 1\.0\d", out)
    assert "pairs   found, rsna" in out


def test_locate_real_films(run: Run, folder: Path, tmp_path: Path) -> None:
    out = run("locate_real_films", folder, "--overlays", tmp_path / "overlays", "--worst", 1)
    assert re.search(r"^rsna +\w+ +\w+ +1 +\d+ +[01]\.\d{3} ", out, re.M)
    assert len(list((tmp_path / "overlays").iterdir())) == 1


@pytest.mark.slow
def test_quality_gate(run: Run, simulated: Path, tmp_path: Path) -> None:
    options = (simulated, "--turned", "dha", "--found", tmp_path / "found.jsonl")
    printed = run("quality_gate", *options)
    rights = [line.split()[1:4] for line in printed.splitlines() if line.startswith("right ")]
    assert rights[0] == ["4", "of", "4"], "two hands and two feet are taken for what they are"
    turned = next(line for line in printed.splitlines() if line.startswith("mirrored "))
    assert turned.split()[1:4] == ["1", "of", "1"]
    assert len((tmp_path / "found.jsonl").read_text(encoding="utf-8").splitlines()) == 8
    again = run("quality_gate", *options)
    assert again.split("judging took")[0] == printed.split("judging took")[0]


def test_montage_simulated(run: Run, folder: Path, tmp_path: Path) -> None:
    run("montage_simulated", tmp_path, "--films", 1, "--rows", 1, "--real", folder)
    assert {p.name for p in tmp_path.iterdir()} == {
        f"{kind}-{limb}.png" for kind in ("films", "grades") for limb in Limb
    }
    with Image.open(tmp_path / "grades-hand.png") as picture:
        assert picture.size == (5 * 120, 120)  # narrowing 0 to 4


def test_more_patients_for_trees(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(1)
    for fold in (1, 2):
        trees = tmp_path / "jobs" / f"fold-{fold}" / "trees"
        trees.mkdir(parents=True)
        tables = {k: rng.uniform(0, 4, (6, len(TARGETS))) for k in ("true_patch", "true_blend")}
        np.savez(trees / "trees.npz", official=rng.integers(0, 5, (6, len(TARGETS))), **tables)
    out = run("more_patients_for_trees", tmp_path, "--trees", 2)
    assert "trees on 6 patients" in out
    assert re.search(r"own joint leads: \d+ of 43", out)


def test_near_duplicates(run: Run, folder: Path) -> None:
    out = run("near_duplicates", folder, "--simulated", 1)
    assert re.search(r"half the size +0\.\d+ +0\.\d+ +(\d)/\1", out)
    assert "4 films of 1 simulated patients" in out


def test_score_example(run: Run) -> None:
    assert re.search(r"median \d+\.\d+ s, peak memory \d+ MiB", run("score_example", RUNS=1))


@pytest.mark.slow
def test_score_dicom(run: Run, tiny_bundle: Path) -> None:
    pytest.importorskip("highdicom")
    out = run("score_dicom", "--rounds", 1, BUNDLE=str(tiny_bundle))
    rows = [line.strip("| ").split(" | ") for line in out.splitlines()[2:]]
    assert len(rows) == 6
    assert rows[0][0::2] == ["PNG, 16 bits", "1.00"]
    assert all(float(seconds) > 0 and float(ratio) > 0 for _, seconds, ratio in rows)


@pytest.mark.slow
def test_separability(run: Run) -> None:
    out = run("separability", "--patients", 24, "--workers", 1, PIXELS_PER_MM=2.0)
    assert re.search(r"hand mcp +-?[01]\.\d+ \(\d+\)", out)


@pytest.mark.slow
def test_simulate(run: Run) -> None:
    out = run("simulate", "--patients", 1)
    assert re.search(r"same bytes with 1 and 2 workers +yes", out)


def test_symmetry_predictors(run: Run) -> None:
    pytest.importorskip("sklearn")
    out = run("symmetry_predictors", "--patients", 10, "--trees", 2)
    assert len(re.findall(r"^\d\.\d\d +10 +\d+ of 43 +\d+ of 43$", out, re.M)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["damage", "locate"])
def test_training_experiments(run: Run, tmp_path: Path, stage: str) -> None:
    few = dict.fromkeys(("PATIENTS", "HELD_PATIENTS", "FILMS", "HELD_FILMS"), 2)
    out = run("training_experiments", stage, tmp_path, "narrow", **few,
              DAMAGE_EPOCHS=1, LOCATE_EPOCHS=1)  # fmt: skip
    assert re.search(r"^\| narrow \| \d\.\d\d M \|", out, re.M)


def test_slanting_limbs(run: Run, folder: Path) -> None:
    out = run(
        "slanting_limbs", folder, "--part", "development", "--part", "train", "--films", 1,
        "--along", "limb", ANGLES=(30,),
    )  # fmt: skip
    assert out.startswith("patches along the limb\n")
    rows = [line.split() for line in out.splitlines() if line.lstrip().startswith("hand")]
    assert [row[:3] for row in rows] == [["hand", "30", "1"]]
    assert out.splitlines()[-1].startswith("cutting the patches of a patient: ")


def test_slanting_simulated_limbs(run: Run) -> None:
    out = run("slanting_limbs", "simulated", "--films", 1, ANGLES=(30,))
    assert [line.split()[0] for line in out.splitlines()[3:5]] == ["hand", "foot"]


def test_intervals(run: Run, tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    simulate_cohort(SimulateSettings(patients=2, seed=5, pixels_per_mm=2), cohort)
    out = run("intervals", cohort, "--splits", 1, "--level", 0.5).splitlines()
    assert out[0] == "level 0.5, mean of 1 splits"
    rows = [line.split() for line in out[2:]]
    overall = next(row for row in rows if row[1:4] == ["all", "targets", "all"])
    assert (overall[0], float(overall[-2])) == ("cohort", 1)  # of one patient nothing is known
