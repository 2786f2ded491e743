"""The variance of a mean over generators, seeds and patients that all cross each other.

Every classifier tests every patient, so that the luck of a generator, of a training and of a
patient, and what is peculiar to each combination of them, are the effects of a three-way
random-effects analysis of variance: that of readers and cases in radiology (Dorfman, Berbaum & Metz
1992, Investigative Radiology 27:723; Obuchowski & Rockette 1995, Communications in Statistics
24:285; with a third crossed factor Gallas, Bandos, Samuelson & Wagner 2009, Communications in
Statistics 38:2586). Of rows r, seeds s and patients p, with MS for the mean square of an effect
and n for the number of cells, the variance of the grand mean is

    (MS_r + MS_s + MS_p − MS_rs − MS_rp − MS_sp + MS_rsp) / n.

For every effect is in its own mean square and in those of the effects that it is part of, and this
sum counts each once. Below, a part is a mean square over n. Each of MS_r, MS_s and MS_p expects no
more than the whole, which is therefore never taken to be less than the largest of them.

Rows are the topmost level of replication that has several members (subsets, else generators, else
draws); what is nested in it is averaged. Folds have patients and classifiers of their own, so their
variances add. The differences between K folds (K − 1 degrees of freedom) hold the luck of all that
each has of its own, training images and a single generator included; where they say that the
variance is larger, they are believed. The training sets of two folds overlap, and no estimate of
the variance without bias exists then (Bengio & Grandvalet 2004, Journal of Machine Learning
Research 5:1089).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Part:
    """A mean square divided by the number of cells, and its degrees of freedom."""

    value: float
    freedom: float

    def redraw(self, random: np.random.Generator) -> Part:
        """Draw the part of another study of which this is expected."""
        return Part(self.value * random.chisquare(self.freedom) / self.freedom, self.freedom)


@dataclass(frozen=True)
class Variance:
    """The variance of a mean, and its degrees of freedom."""

    value: float
    freedom: float


@dataclass(frozen=True)
class Parts:
    """Mean squares over the number of cells: of main effects, and of what they have together.

    Main effects are those of rows, seeds, patients and folds. None is listed that has one member.
    """

    rows: Part | None = None
    seeds: Part | None = None
    patients: Part | None = None
    folds: Part | None = None
    pairs: tuple[Part, ...] = ()
    triple: Part | None = None

    def redraw(self, random: np.random.Generator) -> Parts:
        """Draw the parts of another study of which these are expected."""

        def draw(part: Part | None) -> Part | None:
            return part.redraw(random) if part else None

        return Parts(
            rows=draw(self.rows),
            seeds=draw(self.seeds),
            patients=draw(self.patients),
            folds=draw(self.folds),
            pairs=tuple(part.redraw(random) for part in self.pairs),
            triple=draw(self.triple),
        )


def combine(parts: Parts) -> Variance:
    """Add the parts up, with the degrees of freedom of Satterthwaite (1946, eq. 17).

    They are (Σ ± v)² / Σ (v² / f).
    """
    mains = [part for part in (parts.rows, parts.seeds, parts.patients) if part]
    lasts = [parts.triple] if parts.triple else []
    inside = sum(part.value for part in mains + lasts) - sum(part.value for part in parts.pairs)
    value = max([inside, *(part.value for part in mains)])
    if parts.folds and parts.folds.value > value:
        return Variance(parts.folds.value, parts.folds.freedom)
    squares = sum(part.value**2 / part.freedom for part in [*mains, *parts.pairs, *lasts])
    return Variance(float(value), float(value**2 / squares))


def analyse(
    cells: np.ndarray, patients: np.ndarray, folds: np.ndarray | None, one_patient: float
) -> Parts:
    """Work out the parts of the variance of the mean of `cells`.

    Args:
        cells: Values of each row, seed and image, (R, S, N).
        patients: Whose image it is, indices from 0, (N,).
        folds: Which fold it is of, indices from 0, (N,), or None.
        one_patient: How much one patient, right in place of wrong, changes the mean.
    """
    num_rows, num_seeds, num_images = cells.shape
    fold_of = np.zeros(num_images, int) if folds is None else folds
    weights = np.bincount(fold_of) / num_images  # (K,)
    num_folds = len(weights)
    means = np.stack(
        [cells[:, :, fold_of == fold].mean(axis=2) for fold in range(num_folds)], axis=2
    )  # (R, S, K)
    of_patients, patients_freedom = _patient_deviations(cells, means, patients, fold_of)
    of_classifiers = means * weights
    both = np.concatenate([of_classifiers, of_patients], axis=2)
    is_patient = np.arange(both.shape[2]) >= num_folds

    def part(effect: np.ndarray, count: int, freedom: int, over_patients: bool) -> Part:
        chosen = effect[..., is_patient if over_patients else ~is_patient]
        degrees = freedom * (patients_freedom if over_patients else num_folds)
        return Part(float((chosen**2).sum() / (count * freedom)), max(degrees, 1))

    by_row, by_seed, overall = both.mean(axis=1), both.mean(axis=0), both.mean(axis=(0, 1))
    row_effects, seed_effects = by_row - overall, by_seed - overall
    rows = seeds = triple = between = None
    pairs: list[Part] = []
    if num_rows > 1:
        rows = part(row_effects, num_rows, num_rows - 1, False)
        pairs.append(part(row_effects, num_rows, num_rows - 1, True))
    if num_seeds > 1:
        seeds = part(seed_effects, num_seeds, num_seeds - 1, False)
        pairs.append(part(seed_effects, num_seeds, num_seeds - 1, True))
    if num_rows > 1 and num_seeds > 1:
        rest = both - by_row[:, None] - by_seed[None] + overall
        freedom = (num_rows - 1) * (num_seeds - 1)
        pairs.append(part(rest, num_rows * num_seeds, freedom, False))
        triple = part(rest, num_rows * num_seeds, freedom, True)
    if num_folds > 1:
        deviations = weights * (means.mean(axis=(0, 1)) - cells.mean())
        between = Part(float((deviations**2).sum() * num_folds / (num_folds - 1)), num_folds - 1)
    of_all_patients = Part(
        _at_least_one_patient(overall[is_patient] ** 2, one_patient), max(patients_freedom, 1)
    )
    return Parts(rows, seeds, of_all_patients, between, tuple(pairs), triple)


def _patient_deviations(
    cells: np.ndarray, means: np.ndarray, patients: np.ndarray, folds: np.ndarray
) -> tuple[np.ndarray, int]:
    """Return what each patient adds to the mean beyond its fold's, (R, S, P), and their freedom.

    It is the sum over the patient's images, so that images weigh alike, and P/(P − 1) of the
    fold's patients makes the squares unbiased.
    """
    order = np.argsort(patients, kind="stable")
    starts = np.flatnonzero(np.diff(patients[order], prepend=-1))
    sums = np.add.reduceat((cells - means[:, :, folds])[:, :, order], starts, axis=2)
    fold_of_patient = folds[order][starts]
    in_fold = np.bincount(fold_of_patient, minlength=means.shape[2])
    correction = np.sqrt(in_fold / np.maximum(in_fold - 1, 1))[fold_of_patient]
    return sums * correction / cells.shape[2], int((in_fold - 1).sum())


def _at_least_one_patient(squares: np.ndarray, one_patient: float) -> float:
    """Add up squares (P,), but not to less than one further patient would add, so to speak.

    Where all patients agree, the next may not, and no mean is certain: there the sum is the square
    of what one patient changes. It is that square's share among m + 1 where already m patients make
    the difference, by Kish's (1965) effective number m = (Σ u²)² / Σ u⁴.
    """
    total = float(squares.sum())
    fourth = float((squares**2).sum())
    effective = total**2 / fourth if fourth > 0 else 0.0
    return max(total, one_patient**2 / (effective + 1))
