"""Whether simple properties of synthetic images give them, or their class, away.

Brightness, contrast, sharpness and dark border need no network. A fingerprint is dangerous when it
tells the classes apart better with the synthetic images added than without, for then a classifier
can learn it in place of the disease, such as "blurred" for "covid" where the covid images are
mostly synthetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from pipelines.data.image_facts import DARK_LEVEL
from pipelines.data.review import SUSPICIOUS_AUC
from pipelines.metrics.confidence_intervals import estimate_auc
from pipelines.study.split import Split
from runtime.estimate import Estimate

FINGERPRINTS = ("brightness", "contrast", "sharpness", "dark border")
WARNING_GAIN = 0.1  # of the AUC by which a fingerprint tells a class


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What one simple property tells, as ROC AUC.

    Attributes:
        synthetic_from_real: Per class; above one half, synthetic images have more of it.
        class_in_reals: Each class from the others among the training reals; above one half, it has
            more of it.
        class_in_mixture: The same with the synthetic images added.
        real_medians, synthetic_medians: Per class.
    """

    synthetic_from_real: dict[str, Estimate]
    class_in_reals: dict[str, float]
    class_in_mixture: dict[str, float]
    real_medians: dict[str, float]
    synthetic_medians: dict[str, float]


@dataclass(frozen=True)
class Fingerprints:
    """Every fingerprint by its name, and warnings in plain words."""

    by_name: dict[str, Fingerprint]
    warnings: list[str]


@dataclass(frozen=True)
class _Mixture:
    """Training reals and synthetic images together, (N,) each."""

    labels: np.ndarray
    is_synthetic: np.ndarray
    patients: np.ndarray


def measure_fingerprints(train: Split, synthetic: Split, classes: Sequence[str]) -> Fingerprints:
    """Hold every fingerprint of synthetic images against that of training reals, per class.

    And say what it tells of the class, without and with them.
    """
    reals, fakes = image_properties(train.images), image_properties(synthetic.images)
    values = np.concatenate([reals, fakes])
    mixture = _Mixture(
        labels=np.concatenate([train.labels, synthetic.labels]),
        is_synthetic=np.arange(len(values)) >= len(reals),
        patients=np.array([*train.patients, *synthetic.patients]),
    )
    by_name = {
        name: _measure_fingerprint(values[:, column], mixture, classes)
        for column, name in enumerate(FINGERPRINTS)
    }
    return Fingerprints(by_name, _warnings(by_name))


def image_properties(images: np.ndarray) -> np.ndarray:
    """Measure FINGERPRINTS of uint8 images (N, S, S), float (N, 4).

    Brightness: mean gray level. Contrast: standard deviation. Sharpness: mean square of the
    four-neighbour Laplacian, by the variance of the gray levels, so that contrast does not count.
    Dark border: share of the outermost 1/32 of the frame that is black film.
    """
    rows, edge = np.empty((len(images), len(FINGERPRINTS))), max(images.shape[1] // 32, 1)
    for row, image in zip(rows, images, strict=True):
        gray = image.astype(np.float64)
        neighbours = gray[1:-1, :-2] + gray[1:-1, 2:] + gray[:-2, 1:-1] + gray[2:, 1:-1]
        laplacian = neighbours - 4 * gray[1:-1, 1:-1]
        sides = (gray[:edge], gray[-edge:], gray[edge:-edge, :edge], gray[edge:-edge, -edge:])
        frame = np.concatenate([side.ravel() for side in sides])
        row[:] = (
            gray.mean(),
            gray.std(),
            np.square(laplacian).mean() / max(gray.var(), 1e-6),
            (frame < DARK_LEVEL).mean(),
        )
    return rows


def _measure_fingerprint(
    value: np.ndarray, mixture: _Mixture, classes: Sequence[str]
) -> Fingerprint:
    """Measure what one property (N,) tells."""
    is_synthetic = mixture.is_synthetic
    synthetic_from_real, in_reals, in_mixture = {}, {}, {}
    for index, label in enumerate(classes):
        of_class = mixture.labels == index
        if (of_class & is_synthetic).any() and (of_class & ~is_synthetic).any():
            synthetic_from_real[label] = estimate_auc(
                is_synthetic[of_class], value[of_class], mixture.patients[of_class].tolist()
            )
        if of_class[~is_synthetic].any():
            in_reals[label] = float(roc_auc_score(of_class[~is_synthetic], value[~is_synthetic]))
            in_mixture[label] = float(roc_auc_score(of_class, value))
    return Fingerprint(
        synthetic_from_real=synthetic_from_real,
        class_in_reals=in_reals,
        class_in_mixture=in_mixture,
        real_medians=_medians(value[~is_synthetic], mixture.labels[~is_synthetic], classes),
        synthetic_medians=_medians(value[is_synthetic], mixture.labels[is_synthetic], classes),
    )


def _medians(value: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Return the median of every class that has images."""
    return {
        label: round(float(np.median(value[labels == index])), 4)
        for index, label in enumerate(classes)
        if (labels == index).any()
    }


def _warnings(by_name: Mapping[str, Fingerprint]) -> list[str]:
    """Say what a classifier could learn instead of the disease; the worst class of each."""
    warnings = []
    for name, fingerprint in by_name.items():
        gains = {label: _gain(fingerprint, label) for label in fingerprint.class_in_mixture}
        auc_by_class = {
            label: max(auc.value, 1 - auc.value)
            for label, auc in fingerprint.synthetic_from_real.items()
        }
        if not gains or max(auc_by_class.values(), default=0) < SUSPICIOUS_AUC:
            continue
        label = max(gains, key=lambda label: gains[label])
        if gains[label] >= WARNING_GAIN:
            warnings.append(_describe_danger(name, label, fingerprint, auc_by_class))
    return warnings


def _gain(fingerprint: Fingerprint, label: str) -> float:
    """Return how much better a class is told with the synthetic images added, in AUC."""
    mixed = fingerprint.class_in_mixture[label]
    side = np.sign(mixed - 0.5)
    return abs(mixed - 0.5) - max(0.0, side * (fingerprint.class_in_reals[label] - 0.5))


def _describe_danger(
    name: str, label: str, fingerprint: Fingerprint, auc_by_class: Mapping[str, float]
) -> str:
    reals, mixed = fingerprint.class_in_reals[label], fingerprint.class_in_mixture[label]
    more = "more"
    if mixed <= 0.5:
        more, reals, mixed = "less", 1 - reals, 1 - mixed
    by_class = ", ".join(f"{other} {100 * value:.0f} %" for other, value in auc_by_class.items())
    return (
        f"{name} tells synthetic images from real ones (AUC {by_class}), and not alike in every "
        f"class: with them added {more} {name} speaks for {label} with AUC {100 * mixed:.0f} %, "
        f"in the reals alone with {100 * reals:.0f} %; a classifier can learn how synthetic images "
        f"look in place of {label}"
    )
