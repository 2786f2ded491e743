"""A trained lung network: its file, and the chances of lung that it gives."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from gan.segan.config import LungsConfig
from gan.segan.networks import Segmentor
from runtime import checkpoint
from runtime.files import parse_config

LUNG_NETWORK = "lung network"
PACKAGED = Path(__file__).with_name("weights") / "lungs.pt"  # comes with the package
FILMS_AT_ONCE = 16  # images at a time, when there are many


@dataclass(frozen=True)
class LungNetwork:
    """A segmentor, how it was made, and the images that it was trained on.

    Attributes:
        trained_on: SHA-256 of the pixels of each.
    """

    segmentor: Segmentor
    config: LungsConfig
    trained_on: tuple[str, ...]


def save_lung_network(path: Path, network: LungNetwork) -> None:
    """Write a lung network, its weights in float16."""
    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.segmentor.state_dict().items()
    }
    checkpoint.save(
        path,
        LUNG_NETWORK,
        {
            "config": asdict(network.config),
            "trained_on": "".join(network.trained_on),
            "weights": weights,
        },
    )


def load_lung_network(path: Path, device: torch.device) -> LungNetwork:
    """Read a file of `save_lung_network`.

    Raises FileNotFoundError when it is absent, ValueError that names it when it is damaged.
    """
    saved = checkpoint.load(path, LUNG_NETWORK, config=dict, trained_on=str, weights=dict)
    config = parse_config(LungsConfig, saved["config"], path)
    segmentor = checkpoint.build_with_weights(
        lambda: Segmentor(width=config.width), saved["weights"], path
    )
    hashes = saved["trained_on"]
    trained_on = tuple(hashes[i : i + 64] for i in range(0, len(hashes), 64))
    segmentor = segmentor.to(device).to(memory_format=torch.channels_last).eval()
    return LungNetwork(segmentor, config, trained_on)


@torch.inference_mode()
def lung_chances(segmentor: Segmentor, images: Tensor) -> Tensor:
    """Return the chance of lung at each pixel, float32 (N, S, S), of images uint8 (N, 1, S, S).

    segmentor: in evaluation mode. The chances are on the CPU.
    """
    device = next(segmentor.parameters()).device
    return torch.cat(
        [
            segmentor(_to_input(batch, device)).sigmoid()[:, 0].cpu()
            for batch in images.split(FILMS_AT_ONCE)
        ]
    )


def _to_input(images: Tensor, device: torch.device) -> Tensor:
    x = images.to(device).float() / 255
    return x.contiguous(memory_format=torch.channels_last)  # a third faster on a CPU


def dice_of_masks(drawn: Tensor, true: Tensor) -> Tensor:
    """Return the Dice of each pair of masks, (N,), of bool (N, H, W) each; 1 of two empty ones."""
    both = (drawn & true).sum(dim=(1, 2)).double()
    areas = drawn.sum(dim=(1, 2)).double() + true.sum(dim=(1, 2))
    return torch.where(areas > 0, 2 * both / areas.clamp(min=1), torch.ones_like(both))
