"""Whether a generator makes the class it is asked for, and whether simple properties of its images give them away.

Labels: a classifier that saw reals alone is asked what the synthetic images are. Over the classes asked for, the shares of "as asked" add up to
one, whatever the classifier prefers, when the generator does not listen: their mean is then 1/K, and that is what the mean agreement is held against.

Fingerprints: brightness, contrast, sharpness and dark border need no network. A fingerprint is dangerous when it tells the classes apart better with
the synthetic images added than without, for then a classifier can learn it in place of the disease, such as "blurred" for "covid" where the covid
images are mostly synthetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from classifier.bootstrap import resampled_means
from classifier.predict import load_classifier, predict
from pipelines.data.checking import APART, DARK
from pipelines.metrics.memorisation import auc, share
from pipelines.study.manifest import study_fingerprint
from pipelines.study.synthetic import Split
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.estimate import Estimate
from runtime.run import Run, list_runs

FINGERPRINTS = ("brightness", "contrast", "sharpness", "dark border")
GAIN = 0.1  # of the AUC by which a fingerprint tells a class, from which on it is a warning
HEARD = (
    0.5  # of what the classifier reaches on reals above chance, below which labels are heard badly
)
_Z = 1.96


@dataclass(frozen=True)
class Agreement:
    """One class: synthetic images that the classifier calls what was asked for, and test reals that it calls what they are."""

    n: int
    agreement: Estimate | None  # None where none was asked for
    n_test: int
    recall: Estimate  # over patients


@dataclass(frozen=True)
class LabelAudit:
    """What a classifier trained on reals says of the labels of synthetic images."""

    classifier: str
    arch: str
    classes: dict[str, Agreement]
    chance: float
    mean_agreement: Estimate | None  # over classes; None where fewer than two were asked for
    mean_recall: Estimate
    verdict: str
    warnings: list[str]


@dataclass(frozen=True)
class Fingerprint:
    """What one simple property tells, as ROC AUC."""

    synthetic_from_real: dict[
        str, Estimate
    ]  # per class: above one half, synthetic images have more of it
    class_in_reals: dict[
        str, float
    ]  # that class from the others, among the training reals: above one half, it has more of it
    class_in_mixture: dict[str, float]  # the same with the synthetic images added
    medians: dict[str, dict[str, float]]  # "real" and "synthetic", per class


@dataclass(frozen=True)
class Fingerprints:
    by_name: dict[str, Fingerprint]
    warnings: list[str]


def audit_labels(
    workspace: Workspace, synthetic: Split, test: Split, classes: Sequence[str], compute: Compute
) -> LabelAudit:
    """Ask the newest classifier of this study that was trained on reals alone, at the size of the images.

    Raises FileNotFoundError that says how to make one where there is none, ValueError when the test split lacks a class.
    """
    absent = [name for index, name in enumerate(classes) if not (test.labels == index).any()]
    if absent:
        raise ValueError(
            f"no image of {', '.join(absent)} in the test split, to see what the classifier is worth; import images of more patients"
        )
    run, size = _newest_classifier(workspace, synthetic.images.shape[1]), synthetic.images.shape[1]
    trained = load_classifier(run.folder / "classifier.pt", compute.device)
    if trained.image_size != size or list(trained.classes) != list(classes):
        raise ValueError(
            f"{run.name} holds a classifier of other classes or another size than its config.json says; train one anew: cxr classify-train --image-size {size}"
        )
    called = {
        name: predict(trained, split.dataset().tensors[0], compute).argmax(axis=1)
        for name, split in (("synthetic", synthetic), ("test", test))
    }
    return judge_labels(
        run.name,
        trained.config.arch,
        classes,
        synthetic.labels,
        called["synthetic"],
        test.labels,
        called["test"],
        test.patients,
    )


def judge_labels(
    name: str,
    arch: str,
    classes: Sequence[str],
    asked: np.ndarray,
    called: np.ndarray,
    true: np.ndarray,
    called_reals: np.ndarray,
    patients: Sequence[str],
) -> LabelAudit:
    """What was asked for (N,) against what it was called (N,), beside true labels (M,) and what reals of these patients (M,) were called."""
    found, resampled = {}, []
    for index, label in enumerate(classes):
        mine, reals = asked == index, true == index
        means = resampled_means(
            ((called_reals == index) & reals).astype(float), reals.astype(float), patients
        )
        resampled.append(means)
        agreement = (
            share(int((called[mine] == index).sum()), int(mine.sum())) if mine.any() else None
        )
        found[label] = Agreement(
            int(mine.sum()),
            agreement,
            int(reals.sum()),
            Estimate(
                float((called_reals[reals] == index).mean()), *_bounds(means), int(reals.sum())
            ),
        )
    chance = 1 / len(classes)
    recall = Estimate(
        float(np.mean([one.recall.value for one in found.values()])),
        *_bounds(np.mean(resampled, axis=0)),
        len(true),
    )
    present = [one for one in found.values() if one.n]
    agreement = None
    if len(present) == len(classes):
        value = float(np.mean([one.agreement.value for one in present]))
        shares = [
            (one.agreement.value * one.n + 1) / (one.n + 2) for one in present
        ]  # Laplace's, so that 0 and 1 have a spread
        reach = (
            _Z
            * float(np.sqrt(sum(p * (1 - p) / one.n for p, one in zip(shares, present))))
            / len(present)
        )
        agreement = Estimate(
            value, max(value - reach, 0.0), min(value + reach, 1.0), len(asked)
        )
    verdict, warnings = _heard(found, chance, agreement, recall)
    return LabelAudit(name, arch, found, chance, agreement, recall, verdict, warnings)


def fingerprints(train: Split, synthetic: Split, classes: Sequence[str]) -> Fingerprints:
    """Every fingerprint of synthetic images against training reals, per class, and what it tells of the class without and with them."""
    reals, fakes = fingerprints_of(train.images), fingerprints_of(synthetic.images)
    labels, is_fake = (
        np.concatenate([train.labels, synthetic.labels]),
        np.arange(len(reals) + len(fakes)) >= len(reals),
    )
    patients, values = (
        np.array([*train.patients, *synthetic.patients]),
        np.concatenate([reals, fakes]),
    )
    by_name = {}
    for column, name in enumerate(FINGERPRINTS):
        value, apart, without, mixed = values[:, column], {}, {}, {}
        for index, label in enumerate(classes):
            mine = labels == index
            if (mine & is_fake).any() and (mine & ~is_fake).any():
                apart[label] = auc(is_fake[mine], value[mine], patients[mine])
            if not mine[~is_fake].any():
                continue
            without[label] = float(roc_auc_score(mine[~is_fake], value[~is_fake]))
            mixed[label] = float(roc_auc_score(mine, value))
        medians = {
            kind: {
                label: round(float(np.median(value[of & (labels == index)])), 4)
                for index, label in enumerate(classes)
                if (of & (labels == index)).any()
            }
            for kind, of in (("real", ~is_fake), ("synthetic", is_fake))
        }
        by_name[name] = Fingerprint(apart, without, mixed, medians)
    return Fingerprints(by_name, _dangers(by_name))


def fingerprints_of(images: np.ndarray) -> np.ndarray:
    """FINGERPRINTS of uint8 images (N, S, S), float (N, 4).

    Brightness: mean gray level. Contrast: standard deviation. Sharpness: mean square of the four-neighbour Laplacian, by the variance of
    the gray levels, so that contrast does not count. Dark border: share of the outermost 1/32 of the frame that is black film.
    """
    rows, edge = np.empty((len(images), len(FINGERPRINTS))), max(images.shape[1] // 32, 1)
    for row, image in zip(rows, images):
        gray = image.astype(np.float64)
        laplacian = (
            gray[1:-1, :-2]
            + gray[1:-1, 2:]
            + gray[:-2, 1:-1]
            + gray[2:, 1:-1]
            - 4 * gray[1:-1, 1:-1]
        )
        frame = np.concatenate(
            [
                gray[:edge].ravel(),
                gray[-edge:].ravel(),
                gray[edge:-edge, :edge].ravel(),
                gray[edge:-edge, -edge:].ravel(),
            ]
        )
        row[:] = (
            gray.mean(),
            gray.std(),
            np.square(laplacian).mean() / max(gray.var(), 1e-6),
            (frame < DARK).mean(),
        )
    return rows


def _newest_classifier(workspace: Workspace, size: int) -> Run:
    data = study_fingerprint(workspace.rows())
    runs = [
        run
        for run in list_runs(workspace.runs)
        if run.command == "classify-train" and run.finished and run.config["synthetic"] is None
    ]
    fitting = [
        run for run in runs if run.config["image_size"] == size and run.config.get("data") == data
    ]
    if not fitting:
        why = (
            f"{runs[-1].name} is of other images or of {runs[-1].config['image_size']} px"
            if runs
            else "there is none yet"
        )
        raise FileNotFoundError(
            f"no classifier trained on this study's real images alone at {size} px ({why}); make one with: cxr classify-train --image-size {size}"
        )
    return fitting[-1]


def _bounds(resampled: np.ndarray) -> tuple[float, float]:
    low, high = np.nanpercentile(resampled, (2.5, 97.5))
    return float(low), float(high)


def _heard(
    found: dict[str, Agreement], chance: float, agreement: Estimate | None, recall: Estimate
) -> tuple[str, list[str]]:
    """A verdict in plain words, and warnings."""
    if recall.low <= chance:
        return "cannot tell: the classifier itself is no better than a guess on test reals", []
    if agreement is None:
        return (
            "cannot tell: not every class was asked for, and a generator that hears no label would please a classifier that prefers this one",
            [],
        )
    gain, expected = agreement.value - chance, recall.value - chance
    as_asked = f"{100 * agreement.value:.0f} % of the synthetic images are called what they were asked to be (mean over classes; {100 * chance:.0f} % would be a guess, test reals reach {100 * recall.value:.0f} %)"
    if agreement.low <= chance:
        return "labels are ignored", [
            f"the generator does not listen to its label: {as_asked}; images with such labels teach a classifier nothing but noise"
        ]
    warnings = []
    if gain < HEARD * expected:
        warnings.append(f"the generator listens badly to its label: {as_asked}")
    weak = [
        f"{name} ({100 * one.agreement.value:.0f} %, test reals {100 * one.recall.value:.0f} %)"
        for name, one in found.items()
        if one.agreement.high < chance + HEARD * (one.recall.value - chance)
    ]
    if weak and not warnings:
        warnings.append(
            f"few synthetic images are called the class that was asked for: {', '.join(weak)}"
        )
    return "labels are heard badly" if warnings else "labels are heard", warnings


def _dangers(by_name: dict[str, Fingerprint]) -> list[str]:
    """What a classifier could learn instead of the disease, in plain words; the worst class of each fingerprint."""
    warnings = []
    for name, one in by_name.items():
        gains = {}
        for label, mixed in one.class_in_mixture.items():
            side = np.sign(mixed - 0.5)
            gains[label] = abs(mixed - 0.5) - max(0.0, side * (one.class_in_reals[label] - 0.5))
        label = max(gains, key=gains.get, default=None)
        told = {
            other: max(measure.value, 1 - measure.value)
            for other, measure in one.synthetic_from_real.items()
        }
        if label and gains[label] >= GAIN and max(told.values(), default=0) >= APART:
            reals, mixed = one.class_in_reals[label], one.class_in_mixture[label]
            more, reals, mixed = (
                ("more", reals, mixed) if mixed > 0.5 else ("less", 1 - reals, 1 - mixed)
            )
            by_class = ", ".join(f"{other} {100 * value:.0f} %" for other, value in told.items())
            warnings.append(
                f"{name} tells synthetic images from real ones (AUC {by_class}), and not alike in every class: with them added {more} {name} speaks for {label} with AUC {100 * mixed:.0f} %, "
                f"in the reals alone with {100 * reals:.0f} %; a classifier can learn how synthetic images look in place of {label}"
            )
    return warnings
