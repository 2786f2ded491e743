"""Scores by simple classifiers: told from reals, and train on one kind to test on the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipelines.metrics.classifier_tests import TwoSample, correct_answers, two_sample_test
from pipelines.metrics.confidence_intervals import estimate_accuracy
from pipelines.metrics.image_selection import (
    MAX_SCORED_IMAGES,
    check_enough,
    group_mask,
    group_names,
    one_of_each_patient,
    thin,
)
from pipelines.metrics.scores import LeftOut, Measurement, Measurements, Parts
from pipelines.study.split import Split
from runtime.estimate import Estimate

TRAIN_SYNTHETIC = "train_synthetic_test_real"
TRAIN_REAL = "train_real_test_synthetic"
MIN_FOR_TWO_SAMPLES = 10  # patients of each set
MIN_FOR_TRAINING = 8  # images of each set and class


def measure_two_samples(parts: Parts) -> Measurements:
    """Test whether training reals can be told from synthetic images, and from held-out reals.

    parts: features (N, d) of each set, of the reals one image of each patient.
    """
    left_out = check_enough(parts, MIN_FOR_TWO_SAMPLES)
    if left_out is not None:
        return {"two_sample_accuracy": left_out}
    n = min(MAX_SCORED_IMAGES, *map(len, parts.values()))
    equal = {name: part[thin(len(part), n)] for name, part in parts.items()}
    synthetic = two_sample_test(equal["train"], equal["synthetic"])
    floor = two_sample_test(equal["train"], equal["held_out"])
    return {
        "two_sample_accuracy": Measurement(
            synthetic=_test_accuracy(synthetic, n),
            floor=_test_accuracy(floor, n),
            synthetic_p=synthetic.p,
            floor_p=floor.p,
        )
    }


def measure_training(
    classes: Sequence[str], sets: Mapping[str, Split], features: Parts
) -> dict[str, Measurements]:
    """Train on synthetic images and test on held-out reals, and the reverse; by group.

    Either is beside a classifier trained on as many reals and tested on held-out ones. Of reals one
    image of each patient and class is taken. features: (N, d) of each set.
    """
    groups = group_names(classes)
    rows = {
        name: one_of_each_patient(list(map("{} {}".format, split.labels, split.patients)))
        for name, split in sets.items()
    }
    sets = {name: split.take(rows[name].tolist()) for name, split in sets.items()}
    features = {name: part[rows[name]] for name, part in features.items()}
    counts = {
        name: np.bincount(split.labels, minlength=len(classes)) for name, split in sets.items()
    }
    per_class = np.minimum(counts["train"], counts["synthetic"])  # (K,) images to train on
    left_out = _check_classes(per_class, counts["held_out"])
    if left_out is not None:
        return {group: dict.fromkeys((TRAIN_SYNTHETIC, TRAIN_REAL), left_out) for group in groups}

    def answers(trained_on: str, tested_on: str) -> np.ndarray:
        labels = sets[trained_on].labels
        by_class = [
            np.flatnonzero(labels == label)[thin(counts[trained_on][label], per_class[label])]
            for label in range(len(classes))
        ]
        chosen = np.concatenate(by_class)
        return correct_answers(
            features[trained_on][chosen],
            labels[chosen],
            features[tested_on],
            sets[tested_on].labels,
        )

    def accuracy(correct: np.ndarray, tested_on: str, group: str) -> Estimate:
        mask = group_mask(sets[tested_on].labels, group, classes)
        return estimate_accuracy(correct[mask], np.asarray(sets[tested_on].patients)[mask])

    of_reals = answers("train", "held_out")
    of_synthetic = answers("synthetic", "held_out")
    reverse = answers("train", "synthetic")
    detail = f"taught by {per_class.sum()} images"
    measurements: dict[str, Measurements] = {}
    for group in groups:
        floor = accuracy(of_reals, "held_out", group)
        measurements[group] = {
            TRAIN_SYNTHETIC: Measurement(
                synthetic=accuracy(of_synthetic, "held_out", group), floor=floor, detail=detail
            ),
            TRAIN_REAL: Measurement(
                synthetic=accuracy(reverse, "synthetic", group), floor=floor, detail=detail
            ),
        }
    return measurements


def _test_accuracy(test: TwoSample, n: int) -> Estimate:
    """Take the accuracy of a two-sample test of n images of each set."""
    return replace(estimate_accuracy(test.correct, np.arange(len(test.correct))), n=n)


def _check_classes(per_class: np.ndarray, held_out: np.ndarray) -> LeftOut | None:
    """Say that a class has too few images, or that there is one class only."""
    if len(per_class) < 2:
        return LeftOut("one class; it needs two")
    if min(per_class.min(), held_out.min()) < MIN_FOR_TRAINING:
        return LeftOut(
            f"a class has {per_class.min()} training or synthetic images and {held_out.min()} "
            f"held-out ones, of reals one a patient; it needs {MIN_FOR_TRAINING} of each"
        )
    return None
