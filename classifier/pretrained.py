"""ImageNet networks as trunks, in stages, with their published weights.

VGG16 (Simonyan & Zisserman 2015), ResNet-18 and -50 (He et al. 2016). Gray is repeated into three
channels, brought to 112 px, CovidGAN's size, and normalised as the weights expect.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from classifier.weights import cached, downloaded, read_state_dict
from runtime.checkpoint import shapes_alone
from runtime.files import sha256_of
from runtime.options import OptionError
from runtime.randomness import torch_generator

INPUT = 112  # pixels
Normalisation = tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation

# The normalisations that published weights expect: the Caffe release's of VGG16, and that of
# torchvision's own training.
CAFFE_NORMALISATION: Normalisation = ((0.48235, 0.45882, 0.40784), (1 / 255, 1 / 255, 1 / 255))
TORCHVISION_NORMALISATION: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
DOWNLOADS = "https://download.pytorch.org/models/"  # where torchvision has its weights from
TORCHVISION_V1_SHA256 = "397923af"  # vgg16-397923af.pth


@dataclass(frozen=True)
class Model:
    """A published network, as torchvision makes it.

    Attributes:
        url: Where its weights are.
        features: How many features it ends in.
        normalisation: What its weights expect.
    """

    url: str
    features: int
    normalisation: Normalisation


MODELS = {
    "vgg16": Model(DOWNLOADS + "vgg16_features-amdegroot-88682ab5.pth", 512, CAFFE_NORMALISATION),
    "resnet18": Model(DOWNLOADS + "resnet18-f37072fd.pth", 512, TORCHVISION_NORMALISATION),
    "resnet50": Model(DOWNLOADS + "resnet50-11ad3fa6.pth", 2048, TORCHVISION_NORMALISATION),
}


class Trunk(nn.Module):
    """Images (B, 1, S, S) in 0..255 to the pooled last feature map (B, features), by five stages.

    The weights are to be loaded or initialised: a new one has whatever is in memory.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, arch: str, normalisation: Normalisation | None = None) -> None:
        super().__init__()
        self.arch = arch
        self.stages = nn.ModuleList(_stages(_outline(arch))).to_empty(device="cpu")
        mean, std = normalisation or MODELS[arch].normalisation
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def extra_repr(self) -> str:
        return f"{self.arch}, input {INPUT} px"

    def forward(self, images: Tensor) -> Tensor:
        return self.feature_map(images).float().mean(dim=(2, 3))

    def feature_map(self, images: Tensor) -> Tensor:
        """Return the last feature map (B, C, H, W)."""
        x = interpolate(images.float() / 255, (INPUT, INPUT), mode="bilinear", antialias=True)
        x = (x - self.mean) / self.std  # (B, 3, 112, 112)
        x = x.contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            x = stage(x)
        return x


class FirstStages(nn.Module):
    """The feature map after all but the last stages of a trunk, whose weights it shares."""

    def __init__(self, trunk: Trunk, without: int) -> None:
        super().__init__()
        self.trunk = copy.copy(trunk)
        self.trunk._modules = {"stages": trunk.stages[: len(trunk.stages) - without]}

    def forward(self, images: Tensor) -> Tensor:
        return self.trunk.feature_map(images)


class Pooled(nn.Module):
    """Feature maps (B, C, H, W) to their means (B, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean(dim=(2, 3))


def load_trunk(arch: str, file: Path | None = None) -> Trunk:
    """Load a trunk with ImageNet weights, from a file or from torchvision's download and cache.

    file: a state dict of torchvision's network, whole or only its trunk, in any float type; "none"
    for fresh weights. Raises OptionError that names the file and what was expected, ConnectionError
    when the download fails.
    """
    if str(file) == "none":
        return _initialised_trunk(arch).to(memory_format=torch.channels_last)
    normalisation = MODELS[arch].normalisation
    if file is None:
        weights = downloaded(arch, MODELS[arch].url)
    elif not Path(file).is_file():
        raise OptionError(
            "weights",
            file,
            f"no such file; expected {arch} weights as saved by torchvision, or none",
        )
    else:
        weights = read_state_dict(Path(file))
        if arch == "vgg16" and sha256_of(Path(file)).startswith(TORCHVISION_V1_SHA256):
            normalisation = TORCHVISION_NORMALISATION
    trunk = Trunk(arch, normalisation)
    trunk.stages.load_state_dict(_stage_weights(trunk, weights, file))
    return trunk.to(memory_format=torch.channels_last)


def cached_weights(arch: str) -> Path:
    """Return where torchvision's download of the weights is kept; the file may be absent."""
    return cached(MODELS[arch].url)


def _initialised_trunk(arch: str) -> Trunk:
    """Make a trunk with fresh weights, drawn as torchvision draws them but always the same.

    So a run without pretrained weights can be resumed and repeated.
    """
    trunk, generator = Trunk(arch), torch_generator(0, "trunk", arch)
    for module in trunk.stages.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(
                module.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    return trunk


def _stage_weights(
    trunk: Trunk, weights: Mapping[str, Tensor], file: Path | None
) -> dict[str, Tensor]:
    """Take the weights of a trunk's stages from a state dict of torchvision's network."""
    names = _torchvision_names(trunk.arch)
    expected = trunk.stages.state_dict()
    for name, tensor in expected.items():
        if names[name] not in weights or weights[names[name]].shape != tensor.shape:
            raise OptionError(
                "weights",
                file,
                f"not {trunk.arch} weights, {names[name]} is absent or of another shape; expected "
                f"names and shapes of torchvision's {trunk.arch}",
            )
    return {name: weights[names[name]].to(tensor.dtype) for name, tensor in expected.items()}


def _outline(arch: str) -> nn.Module:
    """Make torchvision's network without memory for its tensors.

    Of the layers that are not needed, 124 million weights of VGG16, none is ever made.
    """
    from torchvision import models  # which takes as long as PyTorch itself

    options = {"init_weights": False} if arch == "vgg16" else {}
    with shapes_alone():
        return models.get_model(arch, weights=None, **options)


def _stages(network: nn.Module) -> list[nn.Module]:
    """Cut torchvision's network into five stages, each ending where the map gets smaller."""
    parts = dict(network.named_children())
    layers = parts.get("features")
    if isinstance(layers, nn.Sequential):  # VGG's
        ends = [index for index, layer in enumerate(layers, 1) if isinstance(layer, nn.MaxPool2d)]
        return [layers[start:end] for start, end in pairwise([0, *ends])]
    first = nn.Sequential(*(parts[name] for name in ("conv1", "bn1", "relu", "maxpool")))
    return [first, *(parts[f"layer{number}"] for number in range(1, 5))]


def _torchvision_names(arch: str) -> dict[str, str]:
    """Name each tensor of a trunk's stages as torchvision's state dict does."""
    network = _outline(arch)
    names = {
        id(tensor): name for name, tensor in [*network.named_parameters(), *network.named_buffers()]
    }
    stages = nn.ModuleList(_stages(network))
    return {
        name: names[id(tensor)]
        for name, tensor in [*stages.named_parameters(), *stages.named_buffers()]
    }
