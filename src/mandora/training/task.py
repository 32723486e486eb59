"""What the training loop needs of a stage: items, a loss, held-out numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

Batch = dict[str, Tensor]
"""Tensors whose first axis is the item."""

Mean = Callable[[Tensor, Tensor], Tensor]
"""``mean(values, weights)``: the weighted mean of values over the items of *all* processes.

Values with weight 0 do not count, even NaN. Weights have the shape of the values or are broadcast
to it. A loss must be a sum of such means, each times a constant: then two processes with half a
batch each have the same gradient as one process with the whole batch.
"""


class Draw(NamedTuple):
    """An item at one position of an epoch.

    Attributes:
        item: index of the item.
        key: (seed, epoch, position): all random changes of the item follow from it.
        small: show it with fewer px, as early epochs may do with all items.
    """

    item: int
    key: tuple[int, int, int]
    small: bool = False


class Task(Protocol):
    """A stage in training."""

    def order(self, key: tuple[int, int]) -> Sequence[int]:
        """The items of one epoch, from (seed, epoch); an item may be repeated.

        Every epoch has the same number of items.
        """

    def name(self, item: int) -> str:
        """Name of the item in messages: patient, film, joint."""

    def batch(self, draws: Sequence[Draw]) -> Batch:
        """The items, and the random numbers for their changes, on the CPU.

        May run in another process; depends on the draws only.
        """

    def loss(self, network: nn.Module, batch: Batch, mean: Mean) -> Tensor:
        """The loss of a batch on the network's device; the changes are applied here."""

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Numbers on held-out items; the weights with the highest ``score`` are the best.

        Called in eval mode, without gradients, in the first process only.
        """
