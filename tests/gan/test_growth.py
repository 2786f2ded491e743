"""Networks grow by stages without a jump, and never before their time."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from gan.config import FADE, GanConfig
from gan.growth import Growing, double, fade_in, growth_at, halve, split_growth
from gan.presets import build_discriminator, build_generator
from gan.training_state import TrainingState
from runtime.options import OptionError

SMALL: dict[str, Any] = {"width": 8, "latent_size": 8, "channels": 1}
PRESETS = ("small-data", "pggan")
AT_LEISURE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def configure(preset: str, **changes: Any) -> GanConfig:
    """Make a configuration that grows to 32 px, in two stages or more."""
    grown = {"image_size": 32, "steps": 400, "stage_steps": 40}
    return GanConfig.from_options(preset=preset, **SMALL | grown | changes)


CONFIGS = st.builds(
    lambda size, oversampling, stage_steps: GanConfig(
        image_size=size, oversampling=oversampling, steps=100_000, stage_steps=stage_steps
    ),
    st.sampled_from([32, 64, 128, 256]),
    st.sampled_from([1, 2]),
    st.integers(1, 2000),
)


@AT_LEISURE
@given(CONFIGS)
def test_sides_double_from_16_px_to_what_is_drawn(config: GanConfig) -> None:
    assert config.sides[0] == 16
    assert config.sides[-1] == config.image_size * config.oversampling
    assert all(after == 2 * before for before, after in pairwise(config.sides))


@AT_LEISURE
@given(CONFIGS, st.integers(0, 20_000), st.floats(0, 1))
def test_growth_never_falls_and_never_jumps(
    config: GanConfig, step: int, time_share: float
) -> None:
    growth = growth_at(config, step, time_share)
    later = growth_at(config, step + 1, time_share)
    assert 0 <= growth <= later <= len(config.sides) - 1
    assert later - growth <= 1 / (FADE * config.stage_steps) + 1e-9


@AT_LEISURE
@given(CONFIGS, st.data())
def test_a_stage_is_faded_in_over_its_first_half(config: GanConfig, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, len(config.sides) - 1))
    begin, length = number * config.stage_steps, config.stage_steps
    assert growth_at(config, begin, 0.0) == number - 1
    assert growth_at(config, begin + length, 0.0) == number
    stage, fade = split_growth(growth_at(config, begin + max(length // 4, 1), 0.0))
    assert stage == number
    assert 0 < fade <= 1


@AT_LEISURE
@given(CONFIGS)
def test_in_half_of_the_time_that_is_steady_half_of_the_stages_are_over(config: GanConfig) -> None:
    steady = 1 - config.cooldown
    assert growth_at(config, 0, steady) == len(config.sides) - 1
    stage, _ = split_growth(growth_at(config, 0, steady / 2))
    assert stage <= len(config.sides) / 2


def test_without_stages_there_is_one_side() -> None:
    config = GanConfig(image_size=64, oversampling=2)
    assert config.sides == (128,)
    assert growth_at(config, 5000, 0.9) == 0


@pytest.mark.parametrize("preset", ["dcgan", "covidgan"])
@pytest.mark.parametrize(("field", "value"), [("stage_steps", 100), ("oversampling", 2)])
def test_networks_of_one_side_are_not_asked_to_grow(preset: str, field: str, value: int) -> None:
    with pytest.raises(OptionError, match=f"^{field} {value}: {preset} .*leave it out"):
        GanConfig.from_options(preset=preset, **{field: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stage_steps": -1}, "expected a whole number of 0 or more"),
        ({"oversampling": 3}, "expected 1 or 2"),
        (
            {"stage_steps": 2000, "image_size": 128, "steps": 6000, "cooldown": 1 / 3},
            "to grow from 16 to 128 px takes 7000 steps, and there are 4000 before",
        ),
    ],
)
def test_stages_that_cannot_be_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(OptionError, match=message) as refused:
        GanConfig(**options)
    assert refused.value.field == next(iter(options))


def build(config: GanConfig) -> tuple[Growing, Growing]:
    """Build both networks with weights that are all at work."""
    torch.manual_seed(0)
    networks = build_generator(config, 2), build_discriminator(config, 2)
    for network in networks:
        assert isinstance(network, Growing)
        for parameter in network.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    return networks  # type: ignore[return-value]  # asserted


def at(network: Growing, growth: float) -> Growing:
    """Return a copy of a network at a growth."""
    grown = copy.deepcopy(network)
    grown.growth = growth
    return grown


LATENTS, LABELS = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), torch.arange(4) % 2


def undo_tanh(config: GanConfig, images: Tensor) -> Tensor:
    return torch.atanh(images) if config.preset == "small-data" else images


@pytest.mark.parametrize("preset", PRESETS)
def test_a_stage_begins_with_the_doubled_picture_of_the_one_before(preset: str) -> None:
    config = configure(preset)
    generator, _ = build(config)
    last = len(config.sides) - 1
    before = undo_tanh(config, at(generator, last - 1)(LATENTS, LABELS))
    begun = undo_tanh(config, at(generator, last - 1 + 1e-7)(LATENTS, LABELS))
    torch.testing.assert_close(begun, double(before), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_stage_ends_with_what_the_grown_network_draws(preset: str) -> None:
    generator, _ = build(configure(preset))
    grown = generator(LATENTS, LABELS)
    ending = at(generator, generator.growth - 1e-7)(LATENTS, LABELS)
    assert grown.shape == (4, 1, 32, 32)
    torch.testing.assert_close(ending, grown, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("past", "halved"), [(1e-7, True), (1 - 1e-7, False)])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_discriminator_goes_from_the_halved_image_to_the_whole(
    preset: str, past: float, halved: bool
) -> None:
    config = configure(preset)
    _, discriminator = build(config)
    last = len(config.sides) - 1
    images = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    if halved:
        expected = at(discriminator, last - 1)(halve(images), LABELS)
    else:
        expected = at(discriminator, last)(images, LABELS)
    judged = at(discriminator, last - 1 + past)(images, LABELS)
    torch.testing.assert_close(judged, expected, rtol=1e-3, atol=1e-4)


def test_reals_are_faded_in_like_fakes() -> None:
    images = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(fade_in(images, 0.0), double(halve(images)))
    assert fade_in(images, 1.0) is images


@pytest.mark.parametrize("growth", [0.0, 0.4, 1.0])
def test_whatever_its_growth_a_generator_gives_whole_images(growth: float) -> None:
    generator, _ = build(configure("small-data", oversampling=2))
    images = at(generator, growth).eval()(LATENTS, LABELS)
    assert images.shape == (4, 1, 32, 32)
    assert images.abs().max() <= 1


@pytest.mark.filterwarnings("ignore")  # of being deprecated, and of constants being constant
@pytest.mark.parametrize("growth", [0.0, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_generator_is_exported_as_far_as_it_has_grown(preset: str, growth: float) -> None:
    generator = at(build(configure(preset, oversampling=2))[0], growth).eval()
    with torch.no_grad():
        traced = torch.jit.trace(generator, (LATENTS, LABELS))
        expected = generator(LATENTS[:2], LABELS[:2])
    torch.testing.assert_close(traced(LATENTS[:2], LABELS[:2]), expected)


def test_growth_is_part_of_the_state() -> None:
    generator, _ = build(configure("small-data"))
    state = at(generator, 0.25).state_dict()
    generator.load_state_dict(state)
    assert generator.growth == 0.25
    assert (generator.side, generator.fade) == (32, 0.25)


@pytest.mark.parametrize("growth", [-0.5, 7.0, float("nan")])
def test_a_growth_that_cannot_be_is_refused(growth: float) -> None:
    generator, _ = build(configure("small-data"))
    with pytest.raises(ValueError, match="expected 0 to 1"):
        generator.set_extra_state(torch.tensor(growth))


@pytest.fixture
def state() -> TrainingState:
    """A training of a thousand steps at its first side, the average far from the generator."""
    config = configure("small-data")
    state = TrainingState.initial(config, *build(config), torch.device("cpu"))
    for network, optimizer in (
        (state.generator, state.generator_optimizer),
        (state.discriminator, state.discriminator_optimizer),
    ):
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    for parameter in state.average.parameters():
        parameter.data += 1
    state.step = 1000
    return state


def distance_of_average(state: TrainingState) -> float:
    pairs = zip(state.average.parameters(), state.generator.parameters(), strict=True)
    return max((average - current).abs().max().item() for average, current in pairs)


def test_the_average_follows_the_generator_anew_at_each_side(state: TrainingState) -> None:
    state.grow(0.1)
    state.prepare_step(configure("small-data"))
    state.update_average()
    assert distance_of_average(state) == pytest.approx(0.1, abs=1e-3)


def test_the_average_is_slow_where_no_side_begins(state: TrainingState) -> None:
    state.grow(0.0)
    state.prepare_step(configure("small-data"))
    state.update_average()
    assert distance_of_average(state) == pytest.approx(0.991, abs=1e-3)  # 1001 / 1010


@pytest.mark.parametrize(("growth", "is_new"), [(0.0, False), (0.1, True)])
def test_optimizers_start_anew_at_each_side(
    state: TrainingState, growth: float, is_new: bool
) -> None:
    assert state.grow(growth) == growth
    assert bool(state.generator_optimizer.state) != is_new
    assert bool(state.discriminator_optimizer.state) != is_new


def test_networks_do_not_shrink(state: TrainingState) -> None:
    state.grow(0.75)
    assert state.grow(0.25) == 0.75
    assert state.side == 32
