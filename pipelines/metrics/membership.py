"""Whether the discriminator gives training images away, if somebody gets hold of it.

It was trained to tell training images from fakes, so its logit may be higher on them than on reals
that it never saw (Hayes et al. 2019; Chen et al. 2020). ROC AUC; 50 % is a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from gan.config import GanConfig
from gan.presets import build_discriminator
from gan.sample import to_float
from pipelines.metrics.confidence_intervals import estimate_auc
from pipelines.metrics.scores import Parts
from pipelines.study.split import Split
from runtime import checkpoint
from runtime.device import Compute
from runtime.estimate import Estimate
from runtime.files import parse_config
from runtime.run import Run

BATCH_SIZE = 64
REAL_SETS = ("train", "held_out")


@torch.no_grad()
def discriminator_logits(
    run: Run, sets: Mapping[str, Split], classes: Sequence[str], compute: Compute
) -> tuple[int, dict[str, np.ndarray]]:
    """Ask the last discriminator of a gan-train run about the real images of each set.

    Returns its step, and its logits (N,) on the images, each as of its own class. One that judges
    at another side than that of the images is shown them brought to it. Raises
    FileNotFoundError when the run or its checkpoint is gone, ValueError when that is damaged or of
    other images.
    """
    path = run.checkpoint
    if not path.exists():
        raise FileNotFoundError(f"{path} is gone")
    state = checkpoint.load(path, "gan checkpoint", config=dict, discriminator=dict, step=int)
    trained_classes = run.config["classes"]
    config = parse_config(GanConfig, state["config"], path)
    if list(classes) != trained_classes or sets["train"].images.shape[1] != config.image_size:
        raise ValueError(
            f"{path} is of {', '.join(trained_classes)} at {config.image_size} px, not of this "
            "study's classes and size"
        )
    network = checkpoint.build_with_weights(
        lambda: build_discriminator(config, len(classes)), state["discriminator"], path
    )
    network = network.to(compute.device).eval()
    logits = {name: _logits(network, sets[name], config.channels, compute) for name in REAL_SETS}
    return state["step"], logits


def membership_by_class(
    sets: Mapping[str, Split], logits: Parts, classes: Sequence[str]
) -> dict[str, Estimate]:
    """Say how well logits (N,) tell training from held-out images, of every class that has both."""
    estimates = {}
    for index, name in enumerate(classes):
        masks = {kind: sets[kind].labels == index for kind in REAL_SETS}
        if all(mask.any() for mask in masks.values()):
            scores = np.concatenate([logits[kind][mask] for kind, mask in masks.items()])
            patients = np.concatenate(
                [np.array(sets[kind].patients)[mask] for kind, mask in masks.items()]
            )
            is_training = np.arange(len(patients)) < masks["train"].sum()
            estimates[name] = estimate_auc(is_training, scores, patients.tolist())
    return estimates


def _logits(network: nn.Module, split: Split, channels: int, compute: Compute) -> np.ndarray:
    """Return the logits (N,) of the images of a split, batch by batch."""
    batches = zip(*(part.split(BATCH_SIZE) for part in split.to_dataset().tensors), strict=True)
    logits: list[Tensor] = []
    for images, labels in batches:
        pixels = to_float(images).expand(-1, channels, -1, -1)  # (B, C, H, W)
        output = network(pixels.to(compute.device), labels.to(compute.device))
        logits.append(output[0] if isinstance(output, tuple) else output)
    return torch.cat(logits).float().cpu().numpy()
