"""What a step of training learns from: a network, and the images as its trained part takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from classifier.augment import augment
from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.networks import Network, ScaledPixels, Unfrozen, build
from runtime.device import Compute
from runtime.randomness import batch_indices, key, torch_generator

PRETRAINED_FACTOR = 0.1  # of the learning rate, for stages that were trained on ImageNet
KEPT_BYTES = 2 * 1024**3  # of features that are held for all epochs


@dataclass(frozen=True)
class Task:
    """A fresh network with its training images, or what its fixed trunk makes of them where that never changes."""

    config: ClassifierConfig
    compute: Compute
    network: Network
    inputs: Tensor  # images uint8 (N, 1, S, S), or features (N, …)
    labels: Tensor  # (N,)
    featured: bool  # whether inputs are features
    counts: Tensor  # images of each class, at least 1

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW over the head; each group's `factor` is its share of the learning rate."""
        head, config = self.network.head, self.config
        pretrained = [
            parameter
            for part in head.modules()
            if isinstance(part, Unfrozen)
            for parameter in part.parameters()
        ]
        fresh = [
            parameter
            for parameter in head.parameters()
            if all(parameter is not other for other in pretrained)
        ]
        groups = [{"params": fresh, "factor": 1.0}] + (
            [{"params": pretrained, "factor": PRETRAINED_FACTOR}] if pretrained else []
        )
        return torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=self.compute.device.type != "mps",
        )

    def loss(self, step: int) -> tuple[Tensor, Tensor]:
        """Loss and share of right answers on this process's part of a step's batch; a function of (seed, step, rank) and the weights."""
        config, compute, device = self.config, self.compute, self.compute.device
        share = config.batch_size // compute.world_size
        chosen = self._drawn(step)[compute.rank * share : (compute.rank + 1) * share].to(device)
        x = self.inputs[chosen]
        if config.augment:
            x = augment(
                x,
                torch_generator(config.seed, "augment", step, compute.rank, device=device),
                flip=config.flip,
            )
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(key(config.seed, "step", compute.rank, step))  # dropout
            with compute.autocast():
                if not self.featured:
                    with torch.no_grad():
                        x = self.network.trunk(x)
                logits = self.network.head(x)
        weights = (
            len(self.labels) / (len(self.counts) * self.counts)
            if config.balance == "weights"
            else None
        )
        loss = cross_entropy(
            logits.float(),
            self.labels[chosen],
            weight=weights,
            label_smoothing=config.label_smoothing,
        )
        return loss, (logits.argmax(1) == self.labels[chosen]).float().mean()

    def _drawn(self, step: int) -> Tensor:
        """The images of a step: the next of an endless shuffled pass, or of a class drawn first, each class as likely."""
        if self.config.balance != "sampling":
            return batch_indices(len(self.labels), self.config.batch_size, step, self.config.seed)
        chances = 1 / self.counts[self.labels].cpu().double()
        return torch.multinomial(
            chances,
            self.config.batch_size,
            replacement=True,
            generator=torch_generator(self.config.seed, "balanced", step),
        )


def prepare(
    config: ClassifierConfig,
    images: Tensor,
    labels: Tensor,
    compute: Compute,
    classes: Sequence[str],
    trunk: nn.Module | None,
    store: FeatureStore,
) -> Task:
    """A task on images uint8 (N, 1, S, S) and labels (N,), with the same fresh weights in every process.

    Raises ValueError when the batch cannot be shared by the processes.
    """
    if config.batch_size % compute.world_size:
        raise ValueError(
            f"--batch-size {config.batch_size} over {compute.world_size} processes: expected a multiple of {compute.world_size}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(config.seed, "network"))
        network = build(config.arch, len(classes), trunk, config.unfreeze).to(
            compute.device, memory_format=torch.channels_last
        )
    featured = not config.augment and _worth_keeping(network.trunk, images)
    inputs = store.features(network.trunk, images, compute, "features") if featured else images
    inputs, labels = inputs.to(compute.device), labels.to(compute.device)
    return Task(
        config,
        compute,
        network,
        inputs,
        labels,
        featured,
        torch.bincount(labels, minlength=len(classes)).clamp(min=1),
    )


def _worth_keeping(trunk: nn.Module, images: Tensor) -> bool:
    """Whether a trunk's output is computed once for all epochs: not where it is a mere scaling, nor where it fills the memory."""
    if isinstance(trunk, ScaledPixels):
        return False
    with torch.no_grad():
        one = trunk(images[:1].to(next(trunk.buffers()).device))
    return 4 * one.numel() * len(images) <= KEPT_BYTES
