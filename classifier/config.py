"""The options of classifier training. Free of heavy imports, so that the command line can list them at once."""

from __future__ import annotations

from dataclasses import dataclass, field

ARCHITECTURES = ("cnn", "vgg16")


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """What determines a trained classifier, next to its images and pretrained weights.

    The budget is in optimizer steps and so is the interval between looks at the validation images:
    both stay the same when synthetic images make the training set, and with it the epoch, longer.
    """

    arch: str = field(default="cnn", metadata={"help": "Network: cnn (from scratch) or vgg16 (ImageNet trunk, frozen).", "choices": ARCHITECTURES})
    steps: int = field(default=800, metadata={"help": "Optimizer steps, the same with and without synthetic images."})
    batch_size: int = field(default=32, metadata={"help": "Images per step."})
    learning_rate: float = field(default=1e-3, metadata={"help": "Peak learning rate of AdamW (warm-up, then cosine)."})
    weight_decay: float = field(default=0.05, metadata={"help": "AdamW's weight decay."})
    evaluate_every: int = field(default=20, metadata={"help": "Steps between looks at the validation images; the best one is kept."})
    seed: int = field(default=0, metadata={"help": "Seed of every random decision."})

    def __post_init__(self) -> None:
        if self.arch not in ARCHITECTURES:
            raise ValueError(f"--arch {self.arch}: expected one of {', '.join(ARCHITECTURES)}")
        for name in ("steps", "batch_size", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected a whole number of at least 1")
        if self.learning_rate <= 0:
            raise ValueError(f"--learning-rate {self.learning_rate}: expected a positive number")
        if self.weight_decay < 0:
            raise ValueError(f"--weight-decay {self.weight_decay}: expected 0 or more")
