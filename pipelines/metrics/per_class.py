"""All scores of every group, each measured on synthetic images and alike on held-out reals.

Fewer images give another value of most scores: the Fréchet distance falls with their number, recall
rises. So synthetic images are compared at the number n of the held-out reals, the mean over draws
where there are more; the floor is the same score of n held-out reals, the best a generator can be
expected to reach. Training reals are what both are compared with.

Reals are scored one image a patient: those of one patient are alike, so that n of them are worth
less than n images of as many patients, and would set the floor too high. Only what is taken of all
synthetic images, as other tools do, is compared with all training reals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipelines.metrics.classifier_scores import measure_training, measure_two_samples
from pipelines.metrics.diversity import measure_pixel_diversity
from pipelines.metrics.feature_scores import measure_features
from pipelines.metrics.image_selection import group_mask, group_names, one_of_each_patient
from pipelines.metrics.scores import (
    PIXELS,
    SCORE_NAMES,
    LeftOut,
    Measurement,
    Measurements,
    Parts,
    Score,
    Unscored,
)
from pipelines.study.split import Split


def score_groups(
    classes: Sequence[str],
    sets: Mapping[str, Split],
    features: Mapping[str, Parts],
    reference: Sequence[str] = ("train",),
) -> tuple[list[Score], list[Unscored]]:
    """Take all scores of every class and of all together.

    Args:
        classes: The names of the label indices.
        sets: "train", "held_out" and "synthetic".
        features: (N, d) of each set, by extractor.
        reference: The sets of reals that all synthetic images are compared with in
            `Score.all_synthetic`.
    """
    scores: list[Score] = []
    unscored: list[Unscored] = []
    patients = {name: np.asarray(split.patients) for name, split in sets.items()}
    training = {
        extractor: measure_training(classes, sets, parts) for extractor, parts in features.items()
    }
    for group in group_names(classes):
        every = {
            name: np.flatnonzero(group_mask(split.labels, group, classes))
            for name, split in sets.items()
        }
        rows = {
            name: places[one_of_each_patient(patients[name][places])]
            for name, places in every.items()
        }
        counts = {name: len(places) for name, places in every.items()}
        num_patients = {name: len(places) for name, places in rows.items()}
        by_space = _measure_group(sets, features, rows, every, reference)
        for extractor in features:
            by_space[extractor] |= training[extractor][group]
        for space, measurements in by_space.items():
            for name in sorted(measurements, key=SCORE_NAMES.index):
                measured = measurements[name]
                if isinstance(measured, LeftOut):
                    unscored.append(Unscored(group, space, name, measured.reason))
                else:
                    scores.append(_make_score(group, space, name, measured, counts, num_patients))
    return scores, unscored


def _measure_group(
    sets: Mapping[str, Split],
    features: Mapping[str, Parts],
    rows: Parts,
    every: Parts,
    reference: Sequence[str],
) -> dict[str, Measurements]:
    """Measure the images at these rows of each set, in pixels and by extractor.

    every: the places of all images, which are for comparison with other tools.
    """
    patients = {name: np.asarray(split.patients)[rows[name]] for name, split in sets.items()}
    images = {name: split.images[rows[name]] for name, split in sets.items()}
    by_space = {PIXELS: measure_pixel_diversity(images, patients)}
    for extractor, by_set in features.items():
        parts = {name: by_set[name][chosen] for name, chosen in rows.items()}
        of_all = {name: by_set[name][places] for name, places in every.items()}
        reals = np.concatenate([of_all[name] for name in reference])
        by_space[extractor] = measure_features(parts, patients, reals, of_all["synthetic"])
        by_space[extractor] |= measure_two_samples(parts)
    return by_space


def _make_score(
    group: str,
    space: str,
    name: str,
    measured: Measurement,
    counts: Mapping[str, int],
    num_patients: Mapping[str, int],
) -> Score:
    return Score(
        group=group,
        features=space,
        name=name,
        synthetic=measured.synthetic,
        synthetic_p=measured.synthetic_p,
        floor=measured.floor,
        floor_p=measured.floor_p,
        all_synthetic=measured.all_synthetic,
        n_train=counts["train"],
        n_synthetic=counts["synthetic"],
        n_held_out=counts["held_out"],
        train_patients=num_patients["train"],
        held_out_patients=num_patients["held_out"],
        detail=measured.detail,
    )
