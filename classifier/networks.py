"""Networks from gray images to class logits, each in two parts.

The trunk is fixed and may be computed once per image; the head is trained. A small CNN from scratch has
only a normalisation for a trunk; VGG16 (Simonyan & Zisserman 2015) has its ImageNet convolutions, frozen,
under the head of CovidGAN (Waheed et al. 2020): average pooling, dense 64, ReLU, dropout 0.5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models import VGG16_Weights, vgg16

from runtime.files import sha256_of

VGG16_INPUT = 112  # pixels; CovidGAN's
CNN_WIDTHS = (16, 32, 64, 128)
# The two normalisations that published VGG16 weights expect: the Caffe release's and torchvision's own training's.
CAFFE_NORMALISATION = ((0.48235, 0.45882, 0.40784), (1 / 255, 1 / 255, 1 / 255))
TORCHVISION_NORMALISATION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
TORCHVISION_V1_SHA256 = "397923af"  # vgg16-397923af.pth


class Network(nn.Module):
    """uint8 images (B, 1, S, S) to logits (B, classes), through a fixed trunk and a trained head."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk.requires_grad_(False).eval()
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.trunk(images))

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        self.trunk.eval()
        return self


class ScaledPixels(nn.Module):
    """uint8 (B, 1, S, S) to float of zero mean and unit scale, roughly."""

    def forward(self, images: Tensor) -> Tensor:
        return (images.float() - 127.5) / 64


class Vgg16Trunk(nn.Module):
    """uint8 (B, 1, S, S) to the pooled last feature map of VGG16 (B, 512).

    Gray is repeated into three channels, enlarged or reduced to 112 px, and normalised as the weights expect.
    """

    def __init__(self, normalisation: tuple[tuple[float, ...], tuple[float, ...]] = CAFFE_NORMALISATION) -> None:
        super().__init__()
        with torch.device("meta"):  # the dense layers, 124 million weights, are never made
            features = vgg16(weights=None, init_weights=False).features
        self.features = features.to_empty(device="cpu")  # to be loaded
        self.register_buffer("mean", torch.tensor(normalisation[0]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(normalisation[1]).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        x = interpolate(images.float() / 255, (VGG16_INPUT, VGG16_INPUT), mode="bilinear", antialias=True)
        x = (x - self.mean) / self.std  # (B, 3, 112, 112)
        return self.features(x.contiguous(memory_format=torch.channels_last)).float().mean(dim=(2, 3))


def build(arch: str, classes: int, trunk: nn.Module | None = None) -> Network:
    """A network with fresh head weights from torch's global generator; vgg16 takes its trunk, see `load_vgg16_trunk`."""
    if arch == "cnn":
        return Network(ScaledPixels(), _cnn(classes))
    if trunk is None:
        raise ValueError("vgg16 needs its pretrained trunk; load one with load_vgg16_trunk")
    head = nn.Sequential(nn.Linear(512, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, classes))
    return Network(trunk, head)


def _cnn(classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in zip((1, *CNN_WIDTHS), CNN_WIDTHS):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(CNN_WIDTHS[-1], classes))


def load_vgg16_trunk(file: Path | None = None) -> Vgg16Trunk:
    """VGG16's convolutions with ImageNet weights, from a file or from torchvision's download and cache.

    file: a state dict of torchvision's vgg16, whole or only its `features.…`, in any float type.
    Raises FileNotFoundError or ValueError with the file and what was expected, ConnectionError when the
    download fails.
    """
    if file is None:
        weights, normalisation = _downloaded(), CAFFE_NORMALISATION
    else:
        if not Path(file).is_file():
            raise FileNotFoundError(f"--weights {file}: no such file; expected VGG16 weights as saved by torchvision")
        weights = _read_state_dict(Path(file))
        whole_v1 = sha256_of(Path(file)).startswith(TORCHVISION_V1_SHA256)
        normalisation = TORCHVISION_NORMALISATION if whole_v1 else CAFFE_NORMALISATION
    trunk = Vgg16Trunk(normalisation)
    expected = {f"features.{name}": tensor for name, tensor in trunk.features.state_dict().items()}
    wrong = [name for name, tensor in expected.items() if name not in weights or weights[name].shape != tensor.shape]
    if wrong:
        raise ValueError(f"--weights {file}: not VGG16 weights, {wrong[0]} is absent or of another shape; expected features.0.weight and so on")
    trunk.features.load_state_dict({name.removeprefix("features."): weights[name].float() for name in expected})
    return trunk.to(memory_format=torch.channels_last)


def cached_vgg16_weights() -> Path:
    """Where torchvision's download of the weights is kept; the file may be absent."""
    return Path(torch.hub.get_dir()) / "checkpoints" / VGG16_Weights.IMAGENET1K_FEATURES.url.rsplit("/", 1)[1]


def _downloaded() -> Mapping[str, Tensor]:
    url = VGG16_Weights.IMAGENET1K_FEATURES.url
    try:
        return torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except (URLError, OSError) as error:
        raise ConnectionError(
            f"VGG16's weights cannot be downloaded ({error}); fetch {url} elsewhere and name it with --weights FILE or put it at {cached_vgg16_weights()}"
        ) from error


def _read_state_dict(file: Path) -> Mapping[str, Tensor]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"--weights {file}: cannot be read as a state dict ({type(error).__name__}); expected one saved by torch.save") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"--weights {file}: holds no state dict; expected names and tensors")
    return state


def weights_hash(module: nn.Module) -> str:
    """SHA-256 over a module's parameters in float32 and their names, so that the same weights in any container agree."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.named_parameters()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
