"""The Inception network of the Fréchet Inception distance (Szegedy et al. 2016; Heusel et al. 2017), for pytorch-fid's weights file.

That file holds TensorFlow's network of 2015, whose average pools leave the padding out of the count, and which pools by the maximum in
its last block. What is computed is the same, in another order, for speed:

- BatchNorm, a fixed affine map here, is folded into the convolution before it;
- gray is one channel: the first convolution's weights are summed over its three equal inputs;
- all branches of a block that begin with a 1×1 convolution of the block's input share one convolution;
- a 1×1 convolution and an average commute, so the pooled branch is averaged after its convolution, over fewer channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, max_pool2d
from torchvision import models

from classifier.pretrained import cached, downloaded, read_state_dict
from runtime.files import sha256_of

URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d"  # how it begins
INPUT = 299  # pixels
AT_ONCE = 4  # images on a CPU, which bounds the memory: an early layer holds 6 MB for each
EPSILON = 1e-3  # of BatchNorm
UNUSED = ("num_batches_tracked", "fc.weight", "fc.bias")

STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
# The branches of each kind of block, in the order of their outputs. A tuple at a branch's end: both, one beside the other.
KINDS: dict[str, tuple[Sequence[str | tuple[str, str]], ...]] = {
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
BLOCKS = {
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
STRIDED = {
    "B": ("branch3x3", "branch3x3dbl_3"),
    "D": ("branch3x3_2", "branch7x7x3_4"),
}  # these halve the map, without padding


class Inception(nn.Module):
    """uint8 images (B, 1, H, W) to the 2048 averaged features of pytorch-fid, float32 (B, 2048)."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        """state: pytorch-fid's state dict; it is emptied on the way, so that its weights are not in memory twice."""
        super().__init__()
        stem = [_folded(state, name) for name in STEM]
        stem[0] = (stem[0][0].sum(dim=1, keepdim=True), stem[0][1])
        self.stem = nn.ModuleList(
            [
                Convolution(*stem[0], stride=2),
                Convolution(*stem[1]),
                Convolution(*stem[2], padded=True),
                Convolution(*stem[3]),
                Convolution(*stem[4]),
            ]
        )
        self.blocks = nn.ModuleList(
            [
                Block(state, f"Mixed_{name}", kind, pool="max" if name == "7c" else "average")
                for name, kind in BLOCKS.items()
            ]
        )

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            return torch.cat(
                [
                    self._features(part)
                    for part in images.split(
                        AT_ONCE if images.device.type == "cpu" else len(images)
                    )
                ]
            )

    def _features(self, images: Tensor) -> Tensor:
        x = interpolate(images.float() / 255, (INPUT, INPUT), mode="bilinear", align_corners=False)
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
    """The network with weights from a file of pytorch-fid's layout, or from its download, which is checked and kept as torch.hub does.

    Raises FileNotFoundError or ValueError with the file and what was expected, ConnectionError when the download fails.
    """
    if file is None:
        state = dict(_downloaded())
    elif not file.is_file():
        raise FileNotFoundError(
            f"--weights {file}: no such file; expected pytorch-fid's Inception weights, {URL}"
        )
    else:
        state = dict(read_state_dict(file))
    with torch.device("meta"):
        expected = models.inception_v3(
            num_classes=1008, aux_logits=False, weights=None, init_weights=False
        ).state_dict()
    wrong = [
        name
        for name, tensor in expected.items()
        if not name.endswith(UNUSED) and (name not in state or state[name].shape != tensor.shape)
    ]
    if wrong:
        raise ValueError(
            f"--weights {file}: not pytorch-fid's Inception weights, {wrong[0]} is absent or of another shape; expected the layout of {URL}"
        )
    return Inception(state)


def is_published(file: Path) -> bool:
    """Whether a weights file is pytorch-fid's, by the hash in its name."""
    return sha256_of(file).startswith(SHA256)


def cached_inception() -> Path:
    """Where the download of the weights is kept; the file may be absent."""
    return cached(URL)


def _downloaded() -> Mapping[str, Tensor]:
    kept = cached_inception()
    if kept.exists() and not is_published(kept):
        raise ValueError(
            f"{kept} is damaged or of another hash than {SHA256}…; delete it, or name the file with --weights FILE"
        )
    return downloaded("inception", URL)


class Convolution(nn.Module):
    """A convolution and ReLU."""

    def __init__(
        self, weight: Tensor, bias: Tensor, *, stride: int = 1, padded: bool = False
    ) -> None:
        super().__init__()
        self.weight, self.bias = _fixed(weight), _fixed(bias)
        self.stride = stride
        self.padding = (weight.shape[2] // 2, weight.shape[3] // 2) if padded else (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight, self.bias, self.stride, self.padding).relu_()


class Block(nn.Module):
    """A mixed block. Its branches that begin with a 1×1 convolution begin together, in `entry`."""

    def __init__(self, state: dict[str, Tensor], name: str, kind: str, pool: str) -> None:
        super().__init__()
        strided = STRIDED.get(kind, ())

        def layer(one: str) -> Convolution:
            return Convolution(
                *_folded(state, f"{name}.{one}"),
                stride=2 if one in strided else 1,
                padded=one not in strided,
            )

        self.pool = "halving" if strided else pool
        joined = [branch[0] for branch in KINDS[kind] if branch[0] not in strided] + (
            [] if strided or pool == "max" else ["branch_pool"]
        )
        folded = [_folded(state, f"{name}.{one}") for one in joined]
        self.widths = [len(bias) for _, bias in folded]
        self.weight, self.bias = (
            _fixed(torch.cat([weight for weight, _ in folded])),
            _fixed(torch.cat([bias for _, bias in folded])),
        )
        self.begins = [branch[0] not in strided for branch in KINDS[kind]]
        rest = [
            branch[1:] if begins else branch for branch, begins in zip(KINDS[kind], self.begins)
        ]
        self.branches = nn.ModuleList(
            [
                nn.ModuleList(
                    [
                        nn.ModuleList(map(layer, one)) if isinstance(one, tuple) else layer(one)
                        for one in branch
                    ]
                )
                for branch in rest
            ]
        )
        self.after_pool = layer("branch_pool") if self.pool == "max" else None

    def forward(self, x: Tensor) -> Tensor:
        entered = list(conv2d(x, self.weight, self.bias).split(self.widths, dim=1))
        found = []
        for begins, branch in zip(self.begins, self.branches):
            y = entered.pop(0).relu() if begins else x
            for layer in branch:
                y = (
                    torch.cat([one(y) for one in layer], dim=1)
                    if isinstance(layer, nn.ModuleList)
                    else layer(y)
                )
            found.append(y)
        if self.pool == "halving":
            found.append(max_pool2d(x, 3, 2))
        elif self.pool == "max":
            found.append(self.after_pool(max_pool2d(x, 3, 1, 1)))
        else:
            found.append(avg_pool2d(entered.pop(0), 3, 1, 1, count_include_pad=False).relu_())
        return torch.cat(found, dim=1)


def _fixed(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(
        tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor,
        requires_grad=False,
    )


def _folded(state: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution `name` with its BatchNorm folded in."""
    scale, shift, mean, variance = (
        state.pop(f"{name}.bn.{part}").double()
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = scale / (variance + EPSILON).sqrt()
    return state.pop(f"{name}.conv.weight").float() * factor.float()[:, None, None, None], (
        shift - mean * factor
    ).float()
