"""The trained stages of a model, loaded from its files: locators, scorer, trees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import FAMILIES, LANDMARKS, Limb, Side
from mandora.core.errors import InputError
from mandora.core.files import AnyPath
from mandora.core.geometry import Points
from mandora.damage.published import PublishedScorer
from mandora.damage.scorer import PatchScorer, Scorer
from mandora.locate.locator import FoundLandmarks, Locator, Search
from mandora.locate.published import PublishedLocator
from mandora.model.contract import (
    SYMMETRY_FILE,
    Contract,
    DamageContract,
    LocateContract,
    damage_file,
    locate_file,
    locate_files,
)
from mandora.symmetry.forest import JointForest


class LimbLocator(Protocol):
    """Whatever finds the landmarks of one limb, with one network or with one per landmark."""

    @property
    def template(self) -> Points:
        """(N, 2) template of a left limb, in limb sizes."""

    def locate(
        self, pixels: NDArray[np.float32], side: Side | None = None, search: Search = Search.ALL
    ) -> FoundLandmarks:
        """The limb that fits best, or the one of the given side."""

    def locate_all(self, pixels: NDArray[np.float32]) -> list[FoundLandmarks]:
        """All limbs of this kind, the one that fits best first."""


@dataclass(frozen=True, eq=False)
class Stages:
    """The trained stages and the contract that joins them.

    Attributes:
        locators: one for each limb; only one of a model that was trained on hands alone.
        scorer: the damage stage.
        forest: the symmetry trees; None gives patch scores only, as training the trees needs.
        contract: how they are used.
        films_at_once: how many films keep the processor threads busy that they were loaded for.
            They may be used in so many threads at once.
    """

    locators: Mapping[Limb, LimbLocator]
    scorer: Scorer
    forest: JointForest | None
    contract: Contract
    films_at_once: int = 1

    @staticmethod
    def load(contract: Contract, paths: Mapping[str, AnyPath], threads: int) -> Stages:
        """Load the files of a bundle, or of a run that is to become one.

        The small networks of the default design run in one thread each, and one film beside the
        other keeps all threads busy: threads within a network would wait for one another. The large
        ones of the published design share all threads, one film after the other, which takes less
        memory.

        Args:
            contract: how the files are used.
            paths: by the bundle's names, see :func:`mandora.model.contract.model_files`; without
                ``symmetry.npz`` there are no trees, without a limb's localisers none of its films
                can be scored.
            threads: processor threads.

        Raises:
            ValueError: if a file cannot be used, or numbers its landmarks in another way. The
                networks of the published design are opened when they are needed, and their
                stage says so then.
        """
        files = {name: Path(path) for name, path in paths.items()}
        for limb in Limb:
            names = tuple(mark.name for mark in LANDMARKS[limb])
            if not contract.locate.landmarks[limb] == contract.damage.landmarks[limb] == names:
                raise InputError(
                    f"the model numbers the landmarks of the {limb} in another way than this "
                    "version; use the version of mandora that made it"
                )
        trees = files.get(SYMMETRY_FILE)
        small = contract.damage.design == "all-joints"
        films_at_once, threads = (threads, 1) if small else (1, threads)
        return Stages(
            {
                limb: _locator(limb, contract.locate, files, threads)
                for limb in Limb
                if files.keys() >= set(locate_files(limb, contract.locate))
            },
            _scorer(contract.damage, files, threads),
            JointForest.load(trees) if trees else None,
            contract,
            films_at_once,
        )


def _locator(
    limb: Limb, contract: LocateContract, paths: Mapping[str, Path], threads: int
) -> LimbLocator:
    template = np.array(contract.template[limb])
    if contract.design == "all-landmarks":
        thresholds = contract.thresholds[limb]
        return Locator(paths[locate_file(limb)], limb, contract, thresholds, template, threads)
    seeds = range(1, contract.seeds + 1)
    networks = {
        name: [paths[locate_file(limb, name, seed)] for seed in seeds]
        for name in contract.landmarks[limb]
    }
    return PublishedLocator(networks, limb, contract, template, threads)


def _scorer(contract: DamageContract, paths: Mapping[str, Path], threads: int) -> Scorer:
    if contract.design == "all-joints":
        return PatchScorer(paths[damage_file()], threads)
    files = {family: damage_file(family) for family in FAMILIES}
    networks = {family: paths[name] for family, name in files.items() if name in paths}
    return PublishedScorer(networks, threads)
