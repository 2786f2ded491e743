"""Losses of a lung network: pure functions of tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss


def pixel_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return cross-entropy plus 1 − Dice, () of logits and masks (B, 1, S, S), masks in 0..1.

    Soft Dice of each image, over the sum of both areas (Milletari et al. 2016, section 3, with
    areas in place of their squares).
    """
    chances = logits.sigmoid()
    both = (chances * masks).sum(dim=(1, 2, 3))  # (B,)
    areas = chances.sum(dim=(1, 2, 3)) + masks.sum(dim=(1, 2, 3))
    dice = (2 * both + 1) / (areas + 1)
    return binary_cross_entropy_with_logits(logits, masks) + 1 - dice.mean()


def multi_scale_l1(true: Sequence[Tensor], drawn: Sequence[Tensor]) -> Tensor:
    """Return the mean over scales of the mean absolute difference of features, ().

    The loss of SegAN (Xue et al. 2018). true, drawn: a critic's features of the image under the
    true mask and under the drawn one, scale by scale.
    """
    return torch.stack([l1_loss(a, b) for a, b in zip(true, drawn, strict=True)]).mean()
