"""The options of GAN training. Free of heavy imports, so that the command line can list them at once."""

from __future__ import annotations

from dataclasses import dataclass, field

IMAGE_SIZES = (32, 64, 128, 256)


@dataclass(frozen=True, kw_only=True)
class GanConfig:
    """What determines a trained generator, next to its images."""

    image_size: int = field(default=64, metadata={"help": "Side of the generated images in pixels: 32, 64, 128 or 256."})
    steps: int = field(default=2000, metadata={"help": "Training steps, each one update of both networks."})
    batch_size: int = field(default=64, metadata={"help": "Images per step."})
    width: int = field(default=32, metadata={"help": "Channels at half the resolution; deeper layers have up to 8 times as many."})
    latent_size: int = field(default=64, metadata={"help": "Length of the latent vector."})
    learning_rate: float = field(default=5e-4, metadata={"help": "Adam's learning rate, for both networks."})
    penalty: float = field(default=0.1, metadata={"help": "Weight of the gradient penalties on reals and on fakes."})
    ema_decay: float = field(default=0.998, metadata={"help": "Decay per step of the averaged generator that makes the samples."})
    sample_every: int = field(default=250, metadata={"help": "Steps between checkpoints and sample grids."})
    seed: int = field(default=0, metadata={"help": "Seed of every random decision."})

    def __post_init__(self) -> None:
        if self.image_size not in IMAGE_SIZES:
            raise ValueError(f"--image-size {self.image_size}: expected one of {', '.join(map(str, IMAGE_SIZES))}")
        for name in ("steps", "batch_size", "width", "latent_size", "sample_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected a whole number of at least 1")
        if self.batch_size < 2:
            raise ValueError(f"--batch-size {self.batch_size}: expected at least 2, batch normalisation needs a pair")
        if self.learning_rate <= 0:
            raise ValueError(f"--learning-rate {self.learning_rate}: expected a positive number")
        if self.penalty < 0:
            raise ValueError(f"--penalty {self.penalty}: expected 0 or more")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"--ema-decay {self.ema_decay}: expected a number from 0 up to, not including, 1")
