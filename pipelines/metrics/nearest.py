"""The nearest of many images, and how near is too near.

Pixels are compared as thumbnails of 16×16 with their mean taken off and their standard deviation
made one, so that brightness and contrast do not count. 16 px are few on purpose, since one pixel of
a shift then counts for little: of 647 real X-rays of 64 px, copies that are brighter, of less
contrast or noisy are all told, of those shifted by one pixel downwards 99 in 100, by one both ways
85, by two downwards 16; shifted by two both ways or mirrored they are not. In thumbnails of 64 px a
shift by one would do for nearly all.

A sample is a copy when it is nearer to a training image than all but 1 in 100 real images, one of
each person, are to the nearest training image of another person. Patients who share a film count as
one person: of 925 public X-rays 8 are such, under two patient numbers, and would set the threshold
instead of the anatomy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from pipelines.metrics.image_selection import one_of_each_patient
from pipelines.study.image_cache import load_images
from pipelines.study.manifest import Row
from pipelines.study.persons import group_persons
from pipelines.study.workspace import Workspace

COPY_THUMBNAIL_SIDE = 16  # pixels
COPY_QUANTILE = 0.01  # of reals, that are as near to another patient's training image as a copy is
QUERY_BLOCK, REFERENCE_BLOCK = 1024, 4096  # rows compared at once: 32 MiB of distances


@dataclass(frozen=True)
class Nearest:
    """For each query the place of its nearest reference (N,), and the distance to it (N,)."""

    index: np.ndarray
    distance: np.ndarray


@dataclass(frozen=True)
class CopyGuard:
    """Tells copies of training images from other images, by the training images' thumbnails."""

    training: np.ndarray  # (N, 256)
    threshold: float

    def copies(self, images: np.ndarray) -> np.ndarray:
        """Say which of the uint8 images (N, S, S) are copies, bool (N,)."""
        return nearest(thumbnails(images), self.training).distance < self.threshold


def copy_guard(workspace: Workspace, study: Sequence[Row], size: int) -> CopyGuard:
    """Make the guard of a study's training images, read at `size` pixels.

    study: Its rows, with the splits that hold for the generator; training and validation images
    tell how near strangers are.
    Raises ValueError when the training images are all of one patient, since nothing then says how
    near strangers are.
    """
    rows = [row for row in study if row.split in ("train", "validation")]
    reals = thumbnails(load_images(workspace, rows, size))
    is_training = np.array([row.split == "train" for row in rows])
    people = persons(rows, workspace.tied_patients())
    return CopyGuard(reals[is_training], copy_threshold(reals, is_training, people))


def persons(rows: Sequence[Row], tied: Iterable[Collection[str]] = ()) -> list[str]:
    """Say whose image each row is (N,): patients who share a film are one person.

    tied: Patients whom an import found to be one person.
    """
    return [str(number) for number in group_persons(rows, tied)]


def copy_threshold(reals: np.ndarray, is_training: np.ndarray, patients: Sequence[str]) -> float:
    """Return the distance within which few reals (N, d) come to another patient's training image.

    Few is a share of COPY_QUANTILE.

    Args:
        reals: Where they lie.
        is_training: bool (N,).
        patients: (N,), whose image each is, see `persons`.
    """
    to_strangers = distances_to_strangers(reals, is_training, patients)
    return threshold_of_distances(to_strangers[one_of_each_patient(patients)])


def threshold_of_distances(to_strangers: np.ndarray) -> float:
    """Return the threshold of a copy from the distances (N,) to strangers, one of each person."""
    return float(np.round(np.quantile(to_strangers, COPY_QUANTILE), 6))


def distances_to_strangers(
    reals: np.ndarray, is_training: np.ndarray, patients: Sequence[str]
) -> np.ndarray:
    """Return the distance (N,) of each real (N, d) to another patient's nearest training image."""
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    if len(np.unique(patient[is_training])) < 2:
        raise ValueError(
            "all training images are of one patient, so nothing says how near those of two "
            "patients are; import images of more patients"
        )
    return nearest(reals, reals[is_training], (patient, patient[is_training])).distance


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Turn uint8 images (N, S, S) into rows (N, 256) of standardised thumbnails.

    Each is brought to 16 px by averaging areas, to mean zero and to standard deviation one; of a
    blank image only zeros are left. The Euclidean distance of two rows is the root mean square
    difference of the thumbnails: 0 is the same picture, √2 two unrelated ones.
    """
    blocks = torch.from_numpy(np.ascontiguousarray(images)).unsqueeze(1).split(QUERY_BLOCK)
    small = torch.cat(
        [adaptive_avg_pool2d(block.double(), COPY_THUMBNAIL_SIDE).flatten(1) for block in blocks]
    ).numpy()
    centred = small - small.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    return np.where(spread > 1e-6, centred / np.maximum(spread, 1e-6), 0.0) / COPY_THUMBNAIL_SIDE


def nearest(
    queries: np.ndarray, references: np.ndarray, groups: tuple[np.ndarray, np.ndarray] | None = None
) -> Nearest:
    """Find the nearest reference (M, d) of each query (N, d) by Euclidean distance, in float64.

    groups: of queries (N,) and references (M,); a reference of the query's own group is passed
    over. A query that has no other is at infinity.
    """
    queries, references = np.asarray(queries, np.float64), np.asarray(references, np.float64)
    squared_lengths = np.square(references).sum(axis=1)
    index, distance = np.zeros(len(queries), np.int64), np.full(len(queries), np.inf)
    for start in range(0, len(queries), QUERY_BLOCK):
        rows = slice(start, min(start + QUERY_BLOCK, len(queries)))
        least = np.full(rows.stop - start, np.inf)
        for first in range(0, len(references), REFERENCE_BLOCK):
            block = slice(first, first + REFERENCE_BLOCK)
            # Less the query's own squared length, which changes no order.
            squared = squared_lengths[block] - 2 * queries[rows] @ references[block].T
            if groups:
                squared[groups[0][rows, None] == groups[1][None, block]] = np.inf
            place = squared.argmin(axis=1)
            value = squared[np.arange(len(place)), place]
            better = value < least
            index[rows][better], least[better] = first + place[better], value[better]
        has_other = np.isfinite(least)
        gaps = queries[rows][has_other] - references[index[rows][has_other]]
        distance[rows][has_other] = np.linalg.norm(gaps, axis=1)
    return Nearest(index, distance)
