"""The paper's experiments as jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from mandora.core.anatomy import FAMILIES, LANDMARKS, JointGroup, Limb
from mandora.core.parallel import Job, JobContext
from mandora.core.settings import ReproduceSettings, SplitSettings, TrainDamageSettings
from mandora.reproduce.folds import Fold, k_folds, repeated
from mandora.reproduce.jobs import (
    LANDMARKS_FILE,
    SCORES_FILE,
    SHAP_FILE,
    TREES_FILE,
    explain_trees,
    find_landmarks,
    grow_trees,
    join_groups,
    score_patients,
    train_damage,
    train_localisers,
)
from mandora.reproduce.study import Networks, Study
from mandora.training.describe import describe_network
from mandora.training.splits import Split, check_choice, with_held

_MINUTES = {
    "locate": 4.5, "damage": 5.5, "landmarks": 0.2, "scores": 0.5, "trees": 1.0, "shap": 0.1,
}  # fmt: skip
"""What jobs take on one core with 100 patients, 10 folds and the default settings, measured once;
for the plan only."""

BASE = "space"
"""The damage network of the paper's design: it draws joint spaces. Others differ in one thing."""

MASKS: Mapping[str, Mapping[str, Any]] = {
    BASE: {"mask": "space"},
    "none": {"mask": "none"},
    "erosion": {"mask": "erosion"},
}
"""What the damage network draws, in all folds: the paper's comparisons (figures 5 and 6)."""

BOTTLENECKED: Mapping[str, Mapping[str, Any]] = {
    f"{mask}-bottleneck": {**MASKS[mask], "bottleneck": True} for mask in (BASE, "none")
}
"""Figure 5 as published, beside a design whose regressor sees the patch itself as well."""

ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    # the ordinal loss is about four times as large, so it is weighed less
    "ordinal": {"head": "ordinal", "score_weight": 1.0},
    "heads": {"heads": "family"},
}
"""Changes of the network of all joints that are tried in the first folds."""

GROUP_NETWORKS = "groups"
"""As well: a damage network for each group of joints instead of one for all."""


def folds_of(patients: Sequence[str], settings: ReproduceSettings) -> tuple[Fold, ...]:
    """The folds that the settings ask for.

    Raises:
        ValueError: if there are too few patients.
    """
    if settings.plan == "k-fold":
        return k_folds(patients, settings.folds, settings.trees_share, settings.seed)
    shares = SplitSettings(held=0.0, trees=settings.trees_share, seed=settings.seed)
    return repeated(patients, settings.folds, shares)


def with_network(settings: TrainDamageSettings, changes: Mapping[str, Any]) -> TrainDamageSettings:
    """The damage settings with changes of the network."""
    network = settings.network.model_copy(update=dict(changes))
    return settings.model_copy(update={"network": network})


def compared_networks(settings: ReproduceSettings) -> dict[str, Mapping[str, Any]]:
    """The damage networks of all folds: name → what differs from the settings' network."""
    more = settings.bottleneck_arms and not settings.damage.network.bottleneck
    return {**MASKS, **(BOTTLENECKED if more else {})}


def extra_networks(settings: ReproduceSettings) -> tuple[str, ...]:
    """Networks of the first folds only; a network of one family has no such parts to change."""
    return (*ABLATIONS, GROUP_NETWORKS) if settings.damage.network.design == "all-joints" else ()


def share_name(share: float) -> str:
    """Name of the damage network that is trained on this share of the patients."""
    return f"share-{100 * share:g}"


def fewer_patients(
    split: Split, settings: TrainDamageSettings, share: float
) -> tuple[Split, TrainDamageSettings]:
    """Fewer patients to train on and as many steps: a loss then comes from the patients alone."""
    kept = max(1, round(share * len(split.networks)))
    more = len(split.networks) / kept
    loop = settings.loop
    counts = {
        name: round(more * count)
        for name in ("epochs", "drop_after", "restart_every")
        if (count := getattr(loop, name)) is not None
    }
    loop = loop.model_copy(update=counts)
    return (
        replace(split, networks=split.networks[:kept]),
        settings.model_copy(update={"loop": loop}),
    )


def time_factors(settings: ReproduceSettings) -> dict[str, float]:
    """By kind of job, how many times longer it takes than with the default settings.

    Estimated from multiply-adds, for the plan only. At least 1: reading films does not get faster.
    """
    made = []
    for one in (settings, ReproduceSettings()):
        family = next(iter(FAMILIES)) if one.damage.network.design == "family" else None
        locate = describe_network("locate", one.locate.network)
        damage = describe_network("damage", one.damage.network, family=family)
        once = {"landmarks": locate.patient_tmac, "scores": damage.patient_tmac}
        trained = {
            "locate": locate.patient_tmac * one.locate.loop.epochs,
            "damage": damage.patient_tmac * one.damage.loop.epochs,
        }
        made.append({**once, **trained})
    return {kind: max(1.0, value / made[1][kind]) for kind, value in made[0].items()}


def jobs_of(
    study: Study,
    folds: Sequence[Fold],
    settings: ReproduceSettings,
    content: str,
    limbs: Collection[Limb],
) -> list[Job]:
    """All jobs: the paper's experiments fold by fold, then what goes beyond them.

    Args:
        study: the data set.
        folds: who serves what.
        settings: of networks and trees.
        content: digest of the data set, see :func:`mandora.datasets.content.content_digest`.
        limbs: that the data set has films of.

    Raises:
        ValueError: if test or trees' patients would choose the networks' weights.
    """
    for fold in folds:
        for stage in (settings.locate, settings.damage):
            check_choice(with_held(fold.split, stage.split), stage.loop)
    groups = tuple(dict.fromkeys(landmark.group for limb in Limb if limb in limbs
                                 for landmark in LANDMARKS[limb]))  # fmt: skip
    times = time_factors(settings)
    made = [_FoldJobs(study, fold, settings, content, groups, times) for fold in folds]
    main = [job for one in made for job in one.main()]
    return main + [job for one in made[: settings.more_folds] for job in one.more()]


@dataclass(frozen=True)
class _FoldJobs:
    """The jobs of one fold."""

    study: Study
    fold: Fold
    settings: ReproduceSettings
    content: str
    groups: tuple[JointGroup, ...]
    times: Mapping[str, float]

    def main(self) -> list[Job]:
        """The paper's experiments."""
        study, split, settings = self.study, self.fold.split, self.settings
        locate = settings.locate
        jobs = [
            self._job("locate", partial(train_localisers, study, split, locate), locate.to_toml())
        ]
        for name, changes in compared_networks(settings).items():
            damage = with_network(settings.damage, changes)
            jobs += self._damage(name, split, damage, for_trees=name == BASE)
        networks = self._networks(BASE, with_network(settings.damage, MASKS[BASE]))
        landmarks = partial(find_landmarks, study, split, networks)
        grow = partial(grow_trees, f"{self.fold.name}/scores-{BASE}", settings.forest)
        both = settings.shap_rows == "both orders"
        explain = partial(explain_trees, f"{self.fold.name}/trees", "predicted", both)
        return [
            *jobs,
            self._job("landmarks", landmarks, "landmarks", "locate", f"damage-{BASE}",
                      files=(LANDMARKS_FILE,)),
            self._job("trees", grow, settings.forest.to_toml(), f"scores-{BASE}",
                      files=(TREES_FILE,)),
            self._job("shap", explain, f"shap, {settings.shap_rows}", "trees", files=(SHAP_FILE,)),
        ]  # fmt: skip

    def more(self) -> list[Job]:
        """Beyond the paper: ablations and the learning curve."""
        split, damage = self.fold.split, with_network(self.settings.damage, MASKS[BASE])
        jobs = []
        for name in extra_networks(self.settings):
            if name == GROUP_NETWORKS:
                jobs += self._group_networks(split, damage)
            else:
                one = with_network(damage, ABLATIONS[name])
                jobs += self._damage(name, split, one, for_trees=True)
        for share in self.settings.shares:
            jobs += self._damage(
                share_name(share), *fewer_patients(split, damage, share), for_trees=True
            )
        return jobs

    def _group_networks(self, split: Split, damage: TrainDamageSettings) -> list[Job]:
        """A network for each group of joints; together they see as many patches as one for all."""
        jobs, scores = [], {}
        for group in self.groups:
            jobs += self._damage(group.value, split, damage, for_trees=True, group=group)
            scores[group] = f"{self.fold.name}/scores-{group}"
        join = partial(join_groups, scores)
        needs = [f"scores-{group}" for group in scores]
        return [*jobs, self._job(f"scores-{GROUP_NETWORKS}", join, "join", *needs,
                                 files=(SCORES_FILE,))]  # fmt: skip

    def _damage(
        self, name: str, split: Split, damage: TrainDamageSettings, *, for_trees: bool,
        group: JointGroup | None = None,
    ) -> list[Job]:  # fmt: skip
        """Train a damage network, and score the test patients, or all that it has not seen."""
        train = partial(train_damage, self.study, split, damage, group)
        networks = self._networks(name, damage)
        landmarks = f"{self.fold.name}/landmarks"
        score = partial(score_patients, self.study, split, networks, landmarks, for_trees)
        size = [] if split == self.fold.split else [str(len(split.networks))]
        every = [landmark.group for limb in Limb for landmark in LANDMARKS[limb]]
        share = every.count(group) / len(every) if group else 1.0  # of the joints, and of the time
        return [
            self._job(f"damage-{name}", train, " ".join([damage.to_toml(), *size]), share=share),
            self._job(f"scores-{name}", score, "scores", "locate", "landmarks", f"damage-{name}",
                      files=(SCORES_FILE,)),
        ]  # fmt: skip

    def _networks(self, name: str, damage: TrainDamageSettings) -> Networks:
        fold = self.fold.name
        return Networks(f"{fold}/locate", f"{fold}/damage-{name}", self.settings.locate, damage)

    def _job(
        self, kind: str, run: Callable[[JobContext], Any], key: str, *needs: str,
        files: tuple[str, ...] = (), share: float = 1.0,
    ) -> Job:  # fmt: skip
        split, fold = self.fold.split, self.fold.name
        base = json.dumps([self.content, self.study.readers, asdict(split)])
        stage = kind.partition("-")[0]
        minutes = share * _MINUTES[stage] * self.times.get(stage, 1.0) * len(split.networks) / 60
        return Job(
            name=f"{fold}/{kind}", run=run, key=f"{base} {key}",
            needs=tuple(f"{fold}/{need}" for need in needs), files=files,
            minutes=max(minutes, 0.01), disk_mb=10.0 if kind.startswith(("loc", "dam")) else 1.0,
        )  # fmt: skip
