"""The Inception network of the Fréchet Inception distance, for pytorch-fid's weights file.

Szegedy et al. 2016; Heusel et al. 2017. That file holds TensorFlow's network of 2015, whose average
pools leave the padding out of the count, and which pools by the maximum in its last block. What is
computed is the same, in another order, for speed:

- BatchNorm, a fixed affine map here, is folded into the convolution before it;
- gray is one channel: the first convolution's weights are summed over its three equal inputs;
- all branches of a block that begin with a 1×1 convolution of the block's input share one
  convolution;
- a 1×1 convolution and an average commute, so the pooled branch is averaged after its convolution,
  over fewer channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, max_pool2d

from classifier.weights import cached, downloaded, read_state_dict
from runtime.checkpoint import shapes_alone
from runtime.files import sha256_of
from runtime.options import OptionError

WEIGHTS_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)
WEIGHTS_SHA256 = "6726825d"  # how it begins
INPUT_SIZE = 299  # pixels
CPU_BATCH = 4  # images at once, which bounds the memory: an early layer holds 6 MB for each
BATCH_NORM_EPSILON = 1e-3
UNUSED_WEIGHTS = ("num_batches_tracked", "fc.weight", "fc.bias")

Layer = str | tuple[str, str]

STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
# The branches of each kind of block, in the order of their outputs. A tuple at a branch's end: both
# layers take its input, and their outputs are joined.
BRANCHES: dict[str, tuple[tuple[Layer, ...], ...]] = {
    "A": (
        ("branch1x1",),
        ("branch5x5_1", "branch5x5_2"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
    ),
    "B": (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")),
    "C": (
        ("branch1x1",),
        ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
        tuple(f"branch7x7dbl_{number}" for number in range(1, 6)),
    ),
    "D": (("branch3x3_1", "branch3x3_2"), tuple(f"branch7x7x3_{number}" for number in range(1, 5))),
    "E": (
        ("branch1x1",),
        ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
        ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
    ),
}
BLOCK_KINDS = {
    "5b": "A",
    "5c": "A",
    "5d": "A",
    "6a": "B",
    "6b": "C",
    "6c": "C",
    "6d": "C",
    "6e": "C",
    "7a": "D",
    "7b": "E",
    "7c": "E",
}
STRIDED_LAYERS = {  # these halve the map, without padding
    "B": ("branch3x3", "branch3x3dbl_3"),
    "D": ("branch3x3_2", "branch7x7x3_4"),
}


class Inception(nn.Module):
    """uint8 images (B, 1, H, W) to the 2048 averaged features of pytorch-fid, float32 (B, 2048)."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        """Take the weights of pytorch-fid's state dict.

        It is emptied on the way, so that its weights are not in memory twice.
        """
        super().__init__()
        first, *others = (_fold(state, name) for name in STEM)
        self.stem = nn.ModuleList(
            [
                Convolution(first[0].sum(dim=1, keepdim=True), first[1], stride=2),
                Convolution(*others[0]),
                Convolution(*others[1], padded=True),
                Convolution(*others[2]),
                Convolution(*others[3]),
            ]
        )
        self.blocks = nn.ModuleList(
            [
                Block(state, f"Mixed_{name}", kind, pool="max" if name == "7c" else "average")
                for name, kind in BLOCK_KINDS.items()
            ]
        )

    def forward(self, images: Tensor) -> Tensor:
        batch_size = CPU_BATCH if images.device.type == "cpu" else len(images)
        with torch.autocast(images.device.type, enabled=False):
            return torch.cat([self._features(part) for part in images.split(batch_size)])

    def _features(self, images: Tensor) -> Tensor:
        x = images.float() / 255
        x = interpolate(x, (INPUT_SIZE, INPUT_SIZE), mode="bilinear", align_corners=False)
        x = (2 * x - 1).contiguous(memory_format=torch.channels_last)
        for layer in self.stem[:3]:
            x = layer(x)
        x = max_pool2d(x, 3, 2)  # (B, 64, 73, 73)
        for layer in self.stem[3:]:
            x = layer(x)
        x = max_pool2d(x, 3, 2)  # (B, 192, 35, 35)
        for block in self.blocks:
            x = block(x)
        return x.mean(dim=(2, 3))


def load_inception(file: Path | None = None) -> Inception:
    """Load the network from a file of pytorch-fid's layout, or from its download.

    That is checked and kept as torch.hub does. Raises ValueError with the file and what was
    expected, ConnectionError when the download fails.
    """
    from torchvision import models  # which takes as long as PyTorch itself

    if file is None:
        state = dict(_download())
    elif not file.is_file():
        raise OptionError(
            "weights",
            file,
            f"no such file; expected pytorch-fid's Inception weights, {WEIGHTS_URL}",
        )
    else:
        state = dict(read_state_dict(file))
    with shapes_alone():
        expected = models.inception_v3(
            num_classes=1008, aux_logits=False, weights=None, init_weights=False
        ).state_dict()
    wrong = [
        name
        for name, tensor in expected.items()
        if not name.endswith(UNUSED_WEIGHTS)
        and (name not in state or state[name].shape != tensor.shape)
    ]
    if wrong:
        raise OptionError(
            "weights",
            file,
            f"not pytorch-fid's Inception weights, {wrong[0]} is absent or of another shape; "
            f"expected the layout of {WEIGHTS_URL}",
        )
    return Inception(state)


def is_published(file: Path) -> bool:
    """Say whether a weights file is pytorch-fid's, by the hash in its name."""
    return sha256_of(file).startswith(WEIGHTS_SHA256)


def cached_inception() -> Path:
    """Return where the download of the weights is kept; the file may be absent."""
    return cached(WEIGHTS_URL)


def _download() -> Mapping[str, Tensor]:
    kept = cached_inception()
    if kept.exists() and not is_published(kept):
        raise ValueError(
            f"{kept} is damaged or of another hash than {WEIGHTS_SHA256}…; delete it, or name the "
            "file with --weights FILE"
        )
    return downloaded("inception", WEIGHTS_URL)


class Convolution(nn.Module):
    """A convolution and ReLU."""

    def __init__(
        self, weight: Tensor, bias: Tensor, *, stride: int = 1, padded: bool = False
    ) -> None:
        super().__init__()
        self.weight, self.bias = _freeze(weight), _freeze(bias)
        self.stride = stride
        self.padding = (weight.shape[2] // 2, weight.shape[3] // 2) if padded else (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight, self.bias, self.stride, self.padding).relu_()


class Block(nn.Module):
    """A mixed block. Its branches that begin with a 1×1 convolution begin together."""

    def __init__(self, state: dict[str, Tensor], name: str, kind: str, pool: str) -> None:
        super().__init__()
        branches, strided = BRANCHES[kind], STRIDED_LAYERS.get(kind, ())

        def layer(layer_name: str) -> Convolution:
            halves = layer_name in strided
            weight, bias = _fold(state, f"{name}.{layer_name}")
            return Convolution(weight, bias, stride=2 if halves else 1, padded=not halves)

        def module(names: Layer) -> nn.Module:
            return nn.ModuleList(map(layer, names)) if isinstance(names, tuple) else layer(names)

        self.pool = "halving" if strided else pool
        self.joins_entry = [branch[0] not in strided for branch in branches]
        joined = [branch[0] for branch in branches if branch[0] not in strided]
        if self.pool == "average":
            joined.append("branch_pool")
        entries = [_fold(state, f"{name}.{layer_name}") for layer_name in joined]
        self.widths = [len(bias) for _, bias in entries]
        self.weight = _freeze(torch.cat([weight for weight, _ in entries]))
        self.bias = _freeze(torch.cat([bias for _, bias in entries]))
        self.branches = nn.ModuleList(
            [
                nn.ModuleList(map(module, branch[1:] if joins else branch))
                for branch, joins in zip(branches, self.joins_entry, strict=True)
            ]
        )
        self.after_pool = layer("branch_pool") if self.pool == "max" else None

    def forward(self, x: Tensor) -> Tensor:
        entered = list(conv2d(x, self.weight, self.bias).split(self.widths, dim=1))
        outputs = []
        for joins, branch in zip(self.joins_entry, self.branches, strict=True):
            y = entered.pop(0).relu() if joins else x
            for layer in branch.children():
                if isinstance(layer, nn.ModuleList):
                    y = torch.cat([part(y) for part in layer], dim=1)
                else:
                    y = layer(y)
            outputs.append(y)
        if self.after_pool is not None:
            outputs.append(self.after_pool(max_pool2d(x, 3, 1, 1)))
        elif self.pool == "halving":
            outputs.append(max_pool2d(x, 3, 2))
        else:
            outputs.append(avg_pool2d(entered.pop(0), 3, 1, 1, count_include_pad=False).relu_())
        return torch.cat(outputs, dim=1)


def _freeze(tensor: Tensor) -> nn.Parameter:
    layout = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
    return nn.Parameter(tensor.contiguous(memory_format=layout), requires_grad=False)


def _fold(state: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Take weight and bias of the convolution `name` with its BatchNorm folded in."""
    scale, shift, mean, variance = (
        state.pop(f"{name}.bn.{part}").double()
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = scale / (variance + BATCH_NORM_EPSILON).sqrt()
    weight = state.pop(f"{name}.conv.weight").float() * factor.float()[:, None, None, None]
    return weight, (shift - mean * factor).float()
