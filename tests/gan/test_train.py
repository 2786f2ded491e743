"""The GAN learns, and a stopped run goes on bit for bit."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from gan.batches import TrainingData
from gan.sample import sample_block
from gan.train import train
from runtime.run import Interrupted, Run, create_run
from tests.conftest import signalled
from tests.gan.tiny_training import (
    CLASSES,
    CPU,
    SPOTS,
    TINY,
    load_best,
    load_last_state,
    names_in,
    run_training,
    spots,
    train_in,
)

# Stages that are being faded in after 20 steps.
GROWN: dict[str, dict[str, Any]] = {
    "small-data": {"stage_steps": 16},
    "pggan": {
        "preset": "pggan",
        "stage_steps": 8,
        "penalty": 10.0,
        "augment": False,
        "learning_rate": 2e-3,
        "cooldown": 0.0,
        "ema_decay": 0.9,
        "width": 16,
    },
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of sixty steps."""
    folder = tmp_path_factory.mktemp("trained")
    return run_training(folder, width=12, batch_size=32, latent_size=64, steps=60, sample_every=60)


@pytest.fixture(scope="module")
def samples(trained: Run) -> np.ndarray:
    """A hundred samples (100, 32, 32) of both classes in turn."""
    blocks = [sample_block(load_best(trained), [0, 1], 0, block) for block in range(2)]
    return np.concatenate(blocks).astype(float)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of twelve steps, which no test changes."""
    return run_training(tmp_path_factory.mktemp("finished"))


def spread(images: np.ndarray) -> float:
    """Mean pixel distance between two images."""
    flat = images.reshape(len(images), -1).astype(float)
    return float(np.sqrt(np.square(flat[:, None] - flat[None]).sum(axis=2)).mean())


def test_it_learns_where_each_class_has_its_spot(samples: np.ndarray) -> None:
    mass = samples.sum(axis=1) + 1e-9
    column = (mass * np.arange(32)).sum(axis=1) / mass.sum(axis=1)
    assert (column[0::2] < 16).mean() > 0.95
    assert (column[1::2] > 16).mean() > 0.95


@pytest.mark.parametrize("label", [0, 1], ids=CLASSES)
def test_its_samples_vary(samples: np.ndarray, label: int) -> None:
    reals = spots().tensors[0].numpy().squeeze(1)
    assert spread(samples[label::2]) > 0.25 * spread(reals[label::2])


@pytest.mark.parametrize("label", [0, 1], ids=CLASSES)
def test_its_spots_are_bright(samples: np.ndarray, label: int) -> None:
    """Before any step they have two thirds of the reals' brightness."""
    reals = spots().tensors[0].numpy().squeeze(1)
    brightest = samples[label::2].max(axis=(1, 2)).mean()
    assert brightest > 0.8 * reals[label::2].max(axis=(1, 2)).mean()


def test_one_class_is_enough(tmp_path: Path) -> None:
    images, labels = spots().tensors
    run = create_run(tmp_path, "gan-train", {})
    dataset = TensorDataset(images, torch.zeros_like(labels))
    train(TINY, TrainingData(dataset, ["only"], trained_on=["a"]), run, CPU)
    assert load_best(run).classes == ("only",)


def is_same(first: object, second: object) -> bool:
    """Compare states bit for bit."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            is_same(first[name], second[name]) for name in first
        )
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return len(first) == len(second) and all(map(is_same, first, second))
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return torch.equal(first, second)
    return first == second


def assert_same_end(first: Run, second: Run) -> None:
    states = [load_last_state(run) for run in (first, second)]
    for state in states:
        del state["seconds"]
    assert is_same(*states)
    assert first.journal_path.read_bytes() == second.journal_path.read_bytes()
    weights = [load_best(run).network.state_dict() for run in (first, second)]
    assert is_same(dict(weights[0]), dict(weights[1]))


def test_stopped_by_a_signal_and_resumed_it_ends_the_same(tmp_path: Path) -> None:
    changes = {"steps": 40, "sample_every": 24}
    undisturbed = run_training(tmp_path / "undisturbed", **changes)
    stopped = create_run(tmp_path / "stopped", "gan-train", {})
    with (
        pytest.raises(Interrupted, match="continue with `resume`"),
        signalled(stopped.journal_path, 3, signal.SIGTERM),
    ):
        train_in(stopped, **changes)
    train_in(stopped, **changes)
    assert_same_end(undisturbed, stopped)


@dataclass(frozen=True)
class StoppedRun(Run):
    """A run that is stopped by a signal as it logs the losses of a step."""

    last_step: int = 20

    def log(self, **event: Any) -> None:
        super().log(**event)
        if event["step"] == self.last_step and "d_loss" in event:
            os.kill(os.getpid(), signal.SIGTERM)


def test_stopped_while_it_fades_a_stage_in_and_resumed_it_ends_the_same(tmp_path: Path) -> None:
    changes = {"steps": 40, "sample_every": 24} | GROWN["small-data"]
    undisturbed = run_training(tmp_path / "undisturbed", **changes)
    stopped = create_run(tmp_path / "stopped", "gan-train", {})
    with pytest.raises(Interrupted, match="stopped at step 20"):
        train_in(StoppedRun(stopped.folder), **changes)
    assert 0 < load_last_state(stopped)["generator"]["_extra_state"] % 1 < 1
    train_in(stopped, **changes)
    assert_same_end(undisturbed, stopped)


def test_its_stages_stand_in_the_journal(tmp_path: Path) -> None:
    run = run_training(tmp_path, steps=40, **GROWN["small-data"])
    sides = {event["step"]: event["side"] for event in run.journal() if "side" in event}
    assert sides == {10: 16, 20: 32, 30: 32, 40: 32}


def test_it_learns_by_progressive_growing(tmp_path: Path) -> None:
    """In its first stage, at 4 px, the light comes to lie on the side of each class."""
    run = create_run(tmp_path, "gan-train", {})
    changes = GROWN["pggan"] | {"stage_steps": 300, "steps": 1200, "sample_every": 200}
    with pytest.raises(Interrupted):
        train_in(StoppedRun(run.folder, last_step=200), **changes | {"learning_rate": 4e-3})
    samples = sample_block(load_best(run), [0, 1], 0, 0)  # (50, 32, 32)
    columns = samples.mean(axis=1)
    leaning = columns[:, 16:].mean(axis=1) - columns[:, :16].mean(axis=1)
    assert (leaning[0::2] < 0).mean() > 0.9
    assert (leaning[1::2] > 0).mean() > 0.9


def test_after_a_crash_it_goes_on_from_the_checkpoint(finished: Run, tmp_path: Path) -> None:
    crashed = create_run(tmp_path, "gan-train", {})
    train_in(crashed, steps=5)
    crashed.log(step=6, d_loss="written after the checkpoint, before the crash")
    train_in(crashed)
    states = [load_last_state(run) for run in (finished, crashed)]
    assert is_same(states[0]["generator"], states[1]["generator"])
    assert finished.journal_path.read_bytes() == crashed.journal_path.read_bytes()


def test_two_checkpoints_are_kept(finished: Run) -> None:
    assert names_in(finished, "checkpoints") == ["before-cooldown", "last"]


def test_other_images_than_before_are_refused(finished: Run) -> None:
    with pytest.raises(ValueError, match="the training images have changed since"):
        train(TINY, replace(SPOTS, trained_on=["c"]), finished, CPU)


def test_a_checkpoint_of_other_options_is_refused(finished: Run) -> None:
    with pytest.raises(ValueError, match="another learning_rate, beta1"):
        train_in(finished, learning_rate=2e-3, beta1=0.5)


def test_a_checkpoint_of_another_version_is_refused(finished: Run, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(finished.folder, tmp_path / finished.name)))
    path = run.folder / "checkpoints" / "last.pt"
    torch.save(torch.load(path, weights_only=True) | {"version": 99}, path)
    with pytest.raises(ValueError, match="version 99"):
        train_in(run)


def test_losses_that_are_not_finite_stop_it(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"no longer finite.*a lower `learning_rate`"):
        run_training(tmp_path, learning_rate=1e30, steps=40)


def test_losses_that_are_not_finite_leave_the_best_snapshot_where_it_is_to_keep_going(
    tmp_path: Path,
) -> None:
    """As a study has it, which would meet the same losses whenever it went on."""
    run = run_training(tmp_path, cooldown=0.0)
    kept, path = (run.folder / "generator.pt").read_bytes(), run.folder / "checkpoints" / "last.pt"
    state = torch.load(path, weights_only=True)
    state["discriminator"]["from_image.32.0.weight"].fill_(torch.nan)
    torch.save(state, path)
    ended = train(replace(TINY, cooldown=0.0, steps=40), SPOTS, run, CPU, keep_going=True)
    assert ended["step"] == 20
    assert (run.folder / "generator.pt").read_bytes() == kept
    assert "no longer finite at step 20" in run.journal()[-1]["doctor"]


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected \(1, 64, 64\)"):
        run_training(tmp_path, image_size=64, steps=1)


def test_the_learning_rate_falls_at_the_end(tmp_path: Path) -> None:
    run = run_training(tmp_path, steps=15, sample_every=4)
    rate = load_last_state(run)["generator_optimizer"]["param_groups"][0]["lr"]
    assert rate == pytest.approx(TINY.learning_rate / 5), "the last of five steps"


@pytest.mark.parametrize(("cooldown", "steps"), [(1 / 3, 15), (0.0, 16)])
def test_a_run_made_longer_becomes_what_it_would_have_been(
    cooldown: float, steps: int, tmp_path: Path
) -> None:
    """It goes on from before its learning rate fell, or from its end where it does not fall."""
    longer = {"steps": 24, "sample_every": 8, "cooldown": cooldown}
    fresh = run_training(tmp_path / "fresh", **longer)
    run = run_training(tmp_path / "short", **longer | {"steps": steps})
    train_in(run, **longer)
    assert run.journal() == fresh.journal()
    assert names_in(run, "snapshots") == names_in(fresh, "snapshots")
    best, expected = load_best(run), load_best(fresh)
    assert best.step == expected.step
    assert np.array_equal(sample_block(best, [0, 1], 0, 0), sample_block(expected, [0, 1], 0, 0))


def test_few_images_have_fewer_steps_and_cool_down_in_them(
    finished: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 64 images, 8 a step, each is seen one and a half times in twelve steps."""
    limited = {"steps": 1000, "max_epochs": 1}
    run = run_training(tmp_path / "limited", **limited)
    eight = run_training(tmp_path / "eight", steps=8, max_epochs=0)
    assert "64 training images: 8 of 1000 steps" in caplog.text
    assert run.journal() == eight.journal()
    assert is_same(
        dict(load_best(run).network.state_dict()), dict(load_best(eight).network.state_dict())
    )
    train_in(run, **limited)
    assert run.journal() == eight.journal()
    caplog.clear()
    seen_less = run_training(tmp_path / "seen less", max_epochs=2)
    assert not caplog.text
    assert seen_less.journal() == finished.journal()


def test_a_limit_of_time_leaves_time_to_cool_down(tmp_path: Path) -> None:
    run = create_run(tmp_path, "gan-train", {})
    config = replace(TINY, steps=1_000_000, sample_every=1_000_000)
    result = train(config, SPOTS, run, CPU, max_minutes=0.03)
    state = load_last_state(run)
    assert 0 < state["cooling_from"] < state["step"] <= state["end"] < 1_000_000
    remaining = (state["end"] - state["step"] + 1) / (state["end"] - state["cooling_from"])
    rate = state["generator_optimizer"]["param_groups"][0]["lr"]
    assert rate == pytest.approx(TINY.learning_rate * remaining), "of the last step"
    assert 0.9 < result["seconds"] < 20


def test_no_time_is_no_step(tmp_path: Path) -> None:
    run = create_run(tmp_path, "gan-train", {})
    assert train(TINY, SPOTS, run, CPU, max_minutes=1e-6)["step"] == 0
