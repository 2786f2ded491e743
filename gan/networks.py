"""Generator and discriminator of a class-conditional DCGAN for small sets of radiographs.

The shape is DCGAN's (Radford et al. 2016): a projected latent grows from 4×4 by doublings, and a
mirror of strided 4×4 convolutions judges it. What is different, each for small data:

- The generator starts as probabilistic PCA (Tipping & Bishop 1999). Its latents drive the principal
  components of each class at a quarter of the resolution, so that from the first step on its images
  vary as the reals do; the convolutions learn what a Gaussian cannot draw. A generator that starts
  from noise first shows one picture for every latent, and spends most of a small budget, or all of
  it, on finding variety.
- The black borders of its images are those of training images (see `gan.borders`).
- Nearest-neighbour upsampling and a 3×3 convolution in place of free transposed convolutions
  (Odena et al. 2016: no checkerboards).
- Pixelwise feature normalisation (Karras et al. 2018, section 4.2) in place of BatchNorm: an image
  depends on its own latent alone, in training as in sampling, for the average of weights as for the
  weights, in one process as in many.
- No normalisation in the discriminator; its gradients are penalised instead.
- Classes enter by an embedding beside the latent and by projection (Miyato & Koyama 2018, eq. 3).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import (
    adaptive_avg_pool2d,
    conv2d,
    conv_transpose2d,
    leaky_relu,
)

from gan.borders import SIDES, Borders
from gan.growth import Growing, double, feature_widths, halve
from gan.resize import enlarging_matrix, resample, resize

COARSE = 4  # the principal components live at this fraction of the resolution, or at the first side
BLOCK_COLUMNS = 8  # that a GPU convolves as channels: its matrix units take no fewer
REGISTER = 32  # numbers in bfloat16 that a CPU's register holds
SLOPE = 0.2  # of the LeakyReLU below zero
EDGE = 0.97  # gray levels beyond ±EDGE are drawn in for the PCA, where tanh has no inverse


class UpsampleConv(nn.Conv2d):
    """Nearest-neighbour doubling and a 3×3 convolution, computed as one transposed convolution.

    Of the nine taps at an output pixel several fall on the same input pixel. Summing those taps
    first gives a 4×4 kernel at stride 2 with the same result in 4/9 of the arithmetic (Karras et
    al. 2018, progressive GAN, the "fused scale" of its code). (B, C, H, W) → (B, C', 2H, 2W).
    """

    summed_taps: Tensor  # which of the nine taps are summed at each place, (16, 9) of 0 and 1

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3, padding=1)
        rows = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32)
        summed_taps = torch.from_numpy(np.kron(rows, rows))
        self.register_buffer("summed_taps", summed_taps, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            taps = self.weight.permute(2, 3, 1, 0).reshape(9, -1)  # (9, before · after)
            summed = (self.summed_taps @ taps).view(4, 4, *self.weight.shape[1::-1])
            # (before, after, 4, 4), in the order that the convolution would else bring it to
            kernel = summed.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)
        return conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)


class BlockedConv(nn.Conv2d):
    """A convolution that on CUDA takes a block of columns for one, with as many times the channels.

    The matrix units of a GPU take no fewer than eight channels. An image has one, and its
    convolution in half precision took as long as those of all features. In NHWC order the columns
    of a block are channels already, so that nothing is moved; of the taps of the wider kernel most
    are zero. Same weights, same result, but for rounding. On a CPU it would only be slower.
    (B, C, S, S) → (B, C', S / stride, S / stride), S a multiple of BLOCK_COLUMNS.
    """

    placed_taps: Tensor  # where each tap of a line goes, (outputs, columns, 3 blocks, taps) of 0, 1

    def __init__(self, before: int, after: int, taps: int, *, stride: int = 1) -> None:
        super().__init__(before, after, taps, stride=stride, padding=1)
        outputs = BLOCK_COLUMNS // stride
        output, column, block, tap = np.ogrid[:outputs, :BLOCK_COLUMNS, :3, :taps]
        is_placed = BLOCK_COLUMNS * (block - 1) + column == stride * output + tap - 1
        placed_taps = torch.from_numpy(is_placed.astype(np.float32))
        self.register_buffer("placed_taps", placed_taps, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolve_blocks(x) if x.is_cuda else super().forward(x)

    def convolve_blocks(self, x: Tensor) -> Tensor:
        """Return the same, computed by blocks."""
        assert self.bias is not None
        with torch.autocast(x.device.type, enabled=False):
            taps = torch.einsum("ojbt,acrt->oajcrb", self.placed_taps, self.weight)
            kernel = taps.flatten(2, 3).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        rows = x.permute(0, 2, 3, 1)  # (B, S, S, C)
        blocks = rows.unflatten(2, (-1, BLOCK_COLUMNS)).flatten(3).permute(0, 3, 1, 2)
        stride = self.stride[0]
        bias = self.bias.repeat(BLOCK_COLUMNS // stride)
        y = conv2d(blocks, kernel, bias, stride=(stride, 1), padding=1).permute(0, 2, 3, 1)
        return y.unflatten(3, (-1, self.out_channels)).flatten(2, 3).permute(0, 3, 1, 2)


def normalise(x: Tensor) -> Tensor:
    """Scale features (B, C, H, W) to a mean square of 1 over each pixel's channels; LeakyReLU."""
    return _Normalised.apply(x) if x.requires_grad else _normalise(x)[0]


def _normalise(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the result (B, C, H, W) and the scale of each pixel, (B, 1, H, W) in float32."""
    precise = torch.promote_types(x.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=precise)
    scale = torch.rsqrt(norm.square() / x.shape[1] + 1e-6)
    return leaky_relu(x * _spread(scale, x), SLOPE, inplace=True), scale


def _spread(factors: Tensor, x: Tensor) -> Tensor:
    """Return factors (B, 1, H, W) for every channel of x (B, C, H, W), in its precision.

    A CPU multiplies channels fewer than its registers hold by one number eight times as slowly as
    by a number for each.
    """
    spread = factors.to(x.dtype).expand_as(x)
    if x.device.type == "cpu" and x.dtype == torch.bfloat16 and x.shape[1] < REGISTER:
        return spread.contiguous(memory_format=torch.channels_last)
    return spread


class _Normalised(torch.autograd.Function):
    """`normalise` with its gradient written out, in a third of the passes over memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y, scale = _normalise(x)
        ctx.save_for_backward(x, scale)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # y = s · f(x) with f the LeakyReLU and s = (mean x² + ε)^(−1/2), so that
        # dL/dx = s · f'(x) · dL/dy − s³ · x · mean(f'(x) · dL/dy · x).
        x, scale = ctx.saved_tensors
        before = torch.ops.aten.leaky_relu_backward(gradient, x, SLOPE, False)
        mean = (before * x).mean(dim=1, keepdim=True, dtype=scale.dtype)
        before.mul_(_spread(scale, x))
        return before.addcmul_(x, _spread(mean * scale**3, x), value=-1)


def one_hot(labels: Tensor, table: Tensor) -> Tensor:
    """Return (B, classes), 1 at each label (B,) and 0 elsewhere, in the precision of a table.

    Its product with the table (classes, F) has the row of each label. The gradient of a product is
    summed in one order: that of plain indexing is summed by threads in any, and a resumed run would
    differ.
    """
    classes = torch.arange(len(table), device=labels.device)
    return (labels.unsqueeze(1) == classes).to(table.dtype)


class Generator(Growing):
    """Latents (B, latent_size) and labels (B,) to images (B, channels, S, S) in −1..1.

    In training S is its present side; in evaluation it is image_size, to which a picture of
    another side is brought by the filter that reads the reals.
    """

    enlarging: Tensor  # from `coarse` to the first side

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
        self.image_size = image_size
        widths = feature_widths(image_size, sides[-1], width, most=8 * width)
        self.coarse = min(image_size // COARSE, sides[0])
        enlarging = enlarging_matrix(self.coarse, sides[0] // self.coarse)
        self.register_buffer("enlarging", enlarging, persistent=False)
        self.mean = nn.Parameter(torch.zeros(classes, self.coarse**2))
        self.components = nn.Parameter(torch.zeros(classes, latent_size, self.coarse**2))
        self.embedding = nn.Embedding(classes, latent_size)
        self.project = nn.Linear(2 * latent_size, widths[4] * 16)
        self.blocks = nn.ModuleList(
            UpsampleConv(before, after) for before, after in itertools.pairwise(widths.values())
        )
        self.from_coarse = BlockedConv(1, widths[self.coarse], 3)
        heads = {str(side): BlockedConv(widths[side], channels, 3) for side in sides}
        self.to_image = nn.ModuleDict(heads)
        self.borders = Borders(classes=classes)
        self.project_borders = nn.Linear(SIDES, widths[4] * 16, bias=False)
        initialise(self)
        nn.init.zeros_(self.project_borders.weight)
        for head in heads.values():
            nn.init.zeros_(head.weight)  # the start is the PCA, then the stage before

    @torch.no_grad()
    def fit_pca(self, images: Tensor, labels: Tensor) -> None:
        """Set each class's mean and principal components to those of its images.

        Args:
            images: (N, C, S, S) in −1..1.
            labels: (N,); every class has an image.
        """
        gray = images.mean(dim=1, keepdim=True).clamp(-EDGE, EDGE)
        flat = adaptive_avg_pool2d(torch.atanh(gray), self.coarse).flatten(1)  # (N, coarse²)
        for index in range(len(self.mean)):
            rows = flat[labels == index]
            mean = rows.mean(dim=0)
            _, scales, directions = torch.linalg.svd(rows - mean, full_matrices=False)
            kept = min(len(self.components[index]), len(scales))
            stds = scales[:kept, None] / math.sqrt(max(len(rows) - 1, 1))  # (kept, 1)
            self.mean[index] = mean
            self.components[index, :kept] = directions[:kept] * stds

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        borders = self.borders.choose(latents, labels)  # (B, SIDES)
        with torch.autocast(latents.device.type, enabled=False):
            chosen = one_hot(labels, self.mean)  # (B, classes)
            coarse = self._draw_coarse(latents, chosen)
            embedded = chosen @ self.embedding.weight  # (B, latent_size)
        picture = resample(coarse, self.enlarging)
        x = self.project(torch.cat([latents, embedded], dim=1)) + self.project_borders(borders)
        x = x.unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        x, side = normalise(x), 4  # (B, widths[4], 4, 4)
        for block in self.blocks:
            if side == self.coarse:
                x = x + self.from_coarse(coarse)
            x, side = normalise(block(x)), 2 * side  # (B, widths[side], side, side)
            if side >= self.sides[0]:
                picture = self._add_detail(picture, x, side)
            if side == self.side:
                break
        image = self.borders(torch.tanh(picture), borders)
        return image if self.training else resize(image, self.image_size, side).clamp(-1, 1)

    def _add_detail(self, picture: Tensor, x: Tensor, side: int) -> Tensor:
        """Return the picture at this side, with what features x of it add."""
        # The picture's precision: bfloat16 would leave 256 levels in bands.
        detail = self.to_image[str(side)](x).to(picture.dtype)
        if side == self.sides[0]:
            return picture + detail
        return double(picture) + (self.fade * detail if side == self.side else detail)

    def _draw_coarse(self, latents: Tensor, chosen: Tensor) -> Tensor:
        """Return mean + latent · components of each class as maps (B, 1, coarse, coarse)."""
        components = chosen @ self.components.flatten(1)  # (B, latent_size · coarse²)
        coarse = torch.baddbmm(
            (chosen @ self.mean).unsqueeze(1),
            latents.unsqueeze(1),
            components.unflatten(1, (-1, self.coarse**2)),
        )  # (B, 1, coarse²)
        return coarse.view(-1, 1, self.coarse, self.coarse)


class Discriminator(Growing):
    """Images (B, channels, S, S) and labels (B,) to one logit each (B,), in float32.

    In training S is its present side; in evaluation images are brought to it.
    """

    def __init__(
        self, *, image_size: int, sides: Sequence[int], channels: int, classes: int, width: int
    ) -> None:
        super().__init__(sides)
        widths = feature_widths(image_size, sides[-1] // 2, width, most=8 * width)
        self.from_image = nn.ModuleDict(
            {
                str(side): _rectified(BlockedConv(channels, widths[side // 2], 4, stride=2))
                for side in reversed(sides)
            }
        )
        self.blocks = nn.ModuleDict(
            {
                str(side): _rectified(
                    nn.Conv2d(widths[side], widths[side // 2], 4, stride=2, padding=1)
                )
                for side in sorted(widths, reverse=True)
                if side > 4
            }
        )
        features = widths[4] * 16
        # A bias would cancel between real and fake.
        self.validity = nn.Linear(features, 1, bias=False)
        self.embedding = nn.Embedding(classes, features)
        initialise(self)
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(features))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        if not self.training:
            images = resize(images, self.side)
        side = self.side // 2
        x = self.from_image[str(self.side)](images)  # (B, widths[side], side, side)
        if self.fade < 1:
            before = self.from_image[str(side)](halve(images))
            x = torch.lerp(before, self.blocks[str(side)](x), self.fade)
            side //= 2
        while side > 4:
            x, side = self.blocks[str(side)](x), side // 2
        features = x.flatten(1)  # (B, 16 · widths[4])
        with torch.autocast(images.device.type, enabled=False):
            features = features.to(self.validity.weight.dtype)
            table = self.embedding.weight  # (classes, 16 · widths[4])
            of_class = one_hot(labels, table) @ table
            return self.validity(features).squeeze(1) + (of_class * features).sum(1)


def _rectified(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.LeakyReLU(SLOPE, inplace=True))


def initialise(network: nn.Module) -> None:
    """Draw weights that keep the scale of activations (He et al. 2015); set biases to zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=SLOPE)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_features))
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            nn.init.zeros_(module.bias)
