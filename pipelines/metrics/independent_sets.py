"""How far a measure falls from one test set to another that has none of its patients.

The same classifiers answer on both sets, so that what an image adds to the fall is its pseudo-value
inside, or minus that outside, and the mean over both sets' images is the fall of each classifier.
Its variance is that of `crossed_variance`: the luck of generators and trainings is of the fall, and
whatever lifts a classifier in both sets alike cancels. The patients of the two sets are independent
samples, whose variances add, with the degrees of freedom of Welch (1947, Biometrika 34:28).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines.metrics.crossed_variance import Part, analyse, combine
from pipelines.metrics.paired_tests import Replicate, arrange_cells, interval_reach
from runtime.estimate import Estimate


@dataclass(frozen=True)
class Sample:
    """What the images of one test set add to a measure.

    Attributes:
        values: Pseudo-values of each image in each replicate (`measures`), (R, N).
        patients: Whose image it is, (N,).
        n: How many images the measure is about.
        folds: In which fold each image was tested, (N,); None where there are none.
    """

    values: np.ndarray
    patients: Sequence[str]
    n: int
    folds: np.ndarray | None = None

    def patients_part(self, replicates: Sequence[Replicate]) -> Part:
        """Return the variance of the mean over replicates that is due to the choice of patients."""
        names, patient = np.unique(np.asarray(self.patients), return_inverse=True)
        fold = None if self.folds is None else np.unique(self.folds, return_inverse=True)[1]
        one_patient = self.values.shape[1] / (len(names) * self.n)
        part = analyse(arrange_cells(self.values, replicates), patient, fold, one_patient).patients
        assert part is not None, "every analysis has patients"
        return part

    def deviations(self) -> np.ndarray:
        """Return what makes each image more than the mean of its replicate, over N, (R, N)."""
        return (self.values - self.values.mean(axis=1, keepdims=True)) / self.values.shape[1]


def estimate_fall(inside: Sample, outside: Sample, replicates: Sequence[Replicate]) -> Estimate:
    """Estimate a measure inside minus the same outside, a mean over replicates.

    The 95 % interval covers the choice of patients of both sets, and the luck of the seeds,
    generators, draws and subsets that there are several of. It does not cover the choice of the
    other hospital: the fall to a third one may be another. Where inside is a cross-validation,
    `outside.values` are means over the folds' classifiers, and what a fold's training images have
    of their own is covered only as far as replicates differ.

    replicates: every seed in every subset, generator and draw, (R,), the same for both sets.
    """
    falls = inside.values.mean(axis=1) - outside.values.mean(axis=1)  # (R,)
    together = np.concatenate([inside.deviations(), -outside.deviations()], axis=1)  # (R, N + M)
    names = [("inside", name) for name in inside.patients]
    names += [("outside", name) for name in outside.patients]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    parts = analyse(
        arrange_cells(falls[:, None] + together * together.shape[1], replicates),
        np.array([numbers[name] for name in names]),
        None,
        0.0,
    )
    patients = _add(inside.patients_part(replicates), outside.patients_part(replicates))
    reach = interval_reach(combine(replace(parts, patients=patients)))
    fall = float(falls.mean())
    return Estimate(fall, max(fall - reach, -1.0), min(fall + reach, 1.0), inside.n + outside.n)


def _add(first: Part, second: Part) -> Part:
    """Add the variances of independent samples, with the degrees of freedom of Welch."""
    value = first.value + second.value
    squares = first.value**2 / first.freedom + second.value**2 / second.freedom
    return Part(value, value**2 / squares)
