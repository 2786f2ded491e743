"""DINOv2 and RAD-DINO give the features of an independent implementation, from either layout.

The weights are fresh ones of a small transformer; torchvision's has the same blocks once a layer's
scale is multiplied into the linear map before it.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models import VisionTransformer

from classifier.weights import cached, fetched
from pipelines.metrics.dinov2 import load_dinov2
from pipelines.metrics.extractors import choose_extractors
from runtime.device import choose_compute
from runtime.options import OptionError

CPU = choose_compute("cpu", "fp32")
WIDTH, DEPTH, GRID = 128, 2, 37
INPUTS = {
    "dinov2": (224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "raddino": (518, (0.5307,) * 3, (0.2583,) * 3),
}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Fresh weights under DINOv2's own names."""
    d = WIDTH
    shapes = {
        "cls_token": (1, 1, d),
        "pos_embed": (1, 1 + GRID**2, d),
        "mask_token": (1, d),
        "patch_embed.proj.weight": (d, 3, 14, 14),
        "patch_embed.proj.bias": (d,),
        "norm.weight": (d,),
        "norm.bias": (d,),
    }
    for i in range(DEPTH):
        block = {"norm1.weight": (d,), "norm1.bias": (d,), "norm2.weight": (d,)}
        block |= {"norm2.bias": (d,), "ls1.gamma": (d,), "ls2.gamma": (d,)}
        block |= {"attn.qkv.weight": (3 * d, d), "attn.qkv.bias": (3 * d,)}
        block |= {"attn.proj.weight": (d, d), "attn.proj.bias": (d,)}
        block |= {"mlp.fc1.weight": (4 * d, d), "mlp.fc1.bias": (4 * d,)}
        block |= {"mlp.fc2.weight": (d, 4 * d), "mlp.fc2.bias": (d,)}
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in block.items()}
    random = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=random) * (0.1 if len(shape) > 1 else 0.5)
        for name, shape in shapes.items()
    }


@pytest.fixture(scope="module")
def original(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights as DINOv2 publishes them."""
    file = tmp_path_factory.mktemp("dinov2") / "original.pth"
    torch.save(state, file)
    return file


@pytest.fixture(scope="module")
def hugging_face(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights as RAD-DINO is published: transformers' names, in the format of safetensors."""
    renamed = {}
    for name, tensor in state.items():
        name = name.replace("blocks.", "encoder.layer.").replace(
            "attn.proj", "attention.output.dense"
        )
        name = name.replace("ls1.gamma", "layer_scale1.lambda1")
        name = name.replace("ls2.gamma", "layer_scale2.lambda1")
        name = name.replace("patch_embed.proj", "embeddings.patch_embeddings.projection")
        name = name.replace("pos_embed", "embeddings.position_embeddings")
        if name in ("cls_token", "mask_token"):
            name = f"embeddings.{name}"
        if name.startswith("norm."):
            name = f"layer{name}"
        if "attn.qkv" in name:
            for part, rows in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                renamed[name.replace("attn.qkv", f"attention.attention.{part}")] = rows
        else:
            renamed[name] = tensor
    file = tmp_path_factory.mktemp("raddino") / "model.safetensors"
    write_safetensors(file, renamed)
    return file


def write_safetensors(file: Path, tensors: dict[str, Tensor]) -> None:
    header, numbers = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        content = tensor.contiguous().numpy().tobytes()
        offsets = [len(numbers), len(numbers) + len(content)]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        numbers += content
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + numbers)


def expected_features(name: str, state: dict[str, Tensor], images: np.ndarray) -> Tensor:
    """What torchvision's transformer makes of images (N, H, W) that Pillow has resized."""
    size, mean, std = INPUTS[name]
    plain = VisionTransformer(size, 14, DEPTH, WIDTH // 64, WIDTH, 4 * WIDTH).eval()
    plain.heads = nn.Identity()
    positions = state["pos_embed"]
    if size // 14 != GRID:
        grid = positions[:, 1:].view(1, GRID, GRID, WIDTH).permute(0, 3, 1, 2)
        factor = (size // 14 + 0.1) / GRID  # as DINOv2 does
        grid = interpolate(grid, scale_factor=(factor, factor), mode="bicubic")
        positions = torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)
    weights = {
        "class_token": state["cls_token"],
        "conv_proj.weight": state["patch_embed.proj.weight"],
        "conv_proj.bias": state["patch_embed.proj.bias"],
        "encoder.pos_embedding": positions,
        "encoder.ln.weight": state["norm.weight"],
        "encoder.ln.bias": state["norm.bias"],
    }
    for i in range(DEPTH):
        theirs, ours = f"encoder.layers.encoder_layer_{i}.", f"blocks.{i}."
        first, second = state[f"{ours}ls1.gamma"], state[f"{ours}ls2.gamma"]
        for kind in ("weight", "bias"):
            rows = (slice(None), None) if kind == "weight" else slice(None)
            weights |= {
                f"{theirs}ln_1.{kind}": state[f"{ours}norm1.{kind}"],
                f"{theirs}ln_2.{kind}": state[f"{ours}norm2.{kind}"],
                f"{theirs}self_attention.in_proj_{kind}": state[f"{ours}attn.qkv.{kind}"],
                f"{theirs}self_attention.out_proj.{kind}": (
                    first[rows] * state[f"{ours}attn.proj.{kind}"]
                ),
                f"{theirs}mlp.0.{kind}": state[f"{ours}mlp.fc1.{kind}"],
                f"{theirs}mlp.3.{kind}": second[rows] * state[f"{ours}mlp.fc2.{kind}"],
            }
    plain.load_state_dict(weights)
    resized = np.stack(
        [Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC) for image in images]
    )
    gray = torch.from_numpy(resized)[:, None].expand(-1, 3, -1, -1) / 255
    with torch.no_grad():
        return plain((gray - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Noise, and something smooth: (2, 64, 64)."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(noise[:8, :8]).resize((64, 64)))
    return np.stack([noise, smooth])


@pytest.mark.parametrize("name", ["dinov2", "raddino"])
def test_features_are_those_of_an_independent_transformer(
    name: str, state: dict[str, Tensor], original: Path, images: np.ndarray
) -> None:
    features = load_dinov2(name, original)(torch.from_numpy(images)[:, None])
    expected = expected_features(name, state, images)
    assert features.shape == (2, WIDTH)
    assert (features - expected).norm() < 2e-3 * expected.norm()


def test_both_layouts_of_weights_are_one_network(original: Path, hugging_face: Path) -> None:
    (first,) = choose_extractors(["raddino"], [str(original)], CPU)
    (second,) = choose_extractors(["raddino"], [f"raddino={hugging_face}"], CPU)
    assert first.record == second.record
    assert "RAD-DINO 2 blocks of width 128, class token, input 518 px; other weights" in (
        first.record.note
    )


def test_networks_of_another_form_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    file = tmp_path / "registers.pth"
    torch.save(state | {"register_tokens": torch.zeros(1, 4, WIDTH)}, file)
    with pytest.raises(OptionError, match=r"without registers, it holds .'register_tokens'"):
        load_dinov2("dinov2", file)
    torch.save({name: state[name] for name in state if "fc2" not in name}, file)
    with pytest.raises(OptionError, match=r"blocks.0.mlp.fc2.weight is absent"):
        load_dinov2("dinov2", file)


@pytest.mark.parametrize("content", [b"", b"\xff" * 9, b"\x02\0\0\0\0\0\0\0{}rest"])
def test_damaged_safetensors_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(content)
    with pytest.raises(OptionError, match=r"weights .*bad\.safetensors"):
        load_dinov2("raddino", tmp_path / "bad.safetensors")


def test_a_download_is_kept_when_its_hash_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    (tmp_path / "there.pth").write_bytes(b"weights")
    url = (tmp_path / "there.pth").as_uri()
    right = sha256(b"weights").hexdigest()
    with pytest.raises(ConnectionError, match="is damaged"):
        fetched("dinov2", url, "0" * 64, "kept.pth")
    assert not cached("kept.pth").exists()
    assert fetched("dinov2", url, right, "kept.pth").read_bytes() == b"weights"
    cached("kept.pth").write_bytes(b"others")
    with pytest.raises(ValueError, match=r"kept\.pth is damaged or of another hash"):
        fetched("dinov2", url, right, "kept.pth")


def test_without_a_network_the_file_to_fetch_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ConnectionError, match=r"fetch file:.*absent\.pth elsewhere and give"):
        fetched("raddino", (tmp_path / "absent.pth").as_uri(), "0" * 64, "absent.pth")
