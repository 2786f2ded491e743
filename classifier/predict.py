"""A trained classifier on disk, and what it says of images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore, apply
from classifier.networks import Network, ScaledPixels, build
from classifier.pretrained import Trunk
from classifier.svm import empty_svm, svm_trunk
from runtime import checkpoint
from runtime.device import Compute
from runtime.files import configuration


@dataclass(frozen=True)
class TrainedClassifier:
    """A network with what is needed to use it."""

    network: Network
    config: ClassifierConfig
    image_size: int
    classes: tuple[str, ...]


def save_classifier(path: Path, classifier: TrainedClassifier) -> None:
    about = {
        "config": asdict(classifier.config),
        "image_size": classifier.image_size,
        "classes": list(classifier.classes),
    }
    checkpoint.save(path, "classifier", {**about, "weights": classifier.network.state_dict()})


def load_classifier(path: Path, device: torch.device) -> TrainedClassifier:
    """Read a classifier file. Raises FileNotFoundError or ValueError, naming the file and what is wrong with it."""
    state = checkpoint.load(
        path, "classifier", config=dict, weights=dict, classes=list, image_size=int
    )
    config, classes = (
        configuration(ClassifierConfig, state["config"], path),
        tuple(state["classes"]),
    )
    if len(classes) < 2 or not all(isinstance(name, str) for name in classes):
        raise ValueError(
            f"{path} does not say of which classes it is; it is damaged or not a file of cxr"
        )
    trunk = Trunk(config.trunk) if config.trunk else None

    def empty() -> Network:
        return (
            Network(svm_trunk(trunk), empty_svm(state["weights"], len(classes), path))
            if config.arch == "svm"
            else build(config.arch, len(classes), trunk, config.unfreeze)
        )

    network = (
        checkpoint.filled(empty, state["weights"], path)
        .to(device, memory_format=torch.channels_last)
        .eval()
    )
    return TrainedClassifier(network, config, state["image_size"], classes)


def predict(
    classifier: TrainedClassifier,
    images: Tensor,
    compute: Compute,
    store: FeatureStore | None = None,
) -> np.ndarray:
    """Class probabilities (N, classes), float64 rows that sum to 1, of uint8 images (N, 1, S, S).

    store: where the fixed part of the network is looked up and kept.
    """
    size = classifier.image_size
    if images.shape[1:] != (1, size, size):
        raise ValueError(
            f"images are {tuple(images.shape[1:])}, the classifier was trained on (1, {size}, {size})"
        )
    network = classifier.network
    if store is not None and not isinstance(network.trunk, ScaledPixels):
        logits = apply(network.head, store.features(network.trunk, images, compute), compute)
    else:
        logits = apply(network, images, compute)
    return logits.double().softmax(dim=1).numpy()
