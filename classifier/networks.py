"""Networks from gray images to class logits, each in two parts.

The trunk is fixed and may be computed once per image; the head is trained. A small CNN from scratch
has only a scaling for a trunk. An ImageNet network has its first stages, and its last ones too
while they are frozen, under a head of dense layers: VGG16's is CovidGAN's (Waheed et al. 2020:
average pooling, dense 64, ReLU, dropout 0.5), ResNet's is one linear layer, as in its paper.
"""

from __future__ import annotations

import copy
from itertools import pairwise

from torch import Tensor, nn

from classifier.pretrained import MODELS, FirstStages, Pooled, Trunk

CNN_WIDTHS = (16, 32, 64, 128)


class Network(nn.Module):
    """Images (B, 1, S, S) in 0..255 to logits (B, classes), by a fixed trunk and a trained head."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk.requires_grad_(False).eval()
        self.head = head

    @property
    def has_fixed_features(self) -> bool:
        """Whether the trunk is worth computing only once: a mere scaling is not."""
        return not isinstance(self.trunk, ScaledPixels)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.trunk(images))

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        self.trunk.eval()
        return self


class ScaledPixels(nn.Module):
    """Images in 0..255 to float of zero mean and unit scale, roughly."""

    def forward(self, images: Tensor) -> Tensor:
        return (images.float() - 127.5) / 64


class Unfrozen(nn.Sequential):
    """The last stages of a pretrained trunk, trained at a tenth of the learning rate."""


def build(arch: str, classes: int, trunk: Trunk | None = None, unfreeze: int = 0) -> Network:
    """Build a network with fresh head weights from torch's global generator.

    trunk: of an ImageNet architecture, see `pretrained.load_trunk`; it is left as it is.
    unfreeze: how many of its last stages go into the head as copies.
    """
    if arch == "cnn":
        return Network(ScaledPixels(), _build_cnn(classes))
    if trunk is None or trunk.arch != arch:
        raise ValueError(f"{arch} needs its pretrained trunk; load one with load_trunk")
    dense = _build_dense(arch, classes)
    if not unfreeze:
        return Network(trunk, nn.Sequential(*dense))
    stages = copy.deepcopy(trunk.stages[len(trunk.stages) - unfreeze :]).requires_grad_(True)
    return Network(FirstStages(trunk, unfreeze), nn.Sequential(Unfrozen(*stages), Pooled(), *dense))


def _build_dense(arch: str, classes: int) -> list[nn.Module]:
    """Build the layers on the pooled features of an ImageNet network."""
    features = MODELS[arch].features
    if arch == "vgg16":
        return [nn.Linear(features, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, classes)]
    return [nn.Linear(features, classes)]


def _build_cnn(classes: int) -> nn.Sequential:
    """Build four blocks of convolution, pooling, BatchNorm and ReLU, and a linear layer.

    The last block has no pooling; the linear layer works on its mean. The first convolution
    strides, and pooling goes before what is done to each value: on a CPU that takes two thirds of
    the time away.
    """
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise((1, *CNN_WIDTHS)), start=1):
        if number == 1:
            layers.append(nn.Conv2d(before, after, 5, stride=2, padding=2, bias=False))
        else:
            layers.append(nn.Conv2d(before, after, 3, padding=1, bias=False))
        if number < len(CNN_WIDTHS):
            layers.append(nn.MaxPool2d(2))
        layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(CNN_WIDTHS[-1], classes),
    )
