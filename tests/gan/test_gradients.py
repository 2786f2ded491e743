"""Gradients that are written out are those of what they belong to (by finite differences)."""

from __future__ import annotations

import pytest
import torch

from gan.augment import DRAWS, augment
from gan.networks import BlockedConv, UpsampleConv, normalise, one_hot


def random(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()


def test_of_the_normalisation() -> None:
    assert torch.autograd.gradcheck(normalise, random(2, 3, 2, 2))


def test_the_normalisation_is_the_same_without_a_gradient() -> None:
    x = random(2, 3, 4, 4)
    assert torch.equal(normalise(x), normalise(x.detach()))


@pytest.mark.parametrize("channels", [16, 64])
def test_the_normalisation_in_bfloat16_is_that_in_float32(channels: int) -> None:
    x = random(2, channels, 8, 8).detach().bfloat16().to(memory_format=torch.channels_last)
    weights, results = x.sin(), []
    for precision in (torch.float32, torch.bfloat16):
        features = x.to(precision).clone().requires_grad_()
        result = normalise(features)
        (result * weights).sum().backward()
        assert features.grad is not None
        results.append([result.float(), features.grad.float()])
    torch.testing.assert_close(*results, rtol=0.02, atol=0.02)


def test_of_the_augmentation() -> None:
    draws = torch.rand(2, DRAWS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda images: augment(images, draws), random(2, 1, 8, 8))


def test_of_an_upsampling_convolution() -> None:
    layer = UpsampleConv(2, 3).double()
    assert torch.autograd.gradcheck(layer, random(1, 2, 3, 3))


@pytest.mark.parametrize(("before", "after", "taps", "stride"), [(1, 3, 4, 2), (3, 1, 3, 1)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_of_a_convolution_by_blocks(
    before: int, after: int, taps: int, stride: int, order: torch.memory_format
) -> None:
    layer = BlockedConv(before, after, taps, stride=stride).double()
    images = random(2, before, 16, 16).detach().to(memory_format=order).requires_grad_()
    results = []
    for convolve in (layer, layer.convolve_blocks):
        result = convolve(images)
        loss = (result * result.detach().sin()).sum()
        results.append([result, *torch.autograd.grad(loss, [images, *layer.parameters()])])
    torch.testing.assert_close(*results)


def test_of_rows_by_label() -> None:
    labels = torch.tensor([1, 0, 1, 1])
    assert torch.autograd.gradcheck(lambda table: one_hot(labels, table) @ table, random(2, 5))
