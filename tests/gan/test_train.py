"""The GAN learns, samples are what they say, and a stopped run goes on bit for bit."""

from __future__ import annotations

import signal
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from gan import snapshots
from gan.config import GanConfig
from gan.sample import BLOCK, load_generator, sample_block
from gan.train import train
from runtime import checkpoint
from runtime.device import choose_compute
from runtime.run import Interrupted, Run, create_run
from tests.conftest import signalled

CPU = choose_compute("cpu", "fp32")
TINY = GanConfig(image_size=32, width=4, batch_size=8, latent_size=8, steps=12, sample_every=5)


def blobs(n: int = 64) -> TensorDataset:
    """Class 0: a bright spot on the left; class 1: on the right; both up or down."""
    rng = np.random.default_rng(0)
    images = np.zeros((n, 1, 32, 32), np.float64)
    rows, columns = np.mgrid[:32, :32]
    for index, image in enumerate(images):
        centre = rng.choice([8, 24]) + rng.uniform(-1, 1), (9, 23)[index % 2] + rng.uniform(-1, 1)
        image[0] = 230 * np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 30)
    return TensorDataset(torch.from_numpy(images).to(torch.uint8), torch.arange(n) % 2)


def run_training(folder: Path, config: GanConfig, **options: object) -> Run:
    run = create_run(folder, "gan-train", asdict(config))
    run.finish(
        train(
            config, blobs(), run, CPU, classes=["left", "right"], trained_on=["a", "b"], **options
        )
    )
    return run


def spread(images: np.ndarray) -> float:
    """Mean pixel distance between two images."""
    flat = images.reshape(len(images), -1).astype(float)
    return float(np.sqrt(np.square(flat[:, None] - flat[None]).sum(axis=2)).mean())


def test_it_learns_the_classes_and_their_variety(tmp_path: Path) -> None:
    config = GanConfig(image_size=32, width=12, batch_size=32, steps=100, sample_every=100)
    run = run_training(tmp_path, config)
    trained = load_generator(run.folder / "generator.pt", CPU.device)
    images = np.concatenate([sample_block(trained, [0, 1], 0, block) for block in range(2)]).astype(
        float
    )
    mass = images.sum(axis=1) + 1e-9
    column = (mass * np.arange(32)).sum(axis=1) / mass.sum(axis=1)
    assert (column[0::2] < 16).mean() > 0.95
    assert (column[1::2] > 16).mean() > 0.95
    reals = blobs().tensors[0].numpy().squeeze(1)
    for label in (0, 1):
        assert spread(images[label::2]) > 0.25 * spread(reals[label::2]), (
            "collapsed: one picture for every latent"
        )
        assert (
            images[label::2].max(axis=(1, 2)).mean() > 0.8 * reals[label::2].max(axis=(1, 2)).mean()
        ), "before any step its spots have two thirds of that"


def test_one_class_is_enough(tmp_path: Path) -> None:
    images = blobs().tensors[0]
    run = create_run(tmp_path, "gan-train", {})
    train(
        TINY,
        TensorDataset(images, torch.zeros(len(images), dtype=torch.long)),
        run,
        CPU,
        classes=["only"],
        trained_on=["a"],
    )
    assert load_generator(run.folder / "generator.pt", CPU.device).classes == ("only",)


def test_sample_i_depends_on_the_seed_and_i_alone(tmp_path: Path) -> None:
    network = load_generator(run_training(tmp_path, TINY).folder / "generator.pt", CPU.device)
    second = sample_block(network, [0, 1], 0, 1)
    assert second.shape == (BLOCK, 32, 32)
    assert second.dtype == np.uint8
    sample_block(network, [0, 1], 7, 0)
    assert np.array_equal(second, sample_block(network, [0, 1], 0, 1))
    assert not np.array_equal(second, sample_block(network, [0, 1], 1, 1))


def same(first: object, second: object) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            same(first[name], second[name]) for name in first
        )
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second


def assert_same_end(first: Run, second: Run) -> None:
    states = [
        checkpoint.load(run.folder / "checkpoints" / "last.pt", "gan checkpoint")
        for run in (first, second)
    ]
    for state in states:
        del state["seconds"]
    assert same(*states)
    assert first.journal_path.read_bytes() == second.journal_path.read_bytes()
    weights = [
        load_generator(run.folder / "generator.pt", CPU.device).network.state_dict()
        for run in (first, second)
    ]
    assert same(dict(weights[0]), dict(weights[1]))


def test_stopped_by_a_signal_and_resumed_it_ends_the_same(tmp_path: Path) -> None:
    config = GanConfig(**{**asdict(TINY), "steps": 100, "sample_every": 60})
    whole = run_training(tmp_path / "whole", config)
    stopped = create_run(tmp_path / "stopped", "gan-train", {})
    arguments = (config, blobs(), stopped, CPU)
    with (
        pytest.raises(Interrupted, match="--resume"),
        signalled(stopped.journal_path, 7, signal.SIGTERM),
    ):
        train(*arguments, classes=["left", "right"], trained_on=["a", "b"])
    train(*arguments, classes=["left", "right"], trained_on=["a", "b"])
    assert_same_end(whole, stopped)


def test_after_a_crash_it_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    whole = run_training(tmp_path / "whole", TINY)
    crashed = create_run(tmp_path / "crashed", "gan-train", {})
    part = GanConfig(**{**asdict(TINY), "steps": 5})
    train(part, blobs(), crashed, CPU, classes=["left", "right"], trained_on=["a", "b"])
    crashed.log(step=6, d_loss="written after the checkpoint, before the crash")
    train(TINY, blobs(), crashed, CPU, classes=["left", "right"], trained_on=["a", "b"])
    states = [
        checkpoint.load(run.folder / "checkpoints" / "last.pt", "gan checkpoint")
        for run in (whole, crashed)
    ]
    assert same(states[0]["generator"], states[1]["generator"])
    assert whole.journal_path.read_bytes() == crashed.journal_path.read_bytes()


def test_other_images_than_before_are_refused(tmp_path: Path) -> None:
    run = run_training(tmp_path, TINY)
    with pytest.raises(ValueError, match="have changed"):
        train(TINY, blobs(), run, CPU, classes=["left", "right"], trained_on=["c"])


def test_a_checkpoint_of_other_options_or_another_version_is_refused(tmp_path: Path) -> None:
    run = run_training(tmp_path, TINY)
    arguments = (blobs(), run, CPU)
    with pytest.raises(ValueError, match="another learning_rate, beta1"):
        train(
            GanConfig(**asdict(TINY) | {"learning_rate": 1e-3, "beta1": 0.5}),
            *arguments,
            classes=["left", "right"],
            trained_on=["a", "b"],
        )
    path = run.folder / "checkpoints" / "last.pt"
    state = torch.load(path, weights_only=True)
    torch.save(state | {"version": 99}, path)
    with pytest.raises(ValueError, match="version 99"):
        train(TINY, *arguments, classes=["left", "right"], trained_on=["a", "b"])


def test_losses_that_are_not_finite_stop_it(tmp_path: Path) -> None:
    config = GanConfig(**{**asdict(TINY), "learning_rate": 1e30, "steps": 40})
    with pytest.raises(FloatingPointError, match="--learning-rate"):
        run_training(tmp_path, config)


def test_wrong_sizes_and_minutes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected \(1, 64, 64\)"):
        run_training(tmp_path, GanConfig(image_size=64, steps=1, width=4))
    assert run_training(tmp_path, TINY, max_minutes=1e-6).result["step"] == 0


def test_the_learning_rate_falls_at_the_end_and_a_longer_run_goes_on_from_before(
    tmp_path: Path,
) -> None:
    longer = GanConfig(**{**asdict(TINY), "steps": 24, "sample_every": 4})
    fresh = run_training(tmp_path / "fresh", longer)
    run = run_training(tmp_path / "short", GanConfig(**{**asdict(longer), "steps": 15}))
    rate = checkpoint.load(run.folder / "checkpoints" / "last.pt", "gan checkpoint")[
        "generator_optimizer"
    ]["param_groups"][0]["lr"]
    assert rate == pytest.approx(TINY.learning_rate / 5), "the last of five steps"
    train(longer, blobs(), run, CPU, classes=["left", "right"], trained_on=["a", "b"])
    assert run.journal() == fresh.journal()
    ours, theirs = (load_generator(one.folder / "generator.pt", CPU.device) for one in (run, fresh))
    assert ours.step == theirs.step
    assert np.array_equal(sample_block(ours, [0, 1], 0, 0), sample_block(theirs, [0, 1], 0, 0))
    assert [path.name for path in sorted((run.folder / "snapshots").iterdir())] == [
        path.name for path in sorted((fresh.folder / "snapshots").iterdir())
    ]


def test_a_limit_of_time_leaves_time_to_cool_down(tmp_path: Path) -> None:
    run = run_training(
        tmp_path,
        GanConfig(**{**asdict(TINY), "steps": 1_000_000, "sample_every": 1_000_000}),
        max_minutes=0.03,
    )
    state = checkpoint.load(run.folder / "checkpoints" / "last.pt", "gan checkpoint")
    assert 0 < state["cooling_from"] < state["step"] <= state["end"] < 1_000_000
    assert state["generator_optimizer"]["param_groups"][0]["lr"] < TINY.learning_rate / 2
    assert 0.9 < run.result["seconds"] < 20


def test_old_snapshots_are_thinned_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "KEPT", 5)
    run = run_training(tmp_path, GanConfig(**{**asdict(TINY), "steps": 13, "sample_every": 1}))
    kept = [f"step-{step:06d}" for step in (4, 8, 12, 13)]
    assert (
        [path.stem for path in sorted((run.folder / "snapshots").iterdir())]
        == kept
        == [path.stem for path in sorted((run.folder / "samples").iterdir())]
    )
    best = min(
        (event for event in run.journal() if "distance" in event),
        key=lambda event: sum(event["distance"]),
    )
    assert load_generator(run.folder / "generator.pt", CPU.device).step == best["step"], (
        "the best is there, thinned out or not"
    )
    assert [path.name for path in sorted((run.folder / "checkpoints").iterdir())] == [
        "before-cooldown.pt",
        "last.pt",
    ]
