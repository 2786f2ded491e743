"""Losses have their known values, and the three games teach both networks what they should."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from gan.losses import (
    PENALTY_STRIDE,
    Adversarial,
    Relativistic,
    Wasserstein,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from gan.networks import Discriminator


@pytest.mark.parametrize(
    ("loss", "real", "fake", "expected"),
    [
        pytest.param(discriminator_loss, 0.0, 0.0, 0.693147, id="discriminator, undecided"),
        pytest.param(discriminator_loss, 3.0, 1.0, 0.126928, id="discriminator, right"),
        pytest.param(generator_loss, 3.0, 1.0, 2.126928, id="generator, found out"),
    ],
)
def test_a_loss_has_its_known_value(loss, real: float, fake: float, expected: float) -> None:
    value = loss(torch.tensor([real]), torch.tensor([fake])).item()
    assert value == pytest.approx(expected, abs=1e-5)


def test_the_penalty_estimates_half_the_squared_gradient_norm() -> None:
    torch.manual_seed(0)
    direction = torch.randn(256)
    x = torch.randn(40_000, 256)
    shift = 0.05 * torch.randn_like(x)
    estimate = gradient_penalty((x + shift) @ direction, (x - shift) @ direction, 0.05)
    assert estimate.item() == pytest.approx(direction.square().sum().item() / 2, rel=0.03)


def test_one_pass_of_the_discriminator_gives_the_generator_its_own_gradient() -> None:
    torch.manual_seed(0)
    network = Discriminator(image_size=32, sides=[32], channels=1, classes=2, width=4)
    reals, fakes = torch.randn(16, 1, 32, 32), torch.randn(16, 1, 32, 32, requires_grad=True)
    labels, game = torch.arange(16) % 2, Relativistic(penalty=10.0, image_size=32)
    noise = torch.randn(2 * math.ceil(16 / PENALTY_STRIDE), 1, 32, 32)
    loss = game.discriminator(network, reals, fakes, labels, noise)
    loss.total.backward()
    value, gradient = game.generator(network, fakes, fakes.grad, loss.gap.detach(), labels)
    again = fakes.detach().requires_grad_()
    expected = generator_loss(network(reals, labels), network(again, labels))
    (expected_gradient,) = torch.autograd.grad(expected, again)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-6)


class ClassHead(nn.Module):
    """A discriminator that gives each image's own class this logit, and the others 0."""

    def __init__(self, confidence: float) -> None:
        super().__init__()
        self.confidence = confidence

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return images.mean(dim=(1, 2, 3)), self.confidence * one_hot(labels, 2).float()


class FixedLogits(nn.Module):
    """A discriminator without a class head, of these logits for whatever it sees."""

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return torch.tensor([2.0, -1.0])


IMAGES, LABELS = torch.zeros(4, 1, 8, 8), torch.arange(4) % 2


def test_confidence_in_the_right_class_lowers_the_discriminators_loss() -> None:
    sure, wrong = (
        Adversarial().discriminator(ClassHead(confidence), IMAGES, IMAGES, LABELS, IMAGES).total
        for confidence in (9.0, -9.0)
    )
    assert sure < wrong


def test_confidence_in_the_right_class_lowers_the_generators_loss() -> None:
    fakes = IMAGES.clone().requires_grad_()
    sure, wrong = (
        Adversarial().generator(ClassHead(confidence), fakes, IMAGES, IMAGES, LABELS)[0]
        for confidence in (9.0, -9.0)
    )
    assert sure < wrong


def test_without_a_class_head_the_loss_is_binary_cross_entropy() -> None:
    loss = Adversarial().discriminator(FixedLogits(), IMAGES[:2], IMAGES[:2], LABELS[:2], IMAGES)
    logits = torch.tensor([2.0, -1.0])
    expected = sum(
        binary_cross_entropy_with_logits(logits, torch.full((2,), target)).item()
        for target in (1.0, 0.0)
    )
    assert loss.total.item() == pytest.approx(expected)
    assert torch.equal(loss.gap, torch.zeros(2))


class LinearCritic(nn.Module):
    """A critic whose gradient is the same everywhere, with a norm of 3."""

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        side = images.shape[-1]
        return 3 / side * images.sum(dim=(1, 2, 3))


def test_the_wasserstein_loss_has_its_known_value() -> None:
    """Gap 3 / 8 · 64 = 24; the penalty is 10 · (3 − 1)², the drift 0.001 · 24²."""
    fakes = torch.zeros(4, 1, 8, 8, requires_grad=True)
    loss = Wasserstein(penalty=10.0).discriminator(
        LinearCritic(), torch.ones(4, 1, 8, 8), fakes, LABELS, torch.empty(0)
    )
    assert loss.adversarial.item() == pytest.approx(-24)
    assert loss.total.item() == pytest.approx(-24 + 40 + 0.576, rel=1e-5)


def test_the_wasserstein_generator_climbs_the_critic() -> None:
    fakes = torch.zeros(4, 1, 8, 8, requires_grad=True)
    loss, gradient = Wasserstein(penalty=10.0).generator(
        LinearCritic(), fakes, torch.zeros_like(fakes), torch.zeros(4), LABELS
    )
    assert loss.item() == 0
    torch.testing.assert_close(gradient, torch.full((4, 1, 8, 8), -3 / 8 / 4))


@pytest.mark.parametrize("side", [8, 16])
def test_the_penalty_of_a_picture_does_not_depend_on_the_side_it_is_drawn_at(side: int) -> None:
    """A critic of the mean has the same loss on grown pictures as on small ones."""
    torch.manual_seed(0)

    class MeanCritic(nn.Module):
        def forward(self, images: Tensor, labels: Tensor) -> Tensor:
            return images.mean(dim=(1, 2, 3))

    noise = torch.randn(4000, 1, side, side)
    images = torch.zeros(8 * 2000, 1, 1, 1).expand(-1, -1, side, side)
    loss = Relativistic(penalty=1000.0, image_size=8).discriminator(
        MeanCritic(), images, images, torch.zeros(len(images), dtype=torch.long), noise
    )
    assert (loss.total - loss.adversarial).item() == pytest.approx(1000 / 8**2, rel=0.1)
