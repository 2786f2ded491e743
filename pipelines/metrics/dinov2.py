"""DINOv2's vision transformer and RAD-DINO, the same network taught on chest X-rays.

Oquab et al. 2024 ("DINOv2: Learning Robust Visual Features without Supervision"); its ViT-L/14 at
224 px is the network of FD-DINOv2 (Stein et al. 2023, "Exposing flaws of generative model
evaluation metrics"). Pérez-García et al. 2025 ("Exploring scalable medical image encoders beyond
text supervision"): ViT-B/14 at 518 px, the network of CheXGenBench (Dutt et al. 2025).

The feature is the class token after the last normalisation. Weights are read under their original
names or under those of Hugging Face's `transformers`. A layer's scale is folded into the linear map
before it. Files with register tokens, or of ViT-g, are other networks and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, scaled_dot_product_attention

from classifier.weights import fetched, read_state_dict
from runtime.files import sha256_of
from runtime.options import OptionError

PATCH = 14  # pixels
HEAD_WIDTH = 64
CPU_BATCH = 4  # images at once, which bounds the memory
NORM_EPSILON = 1e-6
POSITION_OFFSET = 0.1  # that DINOv2 adds to the number of patches when it resizes positions

Layer = TypeVar("Layer", nn.Linear, nn.LayerNorm, nn.Conv2d)

DINOV2 = "https://dl.fbaipublicfiles.com/dinov2"
RAD_DINO = (
    "https://huggingface.co/microsoft/rad-dino/resolve/"
    "110cbc18d5133582e320b43d53bf5c44e410c936/model.safetensors"
)


@dataclass(frozen=True)
class Published:
    """What a network of this kind is shown, and where its weights are.

    Attributes:
        url, file_name: The download, and its name in the cache.
        sha256: Of the files that are the network's own; the first is the download's.
        input_size: Pixels; images are brought to it by bicubic interpolation.
        mean, std: Of the three channels.
    """

    url: str
    file_name: str
    sha256: tuple[str, ...]
    input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


PUBLISHED = {
    "dinov2": Published(
        url=f"{DINOV2}/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
        file_name="dinov2_vitl14_pretrain.pth",
        sha256=(
            "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",  # ViT-L/14
            "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",  # ViT-B/14
            "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",  # ViT-S/14
        ),
        input_size=224,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
    "raddino": Published(
        url=RAD_DINO,
        file_name="rad-dino-dbfb9f54.safetensors",
        sha256=("dbfb9f54459c38773505de64a6ab7807bdcb392610fe1e697166342e43fb91ae",),
        input_size=518,
        mean=(0.5307, 0.5307, 0.5307),
        std=(0.2583, 0.2583, 0.2583),
    ),
}

# The names of transformers' Dinov2Model, and the original ones.
HUGGING_FACE_NAMES = (
    (r"^dinov2\.", ""),
    (r"^embeddings\.cls_token", "cls_token"),
    (r"^embeddings\.mask_token", "mask_token"),
    (r"^embeddings\.position_embeddings", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.attention\.attention\.", ".attn."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
)


class VisionTransformer(nn.Module):
    """uint8 images (B, 1, H, W) to the normalised class token, float32 (B, d)."""

    mean: Tensor
    std: Tensor

    def __init__(self, state: Mapping[str, Tensor], published: Published) -> None:
        """Take the weights of a state dict under its original names."""
        super().__init__()
        self.input_size = published.input_size
        self.register_buffer("mean", torch.tensor(published.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(published.std).view(1, 3, 1, 1))
        weight, bias = state["patch_embed.proj.weight"], state["patch_embed.proj.bias"]
        self.patches = _frozen(nn.Conv2d(3, len(weight), PATCH, PATCH), weight, bias)
        self.class_token = _parameter(state["cls_token"])
        side = self.input_size // PATCH
        self.positions = _parameter(_resize_positions(state["pos_embed"].float(), side))
        self.blocks = nn.ModuleList(
            Block(state, f"blocks.{number}.") for number in range(_depth(state))
        )
        self.norm = _norm(state, "norm.")

    def extra_repr(self) -> str:
        return f"input {self.input_size} px"

    def forward(self, images: Tensor) -> Tensor:
        batch_size = CPU_BATCH if images.device.type == "cpu" else len(images)
        with torch.autocast(images.device.type, enabled=False):
            return torch.cat([self._features(part) for part in images.split(batch_size)])

    def _features(self, images: Tensor) -> Tensor:
        size = (self.input_size, self.input_size)
        x = interpolate(images.float(), size, mode="bicubic", antialias=True)
        x = x.round().clamp(0, 255) / 255  # as Pillow does, of 8 bits
        patches = self.patches((x - self.mean) / self.std)  # (B, d, side, side)
        tokens = patches.flatten(2).transpose(1, 2)  # (B, side², d)
        x = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1)
        x = x + self.positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x[:, 0])


class Block(nn.Module):
    """Attention and two linear layers, each after a normalisation and added to its input."""

    def __init__(self, state: Mapping[str, Tensor], prefix: str) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(state, f"{prefix}norm1."), _norm(state, f"{prefix}norm2.")
        self.qkv = _linear(state, f"{prefix}attn.qkv.")
        self.projection = _linear(state, f"{prefix}attn.proj.", state[f"{prefix}ls1.gamma"])
        self.first = _linear(state, f"{prefix}mlp.fc1.")
        self.second = _linear(state, f"{prefix}mlp.fc2.", state[f"{prefix}ls2.gamma"])

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        heads = (batch, tokens, 3, width // HEAD_WIDTH, HEAD_WIDTH)
        q, k, v = self.qkv(self.norm1(x)).view(heads).permute(2, 0, 3, 1, 4)  # (B, heads, N, 64)
        attended = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        x = x + self.projection(attended)
        return x + self.second(gelu(self.first(self.norm2(x))))


def load_dinov2(name: str, file: Path | None = None) -> VisionTransformer:
    """Load a network of PUBLISHED from a file, or from its download and torch.hub's cache.

    Raises OptionError that names the file and what was expected, ConnectionError when the download
    fails, ValueError when the file in the cache is damaged.
    """
    published = PUBLISHED[name]
    if file is None:
        found = fetched(name, published.url, published.sha256[0], published.file_name)
    elif file.is_file():
        found = file
    else:
        raise OptionError("weights", file, f"no such file; expected that of {published.url}")
    state = _original_names(read_state_dict(found))
    _check(state, found, published.url)
    return VisionTransformer(state, published)


def describe_dinov2(name: str, network: VisionTransformer, file: Path | None) -> str:
    """Say which network it is, and whether its weights are the published ones."""
    width, depth = network.class_token.shape[-1], len(network.blocks)
    size = {(384, 12): "S", (768, 12): "B", (1024, 24): "L"}.get((width, depth))
    title = "RAD-DINO" if name == "raddino" else "DINOv2"
    form = f"ViT-{size}/{PATCH}" if size else f"{depth} blocks of width {width}"
    note = f"{title} {form}, class token, input {network.input_size} px"
    if file is not None and sha256_of(file) not in PUBLISHED[name].sha256:
        note += "; other weights than its own: comparable with scores of the same weights only"
    return note


def _original_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of transformers' Dinov2Model, and join its queries, keys and values."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for pattern, original in HUGGING_FACE_NAMES:
            name = re.sub(pattern, original, name)
        renamed[name] = tensor
    for name in [name for name in renamed if ".attn.query." in name]:
        parts = [name.replace("query", part) for part in ("query", "key", "value")]
        if all(part in renamed for part in parts):
            joined = torch.cat([renamed.pop(part) for part in parts])
            renamed[name.replace("query", "qkv")] = joined
    return renamed


def _check(state: Mapping[str, Tensor], file: Path, url: str) -> None:
    """Raise OptionError where tensors are absent, of another shape, or of another network."""
    width = state["cls_token"].shape[-1] if "cls_token" in state else 0
    grid = isqrt(max(state["pos_embed"].numel() // max(width, 1) - 1, 0)) if width else 0
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, grid * grid + 1, width),
        "patch_embed.proj.weight": (width, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    for number in range(max(_depth(state), 1)):
        shapes |= {f"blocks.{number}.{name}": shape for name, shape in _block_shapes(width).items()}
    wrong = [
        name
        for name, shape in shapes.items()
        if name not in state or tuple(state[name].shape) != shape
    ]
    strange = sorted(set(state) - set(shapes) - {"mask_token"})
    if wrong or strange or width % HEAD_WIDTH or not grid:
        found = f"{wrong[0]} is absent or of another shape" if wrong else f"it holds {strange[:1]}"
        raise OptionError(
            "weights",
            file,
            f"not DINOv2's ViT-S, B or L without registers, {found}; expected the layout of {url}",
        )


def _block_shapes(width: int) -> dict[str, tuple[int, ...]]:
    norms = {f"norm{number}.{kind}": (width,) for number in (1, 2) for kind in ("weight", "bias")}
    return {
        **norms,
        "attn.qkv.weight": (3 * width, width),
        "attn.qkv.bias": (3 * width,),
        "attn.proj.weight": (width, width),
        "attn.proj.bias": (width,),
        "ls1.gamma": (width,),
        "mlp.fc1.weight": (4 * width, width),
        "mlp.fc1.bias": (4 * width,),
        "mlp.fc2.weight": (width, 4 * width),
        "mlp.fc2.bias": (width,),
        "ls2.gamma": (width,),
    }


def _depth(state: Mapping[str, Tensor]) -> int:
    numbers = [int(name.split(".")[1]) for name in state if re.match(r"blocks\.\d+\.", name)]
    return max(numbers, default=-1) + 1


def _resize_positions(positions: Tensor, side: int) -> Tensor:
    """Bring the embeddings of positions (1, 1 + n², d) to a grid of `side`, as DINOv2 does."""
    grid = isqrt(positions.shape[1] - 1)
    if grid == side:
        return positions
    of_patches = positions[:, 1:].view(1, grid, grid, -1).permute(0, 3, 1, 2)
    factor = (side + POSITION_OFFSET) / grid
    resized = interpolate(of_patches, scale_factor=(factor, factor), mode="bicubic")
    return torch.cat([positions[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)


def _linear(state: Mapping[str, Tensor], name: str, scale: Tensor | None = None) -> nn.Linear:
    """Make a linear map, its outputs (d,) multiplied by `scale`."""
    weight, bias = state[f"{name}weight"].float(), state[f"{name}bias"].float()
    if scale is not None:
        weight, bias = weight * scale.float()[:, None], bias * scale.float()
    return _frozen(nn.Linear(weight.shape[1], len(weight)), weight, bias)


def _norm(state: Mapping[str, Tensor], name: str) -> nn.LayerNorm:
    weight, bias = state[f"{name}weight"], state[f"{name}bias"]
    return _frozen(nn.LayerNorm(len(weight), NORM_EPSILON), weight, bias)


def _frozen(layer: Layer, weight: Tensor, bias: Tensor) -> Layer:
    layer.weight, layer.bias = _parameter(weight), _parameter(bias)
    return layer


def _parameter(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach().float().clone(), requires_grad=False)
