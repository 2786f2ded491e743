"""Which images of the sets a score is taken of, and whether there are enough of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized

import numpy as np

from pipelines.metrics.scores import OVERALL, LeftOut
from runtime.randomness import numpy_generator

MAX_SCORED_IMAGES = (
    3000  # of a set; of more, as many are drawn, for all but the distance of all images
)


def group_names(classes: Sequence[str]) -> list[str]:
    """Name the groups that are scored: every class where there are several, and all together."""
    return [*classes, OVERALL] if len(classes) > 1 else [OVERALL]


def group_mask(labels: np.ndarray, group: str, classes: Sequence[str]) -> np.ndarray:
    """Say which images with these label indices (N,) belong to a group, bool (N,)."""
    if group == OVERALL:
        return np.ones(len(labels), bool)
    return labels == classes.index(group)


def thin(count: int, most: int) -> np.ndarray:
    """Choose at most `most` of `count` places, always the same ones, in their order."""
    if count <= most:
        return np.arange(count)
    return np.sort(numpy_generator(0, "thinned").choice(count, most, replace=False))


def first_of_each_patient(patients: np.ndarray) -> np.ndarray:
    """Choose the place of one image of each patient (N,), in their order."""
    return np.sort(np.unique(patients, return_index=True)[1])


def check_enough(parts: Mapping[str, Sized], needed: int, what: str = "images") -> LeftOut | None:
    """Say that a set has fewer than the needed number of images; None when all have enough."""
    counts = {name: len(part) for name, part in parts.items()}
    if min(counts.values()) >= needed:
        return None
    return LeftOut(
        f"{counts['train']} training, {counts['synthetic']} synthetic, "
        f"{counts['held_out']} held-out {what}; it needs {needed} of each"
    )
