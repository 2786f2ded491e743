"""The classical baseline: principal components and a support vector machine, by scikit-learn.

The machine has a Gaussian kernel (Cortes & Vapnik 1995), on the pixels at 56 px or on the features
of an ImageNet network. What is kept of a trained one is its reduced training set; fitting again
takes a fraction of a second, gives the same machine, and needs no pickle. Probabilities are Platt's
(1999), from cross-validated scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor, nn
from torch.nn.functional import interpolate

from classifier.pretrained import Trunk

SVM_IMAGE_SIZE = 56  # side of the images that pixels are taken from
MAX_COMPONENTS = 50
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)
MAX_FOLDS = 5
LEAST_PROBABILITY = 1e-12


class Pixels(nn.Module):
    """Images (B, 1, S, S) in 0..255 to (B, 56²) in −1..1."""

    def forward(self, images: Tensor) -> Tensor:
        size = (SVM_IMAGE_SIZE, SVM_IMAGE_SIZE)
        small = interpolate(images.float(), size, mode="bilinear", antialias=True)
        return (small / 127.5 - 1).flatten(1)


class Svm(nn.Module):
    """Features (B, F) to logarithms of class probabilities (B, classes), after `fit`."""

    mean: Tensor  # (F,)
    directions: Tensor  # (components, F)
    points: Tensor  # (N, components)
    labels: Tensor  # (N,)
    penalty: Tensor  # ()

    def __init__(self, features: int, classes: int, images: int = 0, components: int = 0) -> None:
        super().__init__()
        self.classes = classes
        shapes: dict[str, tuple[int, ...]] = {
            "mean": (features,),
            "directions": (components, features),
            "points": (images, components),
            "labels": (images,),
            "penalty": (),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self._machine: CalibratedClassifierCV | None = None

    def fit(
        self,
        features: np.ndarray,
        labels: np.ndarray,
        validation_features: np.ndarray,
        validation_labels: np.ndarray,
    ) -> tuple[float, float]:
        """Reduce the features, and keep the penalty with the lowest log loss in validation.

        features (N, F), validation_features (M, F). Returns that loss and the penalty.
        """
        scaler = StandardScaler(with_std=False).fit(features)
        centred = scaler.transform(features)
        components = min(MAX_COMPONENTS, *features.shape)
        reduction = PCA(components, random_state=0).fit(centred)
        self.mean = torch.from_numpy(scaler.mean_)
        self.directions = torch.from_numpy(reduction.components_)
        self.points = torch.from_numpy(reduction.transform(centred))
        self.labels = torch.from_numpy(labels.astype(np.float64))
        losses = []
        for penalty in PENALTIES:
            self._set_penalty(penalty)
            probabilities = self.probabilities(validation_features)
            loss = log_loss(validation_labels, probabilities, labels=range(self.classes))
            losses.append((loss, penalty))
        loss, penalty = min(losses)
        self._set_penalty(penalty)
        return loss, penalty

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities (N, classes) of features (N, F)."""
        if self._machine is None:
            self._machine = self._fit_machine()
        points = (features - self.mean.cpu().numpy()) @ self.directions.cpu().numpy().T
        return self._machine.predict_proba(points)

    def forward(self, features: Tensor) -> Tensor:
        probabilities = self.probabilities(features.double().cpu().numpy())
        return torch.from_numpy(np.log(np.clip(probabilities, LEAST_PROBABILITY, 1))).to(
            features.device
        )

    def _set_penalty(self, penalty: float) -> None:
        self.penalty = torch.tensor(penalty, dtype=torch.float64)
        self._machine = None

    def _fit_machine(self) -> CalibratedClassifierCV:
        labels = self.labels.cpu().numpy().astype(int)
        folds = min(MAX_FOLDS, np.bincount(labels, minlength=self.classes).min())
        if folds < 2:
            raise ValueError(
                "a class has a single training image; the svm needs at least two of each to tell "
                "probabilities"
            )
        machine = CalibratedClassifierCV(
            SVC(C=float(self.penalty), gamma="scale"), cv=folds, ensemble=False
        )
        return machine.fit(self.points.cpu().numpy(), labels)


def empty_svm(weights: Mapping[str, Tensor], classes: int, path: Path) -> Svm:
    """Make a machine of the size that the weights of a file have, to be filled with them.

    Raises ValueError that names the file when they are no machine's.
    """
    mean, directions, labels = (
        weights.get(f"head.{name}", torch.zeros(0)) for name in ("mean", "directions", "labels")
    )
    if (
        not len(mean.shape) == len(labels.shape) == 1
        or len(directions.shape) != 2
        or not set(labels.tolist()) <= set(range(classes))
    ):
        raise ValueError(
            f"{path} holds no svm of {classes} classes; it is damaged or not a file of cxr"
        )
    return Svm(len(mean), classes, len(labels), len(directions))


def svm_trunk(trunk: Trunk | None) -> nn.Module:
    """Return what the machine's features come from: an ImageNet network, or else the pixels."""
    return trunk if trunk is not None else Pixels()
