"""Whether a model's scores hold on real adults: one table of targets, numbers and intervals.

    python benchmarks/real_adults.py FOLDER [--part train development] [--bundle DIR]
        [--only feet hands …] [--work DIR] [--than JSON] [--json FILE] [--workers N]

FOLDER is described in ``real_films.py``; ``--part`` names the parts of its films, adults' and
adolescents'. The part ``test`` is for the last measurement of a model. Blocks, each of which
``--only`` can choose:

- ``feet``, ``hands``: toes and fingers of adults that people called normal or damaged;
- ``wrists``: rheumatoid wrists, of which an expert says whether there is any erosion;
- ``adolescents``: healthy hands of the set ``rsna``;
- ``inflicted``: the same hands, and normal joints of adults, with damage of known grade;
- ``simulated``: two cohorts of 40 patients, with poor films (``wide``) and without (``plain``);
- ``located``: joints that people have marked.

A number is of the patches alone at the joints that people have marked, or after the trees at the
joints that the model finds itself, as users get it: the column ``joints`` says which, and ``other``
has the other number. Intervals are 95 % over patients.

Data sets are made in ``--work`` and used again by later calls, so that models are compared on the
same films: joints of adolescents are where the packaged model found them in the first call. Remove
the folder to have them made anew. ``--than`` takes the ``--json`` of another model: simulated
patients must not be scored worse than by that model.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
from inflicted_films_data_set import write_inflicted
from real_films import Part
from real_films_data_set import WRISTS
from real_trial import Trial
from target_rows import HEAD, Row, found_row, line, row

from mandora.core.anatomy import FAMILIES, LANDMARKS, Damage, JointGroup, Limb
from mandora.core.settings import SimulateSettings
from mandora.core.source import code_digest
from mandora.datasets.dataset import Dataset
from mandora.datasets.layouts import open_dataset
from mandora.evaluation.assess import Assessed
from mandora.evaluation.impressions import ALL, Seen, columns_at, seen
from mandora.evaluation.localisation import LIMB_CUT
from mandora.evaluation.scores import mean_of
from mandora.metrics import FAMILY_TITLES, GROUPS, Floats, grade
from mandora.metrics.bootstrap import Interval, Resampling, intervals
from mandora.metrics.localisation import group_columns, limb_distances
from mandora.model.bundle import default_bundle, open_bundle
from mandora.simulate.cohort.folder import simulate_cohort
from mandora.training.mixed import InflictedFilms

RESAMPLES = Resampling(resamples=1000)
COHORTS = {"wide": (909, True), "plain": (911, False)}
COHORT_PATIENTS = 40
LIMBS = {Limb.HAND: "hands", Limb.FOOT: "feet"}
GRADE_OF_A_THIRD = 2  # a joint space that is closed by a third has this narrowing
ADULT_COPIES = 2  # with damage, of each film of an adult


# ── the blocks ────────────────────────────────────────────────────────────────────────────


def looked_at(
    trial: Trial, block: str, limb: Limb, group: JointGroup, targets: dict[str, str]
) -> Iterator[Row]:
    """Adults' joints of one kind that people have looked at."""
    limbs = [one for one in trial.limbs("unifesp") if one.limb is limb and one.impressions]
    if not limbs:
        return
    scores = trial.assessed(trial.real(block, limbs)).scores
    for damage in Damage:
        both = _both(scores, columns_at(limb, damage, group, ALL))
        yield from _of_normal(block, str(damage), both, targets)
        auc = targets.get(f"{damage} AUC", "")
        yield row(block, f"{damage}, damaged", both[0].damaged, both[1].damaged)
        yield row(block, f"{damage}, AUC", both[0].auc, both[1].auc, auc)
    for damage in Damage:
        for site in (s for s in FAMILIES[limb, damage] if s.group is group):
            both = _both(scores, columns_at(limb, damage, group, site.name))
            yield row(
                block, f"{damage}, normal {site.name}", both[0].normal.mean, both[1].normal.mean
            )


def _both(scores: dict[str, Any], columns: Any) -> tuple[Seen, Seen]:
    """Patches at marked joints, and as users get it."""
    marked, found = (
        seen(scores[table][:, columns], scores["impression"][:, columns], scores["person"])
        for table in ("true_patch", "predicted_blend")
    )
    return marked, found


def _of_normal(
    block: str,
    damage: str,
    both: tuple[Seen, Seen],
    targets: dict[str, str],
    joints: str = "marked",
) -> Iterator[Row]:
    marked, found = both
    mean, share = (targets.get(f"{damage} {kind}", "") for kind in ("mean", "share"))
    yield row(block, f"{damage}, normal", marked.normal.mean, found.normal.mean, mean, joints)
    yield row(
        block,
        f"{damage}, share >= 1.5 of normal",
        marked.normal.high,
        found.normal.high,
        share,
        joints,
    )


def feet(trial: Trial) -> Iterator[Row]:
    """Toes of adults."""
    yield from looked_at(trial, "feet", Limb.FOOT, JointGroup.TOE, {
        "erosion mean": "<= 0.25", "erosion share": "<= 0.03", "narrowing mean": "<= 0.25",
        "erosion AUC": ">= 0.90", "narrowing AUC": ">= 0.90",
    })  # fmt: skip


def hands(trial: Trial) -> Iterator[Row]:
    """Fingers of adults."""
    yield from looked_at(trial, "hands", Limb.HAND, JointGroup.FINGER, {
        "narrowing mean": "<= 0.20", "narrowing share": "<= 0.03", "erosion mean": "<= 0.10",
        "erosion share": "<= 0.03", "narrowing AUC": ">= 0.97", "erosion AUC": ">= 0.92",
    })  # fmt: skip


def wrists(trial: Trial) -> Iterator[Row]:
    """Rheumatoid wrists: sums of the six bones' erosion, and joints that people have looked at."""
    limbs = trial.limbs(WRISTS)
    if not limbs:
        return
    scores = trial.assessed(trial.real("wrists", limbs)).scores
    columns = columns_at(Limb.HAND, Damage.EROSION, JointGroup.WRIST, ALL)
    label = np.nanmax(scores["erosive"], axis=1)[:, None]
    made = []
    for table in ("true_patch", "predicted_blend"):
        known = np.isfinite(scores[table][:, columns])
        total = np.nansum(scores[table][:, columns], axis=1, keepdims=True)
        total = np.where(known.any(axis=1, keepdims=True), total, np.nan)
        made.append([
            *(mean_of(np.where(label == kind, total, np.nan), scores["person"]) for kind in (0, 1)),
            intervals(total, label, ("auc",), RESAMPLES, scores["person"])["auc"],
        ])  # fmt: skip
    names = ("sum of erosion, not erosive", "sum of erosion, erosive", "AUC of erosive films")
    for name, one, other in zip(names, *made, strict=True):
        yield row("wrists", name, one, other, ">= 0.90" if name.startswith("AUC") else "")
    for damage in Damage:
        both = _both(scores, columns_at(Limb.HAND, damage, JointGroup.WRIST, ALL))
        yield from _of_normal("wrists", str(damage), both, {})
        yield row("wrists", f"{damage}, AUC of joints", both[0].auc, both[1].auc)
        for site in (s for s in FAMILIES[Limb.HAND, damage] if s.group is JointGroup.WRIST):
            both = _both(scores, columns_at(Limb.HAND, damage, JointGroup.WRIST, site.name))
            yield row(
                "wrists", f"{damage}, normal {site.name}", both[0].normal.mean, both[1].normal.mean
            )


def adolescents(trial: Trial) -> Iterator[Row]:
    """Healthy hands of adolescents."""
    scores = trial.assessed(trial.adolescents()).scores
    limits = {Damage.NARROWING: "<= 0.20", Damage.EROSION: "<= 0.10"}
    for damage in Damage:
        columns = columns_at(Limb.HAND, damage, None, ALL)
        healthy = np.where(scores["official"][:, columns] == 0, 0.0, np.nan)
        both = [
            seen(scores[table][:, columns], healthy, scores["person"])
            for table in ("true_patch", "predicted_blend")
        ]
        targets = {f"{damage} mean": limits[damage], f"{damage} share": "<= 0.02"}
        yield from _of_normal("adolescents", str(damage), (both[0], both[1]), targets, "found")


def inflicted(trial: Trial) -> Iterator[Row]:
    """Damage of known grade in real films: adolescents' hands, and adults."""
    adults = [limb for limb in trial.limbs("unifesp", WRISTS) if limb.scores]
    sources: dict[str, tuple[Dataset, int]] = {"adolescents": (trial.adolescents(), 1)}
    if adults:
        sources["adults"] = (trial.real("adults", adults), ADULT_COPIES)
    for whose, (source, copies) in sources.items():
        code = code_digest(InflictedFilms)
        out = trial.work / f"inflicted-{whose}-{'-'.join(trial.parts)}-{code}"
        if not (out / "manifest.csv").exists():
            write_inflicted(source, out, copies, workers=trial.workers)
        scores = trial.assessed(open_dataset(out)).scores
        judged = whose == "adolescents"
        for limb, damage in FAMILIES:
            yield from _agreement(f"{LIMBS[limb]} of {whose}", limb, damage, scores, judged)


def _agreement(
    whose: str, limb: Limb, damage: Damage, scores: dict[str, Any], judged: bool
) -> Iterator[Row]:
    """Pearson's r, and of each site; mean scores of each grade."""
    official = scores["official"]
    columns = columns_at(limb, damage, None, ALL)
    if not np.nan_to_num(official[:, columns]).any():
        return
    limit = {Damage.NARROWING: ">= 0.87", Damage.EROSION: ">= 0.85"}[damage] if judged else ""

    def r(table: str, of: Any, fast: bool = False) -> Interval:
        resampling = Resampling(resamples=200) if fast else RESAMPLES
        pair = scores[table][:, of], official[:, of]
        return intervals(*pair, ("r",), resampling, scores["person"])["r"]

    tables = ("true_patch", "predicted_blend")
    joints = "found" if judged else "marked"  # nobody has marked those of adolescents
    both = (r(t, columns) for t in tables)
    yield row("inflicted", f"{whose}, {damage}, r", *both, limit, joints)
    grades = grade(official)
    for step in range(int(np.nanmax(grades[:, columns])) + 1):
        means = [
            mean_of(np.where(grades == step, scores[t], np.nan)[:, columns], scores["person"])
            for t in tables
        ]
        third = judged and damage is Damage.NARROWING and step == GRADE_OF_A_THIRD
        yield row(
            "inflicted", f"{whose}, {damage}, mean of grade {step}", *means,
            ">= 0.70" if third else "", joints,
        )  # fmt: skip
    for site in FAMILIES[limb, damage]:
        of = columns_at(limb, damage, None, site.name)
        if np.nan_to_num(official[:, of]).any():
            values = [r(t, of, fast=True) for t in tables]
            target = ">= 0.70" if judged else ""
            yield row("inflicted", f"{whose}, {damage}, r of {site.name}", *values, target, joints)


def simulated(trial: Trial) -> Iterator[Row]:
    """Simulated patients: r of the four families, Dice of joint spaces."""
    code = code_digest(simulate_cohort)
    for name, (seed, wide) in COHORTS.items():
        out = trial.work / f"simulated-{name}-{code}"
        if not (out / "truth" / "cohort.json").exists():
            settings = SimulateSettings(
                patients=COHORT_PATIENTS, seed=seed, wide=wide, workers=trial.workers
            )
            simulate_cohort(settings, out, force=True)
        made = trial.assessed(open_dataset(out))
        scores = made.scores
        for family, words in FAMILY_TITLES.items():
            columns = list(GROUPS[family])
            both = [
                intervals(scores[t][:, columns], scores["official"][:, columns], ("r",), RESAMPLES)[
                    "r"
                ]
                for t in ("true_patch", "predicted_blend")
            ]
            known = trial.than.get(("simulated", f"{name}, {words}, r"))
            target = f">= {known:.3f}" if known is not None else ""
            yield row("simulated", f"{name}, {words}, r", *both, target, "found")
        if name == "plain":
            yield from _dice(made)


def _dice(made: Assessed) -> Iterator[Row]:
    limits = {JointGroup.FINGER: 0.87, JointGroup.WRIST: 0.85, JointGroup.TOE: 0.85}
    persons = np.array([film.patient for film in made.films])
    for limb in Limb:
        of_limb = made.landmarks["limb"] == limb.value
        for group in JointGroup:
            columns = group_columns(limb, group)
            if columns:
                dice = made.landmarks["dice"][of_limb][:, columns]
                one = mean_of(dice, persons[of_limb])
                target = f">= {limits[group]}"
                yield found_row("simulated", f"plain, Dice of {group}s", one, target)


def located(trial: Trial) -> Iterator[Row]:
    """Marked joints that are found within 0.15 limb sizes: films of one limb, and of wrists."""
    every = trial.limbs("unifesp", "rsna", "dha")
    limbs = [limb for limb in every if limb.places and limb.single]
    wrists = trial.limbs(WRISTS)
    for what, chosen, target in (
        ("films of one limb", limbs, ">= 0.99"), ("films of a wrist", wrists, ">= 0.95"),
    ):  # fmt: skip
        if not chosen:
            continue
        made = trial.assessed(trial.real(what.replace(" ", "-"), chosen))
        person_of = dict(zip(made.scores["patient"], made.scores["person"], strict=True))
        persons = np.array([person_of[film.patient] for film in made.films])
        near: list[Floats] = []
        whose: list[Any] = []
        for limb, distance in limb_distances(made.landmarks).items():
            of_limb = made.landmarks["limb"] == limb.value
            hit = np.where(np.isnan(distance), np.nan, distance < LIMB_CUT)
            width = max(map(len, LANDMARKS.values())) - hit.shape[1]
            near.append(np.pad(hit, ((0, 0), (0, width)), constant_values=np.nan))
            whose.append(persons[of_limb])
            if what == "films of one limb":
                for group in JointGroup:
                    columns = group_columns(limb, group)
                    if columns:
                        one = mean_of(hit[:, columns], persons[of_limb])
                        yield found_row("located", f"{what}, {group}s", one)
        one = mean_of(np.concatenate(near), np.concatenate(whose))
        yield found_row("located", f"{what}, within {LIMB_CUT:g} limb sizes", one, target)


BLOCKS: dict[str, Callable[[Trial], Iterator[Row]]] = {
    "feet": feet, "hands": hands, "wrists": wrists, "adolescents": adolescents,
    "inflicted": inflicted, "simulated": simulated, "located": located,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", nargs="+", choices=get_args(Part), default=["development"])
    parser.add_argument("--bundle", type=Path, help="a model other than the packaged one")
    parser.add_argument("--only", nargs="+", choices=BLOCKS, default=list(BLOCKS))
    parser.add_argument("--work", type=Path, default=Path("build/real-adults"))
    parser.add_argument("--than", type=Path, help="the --json of another model")
    parser.add_argument("--json", type=Path, help="write the table there as well")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    bundle = open_bundle(args.bundle or default_bundle())
    than = json.loads(args.than.read_text(encoding="utf-8"))["rows"] if args.than else []
    trial = Trial(
        bundle.folder, args.folder, sorted(args.part), args.work, args.workers,
        {(r["block"], r["what"]): r["value"] for r in than if r["value"] is not None},
    )  # fmt: skip
    model = f"{bundle.manifest.name} {bundle.manifest.version}, sha256 {bundle.sha256[:12]}"
    print(f"{model}; films: {', '.join(trial.parts)}", flush=True)
    rows: list[Row] = []
    for name in args.only:
        print(HEAD if not rows else "", flush=True)
        for one in BLOCKS[name](trial):
            rows.append(one)
            print(line(one), flush=True)
    judged = [r for r in rows if r.met]
    print(f"\n{sum(r.met == 'yes' for r in judged)} of {len(judged)} targets are met")
    if args.json:
        made = [{**asdict(r), "met": r.met} for r in rows]
        plain = [{k: None if v != v else v for k, v in r.items()} for r in made]
        about = {"model": model, "parts": list(trial.parts), "rows": plain}
        args.json.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
