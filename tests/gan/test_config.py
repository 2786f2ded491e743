"""A wrong option is refused by its name, and the presets are the papers'."""

from __future__ import annotations

from typing import Any

import pytest

from gan.config import GanConfig
from runtime.options import OptionError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("preset", "stylegan"),
        ("image_size", 50),
        ("image_size", 112),
        ("channels", 2),
        ("steps", 0),
        ("batch_size", 0),
        ("batch_size", 1),
        ("width", 0),
        ("latent_size", 0),
        ("latent_size", 1),
        ("sample_every", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("learning_rate", float("nan")),
        ("latent_scale", 0.0),
        ("sampling_scale", 0.0),
        ("penalty", -1.0),
        ("max_epochs", -1),
        ("penalty", float("nan")),
        ("cooldown", 1.0),
        ("beta1", 1.0),
        ("beta2", -0.1),
        ("ema_decay", 1.0),
    ],
)
def test_a_wrong_option_is_named(field: str, value: Any) -> None:
    with pytest.raises(OptionError) as refused:
        GanConfig.from_options(**{field: value})
    assert refused.value.field == field
    assert refused.value.value is value


@pytest.mark.parametrize(
    ("preset", "field", "value", "problem"),
    [
        ("covidgan", "image_size", 64, "covidgan makes images of 112 px"),
        ("dcgan", "penalty", 0.1, "the loss of dcgan has no penalty; leave it out"),
        ("fbgan", "augment", True, "fbgan draws reals again as they are; leave it out"),
        ("dcgan", "ema_decay", 0.99, "dcgan has BatchNorm, whose statistics belong to no average"),
    ],
)
def test_an_option_that_a_preset_does_not_have_is_refused(
    preset: str, field: str, value: float, problem: str
) -> None:
    with pytest.raises(OptionError, match=f"^{field} {value}: {problem}"):
        GanConfig.from_options(preset=preset, **{field: value})


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("small-data", {"batch_size": 32, "augment": True, "penalty": 0.02}),
        ("dcgan", {"learning_rate": 2e-4, "beta1": 0.5, "batch_size": 128, "augment": False}),
        ("fbgan", {"learning_rate": 2e-4, "beta1": 0.5, "batch_size": 128, "augment": False}),
        ("pggan", {"learning_rate": 1e-3, "beta1": 0.0, "penalty": 10.0, "ema_decay": 0.999}),
        ("covidgan", {"latent_scale": 0.02, "image_size": 112, "batch_size": 64}),
    ],
)
def test_a_preset_has_the_values_of_its_paper(preset: str, expected: dict[str, Any]) -> None:
    config = GanConfig.from_options(preset=preset)
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize("large", [{"image_size": 128}, {"image_size": 64, "oversampling": 2}])
def test_large_pictures_have_a_lower_learning_rate_if_none_is_given(large: dict[str, Any]) -> None:
    """At the one of 64 px losses leap there, and do not always recover."""
    assert GanConfig.from_options(**large).learning_rate < GanConfig().learning_rate
    assert GanConfig.from_options(**large, learning_rate=1e-3).learning_rate == 1e-3


@pytest.mark.parametrize(
    ("max_epochs", "images", "steps"),
    [(5000, 66, 10_312), (5000, 90, 14_000), (5000, 645, 14_000), (0, 8, 14_000), (1, 8, 1)],
)
def test_each_image_is_seen_no_more_often_than_is_said(
    max_epochs: int, images: int, steps: int
) -> None:
    assert GanConfig(max_epochs=max_epochs).for_images(images).steps == steps


@pytest.mark.parametrize("preset", ["dcgan", "fbgan", "pggan", "covidgan"])
def test_papers_see_images_as_often_as_they_say(preset: str) -> None:
    config = GanConfig.from_options(preset=preset)
    assert config.for_images(8) == config


@pytest.mark.parametrize("large", [{"image_size": 128}, {"image_size": 64, "oversampling": 2}])
def test_samples_of_large_pictures_vary_more_if_no_scale_is_given(large: dict[str, Any]) -> None:
    """Their distance from the reals leaves room for it, and they cover more of them."""
    assert GanConfig.from_options(**large).sampling_scale > GanConfig().sampling_scale
    assert GanConfig.from_options(**large, sampling_scale=1.1).sampling_scale == 1.1


def test_an_option_that_is_given_goes_before_the_preset() -> None:
    assert GanConfig.from_options(preset="dcgan", width=8).width == 8
