"""Scores of privacy that the field reports, each beside the same of held-out reals.

distance    How far is a synthetic image from the nearest training image? The mean, as the pixel and
            latent distances of CheXGenBench (Dutt et al. 2025), which takes the training image of
            the same prompt. Reals: one image of each held-out patient.
authentic   How many images are further from their nearest training image than that is from the
            nearest of another patient? The authenticity of Alaa et al. 2022 ("How Faithful is your
            Synthetic Data?", section 4.3), between patients.
identified  How many training patients does the nearest synthetic image give away, to an attacker
            who takes one in twenty strangers for one of them? Of each patient the image nearest to
            a synthetic one counts; the threshold is the distance that 5 % of the held-out patients
            are within. It is membership inference at a low false-positive rate (Carlini et al.
            2022, "Membership Inference Attacks From First Principles"), patient by patient. Where
            nothing is remembered it is 5 % too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from classifier.bootstrap import RESAMPLES, percentile_interval
from pipelines.metrics.confidence_intervals import estimate_mean, estimate_share, widen_to_wilson
from pipelines.metrics.nearest import Nearest
from runtime.estimate import Estimate
from runtime.randomness import numpy_generator

FALSE_POSITIVES = 0.05
MIN_STRANGERS = 20  # held-out patients, so that one of them is that share


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """What a synthetic set gives away, in one space.

    Attributes:
        distance, reals_distance: Mean distance to the nearest training image, in the unit of the
            space.
        authentic, reals_authentic: Share of images that are no training image's nearest of all.
        identified, reals_identified: Share of training patients that are given away, and of
            held-out patients who are taken for such; None where these are fewer than 20.
    """

    distance: Estimate
    reals_distance: Estimate
    authentic: Estimate
    reals_authentic: Estimate
    identified: Estimate | None
    reals_identified: Estimate | None


def measure_privacy(
    synthetic: Nearest,
    held_out: Nearest,
    to_strangers: np.ndarray,
    to_synthetic: np.ndarray,
    is_training: np.ndarray,
    patients: np.ndarray,
) -> Privacy:
    """Measure the scores of one space.

    Args:
        synthetic, held_out: The nearest training image of each synthetic image, and of one image of
            each held-out patient.
        to_strangers: Distance of each training image to another patient's nearest one.
        to_synthetic: Distance of each real (N,) to the nearest synthetic image.
        is_training, patients: Of these reals, (N,); no patient is both.
    """
    identified, strangers = _identify(to_synthetic, is_training, patients)
    return Privacy(
        distance=_mean_distance(synthetic),
        reals_distance=_mean_distance(held_out),
        authentic=_count_authentic(synthetic, to_strangers),
        reals_authentic=_count_authentic(held_out, to_strangers),
        identified=identified,
        reals_identified=strangers,
    )


def _mean_distance(found: Nearest) -> Estimate:
    return estimate_mean(found.distance, np.arange(len(found.distance)))


def _count_authentic(found: Nearest, to_strangers: np.ndarray) -> Estimate:
    authentic = found.distance >= to_strangers[found.index]
    return estimate_share(int(authentic.sum()), len(authentic))


def _identify(
    to_synthetic: np.ndarray, is_training: np.ndarray, patients: np.ndarray
) -> tuple[Estimate | None, Estimate | None]:
    """Return the share of training and of held-out patients within the attacker's threshold.

    The interval is the bootstrap's over the patients of both, or Wilson's, whichever is wider.
    """
    _, first, patient = np.unique(patients, return_index=True, return_inverse=True)
    nearest = np.full(len(first), np.inf)
    np.minimum.at(nearest, patient, to_synthetic)
    members, strangers = nearest[is_training[first]], nearest[~is_training[first]]
    if len(strangers) < MIN_STRANGERS:
        return None, None
    random = numpy_generator(0, "bootstrap")
    resampled = [
        _share_within(
            random.choice(members, len(members)), random.choice(strangers, len(strangers))
        )
        for _ in range(RESAMPLES)
    ]
    share = _share_within(members, strangers)
    interval = percentile_interval(np.array(resampled))
    within = int((strangers <= _threshold(strangers)).sum())
    return (
        widen_to_wilson(Estimate(share, *interval, len(members)), len(members)),
        estimate_share(within, len(strangers)),
    )


def _threshold(strangers: np.ndarray) -> float:
    """Return the distance that no more than FALSE_POSITIVES of the strangers are within."""
    return float(np.sort(strangers)[int(FALSE_POSITIVES * len(strangers)) - 1])


def _share_within(members: np.ndarray, strangers: np.ndarray) -> float:
    return float((members <= _threshold(strangers)).mean())
