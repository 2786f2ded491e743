"""The options of GAN training and its presets. Free of heavy imports, so that the command line can list them at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

IMAGE_SIZES = (32, 64, 128, 256)

# What each preset sets where GanConfig's own defaults, those of small-data, do not hold.
PRESETS: dict[str, dict[str, Any]] = {
    "small-data": {},
    "dcgan": {
        "channels": 3,
        "steps": 5000,
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
    },
    "covidgan": {
        "image_size": 112,
        "channels": 3,
        "steps": 29_000,
        "batch_size": 64,
        "width": 128,
        "latent_size": 100,
        "latent_scale": 0.02,
        "sampling_scale": 1.0,
        "learning_rate": 2e-4,
        "beta1": 0.5,
        "beta2": 0.999,
        "cooldown": 0.0,
        "penalty": 0.0,
        "augment": False,
        "ema_decay": 0.0,
        "sample_every": 2900,
    },
}


@dataclass(frozen=True, kw_only=True)
class GanConfig:
    """What determines a trained generator, next to its images."""

    preset: str = field(
        default="small-data",
        metadata={
            "choices": tuple(PRESETS),
            "help": "small-data: for tens to thousands of X-rays, the one to use. dcgan: Radford et al. 2016 to the letter, one pair of networks "
            "per class, to compare with. covidgan: the AC-GAN of CovidGAN (Waheed et al. 2020), to repeat that paper. The latter two have "
            "their own values of the options below; --dry-run shows them.",
        },
    )
    image_size: int = field(
        default=64,
        metadata={
            "help": "Side of the generated images in pixels: 32, 64, 128 or 256; 112 for covidgan."
        },
    )
    channels: int = field(
        default=1,
        metadata={
            "help": "1, or 3 equal ones as in the papers of dcgan and covidgan; files are gray either way."
        },
    )
    steps: int = field(
        default=6000, metadata={"help": "Training steps, each one update of both networks."}
    )
    batch_size: int = field(
        default=32, metadata={"help": "Images per step, of all processes together."}
    )
    width: int = field(
        default=32,
        metadata={
            "help": "Channels at half the resolution; deeper layers have up to 8 times as many."
        },
    )
    latent_size: int = field(default=64, metadata={"help": "Length of the latent vector."})
    latent_scale: float = field(
        default=1.0, metadata={"help": "Standard deviation of the latents in training."}
    )
    sampling_scale: float = field(
        default=1.1,
        metadata={
            "help": "Standard deviation of the latents of samples, in that of training; above 1 they vary more."
        },
    )
    learning_rate: float = field(
        default=5e-4, metadata={"help": "Adam's learning rate, for both networks."}
    )
    beta1: float = field(default=0.0, metadata={"help": "Adam's decay of the mean gradient."})
    beta2: float = field(
        default=0.99, metadata={"help": "Adam's decay of the mean squared gradient."}
    )
    cooldown: float = field(
        default=1 / 3,
        metadata={
            "help": "Share of the training, at its end, over which the learning rate falls to 0."
        },
    )
    penalty: float = field(
        default=0.02,
        metadata={
            "help": "Weight of the gradient penalties on reals and on fakes; small-data only."
        },
    )
    augment: bool = field(default=True, metadata={"help": "Augment what the discriminator sees."})
    ema_decay: float = field(
        default=0.998,
        metadata={
            "help": "Decay per step of the averaged generator that makes the samples; 0: no average; small-data only."
        },
    )
    sample_every: int = field(
        default=500, metadata={"help": "Steps between checkpoints, snapshots and sample grids."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of every random decision."})

    @classmethod
    def of(cls, **options: Any) -> GanConfig:
        """The configuration of a preset (`preset`, or small-data) with these options changed."""
        return cls(**PRESETS.get(options.get("preset", "small-data"), {}) | options)

    @property
    def scale_of_samples(self) -> float:
        """Standard deviation of the latents that samples are drawn from."""
        return self.latent_scale * self.sampling_scale

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"--preset {self.preset}: expected one of {', '.join(PRESETS)}")
        sizes = (112,) if self.preset == "covidgan" else IMAGE_SIZES
        if self.image_size not in sizes:
            raise ValueError(
                f"--image-size {self.image_size}: {self.preset} makes images of {', '.join(map(str, sizes))} px"
            )
        if self.channels not in (1, 3):
            raise ValueError(f"--channels {self.channels}: expected 1 or 3")
        for name in ("steps", "batch_size", "width", "latent_size", "sample_every"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"--{name.replace('_', '-')} {getattr(self, name)}: expected a whole number of at least 1"
                )
        if self.batch_size < 2:
            raise ValueError(
                f"--batch-size {self.batch_size}: expected at least 2, a batch of one has nothing to compare"
            )
        for name in ("learning_rate", "latent_scale", "sampling_scale"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(
                    f"--{name.replace('_', '-')} {getattr(self, name)}: expected a positive number"
                )
        if not 0 <= self.penalty < float("inf"):
            raise ValueError(f"--penalty {self.penalty}: expected a number of 0 or more")
        if self.penalty and self.preset != "small-data":
            raise ValueError(
                f"--penalty {self.penalty}: the loss of {self.preset} has no penalty; leave it out"
            )
        if self.ema_decay and self.preset != "small-data":
            raise ValueError(
                f"--ema-decay {self.ema_decay}: {self.preset} has BatchNorm, whose statistics belong to no average; leave it out"
            )
        for name in ("beta1", "beta2", "ema_decay", "cooldown"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"--{name.replace('_', '-')} {getattr(self, name)}: expected a number from 0 up to, not including, 1"
                )
