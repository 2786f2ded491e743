"""The networks of progressive growing: PGGAN (Karras et al. 2018, "Progressive growing of GANs").

From 4×4 on, each stage adds two 3×3 convolutions to both networks (table 2): equalised learning
rate (section 4.1), pixelwise normalisation in the generator (4.2), the minibatch's standard
deviation as a last map in the discriminator (section 3), nearest-neighbour doubling and mean
halving, a linear output. Trained by WGAN-GP with n_critic 1 and a drift term, Adam 1e-3 without
momentum and started anew at each stage, an average of the generator with decay 0.999. At 64 px
`width` 512 gives the paper's channels; at 128 px 256 does, at 256 px 128.

Departures: classes, which the paper does not have, enter as in its published code, one-hot beside
the latent and as a class head (AC-GAN) of the discriminator; stages are as long as `stage_steps`
says, where the paper shows 1.2 million reals in each; what fades is doubled bilinearly; the latent
vector is brought to the unit sphere's radius √latent_size by the generator; images have `channels`
equal channels of gray.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, linear, one_hot

from gan.config import PGGAN_FIRST_SIDE
from gan.growth import Growing, double, feature_widths, halve
from gan.resize import resize

MAX_WIDTH = 512  # channels of the coarse features


class EqualisedConv(nn.Module):
    """A convolution whose weights, from N(0, 1), are scaled by He's constant as it runs.

    So all weights have the same range, and the same learning rate. (B, C, H, W) → (B, C', H, W),
    or by `valid` to (B, C', H − kernel + 1, …).
    """

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int,
        *,
        gain: float = math.sqrt(2),
        valid: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(after))
        self.scale = gain / math.sqrt(before * kernel**2)
        self.padding = 0 if valid else kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class EqualisedLinear(nn.Module):
    """The same for a matrix product, (B, N) → (B, M)."""

    def __init__(self, before: int, after: int, *, gain: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before))
        self.bias = nn.Parameter(torch.zeros(after))
        self.scale = gain / math.sqrt(before)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight * self.scale, self.bias)


def normalise(x: Tensor) -> Tensor:
    """Scale features (B, C, …) to a mean square of 1 over their channels."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class Activation(nn.Module):
    """LeakyReLU and pixelwise normalisation of features (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return normalise(leaky_relu(x, 0.2))


def append_deviation(x: Tensor) -> Tensor:
    """Append to features (B, C, H, W) one map of their mean standard deviation over the batch."""
    deviation = (x.var(dim=0, correction=0) + 1e-8).sqrt().mean()
    return torch.cat([x, deviation.expand(len(x), 1, *x.shape[2:])], dim=1)


class Generator(Growing):
    """Latents (B, latent_size) and labels (B,) to images (B, channels, S, S) in about −1..1.

    In training S is its present side; in evaluation it is image_size, to which a picture of
    another side is brought, and no pixel is outside of −1..1.
    """

    def __init__(
        self,
        *,
        image_size: int,
        sides: Sequence[int],
        channels: int,
        classes: int,
        latent_size: int,
        width: int,
    ) -> None:
        super().__init__(sides)
        self.image_size, self.classes = image_size, classes
        widths = feature_widths(sides[-1], sides[-1], width, most=MAX_WIDTH)
        # The gain of the first layer is the published code's.
        self.project = EqualisedLinear(
            latent_size + classes,
            widths[PGGAN_FIRST_SIDE] * PGGAN_FIRST_SIDE**2,
            gain=math.sqrt(2) / 4,
        )
        self.first = nn.Sequential(
            Activation(),
            EqualisedConv(widths[PGGAN_FIRST_SIDE], widths[PGGAN_FIRST_SIDE], 3),
            Activation(),
        )
        self.blocks = nn.ModuleDict(
            {
                str(side): nn.Sequential(
                    EqualisedConv(widths[side // 2], widths[side], 3),
                    Activation(),
                    EqualisedConv(widths[side], widths[side], 3),
                    Activation(),
                )
                for side in widths
                if side > PGGAN_FIRST_SIDE
            }
        )
        self.to_image = nn.ModuleDict(
            {str(side): EqualisedConv(widths[side], channels, 1, gain=1.0) for side in sides}
        )

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        classes = one_hot(labels, self.classes).to(latents)
        x = normalise(torch.cat([latents, classes], dim=1))
        x = self.project(x).unflatten(1, (-1, PGGAN_FIRST_SIDE, PGGAN_FIRST_SIDE))
        x = before = self.first(x.contiguous(memory_format=torch.channels_last))
        side = PGGAN_FIRST_SIDE
        while side < self.side:
            side *= 2
            before, x = x, interpolate(x, scale_factor=2, mode="nearest")
            x = self.blocks[str(side)](x)  # (B, widths[side], side, side)
        image = self.to_image[str(self.side)](x).float()
        if self.fade < 1:
            image_before = self.to_image[str(self.side // 2)](before).float()
            image = torch.lerp(double(image_before), image, self.fade)
        return image if self.training else resize(image, self.image_size, self.side).clamp(-1, 1)


class Discriminator(Growing):
    """Images (B, channels, S, S) to validity logits (B,) and class logits (B, classes).

    The labels are not looked at. In training S is its present side; in evaluation images are
    brought to it.
    """

    def __init__(
        self, *, image_size: int, sides: Sequence[int], channels: int, classes: int, width: int
    ) -> None:
        super().__init__(sides)
        widths = feature_widths(sides[-1], sides[-1], width, most=MAX_WIDTH)
        self.from_image = nn.ModuleDict(
            {str(side): EqualisedConv(channels, widths[side], 1) for side in sides}
        )
        self.blocks = nn.ModuleDict(
            {
                str(side): nn.Sequential(
                    EqualisedConv(widths[side], widths[side], 3),
                    nn.LeakyReLU(0.2),
                    EqualisedConv(widths[side], widths[side // 2], 3),
                    nn.LeakyReLU(0.2),
                    nn.AvgPool2d(2),
                )
                for side in widths
                if side > PGGAN_FIRST_SIDE
            }
        )
        last = widths[PGGAN_FIRST_SIDE]
        self.last = nn.Sequential(
            EqualisedConv(last + 1, last, 3),
            nn.LeakyReLU(0.2),
            EqualisedConv(last, last, PGGAN_FIRST_SIDE, valid=True),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
        )
        self.heads = EqualisedLinear(last, 1 + classes, gain=1.0)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            images = resize(images, self.side)
        x = leaky_relu(self.from_image[str(self.side)](images), 0.2)
        side = self.side
        while side > PGGAN_FIRST_SIDE:
            x = self.blocks[str(side)](x)  # (B, widths[side / 2], side / 2, side / 2)
            if side == self.side and self.fade < 1:
                before = leaky_relu(self.from_image[str(side // 2)](halve(images)), 0.2)
                x = torch.lerp(before, x, self.fade)
            side //= 2
        output = self.heads(self.last(append_deviation(x)))  # (B, 1 + classes)
        return output[:, 0], output[:, 1:]
