"""The averaged generator: what samples are drawn from.

Parameters are averaged, but an average of BatchNorm's running statistics belongs to no network
at all. They are measured afresh for the averaged weights instead.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from runtime.randomness import torch_generator

RECALIBRATION_BATCHES = 16


@torch.no_grad()
def update(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average ← decay · average + (1 − decay) · network for parameters; buffers are copied."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    for mine, theirs in zip(average.buffers(), network.buffers()):
        mine.copy_(theirs)


@torch.no_grad()
def recalibrated(average: nn.Module, label_counts: torch.Tensor, batch_size: int, seed: int) -> nn.Module:
    """A copy in evaluation mode whose BatchNorm statistics are those of its own activations.

    label_counts (classes,): how often each class is drawn, as in training.
    """
    device = next(average.parameters()).device
    network = copy.deepcopy(average).train()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average over the batches below
    generator = torch_generator(seed, "recalibrate")
    for _ in range(RECALIBRATION_BATCHES):
        latents = torch.randn(batch_size, network.latent_size, generator=generator)
        labels = torch.multinomial(label_counts.float().cpu(), batch_size, replacement=True, generator=generator)
        network(latents.to(device), labels.to(device))
    return network.eval()
