"""Segmentor and critic of a lung network in the manner of SegAN.

Xue et al. 2018, "SegAN: adversarial network with multi-scale L1 loss for medical image
segmentation" (arXiv 1706.01805); a critic on chest X-rays: Dai et al. 2017, "SCAN" (arXiv
1703.08770). Departures, for few images and small machines: the segmentor is a narrow U-Net
(Ronneberger et al. 2015) that works at a half of the resolution and below, and it sees each image
with its own mean and spread taken out.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, pad

LEAK = 0.2  # slope of LeakyReLU below 0


class Segmentor(nn.Module):
    """Images (B, 1, S, S) in 0..1 to logits of lung (B, 1, S, S); S a multiple of 16."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 3 * width, 4 * width]  # at S/2, S/4, S/8, S/16
        self.down = nn.ModuleList(
            nn.Sequential(_convolve(before, after, stride=2), _convolve(after, after))
            for before, after in itertools.pairwise([1, *widths])
        )
        self.doubling = Doubling()
        self.up = nn.ModuleList(
            _convolve(above + below, below)
            for below, above in reversed(list(itertools.pairwise(widths)))
        )
        self.head = nn.Sequential(nn.Conv2d(width, 4, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, images: Tensor) -> Tensor:
        spread, mean = torch.std_mean(images, dim=(1, 2, 3), keepdim=True)
        x = (images - mean) / (spread + 1e-3)
        features = []
        for layer in self.down:
            x = layer(x)
            features.append(x)
        x = features.pop()  # (B, 4·width, S/16, S/16)
        for layer in self.up:
            x = layer(torch.cat([self.doubling(x), features.pop()], dim=1))
        return self.head(x)


class Doubling(nn.Module):
    """Feature maps (B, C, H, W) at twice the side, bilinearly.

    As a convolution, since the gradient of PyTorch's interpolation is summed on CUDA in any order.
    """

    kernel: Tensor  # (4, 4)

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(line, line), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, 1, 4, 4)
        edged = pad(x, (1, 1, 1, 1), mode="replicate")
        return conv_transpose2d(edged, kernel, stride=2, padding=3, groups=channels)


class Critic(nn.Module):
    """Masked images (B, 1, S, S) to their features at every scale, the images first.

    Strided 4×4 convolutions with BatchNorm and LeakyReLU, whose weights are kept within ±CLIP as
    those of a Wasserstein critic are (Arjovsky et al. 2017).
    """

    CLIP = 0.05

    def __init__(self, *, width: int) -> None:
        super().__init__()
        widths = [1, width, 2 * width, 4 * width, 8 * width]
        self.layers = nn.ModuleList(
            _convolve(before, after, stride=2, kernel=4)
            for before, after in itertools.pairwise(widths)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        features = [images]
        for layer in self.layers:
            features.append(layer(features[-1]))
        return features

    @torch.no_grad()
    def clip(self) -> None:
        """Bring the weights of the convolutions back within ±CLIP."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.clamp_(-self.CLIP, self.CLIP)


def _convolve(before: int, after: int, *, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.LeakyReLU(LEAK, inplace=True),
    )
