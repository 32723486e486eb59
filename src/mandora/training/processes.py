"""Several processes that train one network: ``torchrun --nproc-per-node 2 -m mandora train …``.

Each process has a part of every batch. Weighted means and batch normalisation include all
processes, so that the gradient, and the trained network, is that of one process with the whole
batch. Without torchrun there is one process, without extra cost.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mandora.training.machine import choose_device

TIMEOUT = timedelta(hours=1)
"""How long a process waits for another: the others wait while the first prepares films and
measures. If one dies, torchrun ends the others at once."""


def is_main() -> bool:
    """Whether this process writes files and messages; true if it is the only one."""
    return int(os.environ.get("RANK", "0")) == 0


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
        device: of this process.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def main(self) -> bool:
        """Whether this process writes files, reports and validates."""
        return self.rank == 0

    def mean(self, values: Tensor, weights: Tensor) -> Tensor:
        """Weighted mean over the items of all processes; see :data:`training.task.Mean`.

        The result is this process's part of that mean, times the number of processes, so that the
        average over the processes is the mean. The same holds for the gradients.

        Args:
            values: any shape; values with weight 0 may be anything, even NaN.
            weights: ≥ 0, of that shape or broadcast to it.
        """
        values, weights = torch.broadcast_tensors(values, weights)
        total = weights.sum(dtype=torch.float32)
        if self.world > 1:
            total = total.detach().clone()
            dist.all_reduce(total)
        # if all weights are 0, the mean and its gradient are 0
        share = self.world / torch.where(total > 0, total, torch.ones_like(total))
        return (values.masked_fill(weights == 0, 0) * weights).sum(dtype=torch.float32) * share

    def average(self, value: Tensor) -> Tensor:
        """The plain mean of one number over the processes, without gradient."""
        value = value.detach().float().clone()
        if self.world > 1:
            dist.all_reduce(value)
        return value / self.world

    def share(self, data: bytes | None) -> bytes | None:
        """The data of the main process; that of the others is ignored."""
        if self.world == 1:
            return data
        own = data if self.main else None
        length = torch.tensor(-1 if own is None else len(own), device=self.device)
        dist.broadcast(length, 0)
        if length < 0:
            return None
        if own is None:
            sent = torch.empty(int(length), dtype=torch.uint8, device=self.device)
        else:
            sent = torch.frombuffer(bytearray(own), dtype=torch.uint8).to(self.device)
        dist.broadcast(sent, 0)
        return sent.cpu().numpy().tobytes()

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.world > 1:
            dist.barrier()

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over the processes in each backward pass.

        All processes get the first one's weights.
        """
        if self.world == 1:
            return network
        devices = None if self.device.type == "cpu" else [self.device.index]
        # the buffers, of batch normalisation, are the same in all processes already
        return DistributedDataParallel(network, device_ids=devices, forward_sync_buffers=False)


def join(device: str) -> Processes:
    """This process, joined with the others that torchrun has started.

    Can be called several times. The processes stay joined until they end, because torch sometimes
    waits forever if they are joined again.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ValueError: if there is no GPU for this process.
    """
    own = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if own.type == "cuda":
        torch.cuda.set_device(own)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes(0, 1, own)
    if not dist.is_initialized():
        dist.init_process_group("gloo" if own.type == "cpu" else "nccl", timeout=TIMEOUT)
        atexit.register(dist.destroy_process_group)
    return Processes(dist.get_rank(), dist.get_world_size(), own)


# ── batch normalisation over all processes ───────────────────────────────────────────────


class _Sum(torch.autograd.Function):
    """Sum over all processes; the gradient is summed too."""

    @staticmethod
    def forward(context: Any, own: Tensor) -> Tensor:
        whole = own.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return _Sum.forward(context, gradients[0])


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the items of all processes, on CPUs.

    ``nn.SyncBatchNorm`` works on GPUs only.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same; B may differ between processes."""
        if not self.training:
            return super().forward(x)
        values = x.float()
        count = torch.tensor([values.numel() / values.shape[1]], dtype=torch.float64)
        sums = _Sum.apply(torch.cat([values.sum((0, 2, 3), dtype=torch.float64), count]))
        number = sums[-1].detach()
        mean = (sums[:-1] / number).float()
        # second pass: the mean of squares minus the square of the mean would lose digits
        centred = values - mean[:, None, None]
        squares = _Sum.apply(centred.square().sum((0, 2, 3), dtype=torch.float64))
        variance = (squares / number).float()
        if self.track_running_stats:
            self._remember(mean.detach(), (squares.detach() / (number - 1).clamp_min(1)).float())
        gain = torch.rsqrt(variance + self.eps)
        shift = torch.zeros_like(gain)
        if self.affine:
            gain, shift = gain * self.weight, self.bias
        return (centred * gain[:, None, None] + shift[:, None, None]).to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:  # the plain mean of all batches
            momentum = 1 / float(self.num_batches_tracked)
        with torch.no_grad():
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance, momentum)


@contextmanager
def shared_normalisation(network: nn.Module, processes: Processes) -> Iterator[None]:
    """Batch normalisation over all processes, for use in ``with``.

    Layers change their class in place and back: names, weights and buffers stay the same.
    """
    layers = [m for m in network.modules() if type(m) is nn.BatchNorm2d]
    if processes.world == 1:
        layers = []
    on_gpu = processes.device.type == "cuda"
    for layer in layers:
        layer.__class__ = nn.SyncBatchNorm if on_gpu else SharedBatchNorm2d
        layer.process_group = None  # of SyncBatchNorm: all processes
    try:
        yield
    finally:
        for layer in layers:
            layer.__class__ = nn.BatchNorm2d
            del layer.process_group
