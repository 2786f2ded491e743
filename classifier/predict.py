"""A trained classifier on disk, and what it says of images."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from classifier.config import ClassifierConfig
from classifier.networks import Network, build
from classifier.pretrained import Trunk
from classifier.svm import Svm, svm_trunk
from runtime import checkpoint
from runtime.device import Compute
from runtime.progress import progress

BATCH = 64


@dataclass(frozen=True)
class TrainedClassifier:
    """A network with what is needed to use it."""

    network: Network
    config: ClassifierConfig
    image_size: int
    classes: tuple[str, ...]


def save_classifier(path: Path, classifier: TrainedClassifier) -> None:
    about = {"config": asdict(classifier.config), "image_size": classifier.image_size, "classes": list(classifier.classes)}
    checkpoint.save(path, "classifier", {**about, "weights": classifier.network.state_dict()})


def load_classifier(path: Path, device: torch.device) -> TrainedClassifier:
    """Read a classifier file. Raises FileNotFoundError or ValueError, naming the file and what is wrong with it."""
    state = checkpoint.load(path, "classifier")
    config, classes, weights = ClassifierConfig(**state["config"]), tuple(state["classes"]), state["weights"]
    trunk = Trunk(config.trunk) if config.trunk else None
    if config.arch == "svm":
        images, components = weights["head.points"].shape
        network = Network(svm_trunk(trunk), Svm(len(weights["head.mean"]), len(classes), images, components))
    else:
        network = build(config.arch, len(classes), trunk, config.unfreeze)
    network.load_state_dict(weights)
    network = network.to(device, memory_format=torch.channels_last).eval()
    return TrainedClassifier(network, config, state["image_size"], classes)


@torch.no_grad()
def apply(module: nn.Module, images: Tensor, compute: Compute, what: str | None = None) -> Tensor:
    """module(images), batch by batch on the device, as float32 on the CPU. images (N, …), result (N, …).

    what: the name on a progress bar; without it there is none.
    """
    module.eval()
    results = []
    with progress(len(images), what, "image") if what else nullcontext() as bar:
        for batch in images.split(BATCH):
            with compute.autocast():
                results.append(module(batch.to(compute.device)).float().cpu())
            if bar is not None:
                bar.update(len(batch))
    return torch.cat(results)


def predict(classifier: TrainedClassifier, images: Tensor, compute: Compute) -> np.ndarray:
    """Class probabilities (N, classes), float64 rows that sum to 1, of uint8 images (N, 1, S, S)."""
    size = classifier.image_size
    if images.shape[1:] != (1, size, size):
        raise ValueError(f"images are {tuple(images.shape[1:])}, the classifier was trained on (1, {size}, {size})")
    return apply(classifier.network, images, compute).double().softmax(dim=1).numpy()
