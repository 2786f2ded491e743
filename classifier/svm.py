"""The classical baseline: principal components and a support vector machine with a Gaussian kernel (Cortes & Vapnik 1995), by scikit-learn.

On the pixels at 56 px, or on the features of an ImageNet network. What is kept of a trained one is its reduced training set; fitting again
takes a fraction of a second, gives the same machine, and needs no pickle. Probabilities are Platt's (1999), from cross-validated scores.
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

PIXELS = 56  # side of the images that pixels are taken from
COMPONENTS = 50
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)


class Pixels(nn.Module):
    """Images (B, 1, S, S) in 0..255 to (B, 56²) in −1..1."""

    def forward(self, images: Tensor) -> Tensor:
        return (
            interpolate(images.float(), (PIXELS, PIXELS), mode="bilinear", antialias=True) / 127.5
            - 1
        ).flatten(1)


class Svm(nn.Module):
    """Features (B, F) to logarithms of class probabilities (B, classes), after `fit`."""

    def __init__(self, features: int, classes: int, images: int = 0, components: int = 0) -> None:
        super().__init__()
        self.classes = classes
        for name, shape in (
            ("mean", (features,)),
            ("directions", (components, features)),
            ("points", (images, components)),
            ("labels", (images,)),
            ("penalty", ()),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self._machine: CalibratedClassifierCV | None = None

    def fit(
        self,
        features: np.ndarray,
        labels: np.ndarray,
        held_out: np.ndarray,
        held_out_labels: np.ndarray,
    ) -> tuple[float, float]:
        """Reduce, and keep the penalty with the lowest log loss on held-out images; returns that loss and the penalty.

        features (N, F), held_out (M, F).
        """
        scaled = StandardScaler(with_std=False).fit(features)
        reduction = PCA(min(COMPONENTS, *features.shape), random_state=0).fit(
            scaled.transform(features)
        )
        self.mean, self.directions = (
            torch.from_numpy(scaled.mean_),
            torch.from_numpy(reduction.components_),
        )
        self.points, self.labels = (
            torch.from_numpy(reduction.transform(scaled.transform(features))),
            torch.from_numpy(labels.astype(np.float64)),
        )
        losses = []
        for penalty in PENALTIES:
            self.penalty, self._machine = torch.tensor(penalty, dtype=torch.float64), None
            losses.append(
                (
                    log_loss(
                        held_out_labels, self.probabilities(held_out), labels=range(self.classes)
                    ),
                    penalty,
                )
            )
        loss, penalty = min(losses)
        self.penalty, self._machine = torch.tensor(penalty, dtype=torch.float64), None
        return loss, penalty

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        if self._machine is None:
            labels = self.labels.numpy().astype(int)
            folds = min(5, np.bincount(labels, minlength=self.classes).min())
            if folds < 2:
                raise ValueError(
                    "a class has a single training image; the svm needs at least two of each to tell probabilities"
                )
            self._machine = CalibratedClassifierCV(
                SVC(C=float(self.penalty), gamma="scale"), cv=folds, ensemble=False
            )
            self._machine.fit(self.points.numpy(), labels)
        points = (features - self.mean.numpy()) @ self.directions.numpy().T
        return self._machine.predict_proba(points)

    def forward(self, features: Tensor) -> Tensor:
        found = self.probabilities(features.double().cpu().numpy())
        return torch.from_numpy(np.log(np.clip(found, 1e-12, 1))).to(features.device)


def empty_svm(weights: Mapping[str, Tensor], classes: int, path: Path) -> Svm:
    """A machine of the size that the weights of a file have, to be filled with them. Raises ValueError that names the file when they are no machine's."""
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
    """What the machine's features come from: an ImageNet network, or else the pixels."""
    return trunk if trunk is not None else Pixels()
