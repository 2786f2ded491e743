"""Progressive growing (Karras et al. 2018, "Progressive growing of GANs", section 3).

Networks begin at a small side and double it, stage by stage; each new stage is faded in. How far
they are is one number, the growth: a whole number of doublings, or, while a stage is faded in, a
number between two. A grown network keeps it in its state_dict, so that checkpoints, snapshots and
exported files draw as the training does.

What fades is linear: at fade 0 a generator draws the doubled picture of the stage before and a
discriminator judges its halved input as before; at fade 1 the stage before is out of it. Reals are
faded alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from gan.config import FADE, GanConfig
from gan.resize import enlarge


class Growing(nn.Module):
    """A network of several sides, of which it works at one.

    Attributes:
        sides: Of its images, in pixels, each twice the one before.
        growth: 0 at the first side, len(sides) − 1 when it is fully grown, as it is when built.
    """

    def __init__(self, sides: Sequence[int]) -> None:
        super().__init__()
        self.sides = tuple(sides)
        self.growth = float(len(sides) - 1)

    @property
    def side(self) -> int:
        """The side of its images."""
        return self.sides[split_growth(self.growth)[0]]

    @property
    def fade(self) -> float:
        """How far the layers of that side are faded in; 1 for the first side."""
        return split_growth(self.growth)[1]

    def get_extra_state(self) -> Tensor:
        """Return what its state_dict has besides weights."""
        return torch.tensor(self.growth, dtype=torch.float64)

    def set_extra_state(self, state: Any) -> None:
        """Take it back. Raises ValueError when there can be no such growth."""
        growth = state.item() if isinstance(state, Tensor) and state.numel() == 1 else math.nan
        if not 0 <= growth <= len(self.sides) - 1:
            raise ValueError(f"a growth of {growth}, expected 0 to {len(self.sides) - 1}")
        self.growth = growth


def split_growth(growth: float) -> tuple[int, float]:
    """Return the stage, from 0, and how far it is faded in, over 0 and up to 1."""
    stage = math.ceil(growth)
    return stage, 1 - (stage - growth)


def growth_at(config: GanConfig, step: int, time_share: float) -> float:
    """Return the growth at a step, when this share of the time limit is over.

    A stage ends after `stage_steps`, or where the time is short, after an equal share of what
    there is before the learning rate falls. Over the first part FADE of it, its layers are faded
    in.
    """
    stages = len(config.sides)
    if stages == 1:
        return 0.0
    steady_share = 1 - config.cooldown
    position = max(step / config.stage_steps, stages * time_share / steady_share)
    stage = min(int(position), stages - 1)
    return stage - 1 + min((position - stage) / FADE, 1.0) if stage else 0.0


def feature_widths(image_size: int, last_side: int, width: int, most: int) -> dict[int, int]:
    """Return the channels of features by their side, from 4 to last_side.

    They are `width` at half of image_size, twice as many at each halving, up to `most`, and half as
    many at each doubling, where arithmetic is dearest.
    """
    sides = [4 << level for level in range((last_side // 4).bit_length())]
    return {side: max(min(width * image_size // (2 * side), most), 1) for side in sides}


def halve(images: Tensor) -> Tensor:
    """Return images (B, C, S, S) at half the side, means of 2×2 pixels."""
    return avg_pool2d(images, 2)


def double(images: Tensor) -> Tensor:
    """Return images (B, C, S, S) at twice the side."""
    return enlarge(images, 2)


def fade_in(images: Tensor, fade: float) -> Tensor:
    """Return images (B, C, S, S) with as much of their finest scale as a stage is faded in."""
    return images if fade == 1 else torch.lerp(double(halve(images)), images, fade)
