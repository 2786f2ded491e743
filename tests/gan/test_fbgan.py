"""The stages of fbgan: fakes from noise, then in turn from reals that are encoded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gan.config import GanConfig
from gan.fbgan import RECONSTRUCTION, Generator, is_backward, pull_to_reals
from gan.training_state import build_networks
from tests.gan.tiny_training import load_best, load_last_state, run_training, spots

TINY_FBGAN = {
    "preset": "fbgan",
    "channels": 1,
    "width": 8,
    "penalty": 0.0,
    "augment": False,
    "ema_decay": 0.0,
    "cooldown": 0.0,
    "learning_rate": 4e-3,
    "beta1": 0.5,
}


@pytest.mark.parametrize(
    ("step", "time_share", "expected"),
    [(498, 0.0, False), (500, 0.0, True), (501, 0.0, False), (10, 0.5, True)],
)
def test_the_second_half_is_backward_and_forward_in_turn(
    step: int, time_share: float, expected: bool
) -> None:
    config = GanConfig.from_options(preset="fbgan", steps=1000)
    assert is_backward(config, step, time_share) is expected
    assert not is_backward(GanConfig(steps=1000), step, time_share)


def test_codes_lie_where_noise_does() -> None:
    network = Generator(image_size=32, channels=1, classes=2, latent_size=16, width=4)
    codes = network.encode(torch.randn(8, 1, 32, 32), torch.arange(8) % 2)
    torch.testing.assert_close(codes.norm(dim=1), torch.full((8,), 4.0))


@pytest.mark.parametrize(("steps", "is_learned"), [(4, True), (2, False)])
def test_the_encoder_learns_in_backward_steps_alone(
    tmp_path: Path, steps: int, is_learned: bool
) -> None:
    """The third of four steps is the first backward one; of two steps none is."""
    run = run_training(tmp_path, steps=steps, sample_every=steps, **TINY_FBGAN)
    images, labels = spots().tensors
    before, _ = build_networks(load_best(run).config, 2, images, labels)
    after = load_last_state(run)["generator"]
    is_changed = {
        name.partition(".")[0]
        for name, weight in before.named_parameters()
        if not torch.equal(weight, after[name])
    }
    assert is_changed == ({"draw", "encoder"} if is_learned else {"draw"})


def test_a_backward_step_pulls_each_fake_to_its_real() -> None:
    fakes, reals = torch.zeros(3, 1, 1, 1, requires_grad=True), torch.ones(3, 1, 1, 1)
    loss, gradient = pull_to_reals(fakes, reals)
    torch.testing.assert_close(loss, torch.tensor(RECONSTRUCTION))
    pull = torch.full_like(gradient, -RECONSTRUCTION / fakes.numel())
    torch.testing.assert_close(gradient, pull)
