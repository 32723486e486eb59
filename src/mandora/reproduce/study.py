"""What the jobs of an experiment share: its data set, and the networks of a fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mandora.core.anatomy import Limb
from mandora.core.settings import SymmetrySettings, TrainDamageSettings, TrainLocateSettings
from mandora.datasets.dataset import Dataset, DatasetFilm
from mandora.datasets.layouts import open_dataset
from mandora.model.contract import (
    Contract,
    DamageContract,
    SymmetryContract,
    damage_files,
    locate_files,
)
from mandora.training.bundles import locate_contract
from mandora.training.splits import Split


@dataclass(frozen=True)
class Study:
    """The data set of an experiment.

    Attributes:
        path: of the data set.
        readers: weight of each reader in the label that training uses.
        cache: folder for prepared items, shared by all folds.
        official: reader whose scores are the official label; None: that of the data set.
    """

    path: Path
    readers: tuple[tuple[str, float], ...]
    cache: Path
    official: str | None = None

    def open(self) -> Dataset:
        """Read its tables; no film is decoded.

        Raises:
            ValueError: if the data set cannot be used, or has no reader ``official``.
        """
        dataset = open_dataset(self.path, dict(self.readers))
        return dataset if self.official is None else dataset.read_by(self.official)


@dataclass(frozen=True)
class Networks:
    """Networks of a fold and how they are used.

    Attributes:
        locate: name of the job that trained both localisers.
        damage: name of the job that trained the damage networks.
        locate_settings: they were trained with.
        damage_settings: likewise.
    """

    locate: str
    damage: str
    locate_settings: TrainLocateSettings
    damage_settings: TrainDamageSettings

    def contract(self) -> Contract:
        """How they are used."""
        return Contract(
            locate=locate_contract(self.locate_settings.network),
            damage=DamageContract.of(self.damage_settings.network),
            symmetry=SymmetryContract.of(SymmetrySettings()),  # no trees are used here
        )

    def files(self, folders: Mapping[str, Path]) -> dict[str, Path]:
        """All files by their names in a bundle, from the folders of jobs by name.

        A data set of hands alone leaves no localiser of feet, and no network of their damage.
        """
        contract = self.contract()
        names = {
            self.locate: [n for limb in Limb for n in locate_files(limb, contract.locate)],
            self.damage: damage_files(contract.damage),
        }
        paths = {name: folders[job] / name for job, made in names.items() for name in made}
        return {name: path for name, path in paths.items() if path.exists()}


def films_of(dataset: Dataset, patients: Sequence[str]) -> list[DatasetFilm]:
    """Whole films of some patients, in the data set's order."""
    return [film for film in dataset.films if film.patient in patients]


def unseen(split: Split) -> tuple[str, ...]:
    """Patients whom the networks of a fold have not seen."""
    return (*split.test, *split.trees)
