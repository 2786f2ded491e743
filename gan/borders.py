"""Black borders of films: straight, sharp and flat, where a detector or a lightbox ends.

Between a film with a border and one without there is nothing, so a generator that has to learn
borders leaves most of them out: a quarter of the normal images that the defaults were developed on
have one, and a tenth of the samples had. Here nothing is learned: a sample gets the borders of a
training image of its class, drawn by lot, and the generator draws what is inside, knowing them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SIDES = 4  # left, right, top, bottom
BLACK = 16  # gray levels of 255, at most
BLACK_SHARE = 0.97  # of a line's pixels, at least; the rest may be a letter
DEEPEST = 0.3  # of an image's side, at most
SLOTS = 1024  # the training images of a class fill so many slots


class Borders(nn.Module):
    """What draws borders into pictures, and chooses them by the latents."""

    depths: Tensor  # of each slot, as shares of the side: (classes, SLOTS, SIDES)

    def __init__(self, *, classes: int) -> None:
        super().__init__()
        self.register_buffer("depths", torch.zeros(classes, SLOTS, SIDES))

    def fit(self, images: Tensor, labels: Tensor) -> None:
        """Take the borders of each class's images.

        Args:
            images: (N, 1, S, S) uint8.
            labels: (N,); every class has an image.
        """
        for label, depths in enumerate(self.depths):
            own = measure_borders(images[labels == label].squeeze(1))  # (n, SIDES)
            depths.copy_(own[torch.arange(SLOTS) * len(own) // SLOTS] / images.shape[-1])

    def choose(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return the borders (B, SIDES) of samples, as shares of the side.

        The slot is the angle of a latent's last two numbers, which is uniform whatever the scale of
        latents (B, latent_size) is.
        """
        turn = torch.atan2(latents[:, -1], latents[:, -2]) / (2 * math.pi) + 0.5  # (B,) in 0..1
        return self.depths[labels, (turn * SLOTS).long().clamp(max=SLOTS - 1)]

    def forward(self, images: Tensor, borders: Tensor) -> Tensor:
        """Return images (B, C, S, S) in −1..1 with these borders (B, SIDES) black."""
        side = images.shape[-1]
        left, right, top, bottom = (borders * side).round().view(-1, SIDES, 1, 1, 1).unbind(1)
        line = torch.arange(side, device=images.device)
        column, row = line.view(1, 1, 1, -1), line.view(1, 1, -1, 1)
        sides = (column < left) | (column >= side - right)  # (B, 1, 1, S)
        ends = (row < top) | (row >= side - bottom)  # (B, 1, S, 1)
        return images.masked_fill(sides | ends, -1.0)


def measure_borders(images: Tensor) -> Tensor:
    """Measure how many lines at each side of images (N, S, S) uint8 are black: (N, SIDES).

    0 where they are more than DEEPEST: a dark image is no border.
    """
    black = (images <= BLACK).float()
    columns, rows = (black.mean(dim=dim) >= BLACK_SHARE for dim in (1, 2))  # (N, S) each
    sides = torch.stack([columns, columns.flip(1), rows, rows.flip(1)], dim=1)  # (N, SIDES, S)
    depths = sides.long().cumprod(dim=2).sum(dim=2)
    return torch.where(depths <= DEEPEST * images.shape[-1], depths, 0)
