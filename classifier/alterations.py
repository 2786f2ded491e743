"""Images with something taken away, to see what a classifier lives on: lungs covered, only the border left, detail blurred away.

The lungs are found by no network but lie under one template, the same for every image: a superellipse |dx/0.45|⁵ + |dy/0.43|⁵ ≤ 1 around the point
(0.50, 0.48) of the side, 74 % of a picture. It is crude. It covers heart, spine and diaphragm too, and at the flanks of a tightly collimated film it may leave a
rim of lung. But its shape tells nothing, while the outline of lungs found image by image would: opacities change it.
Black squares in the middle of the picture: Maguolo & Nanni 2020, "A critic evaluation of methods for COVID-19 automatic detection from X-ray images".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d, interpolate, pad

CENTRE, HALF_AXES, EXPONENT = (
    (0.48, 0.50),
    (0.43, 0.45),
    5,
)  # of the template, (down, across) in shares of the side
BORDER = 0.05  # share of the side
PIXELS = 8
SIGMAS = (0.01, 0.02, 0.04, 0.08)  # of the side
GRAY = 128
BATCH = 256


@dataclass(frozen=True)
class Alteration:
    """One way to change images; called with uint8 (N, 1, S, S) it returns changed copies."""

    name: str  # as a folder
    title: str  # as it is read
    change: Callable[[Tensor], Tensor]  # float (B, 1, S, S) in 0..255 to the same
    retrained: bool = False  # whether a classifier is trained on images altered so
    lungless: bool = False  # whether it leaves no lung to look at

    def __call__(self, images: Tensor) -> Tensor:
        return torch.cat(
            [
                self.change(batch.float()).round().clamp(0, 255).to(torch.uint8)
                for batch in images.split(BATCH)
            ]
        )


def lung_template(size: int) -> Tensor:
    """Bool (size, size), true where the lungs of a frontal radiograph are expected, and around them."""
    at = (torch.arange(size) + 0.5) / size
    down, across = (
        ((at - centre).abs() / half) ** EXPONENT for centre, half in zip(CENTRE, HALF_AXES)
    )
    return down[:, None] + across <= 1


def lungs_covered(images: Tensor) -> Tensor:
    return images.masked_fill(lung_template(images.shape[-1]), 0)


def border_only(images: Tensor) -> Tensor:
    """The outermost 5 % of the side at each edge, all within in one gray."""
    ring = max(1, round(BORDER * images.shape[-1]))
    left = images.clone()
    left[..., ring:-ring, ring:-ring] = GRAY
    return left


def in_few_pixels(images: Tensor) -> Tensor:
    """Means of 8×8 fields, enlarged again between their centres."""
    return interpolate(adaptive_avg_pool2d(images, PIXELS), images.shape[2:], mode="bilinear")


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Convolved with a Gaussian of standard deviation sigma · S pixels; beyond the edge, the edge is repeated."""
    pixels = sigma * images.shape[-1]
    reach = math.ceil(4 * pixels)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / pixels) ** 2)
    kernel = kernel / kernel.sum()
    padded = pad(images, (reach, reach, reach, reach), mode="replicate")
    return conv2d(conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


WHOLE = Alteration("whole", "whole images", Tensor.clone)
ALTERATIONS = (
    WHOLE,
    Alteration("lungs-covered", "lungs covered", lungs_covered, retrained=True, lungless=True),
    Alteration("border-only", "only the border left", border_only, retrained=True, lungless=True),
    Alteration("few-pixels", f"{PIXELS}×{PIXELS} pixels", in_few_pixels, retrained=True),
    *(
        Alteration(
            f"blurred-{100 * sigma:.0f}",
            f"blurred, σ {100 * sigma:.0f}\u00a0% of the side",
            partial(blurred, sigma=sigma),
        )
        for sigma in SIGMAS
    ),
)
