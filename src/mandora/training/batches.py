"""Which items are in which batch, and the processes that prepare the batches."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mandora.core.errors import InputError
from mandora.core.settings import LoopSettings
from mandora.training.processes import Processes
from mandora.training.task import Batch, Draw, Task

PREFETCH = 2  # batches that each loader keeps ready


class Batches(Dataset[Batch]):
    """All batches of a run, numbered through all epochs.

    The items of an epoch are divided into as few batches as ``batch_size`` allows, of nearly equal
    size, so that no small rest is left: batch normalisation does not work with one item. A batch
    depends on its number only, so that a run can resume anywhere, with any number of loaders.

    Args:
        task: gives the order, and prepares the items.
        settings: seed, batch size, epochs, loaders.
        processes: share each batch: process r of n takes its items r, r + n, r + 2n, …

    Raises:
        ValueError: if there is nothing to train on, or less than one item per process.
    """

    def __init__(self, task: Task, settings: LoopSettings, processes: Processes) -> None:
        self._task, self._settings = task, settings
        self._rank, self._world = processes.rank, processes.world
        self._pin = processes.device.type == "cuda"
        self._epoch, self._order = 0, self._ordered(0)
        self.items = len(self._order)
        if not self.items:
            raise InputError("there are no items to train on; add films or joints")
        self.per_epoch = -(-self.items // settings.batch_size)
        smallest = self.items // self.per_epoch
        if smallest < self._world:
            raise InputError(
                f"a batch of {smallest} cannot be shared by {self._world} processes; "
                f"raise loop.batch_size (now {settings.batch_size}) or start fewer processes"
            )

    def __len__(self) -> int:
        return self._settings.epochs * self.per_epoch

    def __getitem__(self, number: int) -> Batch:
        """This process's part of a batch."""
        return self._task.batch(self.draws(number)[self._rank :: self._world])

    def draws(self, number: int) -> list[Draw]:
        """The whole batch, for all processes."""
        epoch, step = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._ordered(epoch)
            if len(self._order) != self.items:
                raise InputError(
                    f"epoch {epoch + 1} has {len(self._order)} items and the first had "
                    f"{self.items}; a task must have as many in every epoch"
                )
        positions = np.array_split(np.arange(self.items), self.per_epoch)[step]
        seed, settings = self._settings.seed, self._settings
        small = epoch < int(settings.small_share * settings.epochs)  # never the last one
        return [Draw(int(self._order[p]), (seed, epoch, int(p)), small) for p in positions]

    def names(self, number: int) -> str:
        """Names of the items of a whole batch, for a message."""
        return ", ".join(dict.fromkeys(self._task.name(draw.item) for draw in self.draws(number)))

    def loader(self, first: int) -> DataLoader[Batch]:
        """Loads the batches from ``first`` to the end of the run, ahead of time if so set.

        One loader is used for all epochs, so that its processes start only once.
        """
        loaders = self._settings.loaders
        # forked processes share the prepared films; spawned ones would copy them
        fork = loaders > 0 and sys.platform == "linux"
        return DataLoader(
            self,
            batch_size=None,
            sampler=range(first, len(self)),
            num_workers=loaders,
            prefetch_factor=PREFETCH if loaders else None,
            multiprocessing_context="fork" if fork else None,
            pin_memory=self._pin,
            generator=torch.Generator(),  # each loader would advance torch's global one
        )

    def _ordered(self, epoch: int) -> Sequence[int]:
        return self._task.order((self._settings.seed, epoch))
