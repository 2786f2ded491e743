"""All scores of every group, a class or all of them, each measured on synthetic images and in the same way on held-out reals.

Fewer images give another value of most scores: the Fréchet distance falls with their number, recall rises. So synthetic images are
compared at the number n of the held-out reals, the mean over draws where there are more; `floor` is the same score of n held-out
reals, the best a generator can be expected to reach. Training reals are what both are compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from pipelines.metrics.classifier_tests import right_answers, two_sample_test
from pipelines.metrics.confidence_intervals import Estimate, at_least_wilson, half_sampled, share_of
from pipelines.metrics.diversity import SMALLEST, ms_ssim
from pipelines.metrics.frechet import frechet_distance, nuclear_norm
from pipelines.metrics.kernel import discrepancy, kernel_distance, subset_size
from pipelines.metrics.precision_recall import OF_DENSITY, manifold, of_distances
from pipelines.study.synthetic import Split
from runtime.randomness import numpy_generator

MOST = 3000  # images of a set; of more, as many are drawn, for all but the Fréchet distance of all images
SIMILAR = 48  # images of a set whose pairwise similarity is taken

DISTANCES = ("frechet", "kernel", "diversity")
NEIGHBOURS = ("precision", "recall", "density", "coverage")
TAUGHT = ("train_synthetic_test_real", "train_real_test_synthetic")
SCORES = (
    *DISTANCES[:2],
    *NEIGHBOURS,
    "diversity",
    "ms_ssim_diversity",
    "two_sample_accuracy",
    *TAUGHT,
)
SHARES = ("precision", "recall", "coverage")  # in 0..1
NEEDED = {
    "distances": 8,
    "neighbours": 2 * OF_DENSITY + 2,
    "similarity": 8,
    "two samples": 10,
    "training": 8,
}  # images of each set

Parts = dict[str, np.ndarray]  # by set: "train", "held_out", "synthetic"


@dataclass(frozen=True)
class Score:
    """One score of one group: of n synthetic images, of n held-out reals (the floor), and of all synthetic images, as other tools have it."""

    group: str  # a class, or "overall"
    features: str  # the extractor's name, or "pixels"
    score: str  # one of SCORES
    value: float
    low: float  # 95 % interval
    high: float
    p: float | None  # of the two-sample test: how likely as good an accuracy is by chance
    floor: float
    floor_low: float
    floor_high: float
    floor_p: float | None
    of_all: float | None
    n: int
    n_train: int
    n_synthetic: int
    n_held_out: int
    detail: str


@dataclass(frozen=True)
class Unscored:
    """What was left out, and why."""

    group: str
    features: str
    score: str
    reason: str


@dataclass(frozen=True)
class Measured:
    """A score of n synthetic images, and of n held-out reals."""

    n: int
    value: Estimate
    floor: Estimate
    of_all: float | None = None
    detail: str = ""


def score_groups(
    classes: Sequence[str],
    sets: dict[str, Split],
    features: dict[str, Parts],
    reference: Sequence[str] = ("train",),
) -> tuple[list[Score], list[Unscored]]:
    """All scores of every class and overall; sets and features as in `score.Material`.

    reference: the sets of reals that all synthetic images are compared with in `of_all`.
    """
    scores: list[Score] = []
    unscored: list[Unscored] = []
    taught = {name: _taught(classes, sets, of_sets) for name, of_sets in features.items()}
    for group in [*classes, "overall"] if len(classes) > 1 else ["overall"]:
        rows = {
            name: np.flatnonzero(
                (split.labels == classes.index(group))
                if group != "overall"
                else np.ones(len(split.labels), bool)
            )
            for name, split in sets.items()
        }
        patients = {name: np.asarray(split.patients)[rows[name]] for name, split in sets.items()}
        counts = {name: len(chosen) for name, chosen in rows.items()}
        found = {
            "pixels": _in_pixels(
                {name: split.images[rows[name]] for name, split in sets.items()}, patients
            )
        }
        for name, of_sets in features.items():
            parts = {one: of_sets[one][chosen] for one, chosen in rows.items()}
            found[name] = (
                _in_features(parts, patients, reference)
                | _told_apart(parts, patients)
                | taught[name][group]
            )
        for name, measured in found.items():
            for score, one in sorted(measured.items(), key=lambda item: SCORES.index(item[0])):
                if isinstance(one, str):
                    unscored.append(Unscored(group, name, score, one))
                else:
                    value, floor = one.value, one.floor
                    scores.append(
                        Score(
                            group,
                            name,
                            score,
                            value.value,
                            value.low,
                            value.high,
                            value.p,
                            floor.value,
                            floor.low,
                            floor.high,
                            floor.p,
                            one.of_all,
                            one.n,
                            counts["train"],
                            counts["synthetic"],
                            counts["held_out"],
                            one.detail,
                        )
                    )
    return scores, unscored


def _lacking(parts: Parts, need: int) -> str | None:
    """Why the sets are too small, if they are."""
    counts = {name: len(part) for name, part in parts.items()}
    if min(counts.values()) >= need:
        return None
    return f"{counts['train']} training, {counts['synthetic']} synthetic, {counts['held_out']} held-out images; it needs {need} of each"


def _in_features(
    parts: Parts, patients: Parts, reference: Sequence[str]
) -> dict[str, Measured | str]:
    """Distances, neighbours and diversity of features (N, d) of each set."""
    names = [*DISTANCES, *NEIGHBOURS]
    lacking = _lacking(parts, NEEDED["distances"])
    if lacking:
        return dict.fromkeys(names, lacking)
    too_few = _lacking(parts, NEEDED["neighbours"])
    everything = np.concatenate([parts[name] for name in reference]), parts["synthetic"]
    of_all = {"frechet": frechet_distance(*everything)}
    thinned = [rows[_thin(len(rows), MOST)] for rows in everything]
    of_all["kernel"] = kernel_distance(*thinned)
    if not too_few:
        of_all |= vars(manifold(*thinned))
    details = {"kernel": f"of all: in subsets of {subset_size(*map(len, thinned))}"}

    kept = {name: _thin(len(part), MOST) for name, part in parts.items()}
    rows = {name: part[kept[name]].astype(np.float64) for name, part in parts.items()}
    whose = {name: patients[name][kept[name]] for name in rows}
    n = min(len(rows["synthetic"]), len(rows["held_out"]))
    of_reals = rows["train"] @ rows["train"].T
    estimates = {}
    for name in ("synthetic", "held_out"):
        products = of_reals, rows[name] @ rows[name].T, rows["train"] @ rows[name].T
        estimates[name] = half_sampled(
            whose["train"],
            whose[name],
            n,
            lambda i, j: _compared(products, i, j, rows["train"].shape[1], not too_few),
            name,
        )
    found: dict[str, Measured | str] = dict.fromkeys(names, too_few or "")
    for score in estimates["synthetic"]:
        value, floor = (
            _bounded(score, one[score], {"precision": n}.get(score, len(rows["train"])))
            for one in estimates.values()
        )
        found[score] = Measured(n, value, floor, of_all.get(score), details.get(score, ""))
    return found


def _compared(
    products: tuple[np.ndarray, np.ndarray, np.ndarray],
    i: np.ndarray,
    j: np.ndarray,
    width: int,
    neighbours: bool,
) -> dict[str, float]:
    """Scores of the reals i and the candidates j, all worked out from inner products of features: of reals, of candidates, and across."""
    a, b, across = products[0][np.ix_(i, i)], products[1][np.ix_(j, j)], products[2][np.ix_(i, j)]
    n, m = across.shape
    centred = across - across.mean(axis=0) - across.mean(axis=1)[:, None] + across.mean()
    spread = (np.trace(a) - n * a.mean()) / (n - 1) + (np.trace(b) - m * b.mean()) / (m - 1)
    gap = a.mean() + b.mean() - 2 * across.mean()
    squares = [
        (np.diag(x)[:, None] + np.diag(y) - 2 * xy).clip(min=0)
        for x, y, xy in ((a, a, a), (b, b, b), (a, b, across))
    ]
    found = {
        "frechet": max(gap + spread - 2 * nuclear_norm(centred) / sqrt((n - 1) * (m - 1)), 0.0),
        "kernel": discrepancy(*((product / width + 1) ** 3 for product in (a, b, across))),
        "diversity": _mean_of_pairs(np.sqrt(squares[1]))
        / max(_mean_of_pairs(np.sqrt(squares[0])), 1e-12),
    }
    return found | (vars(of_distances(*squares)) if neighbours else {})


def _in_pixels(images: Parts, patients: Parts) -> dict[str, Measured | str]:
    """Pairwise MS-SSIM of images (N, H, W): how dissimilar two are on average, over how dissimilar two training reals are."""
    side = min(images["train"].shape[1:])
    lacking = _lacking(images, NEEDED["similarity"]) or (
        f"images of {side} px; it needs {SMALLEST}" if side < SMALLEST else None
    )
    if lacking:
        return {"ms_ssim_diversity": lacking}
    n = min(SIMILAR, len(images["synthetic"]), len(images["held_out"]))
    kept = {
        name: _thin(len(part), SIMILAR if name == "train" else n) for name, part in images.items()
    }
    unlike = {name: 1 - ms_ssim(part[kept[name]]) for name, part in images.items()}

    def diversity(name: str, i: np.ndarray, j: np.ndarray) -> dict[str, float]:
        return {
            "": _mean_of_pairs(unlike[name][np.ix_(j, j)])
            / max(_mean_of_pairs(unlike["train"][np.ix_(i, i)]), 1e-12)
        }

    value, floor = (
        half_sampled(
            patients["train"][kept["train"]],
            patients[name][kept[name]],
            n,
            lambda i, j, name=name: diversity(name, i, j),
            name,
        )[""]
        for name in ("synthetic", "held_out")
    )
    similar = {name: 1 - _mean_of_pairs(part) for name, part in unlike.items()}
    return {
        "ms_ssim_diversity": Measured(
            n,
            value,
            floor,
            None,
            f"mean MS-SSIM {similar['synthetic']:.3f}; training reals {similar['train']:.3f}, held-out {similar['held_out']:.3f}",
        )
    }


def _told_apart(parts: Parts, patients: Parts) -> dict[str, Measured | str]:
    """The two-sample test of training reals against synthetic images, and against held-out reals; one image of each patient."""
    independent = {name: part[_one_of_each(patients[name])] for name, part in parts.items()}
    lacking = _lacking(independent, NEEDED["two samples"])
    if lacking:
        return {"two_sample_accuracy": lacking.replace("images", "patients' images")}
    n = min(MOST, *map(len, independent.values()))
    equal = {name: part[_thin(len(part), n)] for name, part in independent.items()}

    def accuracy(name: str) -> Estimate:
        test = two_sample_test(equal["train"], equal[name])
        return share_of(test.right, np.arange(len(test.right)), test.p)

    return {"two_sample_accuracy": Measured(n, accuracy("synthetic"), accuracy("held_out"))}


def _taught(
    classes: Sequence[str], sets: dict[str, Split], features: Parts
) -> dict[str, dict[str, Measured | str]]:
    """By group: the accuracy on held-out reals of a classifier taught by synthetic images, and the reverse; beside one taught by as many reals."""
    groups = [*classes, "overall"]
    labels = {name: split.labels for name, split in sets.items()}
    counts = {name: np.bincount(found, minlength=len(classes)) for name, found in labels.items()}
    equal = np.minimum(counts["train"], counts["synthetic"])
    if len(classes) < 2 or min(equal.min(), counts["held_out"].min()) < NEEDED["training"]:
        reason = (
            f"a class has {equal.min()} training or synthetic images and {counts['held_out'].min()} held-out ones; it needs {NEEDED['training']} of each"
            if len(classes) > 1
            else "one class; it needs two"
        )
        return {group: dict.fromkeys(TAUGHT, reason) for group in groups}

    def right(taught_by: str, tested_on: str) -> np.ndarray:
        chosen = np.concatenate(
            [
                np.flatnonzero(labels[taught_by] == label)[
                    _thin(counts[taught_by][label], equal[label])
                ]
                for label in range(len(classes))
            ]
        )
        return right_answers(
            features[taught_by][chosen],
            labels[taught_by][chosen],
            features[tested_on],
            labels[tested_on],
        )

    of_reals = right("train", "held_out")
    answers = {
        TAUGHT[0]: (right("synthetic", "held_out"), "held_out"),
        TAUGHT[1]: (right("train", "synthetic"), "synthetic"),
    }
    detail = f"taught by {equal.sum()} images"
    found: dict[str, dict[str, Measured | str]] = {}
    for group in groups:

        def share(answers: np.ndarray, tested_on: str) -> Estimate:
            counted = (
                np.ones(len(answers), bool)
                if group == "overall"
                else labels[tested_on] == classes.index(group)
            )
            return share_of(answers[counted], np.asarray(sets[tested_on].patients)[counted])

        tested = {
            name: int(
                counts[name].sum() if group == "overall" else counts[name][classes.index(group)]
            )
            for name in counts
        }
        found[group] = {
            score: Measured(
                tested[tested_on],
                share(values, tested_on),
                share(of_reals, "held_out"),
                None,
                detail,
            )
            for score, (values, tested_on) in answers.items()
        }
    return found


def _thin(count: int, most: int) -> np.ndarray:
    """The places of at most `most` of so many images, in their order, always the same ones."""
    return (
        np.sort(numpy_generator(0, "thinned").choice(count, most, replace=False))
        if count > most
        else np.arange(count)
    )


def _one_of_each(patients: np.ndarray) -> np.ndarray:
    return np.sort(np.unique(patients, return_index=True)[1])


def _mean_of_pairs(values: np.ndarray) -> float:
    """The mean of a symmetric matrix outside its diagonal."""
    return float((values.sum() - np.trace(values)) / (len(values) * (len(values) - 1)))


def _bounded(score: str, estimate: Estimate, count: int) -> Estimate:
    """Within what the score can be: only the kernel distance goes below 0. count: of the images that a share is of."""
    if score in SHARES:
        return at_least_wilson(estimate, count)
    return estimate if score == "kernel" else replace(estimate, low=max(estimate.low, 0.0))
