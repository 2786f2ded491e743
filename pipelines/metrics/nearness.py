"""How near synthetic images lie to the training images, in one space.

Four questions, of rows in pixels (thumbnails, see `nearest`) or in features:

copies      How many synthetic images are nearer to a training image than 1 in 100 reals, one of
            each patient, come to one of another patient? The share with its Clopper-Pearson
            interval (1934), against that of the reals by Fisher's exact test.
closeness   Do synthetic images lie nearer to the training images than held-out reals do? C_T of
            Meehan, Chaudhuri & Dasgupta (2020, "A Non-Parametric Test to Detect Data-Copying in
            Generative Models", section 3.1), the Mann-Whitney U as a z score, over one cell. Smooth
            or typical images lie near to everything without being copies, so C_T alone convicts
            nobody.
favour      Is the nearest of all reals a training image more often than when patients take the
            parts of training and held-out ones by lot, within each class? The lot is what the split
            was, so this holds however smooth the images are: the test to rely on.
membership  Can training images be told from held-out ones by their distance to the nearest
            synthetic image (Hayes et al. 2019; Chen et al. 2020)? ROC AUC; 50 % is a guess.

Beside them stand the scores that others report, see `privacy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import fisher_exact, mannwhitneyu

from pipelines.metrics.confidence_intervals import estimate_auc, estimate_share
from pipelines.metrics.image_selection import one_of_each_patient
from pipelines.metrics.nearest import (
    Nearest,
    distances_to_strangers,
    nearest,
    threshold_of_distances,
)
from pipelines.metrics.privacy import Privacy, measure_privacy
from pipelines.metrics.scores import Parts
from pipelines.study.split import Split
from pipelines.study.tables import format_table
from runtime.estimate import Estimate
from runtime.files import write_text
from runtime.randomness import numpy_generator

LOTS = 2000  # drawings of who is a training patient


@dataclass(frozen=True)
class Neighbours:
    """The nearest training image and the nearest held-out image of each synthetic one."""

    training: Nearest
    held_out: Nearest


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Synthetic images that are too near to a training image.

    Attributes:
        threshold: The distance below which an image is a copy.
        count, share: How many, of the synthetic images.
        reals_share: The share of reals, one of each patient, as near to another patient's training
            image.
        p: How likely as many are by chance.
    """

    threshold: float
    count: int
    share: Estimate
    reals_share: Estimate
    p: float


@dataclass(frozen=True, kw_only=True)
class Closeness:
    """Distances to the training images, in the unit of the space.

    Attributes:
        to_training, to_held_out: Median distance of synthetic images.
        reals_to_training: That of held-out reals, one of each patient.
        nearer: Share of pairs of a synthetic and a held-out image in which the synthetic one is
            nearer to the training images.
        c_t: Below 0 when synthetic images are nearer than held-out reals.
        p: How likely as small a C_T is by chance.
    """

    to_training: float
    to_held_out: float
    reals_to_training: float
    nearer: Estimate
    c_t: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Favour:
    """Share of synthetic images whose nearest real is a training image.

    by_lot: its mean when training patients are drawn by lot. p: how likely as large a share is so.
    """

    share: float
    by_lot: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Nearness:
    """What one space says of a synthetic set."""

    copies: Copies
    closeness: Closeness
    favour: Favour
    membership: Estimate
    privacy: Privacy | None = None  # of a score of an earlier version


@dataclass(frozen=True)
class Reals:
    """Training and held-out images together: where they lie (N, d), and what they are, (N,)."""

    rows: np.ndarray
    is_training: np.ndarray
    patients: np.ndarray
    labels: np.ndarray


def measure_nearness(sets: Mapping[str, Split], rows: Parts) -> tuple[Nearness, Neighbours]:
    """Run every test of one space.

    rows: where the images of each set lie in it, (N, d).
    """
    train, held_out, synthetic = (rows[name] for name in ("train", "held_out", "synthetic"))
    reals = Reals(
        rows=np.concatenate([train, held_out]),
        is_training=np.arange(len(train) + len(held_out)) < len(train),
        patients=np.array(sets["train"].patients + sets["held_out"].patients),
        labels=np.concatenate([sets["train"].labels, sets["held_out"].labels]),
    )
    neighbours = Neighbours(nearest(synthetic, train), nearest(synthetic, held_out))
    to_strangers = distances_to_strangers(reals.rows, reals.is_training, reals.patients.tolist())
    alone = one_of_each_patient(reals.patients)
    held_out_alone = alone[~reals.is_training[alone]]  # no patient is in both
    to_synthetic = nearest(reals.rows, synthetic).distance
    nearness = Nearness(
        copies=_count_copies(neighbours, to_strangers[alone]),
        closeness=_measure_closeness(
            neighbours,
            to_strangers[held_out_alone],
            [*sets["synthetic"].patients, *reals.patients[held_out_alone]],
        ),
        favour=_measure_favour(neighbours, reals),
        membership=estimate_auc(reals.is_training, -to_synthetic, reals.patients.tolist()),
        privacy=measure_privacy(
            neighbours.training,
            nearest(reals.rows[held_out_alone], train),
            to_strangers[reals.is_training],
            to_synthetic,
            reals.is_training,
            reals.patients,
        ),
    )
    return nearness, neighbours


def write_neighbours(
    path: Path, sets: Mapping[str, Split], neighbours: Mapping[str, Neighbours]
) -> None:
    """Write a CSV with a row per synthetic image, of its nearest training and held-out images.

    neighbours: by space; each has columns of its own, of file names and distances.
    """
    rows = []
    for place, file_name in enumerate(sets["synthetic"].file_names):
        row = {"file_name": file_name}
        for space, of_space in neighbours.items():
            for kind, nearest_of_kind, split in (
                ("training", of_space.training, sets["train"]),
                ("held_out", of_space.held_out, sets["held_out"]),
            ):
                column = f"{space}_{kind}"
                row[column] = split.file_names[nearest_of_kind.index[place]]
                row[f"{column}_distance"] = f"{nearest_of_kind.distance[place]:.6g}"
        rows.append(row)
    write_text(path, format_table(list(rows[0]), rows))


def _count_copies(neighbours: Neighbours, to_strangers: np.ndarray) -> Copies:
    threshold = threshold_of_distances(to_strangers)
    n, n_reals = len(neighbours.training.distance), len(to_strangers)
    copied = int((neighbours.training.distance < threshold).sum())
    alike = int((to_strangers < threshold).sum())
    counts = [[copied, n - copied], [alike, n_reals - alike]]
    return Copies(
        threshold=threshold,
        count=copied,
        share=estimate_share(copied, n),
        reals_share=estimate_share(alike, n_reals),
        p=float(fisher_exact(counts, alternative="greater").pvalue),
    )


def _measure_closeness(
    neighbours: Neighbours, held_out_distance: np.ndarray, patients: Sequence[str]
) -> Closeness:
    """Compare distances to the training images, of synthetic and of held-out images.

    patients: of the synthetic images, then of the held-out ones.
    """
    synthetic_distance = neighbours.training.distance
    n, m = len(synthetic_distance), len(held_out_distance)
    both = np.concatenate([synthetic_distance, held_out_distance])
    is_synthetic = np.arange(len(both)) < n
    test = mannwhitneyu(
        synthetic_distance, held_out_distance, alternative="less", method="asymptotic"
    )
    return Closeness(
        to_training=float(np.median(synthetic_distance)),
        to_held_out=float(np.median(neighbours.held_out.distance)),
        reals_to_training=float(np.median(held_out_distance)),
        nearer=estimate_auc(is_synthetic, -both, patients),
        c_t=float((test.statistic - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)),
        p=float(test.pvalue),
    )


def _measure_favour(neighbours: Neighbours, reals: Reals) -> Favour:
    """Draw training patients by lot, in each class as many as there are."""
    place = np.where(
        neighbours.training.distance <= neighbours.held_out.distance,
        neighbours.training.index,
        reals.is_training.sum() + neighbours.held_out.index,
    )
    _, first, patient = np.unique(reals.patients, return_index=True, return_inverse=True)
    # Synthetic images whose nearest real is of each patient.
    visits = np.bincount(patient[place], minlength=len(first))
    is_training, label = reals.is_training[first].copy(), reals.labels[first]
    seen, random = int(visits[is_training].sum()), numpy_generator(0, "lots")
    by_lot = []
    for _ in range(LOTS):
        for index in np.unique(label):
            of_class = label == index
            is_training[of_class] = random.permutation(is_training[of_class])
        by_lot.append(int(visits[is_training].sum()))
    return Favour(
        share=seen / len(place),
        by_lot=float(np.mean(by_lot)) / len(place),
        p=(1 + int((np.array(by_lot) >= seen).sum())) / (1 + LOTS),
    )
