"""What a step of training learns from: a network, and images as its trained part takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from classifier.augment import apply_draws, draw_numbers
from classifier.batches import Batches
from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.networks import Network, Unfrozen, build
from classifier.pretrained import Trunk
from runtime.device import Compute, send
from runtime.options import OptionError
from runtime.randomness import key, seed_layers, torch_generator
from runtime.recorded_step import TensorBatch

PRETRAINED_FACTOR = 0.1  # of the learning rate, for stages that were trained on ImageNet
MAX_FEATURE_BYTES = 2 * 1024**3  # of features that are held for all epochs


@dataclass(frozen=True)
class Batch(TensorBatch):
    """A process's part of one step's batch, b images, and what else of the step is drawn before.

    Attributes:
        chosen: Their places among the inputs, (b,).
        is_synthetic: Whether each of them is synthetic, (b,).
        class_weights: Each class's in the loss, (K,); empty where all weigh alike.
        draws: Random numbers of the augmentation, (b, DRAWS_PER_IMAGE + 1); empty without it.
        noise: The augmentation's, (b, 1, S, S); empty without it.
    """

    chosen: Tensor
    is_synthetic: Tensor
    class_weights: Tensor
    draws: Tensor
    noise: Tensor


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
            capturable=self.compute.device.type == "cuda",
        )

    def set_learning_rate(self, optimizer: torch.optim.Optimizer, rate: float) -> None:
        """Set the learning rate of the next step, in tensors that stay where they are."""
        device = self.compute.device
        # A CPU works with the number itself, CUDA with its float32.
        precise = torch.float64 if device.type == "cpu" else torch.float32
        for group in optimizer.param_groups:
            held = group["lr"]
            if not (isinstance(held, Tensor) and held.device.type == device.type):
                group["lr"] = held = torch.zeros((), dtype=precise, device=device)
            held.fill_(rate * group["factor"])

    @property
    def is_steady(self) -> bool:
        """Whether every step does the same to tensors of the same shapes."""
        return self.config.synthetic_statistics == "shared"

    @contextmanager
    def own_randomness(self) -> Iterator[None]:
        """Keep torch's own generators, which `draw` seeds, as they are outside of a training."""
        device = self.compute.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield

    def draw(self, step: int) -> Batch:
        """Draw this process's part of a step's batch, and seed what layers draw (dropout).

        It is a function of (seed, step, rank); on CUDA nothing waits for the device.
        """
        config, rank, device = self.config, self.compute.rank, self.compute.device
        per_rank = config.batch_size // self.compute.world_size
        chosen = self.batches.draw(step)[rank * per_rank : (rank + 1) * per_rank]
        weights = self.batches.class_weights(step)
        draws, noise = torch.empty(0, device=device), torch.empty(0, device=device)
        if config.augment:
            generator = torch_generator(config.seed, "augment", step, rank, device=device)
            draws, noise = draw_numbers((len(chosen), *self.inputs.shape[1:]), generator)
        seed_layers(device, config.seed, "step", rank, step)
        return Batch(
            chosen=send(chosen, device),
            is_synthetic=send(self.batches.is_synthetic[chosen], device),
            class_weights=send(torch.empty(0) if weights is None else weights, device),
            draws=draws,
            noise=noise,
        )

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return loss and accuracy on a batch: a function of it and of the weights.

        Nothing is read back from the device where the task is steady: so a step can be recorded.
        """
        x, labels = self.inputs[batch.chosen], self.labels[batch.chosen]
        if self.config.augment:
            x = apply_draws(x, batch.draws, batch.noise, flip=self.config.flip)
        logits = self._forward(x, batch.is_synthetic)
        loss = self._cross_entropy(logits, labels, batch)
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
            reals, synthetic = (kind.nonzero().squeeze(1) for kind in (~is_synthetic, is_synthetic))
            parts = []
            if len(reals):
                parts.append(head(x[reals]))
            if len(synthetic):
                with keep_running_averages(head):
                    parts.append(head(x[synthetic]))
            return torch.cat(parts)[torch.cat([reals, synthetic]).argsort()]

    def _cross_entropy(self, logits: Tensor, labels: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of a batch, by the weights of its classes and kinds.

        logits: (B, classes). labels: (B,).
        """
        weight = batch.class_weights if len(batch.class_weights) else None
        smoothing = self.config.label_smoothing
        if self.config.synthetic_weight == 1:
            return cross_entropy(logits.float(), labels, weight=weight, label_smoothing=smoothing)
        losses = cross_entropy(
            logits.float(), labels, weight=weight, label_smoothing=smoothing, reduction="none"
        )
        weights = torch.where(batch.is_synthetic, self.config.synthetic_weight, 1.0)
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
