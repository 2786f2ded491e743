"""What a step makes of real and synthetic images of one batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.task import TrainingTask, prepare_task
from tests.classifier.stripes import CLASSES, CPU, stripes


def make_task(synthetic: Tensor | None = None, **options: Any) -> TrainingTask:
    """Make a task on 30 reals and 30 synthetic images, stripes as well unless they are given."""
    images, labels = stripes(60, 0).tensors
    if synthetic is not None:
        images = torch.cat([images[:30], synthetic])
    config = ClassifierConfig(steps=10, batch_size=16, synthetic_share=0.5, **options)
    is_synthetic = torch.arange(60) >= 30
    return prepare_task(config, images, labels, CPU, CLASSES, None, FeatureStore(), is_synthetic)


def loss_at(task: TrainingTask, step: int) -> tuple[Tensor, Tensor]:
    """Return loss and accuracy on the batch of a step."""
    with task.own_randomness():
        return task.loss(task.draw(step))


def first_norm(task: TrainingTask) -> nn.BatchNorm2d:
    """Return the first BatchNorm of a task's network."""
    return next(part for part in task.network.modules() if isinstance(part, nn.BatchNorm2d))


@pytest.mark.parametrize("balance", ["none", "weights"])
@pytest.mark.parametrize("weight", [0.25, 0.01])
def test_a_synthetic_image_weighs_in_the_loss_what_it_is_said_to(
    weight: float, balance: str
) -> None:
    whole, half, own = (
        float(loss_at(make_task(synthetic_weight=value, balance=balance), 0)[0].detach())
        for value in (1.0, 0.5, weight)
    )
    # Of 8 reals and 8 synthetic images, in stripes of equal classes: (r + w s) / (1 + w).
    synthetic = 4 * whole - 3 * half
    reals = 2 * whole - synthetic
    assert own == pytest.approx((reals + weight * synthetic) / (1 + weight), abs=1e-5)


@pytest.mark.parametrize(("statistics", "is_same"), [("separate", True), ("shared", False)])
def test_running_averages_with_separate_statistics_are_of_the_reals_alone(
    statistics: str, is_same: bool
) -> None:
    averages = []
    for gray in (0, 255):
        synthetic = torch.full((30, 1, 32, 32), gray, dtype=torch.uint8)
        task = make_task(synthetic, synthetic_statistics=statistics)
        task.network.train()
        loss_at(task, 0)
        averages.append(first_norm(task).running_mean)
    assert torch.equal(*averages) == is_same


def test_separate_statistics_leave_the_order_of_a_batch() -> None:
    task = make_task(synthetic_statistics="separate")
    task.network.eval()  # in which BatchNorm has one set of statistics, whatever the kind
    shared = make_task()
    shared.network.eval()
    assert torch.allclose(loss_at(task, 3)[0], loss_at(shared, 3)[0], atol=1e-6)


def test_a_batch_of_one_kind_can_be_had_with_separate_statistics() -> None:
    task = make_task(synthetic_statistics="separate", synthetic_until=0.2)
    task.network.train()
    assert torch.isfinite(loss_at(task, 9)[0])


def test_momentum_is_what_it_was_after_a_step() -> None:
    task = make_task(synthetic_statistics="separate")
    task.network.train()
    loss_at(task, 0)
    assert first_norm(task).momentum == 0.1
