"""Whether a generator hands out its training images.

By copies, nearness beyond that of other reals, and membership inference, in two spaces: pixels
(thumbnails, see `nearest`) and the features of a network. See `nearness` for the tests of a space,
and `membership` for what the discriminator gives away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.metrics.membership import discriminator_logits, membership_by_class
from pipelines.metrics.nearest import COPY_QUANTILE, thumbnails
from pipelines.metrics.nearness import Nearness, Neighbours, measure_nearness
from pipelines.metrics.scores import Parts
from pipelines.study.split import Split
from runtime.device import Compute
from runtime.estimate import Estimate
from runtime.run import Run

MIN_IMAGES = 8  # of each set; below, no test says anything
WARNING_P = 0.01  # below which a test is a warning


@dataclass(frozen=True, kw_only=True)
class Memorisation:
    """What a synthetic set gives away of the training images.

    Attributes:
        n_synthetic, n_training, n_held_out: How many images it is told by.
        extractor: Whose features.
        pixels, features: What either space says.
        discriminator: Membership by its logit, per class.
        discriminator_note: Whose it is, or why there is none.
        warnings: In plain words.
        n_unseen: How many of the held-out images are of the training split, of which the generator
            saw a share.
    """

    n_synthetic: int
    n_training: int
    n_held_out: int
    extractor: str
    pixels: Nearness
    features: Nearness
    discriminator: dict[str, Estimate]
    discriminator_note: str
    warnings: list[str]
    n_unseen: int = 0


def measure_memorisation(
    sets: Mapping[str, Split],
    features: Parts,
    extractor: str,
    classes: Sequence[str],
    generator: Run | None,
    compute: Compute,
) -> tuple[Memorisation, dict[str, Neighbours]]:
    """Measure what a synthetic set gives away of the training images.

    Returns that, and the neighbours in "pixels" and "features" that it is told by.

    Args:
        sets: "train" (the reals that the generator was trained on), "held_out" (reals that it
            never saw) and "synthetic", with whole persons as patients (`nearest.persons`).
        features: (N, d) of each set.
        extractor: Whose features they are.
        classes: The names of the label indices.
        generator: The run whose discriminator is asked, if it is still there; None where another
            program made the images.
        compute: Where the discriminator runs.

    Raises ValueError when a set is too small, or the training images are of one patient.
    """
    counts = {name: len(split.labels) for name, split in sets.items()}
    if min(counts.values()) < MIN_IMAGES:
        raise ValueError(
            f"{counts['train']} training, {counts['held_out']} held-out, {counts['synthetic']} "
            f"synthetic images; memorisation needs {MIN_IMAGES} of each"
        )
    in_pixels, pixel_neighbours = measure_nearness(
        sets, {name: thumbnails(split.images) for name, split in sets.items()}
    )
    in_features, feature_neighbours = measure_nearness(
        sets, {name: np.asarray(rows, np.float64) for name, rows in features.items()}
    )
    discriminator, note = _ask_discriminator(generator, sets, classes, compute)
    memorisation = Memorisation(
        n_synthetic=counts["synthetic"],
        n_training=counts["train"],
        n_held_out=counts["held_out"],
        extractor=extractor,
        pixels=in_pixels,
        features=in_features,
        discriminator=discriminator,
        discriminator_note=note,
        warnings=[
            *_warnings("pixels", in_pixels),
            *_warnings(f"features of {extractor}", in_features),
        ],
    )
    return memorisation, {"pixels": pixel_neighbours, "features": feature_neighbours}


def _ask_discriminator(
    generator: Run | None, sets: Mapping[str, Split], classes: Sequence[str], compute: Compute
) -> tuple[dict[str, Estimate], str]:
    """Return membership by class, and whose discriminator says so, or why there is none."""
    if generator is None:
        return {}, "none: another program made the images"
    try:
        step, logits = discriminator_logits(generator, sets, classes, compute)
        by_class = membership_by_class(sets, logits, classes)
    except (FileNotFoundError, ValueError) as error:
        return {}, f"none: {error}"
    return by_class, f"that of {generator.name} at step {step}"


def _warnings(space: str, nearness: Nearness) -> list[str]:
    warnings = []
    copies, favour = nearness.copies, nearness.favour
    if copies.p < WARNING_P:
        share = copies.share
        warnings.append(
            f"copies: {copies.count} of {share.n} synthetic images ({100 * share.value:.1f} %, "
            f"interval {100 * share.low:.1f} to {100 * share.high:.1f}) are nearer to a training "
            f"image, in {space}, than {100 * (1 - COPY_QUANTILE):.0f} % of real images are to "
            "another patient's; look at nearest_pairs.png, and do not give the set away before "
            "cxr synthesize --reject-copies"
        )
    if favour.p < WARNING_P:
        warnings.append(
            "the generator remembers its training images: the real image nearest to a synthetic "
            f"one, in {space}, is a training image in {100 * favour.share:.1f} % of the cases, by "
            f"lot it would be in {100 * favour.by_lot:.1f} % (p = {favour.p:.4f})"
        )
    return warnings
