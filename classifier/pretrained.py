"""ImageNet networks as trunks: VGG16 (Simonyan & Zisserman 2015), ResNet-18 and -50 (He et al. 2016), in stages, with their published weights.

Gray is repeated into three channels, brought to 112 px, CovidGAN's size, and normalised as the weights expect.
"""

from __future__ import annotations

import copy
import errno
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision import models

from runtime.files import sha256_of

INPUT = 112  # pixels
# The normalisations that published weights expect: the Caffe release's of VGG16, and that of torchvision's own training.
CAFFE_NORMALISATION = ((0.48235, 0.45882, 0.40784), (1 / 255, 1 / 255, 1 / 255))
TORCHVISION_NORMALISATION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
TORCHVISION_V1_SHA256 = "397923af"  # vgg16-397923af.pth


@dataclass(frozen=True)
class Model:
    """A published network: how it is made, where its weights are, how many features it ends in."""

    make: Callable[..., nn.Module]
    weights: models.WeightsEnum
    features: int
    normalisation: tuple[tuple[float, ...], tuple[float, ...]]


MODELS = {
    "vgg16": Model(
        models.vgg16, models.VGG16_Weights.IMAGENET1K_FEATURES, 512, CAFFE_NORMALISATION
    ),
    "resnet18": Model(
        models.resnet18, models.ResNet18_Weights.IMAGENET1K_V1, 512, TORCHVISION_NORMALISATION
    ),
    "resnet50": Model(
        models.resnet50, models.ResNet50_Weights.IMAGENET1K_V2, 2048, TORCHVISION_NORMALISATION
    ),
}


class Trunk(nn.Module):
    """Images (B, 1, S, S) in 0..255 to the pooled last feature map (B, features), through five stages."""

    def __init__(
        self, arch: str, normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    ) -> None:
        super().__init__()
        self.arch = arch
        self.stages = nn.ModuleList(_stages(_outline(arch))).to_empty(
            device="cpu"
        )  # to be loaded or initialised
        mean, std = normalisation or MODELS[arch].normalisation
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def extra_repr(self) -> str:
        return f"{self.arch}, input {INPUT} px"

    def forward(self, images: Tensor) -> Tensor:
        return self.feature_map(images).float().mean(dim=(2, 3))

    def feature_map(self, images: Tensor) -> Tensor:
        """The last feature map (B, C, H, W)."""
        x = interpolate(images.float() / 255, (INPUT, INPUT), mode="bilinear", antialias=True)
        x = ((x - self.mean) / self.std).contiguous(
            memory_format=torch.channels_last
        )  # (B, 3, 112, 112)
        for stage in self.stages:
            x = stage(x)
        return x


class FirstStages(nn.Module):
    """The feature map after all but the last `without` stages of a trunk, whose weights it shares."""

    def __init__(self, trunk: Trunk, without: int) -> None:
        super().__init__()
        self.trunk = copy.copy(trunk)
        self.trunk._modules = {"stages": trunk.stages[: len(trunk.stages) - without]}

    def forward(self, images: Tensor) -> Tensor:
        return self.trunk.feature_map(images)


class Pooled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean(dim=(2, 3))


def _outline(arch: str) -> nn.Module:
    """torchvision's network without memory for its tensors: of the layers that are not needed, 124 million weights of VGG16, none is ever made."""
    with torch.device("meta"):
        return MODELS[arch].make(
            weights=None, **({"init_weights": False} if arch == "vgg16" else {})
        )


def _stages(network: nn.Module) -> list[nn.Module]:
    if isinstance(network, models.VGG):
        ends = [
            index + 1
            for index, layer in enumerate(network.features)
            if isinstance(layer, nn.MaxPool2d)
        ]
        return [network.features[start:end] for start, end in zip([0, *ends], ends)]
    return [
        nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool),
        network.layer1,
        network.layer2,
        network.layer3,
        network.layer4,
    ]


def _names(arch: str) -> dict[str, str]:
    """For each tensor of a trunk's stages, its name in torchvision's state dict."""
    network = _outline(arch)
    theirs = {
        id(tensor): name for name, tensor in [*network.named_parameters(), *network.named_buffers()]
    }
    stages = nn.ModuleList(_stages(network))
    return {
        name: theirs[id(tensor)]
        for name, tensor in [*stages.named_parameters(), *stages.named_buffers()]
    }


def load_trunk(arch: str, file: Path | None = None) -> Trunk:
    """A trunk with ImageNet weights, from a file or from torchvision's download and cache.

    file: a state dict of torchvision's network, whole or only its trunk, in any float type; "none" for fresh weights.
    Raises FileNotFoundError or ValueError with the file and what was expected, ConnectionError when the download fails.
    """
    if str(file) == "none":
        trunk = Trunk(arch)
        for module in trunk.stages.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        return trunk.to(memory_format=torch.channels_last)
    normalisation = MODELS[arch].normalisation
    if file is None:
        weights = downloaded(arch, MODELS[arch].weights.url)
    else:
        if not Path(file).is_file():
            raise FileNotFoundError(
                f"--weights {file}: no such file; expected {arch} weights as saved by torchvision, or none"
            )
        weights = read_state_dict(Path(file))
        if arch == "vgg16" and sha256_of(Path(file)).startswith(TORCHVISION_V1_SHA256):
            normalisation = TORCHVISION_NORMALISATION
    trunk, names = Trunk(arch, normalisation), _names(arch)
    expected = trunk.stages.state_dict()
    wrong = [
        names[name]
        for name, tensor in expected.items()
        if names[name] not in weights or weights[names[name]].shape != tensor.shape
    ]
    if wrong:
        raise ValueError(
            f"--weights {file}: not {arch} weights, {wrong[0]} is absent or of another shape; expected names and shapes of torchvision's {arch}"
        )
    trunk.stages.load_state_dict(
        {name: weights[names[name]].to(tensor.dtype) for name, tensor in expected.items()}
    )
    return trunk.to(memory_format=torch.channels_last)


def cached_weights(arch: str) -> Path:
    """Where torchvision's download of the weights is kept; the file may be absent."""
    return cached(MODELS[arch].weights.url)


def cached(url: str) -> Path:
    """Where torch.hub keeps what it has downloaded from there; the file may be absent."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]


def downloaded(name: str, url: str) -> Mapping[str, Tensor]:
    """A state dict from torch.hub's cache or from the network, held against the hash in its file name.

    name: whose weights they are. Raises ConnectionError that says which file to fetch and where to put it.
    """
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    except (URLError, OSError) as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            error.filename = str(cached(url))
            raise  # the disk, not the network
        raise ConnectionError(
            f"the weights of {name} cannot be downloaded ({error}); fetch {url} elsewhere and name it with --weights FILE or put it at {cached(url)}"
        ) from error
    except RuntimeError as error:  # its hash is wrong
        raise ConnectionError(
            f"the download of {url} is damaged ({error}); try again, or name the file with --weights FILE"
        ) from error


def read_state_dict(file: Path) -> Mapping[str, Tensor]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"--weights {file}: cannot be read as a state dict ({type(error).__name__}); expected one saved by torch.save"
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(value, Tensor) for value in state.values()
    ):
        raise ValueError(f"--weights {file}: holds no state dict; expected names and tensors")
    return state


def weights_hash(module: nn.Module) -> str:
    """SHA-256 over a module's parameters in float32 and their names, so that the same weights in any container agree."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.named_parameters()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
