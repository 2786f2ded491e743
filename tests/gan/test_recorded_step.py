"""A recorded step: what it does is what the step itself does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from gan.batches import Batch, BatchSampler
from gan.config import GanConfig
from gan.presets import build_game
from gan.train import training_step
from gan.training_state import TrainingState, build_networks
from runtime.device import Compute, choose_compute
from runtime.recorded_step import UNRECORDED_STEPS, RecordedStep
from tests.support.operations import Operations

CONFIG = GanConfig(image_size=32, width=4, latent_size=8, batch_size=8)
STEPS = UNRECORDED_STEPS + 3


def train(compute: Compute, *, recorded: bool) -> TrainingState:
    """Take some steps on noise."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, 1, 32, 32), dtype=torch.uint8, generator=random)
    labels = torch.arange(20) % 2
    state = TrainingState.initial(
        CONFIG, *build_networks(CONFIG, 2, images, labels), compute.device
    )
    batches = BatchSampler(CONFIG, images, labels, compute)
    take_step: Callable[[Batch], None] = partial(
        training_step, CONFIG, state, build_game(CONFIG), compute
    )
    if recorded:
        take_step = RecordedStep(take_step, compute.device)
    for step in range(STEPS):
        state.cooling_from, state.end = (4, 8) if step >= 4 else (state.cooling_from, state.end)
        state.prepare_step(CONFIG)
        take_step(batches.draw(step, 0.0))
        state.step += 1
    return state


def tensors(state: TrainingState) -> dict[str, Tensor]:
    networks = {"G": state.generator, "D": state.discriminator, "average": state.average}
    return {
        f"{part}.{name}": tensor.cpu()
        for part, network in networks.items()
        for name, tensor in network.named_parameters()
    } | {"totals": state.totals.cpu()}


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_a_recorded_step_trains_what_the_step_itself_does(device: str) -> None:
    compute = choose_compute(device, "fp32")
    plain, recorded = (tensors(train(compute, recorded=way)) for way in (False, True))
    different = [name for name in plain if not torch.equal(plain[name], recorded[name])]
    assert not different


def test_a_recorded_step_reads_each_batch_from_the_same_memory() -> None:
    """A graph replays addresses: batches that only passed by would be forgotten."""
    places, sums = [], []

    def take(batch: Batch) -> None:
        places.append([tensor.data_ptr() for tensor in vars(batch).values()])
        sums.append([tensor.sum().item() for tensor in vars(batch).values()])

    images, labels = torch.arange(20 * 32**2).view(20, 1, 32, 32), torch.arange(20) % 2
    compute = Compute(torch.device("cpu"), "fp32")
    batches = BatchSampler(CONFIG, images.to(torch.uint8), labels, compute)
    step = RecordedStep(take, compute.device)
    drawn = [batches.draw(number, 0.0) for number in range(3)]
    for batch in drawn:
        step(batch)
    assert places == [places[0]] * 3
    assert sums == [[tensor.sum().item() for tensor in vars(batch).values()] for batch in drawn]


def test_a_step_neither_reads_a_number_back_nor_makes_a_tensor_of_one() -> None:
    """Either would wait for the device, or end a recording."""
    images, labels = torch.zeros(20, 1, 32, 32, dtype=torch.uint8), torch.arange(20) % 2
    compute = Compute(torch.device("cpu"), "fp32")
    state = TrainingState.initial(
        CONFIG, *build_networks(CONFIG, 2, images, labels), compute.device
    )
    batch = BatchSampler(CONFIG, images, labels, compute).draw(0, 0.0)
    with Operations() as operations:
        training_step(CONFIG, state, build_game(CONFIG), compute, batch)
    assert {"convolution_backward", "_fused_adam_", "lerp_"} <= operations.names
    assert not operations.names & {"_local_scalar_dense", "nonzero", "lift_fresh"}
