"""The options of classifier training. Free of heavy imports, so that the command line can list them at once."""

from __future__ import annotations

from dataclasses import dataclass, field

ARCHITECTURES = ("cnn", "vgg16", "resnet18", "resnet50", "svm")
FEATURES = ("pixels", "vgg16", "resnet18", "resnet50")
BALANCES = ("none", "weights", "sampling")
STAGES = 5  # of an ImageNet network that can be unfrozen


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """What determines a trained classifier, next to its images and pretrained weights.

    The budget is in optimizer steps and so is the interval between looks at the validation images:
    both stay the same when synthetic images make the training set, and with it the epoch, longer.
    """

    arch: str = field(
        default="cnn",
        metadata={
            "help": "cnn (from scratch); vgg16, resnet18 or resnet50 (ImageNet's, under a new head); svm (PCA and a Gaussian kernel).",
            "choices": ARCHITECTURES,
        },
    )
    unfreeze: int = field(
        default=0,
        metadata={
            "help": "How many of the last stages of an ImageNet network are trained too, of 5, at a tenth of the learning rate."
        },
    )
    features: str = field(
        default="pixels",
        metadata={
            "help": "What the svm is given: pixels, or the features of an ImageNet network.",
            "choices": FEATURES,
        },
    )
    steps: int = field(
        default=800,
        metadata={"help": "Optimizer steps, the same with and without synthetic images."},
    )
    batch_size: int = field(default=32, metadata={"help": "Images per step."})
    learning_rate: float = field(
        default=1e-3, metadata={"help": "Peak learning rate of AdamW (warm-up, then cosine)."}
    )
    weight_decay: float = field(default=0.05, metadata={"help": "AdamW's weight decay."})
    label_smoothing: float = field(
        default=0.0, metadata={"help": "Share of each label spread over all classes."}
    )
    balance: str = field(
        default="none",
        metadata={
            "help": "Of unequal classes: none, weights (in the loss) or sampling (classes drawn alike).",
            "choices": BALANCES,
        },
    )
    augment: bool = field(
        default=False,
        metadata={
            "help": "Classical augmentation: rotation, scale, shift, brightness, contrast, blur, sharpening, noise."
        },
    )
    flip: bool = field(
        default=False,
        metadata={"help": "With --augment, also mirror images; the heart has a side."},
    )
    patience: int = field(
        default=0,
        metadata={
            "help": "Stop after so many looks at the validation images without a lower loss; 0: never."
        },
    )
    evaluate_every: int = field(
        default=20,
        metadata={"help": "Steps between looks at the validation images; the best one is kept."},
    )
    seed: int = field(default=0, metadata={"help": "Seed of every random decision."})

    @property
    def trunk(self) -> str | None:
        """The ImageNet network whose weights are needed."""
        if self.arch == "svm":
            return None if self.features == "pixels" else self.features
        return None if self.arch == "cnn" else self.arch

    def __post_init__(self) -> None:
        for name, choices in (
            ("arch", ARCHITECTURES),
            ("features", FEATURES),
            ("balance", BALANCES),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"--{name} {getattr(self, name)}: expected one of {', '.join(choices)}"
                )
        for name in ("steps", "batch_size", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"--{name.replace('_', '-')} {getattr(self, name)}: expected a whole number of at least 1"
                )
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"--learning-rate {self.learning_rate}: expected a positive number")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"--weight-decay {self.weight_decay}: expected a number of 0 or more")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"--label-smoothing {self.label_smoothing}: expected a number from 0 up to, not including, 1"
            )
        if self.patience < 0:
            raise ValueError(f"--patience {self.patience}: expected 0 or more")
        if not 0 <= self.unfreeze <= STAGES or (self.unfreeze and self.arch in ("cnn", "svm")):
            raise ValueError(
                f"--unfreeze {self.unfreeze}: expected 0 to {STAGES} stages of vgg16, resnet18 or resnet50; cnn and svm have none"
            )
        if self.features != "pixels" and self.arch != "svm":
            raise ValueError(
                f"--features {self.features}: only --arch svm is given features; {self.arch} makes its own"
            )
        if self.flip and not self.augment:
            raise ValueError("--flip yes: mirrors are part of the augmentation; add --augment yes")
        if self.arch == "svm" and (self.augment or self.balance == "sampling"):
            raise ValueError(
                "--arch svm: is fitted once to the images as they are; leave out --augment and --balance sampling"
            )
