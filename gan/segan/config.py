"""The options of training a lung network.

Free of heavy imports, so that a command line can list the options at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from runtime.options import OptionError, option

LOSSES = ("segan", "dice")
LUNG_IMAGE_SIZES = (64, 128, 256)


@dataclass(frozen=True, kw_only=True)
class LungsConfig:
    """What determines a trained lung network, next to its images and masks.

    Raises OptionError for a value that cannot be.
    """

    loss: str = option(
        "dice",
        "dice: cross-entropy and Dice loss, pixel by pixel. segan: the same against a critic that "
        "compares the image under the true and under the drawn mask (Xue et al. 2018).",
        choices=LOSSES,
    )
    image_size: int = option(
        128, "Side in pixels to which whole images are resized: 64, 128 or 256."
    )
    steps: int = option(800, "Training steps.")
    batch_size: int = option(16, "Images per step.")
    width: int = option(
        24, "Channels at half the resolution; deeper layers have up to 4 times as many."
    )
    learning_rate: float = option(2e-3, "Adam's highest learning rate; it falls to 0.")
    evaluate_every: int = option(
        100, "Steps between looks at the validation images, which choose the step that is kept."
    )
    seed: int = option(0, "Seed of every random decision.")

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise self._error("loss", f"expected one of {', '.join(LOSSES)}")
        if self.image_size not in LUNG_IMAGE_SIZES:
            raise self._error("image_size", "expected 64, 128 or 256")
        for name in ("steps", "width", "evaluate_every"):
            if getattr(self, name) < 1:
                raise self._error(name, "expected a whole number of at least 1")
        if self.batch_size < 2:
            raise self._error("batch_size", "expected at least 2, which BatchNorm needs")
        if not 0 < self.learning_rate < math.inf:
            raise self._error("learning_rate", "expected a positive number")

    def _error(self, name: str, problem: str) -> OptionError:
        return OptionError(name, getattr(self, name), problem)
