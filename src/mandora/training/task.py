"""What the training loop asks of a stage: its items, its loss, its held-out numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

Batch = dict[str, Tensor]
"""Tensors whose first axis is the item."""

Mean = Callable[[Tensor, Tensor], Tensor]
"""``mean(values, weights)``: the weighted mean of values over the items of *all* processes.

Values with weight 0 do not count, whatever they are. Weights are of the values' shape or are
repeated to it. A loss must be a sum of such means, each times a constant: then two processes with
half a batch each have the same gradient as one with the whole batch.
"""


class Draw(NamedTuple):
    """One place in an epoch.

    Attributes:
        item: index of the item that stands there.
        key: (seed, epoch, place): all random changes of the item follow from it.
        small: whether it is shown smaller, as all items of early epochs may be.
    """

    item: int
    key: tuple[int, int, int]
    small: bool = False


class Task(Protocol):
    """A stage in training."""

    def order(self, key: tuple[int, int]) -> Sequence[int]:
        """The items of one epoch, from (seed, epoch); an item may come more than once.

        As many in every epoch.
        """

    def name(self, item: int) -> str:
        """What a message calls the item: patient, film, joint."""

    def batch(self, draws: Sequence[Draw]) -> Batch:
        """The items and the numbers drawn to change them, on the processor.

        May run in a process of its own; depends on nothing but the draws.
        """

    def loss(self, network: nn.Module, batch: Batch, mean: Mean) -> Tensor:
        """The loss of a batch on the network's device; the changes are applied here."""

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Numbers on held-out items; ``score`` says which weights are best (more is better).

        In eval mode, without gradients, in the first process only.
        """
