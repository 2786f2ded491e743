"""Which images each step of a training sees: a function of (seed, step) alone.

Without a share every image is as likely as any other, so that a large synthetic set outweighs a few
reals. With one, reals and synthetic images have endless shuffled passes of their own, and a batch
takes from each what its share says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from classifier.config import ClassifierConfig
from runtime.options import OptionError
from runtime.randomness import batch_indices, endless_pass, torch_generator


@dataclass(frozen=True)
class Batches:
    """The batches of one training.

    Attributes:
        labels: Label indices of the training images, (N,).
        is_synthetic: Whether each of them is synthetic, (N,).
        class_counts: Images of each class, at least 1, (K,).

    Raises OptionError when a share of synthetic images cannot be had of these.
    """

    config: ClassifierConfig
    labels: Tensor
    is_synthetic: Tensor
    class_counts: Tensor

    def __post_init__(self) -> None:
        share = self.config.synthetic_share
        if share is None:
            return
        if self.is_synthetic.all() or not self.is_synthetic.any():
            kind = "synthetic" if self.is_synthetic.all() else "real"
            raise OptionError(
                "synthetic_share", share, f"all training images are {kind}, nothing is to be mixed"
            )
        if self.config.balance == "sampling":
            present = len(self.labels[self.is_synthetic].unique())
            if present < len(self.class_counts):
                raise OptionError(
                    "balance",
                    "sampling",
                    "draws classes alike, and with `synthetic_share` needs synthetic images of "
                    "every class; these are of "
                    f"{present} of {len(self.class_counts)}; take `balance` weights or none",
                )

    def draw(self, step: int) -> Tensor:
        """Return the places (B,) of a step's images.

        The next of an endless shuffled pass over all of them, or of one over the reals and one over
        the synthetic images. Balanced by sampling, a class is drawn first, each as likely.
        """
        config = self.config
        if config.synthetic_share is not None:
            return self._draw_share(step)
        if config.balance != "sampling":
            return batch_indices(len(self.labels), config.batch_size, step, config.seed)
        chances = 1 / self.class_counts[self.labels].double()
        generator = torch_generator(config.seed, "balanced", step)
        return torch.multinomial(chances, config.batch_size, replacement=True, generator=generator)

    def class_weights(self, step: int) -> Tensor | None:
        """Return each class's weight in the loss (K,), by how seldom batches have it.

        None where all weigh alike.
        """
        if self.config.balance != "weights":
            return None
        num_classes = len(self.class_counts)
        if self.config.synthetic_share is None:
            return len(self.labels) / (num_classes * self.class_counts)
        share = self._share(step)
        of_synthetic, of_reals = (
            torch.bincount(self.labels[chosen], minlength=num_classes) / chosen.sum()
            for chosen in (self.is_synthetic, ~self.is_synthetic)
        )
        frequencies = share * of_synthetic + (1 - share) * of_reals
        return 1 / (num_classes * frequencies.clamp(min=1 / len(self.labels)))

    def _draw_share(self, step: int) -> Tensor:
        """Return a batch with its share of synthetic images, spread evenly over it.

        So each process has as many of them in its part of the batch, give or take one.
        """
        size = self.config.batch_size
        before, after = (math.floor(self._num_synthetic(at) + 0.5) for at in (step, step + 1))
        count = after - before
        synthetic = self._next(self.is_synthetic, before, count, "synthetic")
        reals = self._next(~self.is_synthetic, step * size - before, size - count, "real")
        quota = torch.arange(size + 1) * count // size
        holds_synthetic = quota[1:] > quota[:-1]
        batch = torch.empty(size, dtype=torch.long)
        batch[holds_synthetic], batch[~holds_synthetic] = synthetic, reals
        return batch

    def _share(self, step: float) -> float:
        """Return the share of synthetic images at a step."""
        share, until = self.config.synthetic_share or 0.0, self.config.synthetic_until
        if until is None:
            return share
        return share * max(0.0, 1 - step / (until * self.config.steps))

    def _num_synthetic(self, step: int) -> float:
        """Return how many synthetic images all steps before this one have: the share's integral."""
        until = self.config.synthetic_until
        end = step if until is None else min(float(step), until * self.config.steps)
        return self.config.batch_size * end * (self._share(0) + self._share(end)) / 2

    def _next(self, chosen: Tensor, first: int, count: int, purpose: str) -> Tensor:
        """Return the places (count,) of an endless pass over the chosen images (N,), from `first`.

        Balanced by sampling, the classes take turns, each with a pass of its own.
        """
        seed, places = self.config.seed, chosen.nonzero().squeeze(1)
        if self.config.balance != "sampling":
            return places[endless_pass(len(places), first, count, seed, purpose)]
        turns = torch.arange(first, first + count)
        num_classes = len(self.class_counts)
        drawn = torch.empty(count, dtype=torch.long)
        for label in range(num_classes):
            members = places[self.labels[places] == label]
            own = turns % num_classes == label
            begin = int(turns[own][0]) // num_classes if own.any() else 0
            drawn[own] = members[
                endless_pass(len(members), begin, int(own.sum()), seed, purpose, label)
            ]
        return drawn
