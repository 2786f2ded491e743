"""Which images of the sets a score is taken of, and whether there are enough of them.

Images of one patient are alike, so n images of fewer patients are worth less than n images of as
many: on public X-rays they set the floor of the Fréchet distance too high. Reals are therefore
scored one image a patient.
"""

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


def one_of_each_patient(patients: Sequence[str] | np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw the place of one image of each patient (N,); return them in their order."""
    patients = np.asarray(patients)
    shuffled = numpy_generator(seed, "one image of each patient").permutation(len(patients))
    first = np.unique(patients[shuffled], return_index=True)[1]
    return np.sort(shuffled[first])


def check_enough(parts: Mapping[str, Sized], needed: int) -> LeftOut | None:
    """Say that a set has fewer than the needed number of images; None when all have enough.

    parts: of the reals, one image of each patient.
    """
    counts = {name: len(part) for name, part in parts.items()}
    if min(counts.values()) >= needed:
        return None
    return LeftOut(
        f"{counts['train']} training, {counts['synthetic']} synthetic, "
        f"{counts['held_out']} held-out images, of reals one a patient; it needs {needed} of each"
    )
