"""The options of GAN training and its presets.

Free of heavy imports, so that a command line can list the options at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from runtime.options import OptionError, option

IMAGE_SIZES = (32, 64, 128, 256, 512)
COVIDGAN_IMAGE_SIZES = (112,)

FIRST_GROWN_SIDE = 16  # pixels; where networks begin that grow
PGGAN_FIRST_SIDE = 4
FADE = 0.5  # share of a stage over which its layers are faded in

FEW_IMAGES = 150  # training images of all classes; of fewer, augmentation is stronger

# What small-data sets from this size on: by its rate of 64 px losses leap there, and do not always
# recover; by this one they do not, and more steps still helped. Such samples are near enough to the
# reals for wider latents, which cover more of them.
LARGE_PICTURE = 128  # pixels of what the networks draw
_LARGE: dict[str, Any] = {"steps": 20_000, "learning_rate": 5e-4, "sampling_scale": 1.3}

# DCGAN's values, section 4 of Radford et al. 2016; the optimizer's are CovidGAN's too.
_DCGAN: dict[str, Any] = {
    "channels": 3,
    "steps": 5000,
    "max_epochs": 0,
    "batch_size": 128,
    "width": 64,
    "latent_size": 100,
    "sampling_scale": 1.0,
    "learning_rate": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "cooldown": 0.0,
    "penalty": 0.0,
    "augment": False,
    "ema_decay": 0.0,
    "sample_every": 500,
}

# What each preset sets where GanConfig's own defaults, those of small-data, do not hold.
PRESETS: dict[str, dict[str, Any]] = {
    "small-data": {},
    "dcgan": _DCGAN,
    "fbgan": _DCGAN,
    "pggan": {
        "channels": 3,
        "steps": 30_000,
        "max_epochs": 0,
        "stage_steps": 4000,
        "batch_size": 16,
        "width": 512,
        "latent_size": 512,
        "sampling_scale": 1.0,
        "learning_rate": 1e-3,
        "beta1": 0.0,
        "beta2": 0.99,
        "cooldown": 0.0,
        "penalty": 10.0,
        "augment": False,
        "ema_decay": 0.999,
        "sample_every": 1000,
    },
    "covidgan": _DCGAN
    | {
        "image_size": 112,
        "steps": 29_000,
        "batch_size": 64,
        "width": 128,
        "latent_scale": 0.02,
        "sample_every": 2900,
    },
}


@dataclass(frozen=True, kw_only=True)
class GanConfig:
    """What determines a trained generator, next to its images.

    Raises OptionError for a value that cannot be, or that the preset does not have.
    """

    preset: str = option(
        "small-data",
        "small-data: for tens to thousands of X-rays, the one to use. dcgan: Radford et al. 2016 "
        "to the letter, one pair of networks per class, to compare with. pggan: progressive "
        "growing of Karras et al. 2018, to compare with on a GPU. fbgan: forward and backward GAN "
        "after Zhao et al. 2018, to compare with. covidgan: the AC-GAN of CovidGAN (Waheed et al. "
        "2020), to repeat that paper. All but small-data have their own values of the options "
        "below; --dry-run shows them.",
        choices=tuple(PRESETS),
    )
    image_size: int = option(
        64, "Side of the generated images in pixels: 32, 64, 128, 256 or 512; 112 for covidgan."
    )
    channels: int = option(
        1, "1, or 3 equal ones as in the papers of the presets; files are gray either way."
    )
    oversampling: int = option(
        1,
        "2: the networks draw at twice the size, and what they draw is halved by the filter that "
        "reads the reals; small-data and pggan only.",
    )
    steps: int = option(
        14_000,
        "Training steps, each one update of both networks; by default 20000 where small-data draws "
        "at 128 px or more.",
    )
    max_epochs: int = option(
        5000,
        "Times that each training image is seen at most, so that a training of few images has "
        "fewer steps: further ones would remember more than they learn; 0: no limit.",
    )
    stage_steps: int = option(
        0,
        "Steps at each side below the last, from 16 px on (pggan: 4), before the networks grow to "
        "twice the side; 0: all at the last side; small-data and pggan only.",
    )
    batch_size: int = option(32, "Images per step, of all processes together.")
    width: int = option(
        32, "Channels at half the resolution; deeper layers have up to 8 times as many."
    )
    latent_size: int = option(64, "Length of the latent vector.")
    latent_scale: float = option(1.0, "Standard deviation of the latents in training.")
    sampling_scale: float = option(
        1.1,
        "Standard deviation of the latents of samples, in that of training; above 1 they vary "
        "more; by default 1.3 where small-data draws at 128 px or more.",
    )
    learning_rate: float = option(
        1e-3,
        "Adam's learning rate, for both networks; by default half as much where small-data draws "
        "at 128 px or more.",
    )
    beta1: float = option(0.0, "Adam's decay of the mean gradient.")
    beta2: float = option(0.99, "Adam's decay of the mean squared gradient.")
    cooldown: float = option(
        0.0,
        "Share of the training, at its end, over which the learning rate falls to 0.",
    )
    penalty: float = option(0.02, "Weight of the gradient penalties; small-data and pggan only.")
    augment: bool = option(
        True,
        f"Augment what the discriminator sees; with fewer than {FEW_IMAGES} training images by "
        "zoom, stretching and mirroring as well.",
    )
    ema_decay: float = option(
        0.999,
        "Decay per step of the averaged generator that makes the samples; 0: no average; "
        "small-data and pggan only.",
    )
    sample_every: int = option(500, "Steps between checkpoints, snapshots and sample grids.")
    seed: int = option(0, "Seed of every random decision.")

    @classmethod
    def from_options(cls, **options: Any) -> GanConfig:
        """Make the configuration of a preset (`preset`, or small-data) with these fields changed.

        Raises OptionError like the class itself.
        """
        preset = options.get("preset", "small-data")
        asked = cls(**PRESETS.get(preset, {}) | options)
        is_large = preset == "small-data" and asked.sides[-1] >= LARGE_PICTURE
        return replace(asked, **_LARGE | options) if is_large else asked

    def for_images(self, count: int) -> GanConfig:
        """Return the configuration with the steps that `max_epochs` of so many images leave it."""
        if not self.max_epochs:
            return self
        steps = min(self.steps, max(1, self.max_epochs * count // self.batch_size))
        return replace(self, steps=steps)

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of the pictures that the networks draw in training, stage by stage, in pixels."""
        last = self.image_size * self.oversampling
        if not self.stage_steps:
            return (last,)
        first = PGGAN_FIRST_SIDE if self.preset == "pggan" else FIRST_GROWN_SIDE
        return tuple(first << stage for stage in range((last // first).bit_length()))

    @property
    def sample_latent_std(self) -> float:
        """Standard deviation of the latents that samples are drawn from."""
        return self.latent_scale * self.sampling_scale

    def __post_init__(self) -> None:
        self._check_images()
        self._check_whole_numbers()
        self._check_numbers()
        self._check_preset_has()
        self._check_stages()

    def _error(self, name: str, problem: str) -> OptionError:
        return OptionError(name, getattr(self, name), problem)

    def _check_images(self) -> None:
        if self.preset not in PRESETS:
            raise self._error("preset", f"expected one of {', '.join(PRESETS)}")
        sizes = COVIDGAN_IMAGE_SIZES if self.preset == "covidgan" else IMAGE_SIZES
        if self.image_size not in sizes:
            raise self._error(
                "image_size", f"{self.preset} makes images of {', '.join(map(str, sizes))} px"
            )
        if self.channels not in (1, 3):
            raise self._error("channels", "expected 1 or 3")
        if self.oversampling not in (1, 2):
            raise self._error("oversampling", "expected 1 or 2")
        if self.image_size * self.oversampling > IMAGE_SIZES[-1]:
            raise self._error(
                "oversampling",
                f"the networks would draw at {2 * self.image_size} px, and images are kept at no "
                f"more than {IMAGE_SIZES[-1]} px; leave it out",
            )

    def _check_whole_numbers(self) -> None:
        for name in ("steps", "batch_size", "width", "latent_size", "sample_every"):
            if getattr(self, name) < 1:
                raise self._error(name, "expected a whole number of at least 1")
        if self.preset == "small-data" and self.latent_size < 2:
            raise self._error("latent_size", "expected at least 2, whose angle chooses borders")
        if self.batch_size < 2:
            raise self._error(
                "batch_size", "expected at least 2, a batch of one has nothing to compare"
            )

    def _check_numbers(self) -> None:
        for name in ("learning_rate", "latent_scale", "sampling_scale"):
            if not 0 < getattr(self, name) < float("inf"):
                raise self._error(name, "expected a positive number")
        if not 0 <= self.penalty < float("inf"):
            raise self._error("penalty", "expected a number of 0 or more")
        for name in ("stage_steps", "max_epochs"):
            if getattr(self, name) < 0:
                raise self._error(name, "expected a whole number of 0 or more")
        for name in ("beta1", "beta2", "ema_decay", "cooldown"):
            if not 0 <= getattr(self, name) < 1:
                raise self._error(name, "expected a number from 0 up to, not including, 1")

    def _check_preset_has(self) -> None:
        """DCGAN and CovidGAN know neither a penalty, nor an average of weights, nor stages."""
        if self.preset in ("small-data", "pggan"):
            return
        if self.penalty:
            raise self._error("penalty", f"the loss of {self.preset} has no penalty; leave it out")
        if self.ema_decay:
            raise self._error(
                "ema_decay",
                f"{self.preset} has BatchNorm, whose statistics belong to no average; leave it out",
            )
        if self.stage_steps:
            raise self._error("stage_steps", f"{self.preset} does not grow; leave it out")
        if self.preset == "fbgan" and self.augment:
            raise self._error("augment", "fbgan draws reals again as they are; leave it out")
        if self.oversampling != 1:
            raise self._error("oversampling", f"{self.preset} draws at its size; leave it out")

    def _check_stages(self) -> None:
        """The last stage must be faded in before the learning rate falls."""
        if not self.stage_steps:
            return
        needed = math.ceil((len(self.sides) - 1 + FADE) * self.stage_steps)
        steady = round(self.steps * (1 - self.cooldown))
        if needed > steady:
            raise self._error(
                "stage_steps",
                f"to grow from {self.sides[0]} to {self.sides[-1]} px takes {needed} steps, and "
                f"there are {steady} before the learning rate falls; ask for fewer, or for more "
                "`steps`",
            )
