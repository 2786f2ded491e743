"""The options of classifier training.

Free of heavy imports, so that a command line can list them at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

from runtime.options import OptionError

ARCHITECTURES = ("cnn", "vgg16", "resnet18", "resnet50", "svm")
SVM_FEATURES = ("pixels", "vgg16", "resnet18", "resnet50")
CLASS_BALANCES = ("none", "weights", "sampling")
SYNTHETIC_STATISTICS = ("shared", "separate")
MIXING_OPTIONS = (  # of synthetic images beside reals
    "synthetic_share",
    "synthetic_until",
    "synthetic_weight",
    "synthetic_statistics",
    "synthetic_keep",
)
TRUNK_STAGES = 5  # of an ImageNet network that can be unfrozen


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """What determines a trained classifier, next to its images and pretrained weights.

    The budget is in optimizer steps and so is the interval between evaluations: both stay the same
    when synthetic images make the training set, and with it the epoch, longer.
    """

    arch: str = field(
        default="cnn",
        metadata={
            "help": "cnn (from scratch); vgg16, resnet18 or resnet50 (ImageNet's, under a new "
            "head); svm (PCA and a Gaussian kernel).",
            "choices": ARCHITECTURES,
        },
    )
    unfreeze: int = field(
        default=0,
        metadata={
            "help": "How many of the last stages of an ImageNet network are trained too, of 5, at "
            "a tenth of the learning rate."
        },
    )
    features: str = field(
        default="pixels",
        metadata={
            "help": "What the svm is given: pixels, or the features of an ImageNet network.",
            "choices": SVM_FEATURES,
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
            "help": "Of unequal classes: none, weights (in the loss) or sampling (classes drawn "
            "alike).",
            "choices": CLASS_BALANCES,
        },
    )
    synthetic_share: float | None = field(
        default=None,
        metadata={
            "help": "Share of synthetic images in every batch, 0 to 1, however many there are.",
            "unset": "that of the training set",
        },
    )
    synthetic_until: float | None = field(
        default=None,
        metadata={
            "help": "With --synthetic-share, let it fall to 0 over this part of the steps; after "
            "it only reals are seen.",
            "unset": "it stays",
        },
    )
    synthetic_weight: float = field(
        default=1.0,
        metadata={"help": "Weight of a synthetic image in the loss, where a real one has 1."},
    )
    synthetic_statistics: str = field(
        default="shared",
        metadata={
            "help": "BatchNorm's statistics of real and synthetic images: shared, or separate, "
            "each kind normalised by its own, and predictions by the reals'.",
            "choices": SYNTHETIC_STATISTICS,
        },
    )
    synthetic_keep: float = field(
        default=1.0,
        metadata={
            "help": "Share of the synthetic images of each class to train on: first those that a "
            "classifier of the reals calls what they should be, the nearest to reals before others."
        },
    )
    augment: bool = field(
        default=False,
        metadata={
            "help": "Classical augmentation: rotation, scale, shift, brightness, contrast, blur, "
            "sharpening, noise."
        },
    )
    flip: bool = field(
        default=False,
        metadata={"help": "With --augment, also mirror images; the heart has a side."},
    )
    patience: int = field(
        default=0,
        metadata={
            "help": "Stop after so many looks at the validation images without a lower loss; "
            "0: never."
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

    @property
    def mixing_options(self) -> tuple[str, ...]:
        """The names of those that say how synthetic images are mixed with reals, as far as given.

        Given is what is not the default.
        """
        return tuple(
            own.name
            for own in fields(self)
            if own.name in MIXING_OPTIONS and getattr(self, own.name) != own.default
        )

    def without_mixing(self) -> ClassifierConfig:
        """Return the same for a training set in which no synthetic images are mixed with reals."""
        defaults = {own.name: own.default for own in fields(self) if own.name in MIXING_OPTIONS}
        return replace(self, **defaults)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_numbers()
        self._check_combinations()

    def _check_choices(self) -> None:
        for name, choices in (
            ("arch", ARCHITECTURES),
            ("features", SVM_FEATURES),
            ("balance", CLASS_BALANCES),
            ("synthetic_statistics", SYNTHETIC_STATISTICS),
        ):
            value = getattr(self, name)
            if value not in choices:
                raise OptionError(name, value, f"expected one of {', '.join(choices)}")

    def _check_numbers(self) -> None:
        for name in ("steps", "batch_size", "evaluate_every"):
            value = getattr(self, name)
            if value < 1:
                raise OptionError(name, value, "expected a whole number of at least 1")
        if not 0 < self.learning_rate < math.inf:
            raise OptionError("learning_rate", self.learning_rate, "expected a positive number")
        if not 0 <= self.weight_decay < math.inf:
            raise OptionError("weight_decay", self.weight_decay, "expected a number of 0 or more")
        if not 0 <= self.label_smoothing < 1:
            raise OptionError(
                "label_smoothing",
                self.label_smoothing,
                "expected a number from 0 up to, not including, 1",
            )
        if self.synthetic_share is not None and not 0 <= self.synthetic_share <= 1:
            raise OptionError(
                "synthetic_share", self.synthetic_share, "expected a share from 0 to 1"
            )
        if self.synthetic_until is not None and not 0 < self.synthetic_until <= 1:
            raise OptionError(
                "synthetic_until",
                self.synthetic_until,
                "expected a part of the steps, more than 0 and at most 1",
            )
        if not 0 < self.synthetic_weight <= 1:
            raise OptionError(
                "synthetic_weight",
                self.synthetic_weight,
                "expected more than 0, and at most 1, what a real image weighs",
            )
        if not 0 < self.synthetic_keep <= 1:
            raise OptionError(
                "synthetic_keep", self.synthetic_keep, "expected a share of more than 0, at most 1"
            )
        if self.patience < 0:
            raise OptionError("patience", self.patience, "expected 0 or more")

    def _check_combinations(self) -> None:
        has_stages = self.arch not in ("cnn", "svm")
        if not 0 <= self.unfreeze <= (TRUNK_STAGES if has_stages else 0):
            raise OptionError(
                "unfreeze",
                self.unfreeze,
                f"expected 0 to {TRUNK_STAGES} stages of vgg16, resnet18 or resnet50; cnn and svm "
                "have none",
            )
        if self.features != "pixels" and self.arch != "svm":
            raise OptionError(
                "features",
                self.features,
                f"only `arch` svm is given features; {self.arch} makes its own",
            )
        if self.flip and not self.augment:
            raise OptionError(
                "flip", "yes", "mirrors are part of the augmentation; add `augment` yes"
            )
        if self.synthetic_until is not None and self.synthetic_share is None:
            raise OptionError(
                "synthetic_until",
                self.synthetic_until,
                "there is no share that could fall; add `synthetic_share`",
            )
        self._check_statistics()
        composes = self.balance != "none" or self.mixing_options
        if self.arch == "svm" and (self.augment or composes):
            raise OptionError(
                "arch",
                "svm",
                "is fitted once to the images as they are; leave out `augment`, `balance`, "
                "`synthetic_share` and `synthetic_weight`",
            )

    def _check_statistics(self) -> None:
        """Raise OptionError where separate statistics of synthetic images cannot be had."""
        if self.synthetic_statistics == "shared":
            return
        if self.arch in ("vgg16", "svm") or (self.arch != "cnn" and not self.unfreeze):
            raise OptionError(
                "synthetic_statistics",
                self.synthetic_statistics,
                f"{self.arch} has no BatchNorm that is trained; take cnn, or resnet18 or resnet50 "
                "with `unfreeze`",
            )
        share = self.synthetic_share
        if share is None or (1 - share) * self.batch_size < 1:
            raise OptionError(
                "synthetic_statistics",
                self.synthetic_statistics,
                "predictions are normalised by the reals' statistics, so every batch must have "
                "some; add `synthetic_share`, less than 1 by an image of the batch or more",
            )
