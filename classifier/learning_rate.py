"""The learning-rate range test: rates that rise until training breaks.

See Smith 2017, "Cyclical Learning Rates", section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch.utils.data import Dataset

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.pretrained import Trunk
from classifier.task import TrainingTask, prepare_task
from runtime.dataset import stack_dataset
from runtime.device import Compute
from runtime.options import OptionError
from runtime.progress import progress

LOWEST_RATE, HIGHEST_RATE = 1e-6, 1.0
RANGE_STEPS = 121
STEPS_PER_DECADE = 20  # over which the rate grows tenfold
LOSS_DECAY = 0.95  # per step, of the averaged loss
BREAKING_FACTOR = 4.0  # times the least averaged loss so far, where the test ends


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
    trunk: Trunk | None = None,
    store: FeatureStore | None = None,
) -> RateTest:
    """Train a fresh network at rising rates, and say what peak rate to train with.

    training: (uint8 1×S×S image, label index) pairs. The loss is an exponential moving average,
    corrected for its start. Nothing is kept of the network. The suggestion is the middle of the
    decade of rates over which the loss falls most. Raises OptionError for an svm, which has no
    steps, and FloatingPointError when the loss breaks within the first decade.
    """
    if config.arch == "svm":
        raise OptionError("arch", "svm", "is fitted in no steps, so there is no rate to find")
    images, labels = stack_dataset(training)
    task = prepare_task(config, images, labels, compute, classes, trunk, store or FeatureStore())
    rates, losses = _losses_at_rising_rates(task)
    falls = [
        before - after for before, after in zip(losses, losses[STEPS_PER_DECADE:], strict=False)
    ]
    if not falls:
        raise FloatingPointError(
            f"the loss breaks at a learning rate of {LOWEST_RATE:.0e} already; look at the images "
            "and labels"
        )
    suggested = rates[falls.index(max(falls)) + STEPS_PER_DECADE // 2]
    return RateTest(tuple(rates), tuple(losses), suggested)


def _losses_at_rising_rates(task: TrainingTask) -> tuple[list[float], list[float]]:
    """Train from LOWEST_RATE up until the loss breaks; return the rates and averaged losses."""
    optimizer = task.optimizer()
    task.network.train()
    rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    with task.own_randomness(), progress(RANGE_STEPS, "learning rate", "step") as bar:
        for step in range(RANGE_STEPS):
            rate = LOWEST_RATE * (HIGHEST_RATE / LOWEST_RATE) ** (step / (RANGE_STEPS - 1))
            task.set_learning_rate(optimizer, rate)
            loss, _ = task.loss(task.draw(step))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average = LOSS_DECAY * average + (1 - LOSS_DECAY) * loss.item()
            smooth = average / (1 - LOSS_DECAY ** (step + 1))
            if not math.isfinite(smooth) or smooth > BREAKING_FACTOR * min([*losses, smooth]):
                break
            rates.append(rate)
            losses.append(smooth)
            bar.update()
    return rates, losses
