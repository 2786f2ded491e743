"""Whether a generator hands out its training images: copies, nearness beyond that of other reals, and membership inference.

In two spaces, pixels (thumbnails, see `nearest`) and the features of a network, and by four questions:

copied         How many synthetic images are nearer to a training image than 1 in 100 reals come to one of another patient? The share with its
               Clopper-Pearson interval (1934), against that of the reals by Fisher's exact test.
nearer         Do synthetic images lie nearer to the training images than held-out reals do? C_T of Meehan, Chaudhuri & Dasgupta (2020, "A
               Non-Parametric Test to Detect Data-Copying in Generative Models", section 3.1), the Mann-Whitney U as a z score, over one cell.
               Smooth or typical images lie near to everything without being copies, so C_T alone convicts nobody.
favoured       Is the nearest of all reals a training image more often than when patients take the parts of training and held-out ones by lot,
               within each class? The lot is what the split was, so this holds however smooth the images are: the test to rely on.
membership     Can training images be told from held-out ones by their distance to the nearest synthetic image (Hayes et al. 2019; Chen et al.
               2020), or by the discriminator's logit, if somebody gets hold of it? ROC AUC; 50 % is a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import binomtest, fisher_exact, mannwhitneyu

from classifier.bootstrap import RESAMPLES
from classifier.weighted_measures import roc_auc
from gan.config import GanConfig
from gan.presets import build_discriminator
from gan.sample import to_float
from pipelines.metrics.nearest import (
    QUANTILE,
    Nearest,
    copy_threshold,
    nearest,
    strangers,
    thumbnails,
)
from pipelines.study.manifest import table
from pipelines.study.synthetic import Split
from runtime import checkpoint
from runtime.device import Compute
from runtime.estimate import Estimate
from runtime.files import configuration, write_text
from runtime.randomness import numpy_generator
from runtime.run import Run

FEWEST = 8  # images of each set; below, no test says anything
LOTS = 2000  # drawings of who is a training patient
SURE = 0.01  # p below which a test is a warning
_BATCH = 64


@dataclass(frozen=True)
class Neighbours:
    """The nearest training image and the nearest held-out image of each synthetic one, in one space."""

    training: Nearest
    held_out: Nearest


@dataclass(frozen=True)
class Nearness:
    """What one space says; distances are in its own unit, shares in 0..1."""

    threshold: float  # below it an image is a copy
    copied: int
    copied_share: Estimate
    reals_share: Estimate  # of reals as near to another patient's training image
    copied_p: float
    to_training: float  # median distance of synthetic images
    to_held_out: float
    reals_to_training: float  # of held-out reals
    nearer: Estimate  # share of pairs of a synthetic and a held-out image in which the synthetic one is nearer to the training images
    c_t: float  # below 0: nearer than held-out reals
    c_t_p: float
    favoured: float  # share of synthetic images whose nearest real is a training image
    favoured_by_lot: float
    favoured_p: float
    membership: Estimate


@dataclass(frozen=True)
class Memorisation:
    """All of it for one synthetic set."""

    n_synthetic: int
    n_training: int
    n_held_out: int
    extractor: str
    pixels: Nearness
    features: Nearness
    discriminator: dict[str, Estimate]  # membership by its logit, per class
    discriminator_note: str  # whose it is, or why there is none
    warnings: list[str]


def memorisation(
    sets: dict[str, Split],
    features: dict[str, np.ndarray],
    extractor: str,
    classes: Sequence[str],
    generator: Run,
    compute: Compute,
) -> tuple[Memorisation, dict[str, Neighbours]]:
    """What a synthetic set gives away of the training images, and the neighbours in "pixels" and "features" that it is told by.

    sets, with whole persons as patients (`nearest.persons`), and features (N, d): of "train", "held_out" and "synthetic". generator: the run whose discriminator is asked, if it is still there.
    Raises ValueError when a set is too small, or the training images are of one patient.
    """
    counts = {name: len(split.labels) for name, split in sets.items()}
    if min(counts.values()) < FEWEST:
        raise ValueError(
            f"{counts['train']} training, {counts['held_out']} held-out, {counts['synthetic']} synthetic images; memorisation needs {FEWEST} of each"
        )
    pixels = {name: thumbnails(split.images) for name, split in sets.items()}
    of_pixels, pixel_neighbours = measure_nearness(sets, pixels)
    of_features, feature_neighbours = measure_nearness(
        sets, {name: np.asarray(rows, np.float64) for name, rows in features.items()}
    )
    try:
        step, logits = discriminator_logits(generator, sets, classes, compute)
        asked, note = (
            _membership_by_class(sets, logits, classes),
            f"that of {generator.name} at step {step}",
        )
    except (FileNotFoundError, ValueError) as error:
        asked, note = {}, f"none: {error}"
    warnings = [
        *_warnings("pixels", of_pixels, counts["synthetic"]),
        *_warnings(f"features of {extractor}", of_features, counts["synthetic"]),
    ]
    result = Memorisation(
        counts["synthetic"],
        counts["train"],
        counts["held_out"],
        extractor,
        of_pixels,
        of_features,
        asked,
        note,
        warnings,
    )
    return result, {"pixels": pixel_neighbours, "features": feature_neighbours}


def measure_nearness(
    sets: dict[str, Split], rows: dict[str, np.ndarray]
) -> tuple[Nearness, Neighbours]:
    """Every test of one space; rows (N, d): where the images of each set lie in it."""
    train, held_out, fake = (rows[name] for name in ("train", "held_out", "synthetic"))
    reals, is_training = (
        np.concatenate([train, held_out]),
        np.arange(len(train) + len(held_out)) < len(train),
    )
    patients = np.array(sets["train"].patients + sets["held_out"].patients)
    labels = np.concatenate([sets["train"].labels, sets["held_out"].labels])
    found = Neighbours(nearest(fake, train), nearest(fake, held_out))

    threshold, apart = (
        copy_threshold(reals, is_training, patients),
        strangers(reals, is_training, patients),
    )
    copied, alike = int((found.training.distance < threshold).sum()), int((apart < threshold).sum())
    of_held_out = apart[~is_training]  # no patient is in both
    both = np.concatenate([found.training.distance, of_held_out])
    is_fake = np.arange(len(both)) < len(fake)
    test = mannwhitneyu(
        found.training.distance, of_held_out, alternative="less", method="asymptotic"
    )
    n, m = len(fake), len(of_held_out)
    favoured, by_lot, favoured_p = _favoured(found, patients, labels, is_training, len(train))
    return Nearness(
        threshold=threshold,
        copied=copied,
        copied_share=share(copied, n),
        reals_share=share(alike, len(reals)),
        copied_p=float(
            fisher_exact(
                [[copied, n - copied], [alike, len(reals) - alike]], alternative="greater"
            ).pvalue
        ),
        to_training=float(np.median(found.training.distance)),
        to_held_out=float(np.median(found.held_out.distance)),
        reals_to_training=float(np.median(of_held_out)),
        nearer=auc(is_fake, -both, [*sets["synthetic"].patients, *sets["held_out"].patients]),
        c_t=float((test.statistic - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)),
        c_t_p=float(test.pvalue),
        favoured=favoured,
        favoured_by_lot=by_lot,
        favoured_p=favoured_p,
        membership=auc(is_training, -nearest(reals, fake).distance, patients),
    ), found


def share(count: int, n: int) -> Estimate:
    """count of n, with the exact interval of Clopper & Pearson."""
    interval = binomtest(count, n).proportion_ci(method="exact")
    return Estimate(count / n, float(interval.low), float(interval.high), n)


def auc(positives: np.ndarray, scores: np.ndarray, patients: Sequence[str]) -> Estimate:
    """Share of pairs in which the positive has the higher score, ties counting half; its interval by bootstrap over whole patients.

    positives: bool (N,), some of each kind; scores (N,); patients (N,).
    """
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    random, count = numpy_generator(0, "bootstrap"), patient.max() + 1
    drawn = [
        np.bincount(random.integers(count, size=count), minlength=count)[patient]
        for _ in range(RESAMPLES)
    ]
    with np.errstate(invalid="ignore"):
        values = roc_auc(positives, scores, np.stack([np.ones(len(patient)), *drawn]))
    low, high = np.nanpercentile(values[1:], (2.5, 97.5))
    return Estimate(float(values[0]), float(low), float(high), len(patient))


@torch.no_grad()
def discriminator_logits(
    run: Run, sets: dict[str, Split], classes: Sequence[str], compute: Compute
) -> tuple[int, dict[str, np.ndarray]]:
    """The step of the last discriminator of a gan-train run, and its logits (N,) on the real images of each set, each as of its own class.

    Raises FileNotFoundError when the run or its checkpoint is gone, ValueError when that is damaged or of other images.
    """
    path = run.folder / "checkpoints" / "last.pt"
    if not path.exists():
        raise FileNotFoundError(f"{path} is gone")
    state, known = (
        checkpoint.load(path, "gan checkpoint", config=dict, discriminator=dict, step=int),
        run.config["classes"],
    )
    config = configuration(GanConfig, state["config"], path)
    if list(classes) != known or sets["train"].images.shape[1] != config.image_size:
        raise ValueError(
            f"{path} is of {', '.join(known)} at {config.image_size} px, not of this study's classes and size"
        )
    network = (
        checkpoint.filled(
            lambda: build_discriminator(config, len(classes)), state["discriminator"], path
        )
        .to(compute.device)
        .eval()
    )
    logits = {}
    for name in ("train", "held_out"):
        batches = zip(*(part.split(_BATCH) for part in sets[name].dataset().tensors))
        parts = [
            network(
                to_float(images).expand(-1, config.channels, -1, -1).to(compute.device),
                labels.to(compute.device),
            )
            for images, labels in batches
        ]
        logits[name] = (
            torch.cat([part[0] if isinstance(part, tuple) else part for part in parts])
            .float()
            .cpu()
            .numpy()
        )
    return state["step"], logits


def write_neighbours(path: Path, sets: dict[str, Split], neighbours: dict[str, Neighbours]) -> None:
    """A CSV with a row per synthetic image: its nearest training image and nearest held-out image, with the distances, in each space."""
    rows = []
    for place, name in enumerate(sets["synthetic"].file_names):
        row = {"file_name": name}
        for space, found in neighbours.items():
            for kind, one, split in (
                ("training", found.training, sets["train"]),
                ("held_out", found.held_out, sets["held_out"]),
            ):
                row |= {
                    f"{space}_{kind}": split.file_names[one.index[place]],
                    f"{space}_{kind}_distance": f"{one.distance[place]:.6g}",
                }
        rows.append(row)
    write_text(path, table(list(rows[0]), rows))


def _favoured(
    found: Neighbours,
    patients: np.ndarray,
    labels: np.ndarray,
    is_training: np.ndarray,
    n_training: int,
) -> tuple[float, float, float]:
    """Share of synthetic images whose nearest real is a training image, its mean when training patients are drawn by lot, and p."""
    place = np.where(
        found.training.distance <= found.held_out.distance,
        found.training.index,
        n_training + found.held_out.index,
    )
    _, first, patient = np.unique(patients, return_index=True, return_inverse=True)
    visits = np.bincount(
        patient[place], minlength=len(first)
    )  # synthetic images whose nearest real is of that patient
    part, label = is_training[first].copy(), labels[first]
    seen, random = int(visits[part].sum()), numpy_generator(0, "lots")
    by_lot = []
    for _ in range(LOTS):
        for index in np.unique(label):
            part[label == index] = random.permutation(part[label == index])
        by_lot.append(int(visits[part].sum()))
    return (
        seen / len(place),
        float(np.mean(by_lot)) / len(place),
        (1 + int((np.array(by_lot) >= seen).sum())) / (1 + LOTS),
    )


def _membership_by_class(
    sets: dict[str, Split], logits: dict[str, np.ndarray], classes: Sequence[str]
) -> dict[str, Estimate]:
    measures = {}
    for index, name in enumerate(classes):
        mine = [sets[kind].labels == index for kind in ("train", "held_out")]
        if all(mask.any() for mask in mine):
            scores = [logits[kind][mask] for kind, mask in zip(("train", "held_out"), mine)]
            patients = np.concatenate(
                [
                    np.array(sets[kind].patients)[mask]
                    for kind, mask in zip(("train", "held_out"), mine)
                ]
            )
            measures[name] = auc(
                np.arange(len(patients)) < len(scores[0]), np.concatenate(scores), patients
            )
    return measures


def _warnings(space: str, one: Nearness, n: int) -> list[str]:
    warnings = []
    if one.copied_p < SURE:
        low, high = one.copied_share.low, one.copied_share.high
        warnings.append(
            f"copies: {one.copied} of {n} synthetic images ({100 * one.copied_share.value:.1f} %, interval {100 * low:.1f} to {100 * high:.1f}) are nearer to a training image, in {space}, "
            f"than {100 * (1 - QUANTILE):.0f} % of real images are to another patient's; look at nearest_pairs.png, and do not give the set away before cxr synthesize --reject-copies"
        )
    if one.favoured_p < SURE:
        warnings.append(
            f"the generator remembers its training images: the real image nearest to a synthetic one, in {space}, is a training image in {100 * one.favoured:.1f} % of the cases, "
            f"by lot it would be in {100 * one.favoured_by_lot:.1f} % (p = {one.favoured_p:.4f})"
        )
    return warnings
