"""The learning-rate range test (Smith 2017, "Cyclical Learning Rates", section 3.3): rates that rise until training breaks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from torch.utils.data import Dataset

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.task import prepare
from runtime.dataset import stacked
from runtime.device import Compute
from runtime.progress import progress

LOWEST, HIGHEST = 1e-6, 1.0
STEPS = 121
DECADE = 20  # steps over which the rate grows tenfold
SMOOTHING = 0.95  # decay per step of the averaged loss
BROKEN = 4.0  # times the least averaged loss so far, where the test ends


@dataclass(frozen=True)
class RateTest:
    """Learning rates, the averaged training loss at each, and the rate to take."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggested: float


def find_learning_rate(
    config: ClassifierConfig,
    training: Dataset,
    compute: Compute,
    *,
    classes: Sequence[str],
    trunk: nn.Module | None = None,
    store: FeatureStore | None = None,
) -> RateTest:
    """Train a fresh network for STEPS steps at rates from LOWEST to HIGHEST, and say what peak rate to train with.

    training: (uint8 1×S×S image, label index) pairs. The loss is an exponential moving average, corrected for its start. Nothing is kept
    of the network. The suggestion is the middle of the decade of rates over which the loss falls most. Raises ValueError for an svm, which has no steps,
    and FloatingPointError when the loss breaks within the first decade.
    """
    if config.arch == "svm":
        raise ValueError(
            "--find-learning-rate: an svm is fitted in no steps; use it with another --arch"
        )
    images, labels = stacked(training)
    task = prepare(config, images, labels, compute, classes, trunk, store or FeatureStore())
    optimizer = task.optimizer()
    task.network.train()
    rates, losses, average = [], [], 0.0
    with progress(STEPS, "learning rate", "step") as bar:
        for step in range(STEPS):
            rate = LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            loss, _ = task.loss(step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average = SMOOTHING * average + (1 - SMOOTHING) * loss.item()
            smooth = average / (1 - SMOOTHING ** (step + 1))
            if not math.isfinite(smooth) or smooth > BROKEN * min([*losses, smooth]):
                break
            rates.append(rate)
            losses.append(smooth)
            bar.update()
    falls = [before - after for before, after in zip(losses, losses[DECADE:])]
    if not falls:
        raise FloatingPointError(
            f"the loss breaks at a learning rate of {LOWEST:.0e} already; look at the images and labels"
        )
    return RateTest(tuple(rates), tuple(losses), rates[falls.index(max(falls)) + DECADE // 2])
