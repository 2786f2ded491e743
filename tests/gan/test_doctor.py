"""The doctor tells variety from collapse, sharp from blurred, and says so."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import avg_pool2d, interpolate

from gan import doctor
from gan.config import GanConfig
from gan.doctor import Reference, diagnose, diversity
from gan.sample import load_generator
from gan.snapshots import best_snapshot
from tests.gan.test_train import CPU, TINY, run_training


def scenes(count: int, seed: int) -> torch.Tensor:
    """Images in −1..1: a smooth random scene under a fine random texture."""
    random = torch.Generator().manual_seed(seed)
    smooth = interpolate(torch.randn(count, 1, 4, 4, generator=random), size=64, mode="bilinear")
    return torch.tanh(0.5 * smooth + 0.1 * torch.randn(count, 1, 64, 64, generator=random))


def test_measures_of_reals_of_the_same_kind_are_those_of_reals() -> None:
    variety, distance = Reference(scenes(200, 0)).measure(scenes(200, 1))
    assert variety == pytest.approx(1, abs=0.05)
    assert distance < 0.7 * Reference(scenes(200, 0)).measure(0.8 * scenes(200, 1))[1], (
        "of somewhat duller images"
    )


def test_the_distance_is_that_of_the_gaussians() -> None:
    """Against the plain formula with a matrix square root (Dowson & Landau 1982)."""
    reals, fakes = scenes(60, 0)[..., :32, :32], scenes(50, 1)[..., :32, :32] * 0.9
    reference = Reference(reals)
    a, b = (
        doctor._features(images).double().numpy() / reference.spread.double().numpy()
        for images in (reals, fakes)
    )
    covariances = [np.cov(x, rowvar=False) for x in (a, b)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(
        covariances[0] + covariances[1] - 2 * root
    )
    assert reference.measure(fakes)[1] == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("what", ["blurred", "darker", "noisy", "striped", "one picture"])
def test_defects_are_seen(what: str) -> None:
    reference, fakes = Reference(scenes(200, 0)), scenes(200, 1)
    random = torch.Generator().manual_seed(2)
    spoiled = {
        "blurred": interpolate(avg_pool2d(fakes, 2), size=64, mode="bilinear"),
        "darker": fakes - 0.3,
        "noisy": fakes + 0.1 * torch.randn(fakes.shape, generator=random),
        "striped": fakes + 0.1 * (torch.arange(64) % 2 * 2 - 1),
        "one picture": fakes[:1].expand(200, -1, -1, -1),
    }[what]
    _, healthy = reference.measure(fakes)
    variety, distance = reference.measure(spoiled)
    assert distance > 1.3 * healthy
    assert (variety < 0.01) == (what == "one picture")


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 12), st.floats(0.1, 5), st.floats(-1, 1), st.randoms(use_true_random=False))
def test_diversity_scales_with_contrast_and_ignores_order_and_brightness(
    count: int, factor: float, shift: float, shuffled
) -> None:
    images = scenes(count, count)
    order = list(range(count))
    shuffled.shuffle(order)
    assert diversity(factor * images[order] + shift) == pytest.approx(
        factor * diversity(images), rel=1e-3
    )


def checks(*diversities: float, every: int = 50) -> list[dict]:
    return [
        {"step": every * number, "diversity": [0.9, value]}
        for number, value in enumerate(diversities, start=1)
    ]


def test_a_healthy_run_gets_no_word() -> None:
    assert diagnose([], ["covid", "normal"]) == (None, False)
    assert diagnose(checks(0.1, 0.5, 0.9), ["covid", "normal"]) == (None, False)
    assert diagnose(checks(0.0, 0.1), ["covid", "normal"]) == (None, False), "it has only begun"
    assert "never near 1 in 1000 steps" in diagnose(checks(*[0.0] * 20), ["covid", "normal"])[0]


def test_collapse_is_named_at_once_and_stopped_when_it_lasts() -> None:
    early, late = checks(*[0.8] * 4, *[0.1] * 2), checks(*[0.8] * 4, *[0.1] * 20)
    finding, hopeless = diagnose(early, ["covid", "normal"])
    assert "class normal: diversity 0.10" in finding
    assert "since step 200" in finding
    assert "try" in finding
    assert not hopeless
    assert diagnose(late, ["covid", "normal"])[1]


def test_noise_is_named() -> None:
    finding, hopeless = diagnose(checks(*[0.8] * 4, *[3.1] * 2), ["covid", "normal"])
    assert "class normal: diversity 3.10" in finding
    assert "diverging since step 200" in finding
    assert not hopeless


def test_a_discriminator_that_always_wins_is_named() -> None:
    journal = checks(*[0.9] * 20) + [
        {"step": step, "d_loss": 0.001} for step in range(10, 1001, 10)
    ]
    finding, hopeless = diagnose(journal, ["covid", "normal"])
    assert "discriminator" in finding
    assert hopeless
    journal[-1]["d_loss"] = 0.5
    assert diagnose(journal, ["covid", "normal"]) == (None, False)


def test_a_run_that_collapses_is_stopped_and_rolled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A learning rate far too high ends in noise; the generator that is left is the one from before."""
    monkeypatch.setattr(doctor, "UNHEALTHY_STEPS", 24)
    config = GanConfig(
        **{**asdict(TINY), "steps": 1000, "sample_every": 4, "learning_rate": 0.1, "ema_decay": 0.5}
    )
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(ValueError, match="rolled back to the best snapshot"),
    ):
        run_training(tmp_path, config)
    assert "diversity" in caplog.text
    assert "try" in caplog.text
    (folder,) = tmp_path.glob("*-gan-train")
    kept = load_generator(folder / "generator.pt", CPU.device)
    assert doctor.healthy(kept.diversity)
    assert kept.step < 500
    assert not (folder / "result.json").exists()


def test_the_best_snapshot_is_the_closest_of_the_healthy(tmp_path: Path) -> None:
    run = run_training(tmp_path, TINY)
    for step, variety, distance in ((20, 0.1, 0.0), (21, 0.9, 0.001), (22, 0.9, 0.002)):
        run.log(step=step, diversity=[variety, 0.9], distance=[distance, distance])
    assert best_snapshot(run)["step"] == 21
