"""Images with something taken away, to see what a classifier lives on.

Lungs covered, lungs alone, only the border left, or detail blurred away. The lungs are covered in
two ways, and neither is all of the truth. One template is the same for every image: a superellipse
|dx/0.45|⁵ + |dy/0.43|⁵ ≤ 1 around the point (0.50, 0.48) of the side, 74 % of a picture. It is
crude: it covers heart, spine and diaphragm too, and at the flanks of a tightly collimated film it
may leave a rim of lung. But its shape tells nothing. Masks, where there are any, cover the lungs
and nothing else; yet their outline is still to be seen, and opacities change it. How much the
outline tells by itself is asked too.

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
    """One way to change images.

    Attributes:
        name: As a folder.
        title: As it is read.
        change: Of float images (B, 1, S, S) in 0..255 to the same; where it is by_mask, also of
            lungs, bool (B, 1, S, S).
        retrained: Whether a classifier is trained on images altered so.
        lungless: Whether it leaves no lung to look at.
        by_mask: Whether it has to know where the lungs of each image are.
    """

    name: str
    title: str
    change: Callable[..., Tensor]
    retrained: bool = False
    lungless: bool = False
    by_mask: bool = False

    def __call__(self, images: Tensor, lungs: Tensor | None = None) -> Tensor:
        """Return changed copies of uint8 images (N, 1, S, S).

        lungs: Where they are, bool (N, 1, S, S); taken by an alteration that is by_mask.
        """
        known = () if lungs is None or not self.by_mask else (lungs.split(IMAGES_AT_ONCE),)
        return torch.cat(
            [
                self.change(batch.float(), *masks).round().clamp(0, 255).to(torch.uint8)
                for batch, *masks in zip(images.split(IMAGES_AT_ONCE), *known, strict=True)
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


def cover_masks(images: Tensor, lungs: Tensor) -> Tensor:
    """Lay one gray over the lungs."""
    return images.masked_fill(lungs, FILL_GRAY)


def keep_lungs(images: Tensor, lungs: Tensor) -> Tensor:
    """Lay one gray over everything but the lungs."""
    return images.masked_fill(~lungs, FILL_GRAY)


def keep_box(images: Tensor, lungs: Tensor) -> Tensor:
    """Lay one gray over everything outside of the smallest box around both lungs."""
    size = images.shape[-1]
    place = torch.arange(size)
    is_inside = []
    for dimension in (3, 2):  # rows of the box, then columns
        has_lung = lungs.any(dim=dimension).squeeze(1)  # (B, S)
        first = has_lung.int().argmax(dim=1, keepdim=True)
        last = size - 1 - has_lung.flip(1).int().argmax(dim=1, keepdim=True)
        is_inside.append((place >= first) & (place <= last))
    rows, columns = is_inside
    box = rows[:, None, :, None] & columns[:, None, None, :]
    return images.masked_fill(~box, FILL_GRAY)


def keep_outline(images: Tensor, lungs: Tensor) -> Tensor:
    """Draw the lungs white on black, with nothing of the image."""
    return 255 * lungs.to(images.dtype)


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
    Alteration(
        "lungs-masked",
        "lungs covered by masks",
        cover_masks,
        retrained=True,
        lungless=True,
        by_mask=True,
    ),
    Alteration(
        "outline-only",
        "outline of the lungs",
        keep_outline,
        retrained=True,
        lungless=True,
        by_mask=True,
    ),
    Alteration("lungs-only", "lungs alone", keep_lungs, retrained=True, by_mask=True),
    Alteration("box-only", "box of the lungs alone", keep_box, retrained=True, by_mask=True),
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
