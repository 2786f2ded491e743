"""What a step of training learns from: a network, and images as its trained part takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from classifier.augment import augment
from classifier.batches import Batches
from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.networks import Network, Unfrozen, build
from classifier.pretrained import Trunk
from runtime.device import Compute
from runtime.options import OptionError
from runtime.randomness import key, torch_generator

PRETRAINED_FACTOR = 0.1  # of the learning rate, for stages that were trained on ImageNet
MAX_FEATURE_BYTES = 2 * 1024**3  # of features that are held for all epochs


@dataclass(frozen=True)
class TrainingTask:
    """A fresh network with its training images, or their features where those never change.

    Attributes:
        inputs: Images uint8 (N, 1, S, S), or what the fixed trunk makes of them (N, …).
        labels: Their label indices (N,).
        has_features: Whether the inputs are features.
        batches: Which of them each step has.
    """

    config: ClassifierConfig
    compute: Compute
    network: Network
    inputs: Tensor
    labels: Tensor
    has_features: bool
    batches: Batches

    def optimizer(self) -> torch.optim.Optimizer:
        """Make an AdamW over the head; each group's `factor` is its share of the learning rate."""
        head = self.network.head
        stages = [module for module in head.modules() if isinstance(module, Unfrozen)]
        pretrained = [parameter for stage in stages for parameter in stage.parameters()]
        pretrained_ids = {id(parameter) for parameter in pretrained}
        fresh = [
            parameter for parameter in head.parameters() if id(parameter) not in pretrained_ids
        ]
        groups = [{"params": fresh, "factor": 1.0}]
        if pretrained:
            groups.append({"params": pretrained, "factor": PRETRAINED_FACTOR})
        return torch.optim.AdamW(
            groups,
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
            fused=self.compute.device.type != "mps",
        )

    def loss(self, step: int) -> tuple[Tensor, Tensor]:
        """Return loss and accuracy on this process's part of a step's batch.

        It is a function of (seed, step, rank) and the weights.
        """
        config, rank, device = self.config, self.compute.rank, self.compute.device
        per_rank = config.batch_size // self.compute.world_size
        local_batch = slice(rank * per_rank, (rank + 1) * per_rank)
        drawn = self.batches.draw(step)[local_batch]
        is_synthetic, chosen = self.batches.is_synthetic[drawn], drawn.to(device)
        x = self.inputs[chosen]
        if config.augment:
            generator = torch_generator(config.seed, "augment", step, rank, device=device)
            x = augment(x, generator, flip=config.flip)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(key(config.seed, "step", rank, step))  # dropout
            logits = self._forward(x, is_synthetic)
        labels = self.labels[chosen]
        loss = self._cross_entropy(logits, labels, is_synthetic, self.batches.class_weights(step))
        return loss, (logits.argmax(1) == labels).float().mean()

    def _forward(self, x: Tensor, is_synthetic: Tensor) -> Tensor:
        """Return the logits (B, classes) of images, or of features where the task has them.

        is_synthetic: (B,). With separate statistics BatchNorm sees each kind by itself, and its
        running averages, by which predictions are normalised, follow the reals alone (Xie et al.
        2020, "Adversarial Examples Improve Image Recognition", section 4; scale and shift are
        shared here).
        """
        with self.compute.autocast():
            if not self.has_features:
                with torch.no_grad():
                    x = self.network.trunk(x)
            head = self.network.head
            if self.config.synthetic_statistics == "shared":
                return head(x)
            reals, synthetic = (
                kind.nonzero().squeeze(1).to(x.device) for kind in (~is_synthetic, is_synthetic)
            )
            parts = []
            if len(reals):
                parts.append(head(x[reals]))
            if len(synthetic):
                with keep_running_averages(head):
                    parts.append(head(x[synthetic]))
            return torch.cat(parts)[torch.cat([reals, synthetic]).argsort()]

    def _cross_entropy(
        self, logits: Tensor, labels: Tensor, is_synthetic: Tensor, class_weights: Tensor | None
    ) -> Tensor:
        """Return the mean cross-entropy of a batch, by the weights of its classes and kinds.

        logits: (B, classes). labels, is_synthetic: (B,).
        """
        weight = None if class_weights is None else class_weights.to(labels.device)
        smoothing = self.config.label_smoothing
        if self.config.synthetic_weight == 1:
            return cross_entropy(logits.float(), labels, weight=weight, label_smoothing=smoothing)
        losses = cross_entropy(
            logits.float(), labels, weight=weight, label_smoothing=smoothing, reduction="none"
        )
        weights = torch.where(is_synthetic, self.config.synthetic_weight, 1.0).to(labels.device)
        class_part = weights if weight is None else weights * weight[labels]
        return (weights * losses).sum() / class_part.sum()


@contextmanager
def keep_running_averages(head: nn.Module) -> Iterator[None]:
    """Let BatchNorm normalise by each batch, and its running averages stay as they are."""
    norms = [module for module in head.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def prepare_task(
    config: ClassifierConfig,
    images: Tensor,
    labels: Tensor,
    compute: Compute,
    classes: Sequence[str],
    trunk: Trunk | None,
    store: FeatureStore,
    is_synthetic: Tensor | None = None,
) -> TrainingTask:
    """Make a task on images uint8 (N, 1, S, S) and labels (N,).

    It has the same fresh weights in every process. is_synthetic: whether each image is synthetic,
    (N,); none is when None. Raises OptionError when the batch cannot be shared by the processes, or
    a share of synthetic images not be had.
    """
    if config.batch_size % compute.world_size:
        raise OptionError(
            "batch_size",
            f"{config.batch_size} over {compute.world_size} processes",
            f"expected a multiple of {compute.world_size}",
        )
    if is_synthetic is None:
        is_synthetic = torch.zeros(len(labels), dtype=torch.bool)
    batches = Batches(
        config,
        labels,
        is_synthetic,
        torch.bincount(labels, minlength=len(classes)).clamp(min=1),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(config.seed, "network"))
        network = build(config.arch, len(classes), trunk, config.unfreeze)
    network = network.to(compute.device).to(memory_format=torch.channels_last)
    has_features = not config.augment and _is_worth_keeping(network, images)
    inputs = store.features(network.trunk, images, compute, "features") if has_features else images
    inputs, labels = inputs.to(compute.device), labels.to(compute.device)
    return TrainingTask(
        config=config,
        compute=compute,
        network=network,
        inputs=inputs,
        labels=labels,
        has_features=has_features,
        batches=batches,
    )


def _is_worth_keeping(network: Network, images: Tensor) -> bool:
    """Say whether a trunk's output is computed once for all epochs.

    It is not where the trunk is a mere scaling, nor where its output would fill the memory.
    """
    if not network.has_fixed_features:
        return False
    with torch.no_grad():
        feature = network.trunk(images[:1].to(next(network.trunk.buffers()).device))
    return 4 * feature.numel() * len(images) <= MAX_FEATURE_BYTES
