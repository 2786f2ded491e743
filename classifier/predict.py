"""A trained classifier on disk, and what it says of images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore, apply_in_batches
from classifier.networks import Network, build
from classifier.pretrained import Trunk
from runtime import checkpoint
from runtime.device import Compute
from runtime.files import parse_config


@dataclass(frozen=True)
class TrainedClassifier:
    """A network with what is needed to use it."""

    network: Network
    config: ClassifierConfig
    image_size: int
    classes: tuple[str, ...]


def save_classifier(path: Path, classifier: TrainedClassifier) -> None:
    """Write a classifier file."""
    state = {
        "config": asdict(classifier.config),
        "image_size": classifier.image_size,
        "classes": list(classifier.classes),
        "weights": classifier.network.state_dict(),
    }
    checkpoint.save(path, "classifier", state)


def load_classifier(path: Path, device: torch.device) -> TrainedClassifier:
    """Read a classifier file.

    Raises FileNotFoundError or ValueError, naming the file and what is wrong with it.
    """
    state = checkpoint.load(
        path, "classifier", config=dict, weights=dict, classes=list, image_size=int
    )
    config = parse_config(ClassifierConfig, state["config"], path)
    classes = tuple(state["classes"])
    if len(classes) < 2 or not all(isinstance(name, str) for name in classes):
        raise ValueError(
            f"{path} does not say of which classes it is; it is damaged or not a file of cxr"
        )
    trunk = Trunk(config.trunk) if config.trunk else None

    def build_empty() -> Network:
        if config.arch == "svm":
            from classifier.svm import empty_svm, svm_trunk  # with scikit-learn

            return Network(svm_trunk(trunk), empty_svm(state["weights"], len(classes), path))
        return build(config.arch, len(classes), trunk, config.unfreeze)

    network = checkpoint.build_with_weights(build_empty, state["weights"], path)
    network = network.to(device).to(memory_format=torch.channels_last).eval()
    return TrainedClassifier(network, config, state["image_size"], classes)


def predict(
    classifier: TrainedClassifier,
    images: Tensor,
    compute: Compute,
    store: FeatureStore | None = None,
) -> np.ndarray:
    """Return class probabilities (N, classes) of uint8 images (N, 1, S, S).

    They are float64, rows that sum to 1; the network computes in float32 whatever the precision of
    training. store: where the fixed part of the network is looked up
    and kept.
    """
    size = classifier.image_size
    if images.shape[1:] != (1, size, size):
        raise ValueError(
            f"images are {tuple(images.shape[1:])}, the classifier was trained on "
            f"(1, {size}, {size})"
        )
    network = classifier.network
    if store is not None and network.has_fixed_features:
        features = store.features(network.trunk, images, compute)
        logits = apply_in_batches(network.head, features, compute)
    else:
        logits = apply_in_batches(network, images, compute)
    return logits.double().softmax(dim=1).numpy()
