"""Images with something taken away, to see what a classifier lives on.

Lungs covered, only the border left, or detail blurred away. The lungs are found by no network but
lie under one template, the same for every image: a superellipse |dx/0.45|⁵ + |dy/0.43|⁵ ≤ 1 around
the point (0.50, 0.48) of the side, 74 % of a picture. It is crude: it covers heart, spine and
diaphragm too, and at the flanks of a tightly collimated film it may leave a rim of lung. But its
shape tells nothing, while the outline of lungs found image by image would: opacities change it.

Black squares in the middle of the picture: Maguolo & Nanni 2020, "A critic evaluation of methods
for COVID-19 automatic detection from X-ray images".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d, interpolate, pad

# The template of the lungs, (down, across) in shares of the side.
TEMPLATE_CENTRE = (0.48, 0.50)
TEMPLATE_HALF_AXES = (0.43, 0.45)
TEMPLATE_EXPONENT = 5
BORDER_WIDTH = 0.05  # share of the side
COARSE_SIDE = 8  # pixels
BLUR_SIGMAS = (0.01, 0.02, 0.04, 0.08)  # of the side
FILL_GRAY = 128
IMAGES_AT_ONCE = 256


@dataclass(frozen=True)
class Alteration:
    """One way to change images; called with uint8 (N, 1, S, S) it returns changed copies.

    Attributes:
        name: As a folder.
        title: As it is read.
        change: Of float images (B, 1, S, S) in 0..255 to the same.
        retrained: Whether a classifier is trained on images altered so.
        lungless: Whether it leaves no lung to look at.
    """

    name: str
    title: str
    change: Callable[[Tensor], Tensor]
    retrained: bool = False
    lungless: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        return torch.cat(
            [
                self.change(batch.float()).round().clamp(0, 255).to(torch.uint8)
                for batch in images.split(IMAGES_AT_ONCE)
            ]
        )


def lung_template(size: int) -> Tensor:
    """Mark where the lungs of a frontal radiograph are expected, and around them.

    Returns bool (size, size).
    """
    position = (torch.arange(size) + 0.5) / size
    down, across = (
        ((position - centre).abs() / half_axis) ** TEMPLATE_EXPONENT
        for centre, half_axis in zip(TEMPLATE_CENTRE, TEMPLATE_HALF_AXES, strict=True)
    )
    return down[:, None] + across <= 1


def cover_lungs(images: Tensor) -> Tensor:
    """Blacken the lungs and what is around them."""
    return images.masked_fill(lung_template(images.shape[-1]), 0)


def keep_border(images: Tensor) -> Tensor:
    """Keep the outermost 5 % of the side at each edge, all within in one gray."""
    width = max(1, round(BORDER_WIDTH * images.shape[-1]))
    altered = images.clone()
    altered[..., width:-width, width:-width] = FILL_GRAY
    return altered


def coarsen(images: Tensor) -> Tensor:
    """Take the means of 8×8 fields, and enlarge them again between their centres."""
    return interpolate(adaptive_avg_pool2d(images, COARSE_SIDE), images.shape[2:], mode="bilinear")


def blur(images: Tensor, sigma: float) -> Tensor:
    """Convolve with a Gaussian of standard deviation sigma · S pixels.

    Beyond the edge, the edge is repeated.
    """
    pixels = sigma * images.shape[-1]
    reach = math.ceil(4 * pixels)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / pixels) ** 2)
    kernel = kernel / kernel.sum()
    padded = pad(images, (reach, reach, reach, reach), mode="replicate")
    return conv2d(conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


WHOLE = Alteration("whole", "whole images", Tensor.clone)
ALTERATIONS = (
    WHOLE,
    Alteration("lungs-covered", "lungs covered", cover_lungs, retrained=True, lungless=True),
    Alteration("border-only", "only the border left", keep_border, retrained=True, lungless=True),
    Alteration("few-pixels", f"{COARSE_SIDE}×{COARSE_SIDE} pixels", coarsen, retrained=True),
    *(
        Alteration(
            f"blurred-{100 * sigma:.0f}",
            f"blurred, σ {100 * sigma:.0f}\u00a0% of the side",
            partial(blur, sigma=sigma),
        )
        for sigma in BLUR_SIGMAS
    ),
)
