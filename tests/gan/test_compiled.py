"""Compiled networks compute what they compute as they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gan.compiled import check_compiling, find_compiler_problem
from gan.config import GanConfig
from gan.presets import build_discriminator, build_generator
from pipelines.training.generator import GanTraining
from runtime.device import Compute
from runtime.options import OptionError

CPU = Compute(torch.device("cpu"), "fp32")
CONFIG = GanConfig(image_size=32, width=2, latent_size=4)


def test_networks_are_not_compiled_unasked() -> None:
    assert GanTraining(config=CONFIG).compile == "no"


@pytest.mark.parametrize(
    "options", [{"stage_steps": 10}, {"preset": "dcgan"}], ids=["growing", "paper"]
)
def test_networks_that_change_as_they_train_are_not_compiled(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="compile"):
        check_compiling(GanConfig.from_options(**options), CPU)


@pytest.fixture
def compiler(request: pytest.FixtureRequest) -> None:
    if request.config.option.markexpr != "compile":
        pytest.skip("takes a minute or two: python -m pytest -m compile")
    problem = find_compiler_problem(CPU.device)
    if problem:
        pytest.skip(problem)


def outputs_and_gradients(network: nn.Module, inputs: Tensor) -> list[Tensor]:
    labels = torch.arange(len(inputs)) % 2
    outputs = network(inputs, labels)
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(outputs.square().sum(), parameters, allow_unused=True)
    return [outputs, *(gradient for gradient in gradients if gradient is not None)]


@pytest.mark.compile
@pytest.mark.parametrize(
    ("build", "shape"),
    [(build_generator, (4, 4)), (build_discriminator, (4, 1, 32, 32))],
    ids=["generator", "discriminator"],
)
def test_a_compiled_network_differs_by_rounding_alone(
    compiler: None, build: Callable[[GanConfig, int], nn.Module], shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    network = build(CONFIG, 2).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)  # a head begins at 0, and nothing passes it
    inputs = torch.randn(shape, dtype=torch.float64)
    plain = outputs_and_gradients(network, inputs)
    network.compile(fullgraph=True)
    compiled = outputs_and_gradients(network, inputs)
    for expected, found in zip(plain, compiled, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
