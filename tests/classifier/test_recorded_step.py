"""A classifier's step can be recorded, and recorded trains what the step itself does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.pretrained import load_trunk
from classifier.task import TrainingTask, prepare_task
from classifier.train import prepare_steps, training_step
from classifier.training_state import TrainingState
from runtime.device import Compute, choose_compute
from runtime.recorded_step import RecordedStep
from runtime.run import create_run
from tests.classifier.stripes import CLASSES, CPU, stripes
from tests.support.operations import Operations

IS_SYNTHETIC = torch.arange(30) % 2 == 1
FALLING_SHARE = {"balance": "weights", "synthetic_share": 0.5, "synthetic_until": 0.5}
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "augmented": {"augment": True, "flip": True},
    "falling share": {**FALLING_SHARE, "synthetic_weight": 0.3},
    "separate statistics": {"synthetic_share": 0.5, "synthetic_statistics": "separate"},
    "vgg16": {"arch": "vgg16", "unfreeze": 1},
    "resnet18": {"arch": "resnet18", "unfreeze": 1, "augment": True},
}
ON_CPU = ["plain", "augmented", "falling share"]
RECORDED = [
    *(pytest.param(recipe, "cpu", id=f"{recipe}-cpu") for recipe in ON_CPU),
    *(
        pytest.param(recipe, "cuda", id=f"{recipe}-cuda", marks=pytest.mark.cuda)
        for recipe in [*ON_CPU, "vgg16"]  # which takes a CPU long
    ),
]


def begin(recipe: str, compute: Compute, folder: Path) -> tuple[TrainingTask, TrainingState]:
    """Begin a training by a recipe."""
    config = ClassifierConfig(steps=8, batch_size=6, **RECIPES[recipe])
    torch.manual_seed(0)
    trunk = load_trunk(config.trunk, Path("none")) if config.trunk else None
    images, labels = stripes(30, 0).tensors
    task = prepare_task(
        config, images, labels, compute, CLASSES, trunk, FeatureStore(), IS_SYNTHETIC
    )
    run = create_run(folder, "classify-train", {})
    return task, TrainingState.begin(task.network.head, task.optimizer(), run, compute)


def train_steps(recipe: str, compute: Compute, folder: Path, *, graph: bool) -> dict[str, Tensor]:
    """Train by a recipe; return the head and the totals. Most steps are replayed, if any are."""
    task, state = begin(recipe, compute, folder)
    take_step = prepare_steps(task, state, graph=graph)
    task.network.train()
    with task.own_randomness():
        for step in range(task.config.steps):
            task.set_learning_rate(state.optimizer, 1e-3 * (step + 1))
            take_step(task.draw(step))
    tensors = {**state.head.state_dict(), "totals": state.totals}
    return {name: tensor.cpu() for name, tensor in tensors.items()}


@pytest.mark.parametrize(("recipe", "device"), RECORDED)
def test_a_recorded_step_trains_what_the_step_itself_does(
    recipe: str, device: str, tmp_path: Path
) -> None:
    compute = choose_compute(device, "fp32")
    plain, recorded = (
        train_steps(recipe, compute, tmp_path / str(way), graph=way) for way in (False, True)
    )
    assert [name for name in plain if not torch.equal(plain[name], recorded[name])] == []


@pytest.mark.parametrize("recipe", [*ON_CPU, "resnet18"])
def test_a_step_neither_reads_a_number_back_nor_makes_a_tensor_of_one(
    recipe: str, tmp_path: Path
) -> None:
    """Either would wait for the device, or end a recording."""
    task, state = begin(recipe, CPU, tmp_path)
    task.set_learning_rate(state.optimizer, 1e-3)
    with task.own_randomness():
        batch = task.draw(0)
        with Operations() as operations:
            training_step(task, state, batch)
    assert {"_fused_adamw_", "index"} <= operations.names
    assert not operations.names & {"_local_scalar_dense", "nonzero", "lift_fresh"}


def test_the_batches_of_all_steps_have_the_same_shapes(tmp_path: Path) -> None:
    """Also as the share of synthetic images falls, and at the end of a pass over all images."""
    task, _ = begin("falling share", CPU, tmp_path)
    with task.own_randomness():
        shapes = {
            tuple((tensor.shape, tensor.dtype) for tensor in vars(task.draw(step)).values())
            for step in range(8)
        }
    assert len(shapes) == 1


def test_images_normalised_by_kind_are_no_steady_step(tmp_path: Path) -> None:
    """How many of a batch are synthetic is another number each time: nothing is recorded."""
    task, state = begin("separate statistics", CPU, tmp_path)
    assert not isinstance(prepare_steps(task, state), RecordedStep)
