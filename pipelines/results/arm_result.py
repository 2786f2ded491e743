"""What was measured of one arm of a comparison, alone and against `real`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipelines.metrics.paired_tests import (
    DifferenceEstimate,
    Discordance,
    Replicate,
    ReplicatedEstimate,
    Spread,
)

KIND_OF_ARM = {  # every other arm has synthetic images
    "real": "real",
    "real+classical": "classical",
    "real+duplicates": "control",
    "real+shuffled": "control",
    "real+oracle": "control",
}
ARM_KINDS = {
    "real": "real images as they are",
    "classical": "classical augmentation",
    "synthetic": "synthetic images",
    "control": "controls",
}


def arm_kind(arm: str) -> str:
    """Return which of ARM_KINDS an arm is."""
    return KIND_OF_ARM.get(arm, "synthetic")


@dataclass(frozen=True)
class ArmMeasures:
    """The shares that are measured of an arm, each a mean over its replicates."""

    accuracy: ReplicatedEstimate
    sensitivity: ReplicatedEstimate
    specificity: ReplicatedEstimate


@dataclass(frozen=True)
class MeasureDifferences:
    """How far an arm's shares lie above those of `real`, paired by replicate and image."""

    accuracy: DifferenceEstimate
    sensitivity: DifferenceEstimate
    specificity: DifferenceEstimate


@dataclass(frozen=True)
class MeanAuc:
    """The ROC AUC of an arm, as a mean over its replicates."""

    value: float
    per_replicate: tuple[float, ...]


@dataclass(frozen=True)
class PairedDifference:
    """An arm against `real` at the same fraction of the real images.

    Attributes:
        mcnemar: Of the two arms' predictions, each averaged over its replicates.
        p_holm: The p-value of accuracy, adjusted for the number of arms.
        verdict: "helps", "hurts" or "cannot tell", by accuracy and `p_holm`.
    """

    difference: MeasureDifferences
    mcnemar: Discordance
    p_holm: float
    verdict: str


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """What was measured of one arm at one fraction of the real images and one ratio.

    Attributes:
        about: What it is trained on, in words.
        fraction: The share of the real training images.
        ratio: Images added to the reals for each of them; None for the whole synthetic set, or an
            arm that adds none.
        train_images, synthetic_images: In the training set; the synthetic ones of them.
        real_images, real_patients: The reals of the fraction.
        spread: Of the accuracies of its replicates.
        against_real: None for `real` itself.
    """

    arm: str
    about: str
    fraction: float
    ratio: float | None
    train_images: int
    synthetic_images: int
    real_images: int
    real_patients: int
    measures: ArmMeasures
    roc_auc: MeanAuc
    replicates: tuple[Replicate, ...]
    spread: Spread
    against_real: PairedDifference | None

    @property
    def kind(self) -> str:
        """One of ARM_KINDS."""
        return arm_kind(self.arm)

    @property
    def added_per_real(self) -> float:
        """The ratio, worked out where the whole synthetic set was added."""
        return self.synthetic_images / self.real_images if self.ratio is None else self.ratio


def find_result(
    results: Sequence[ArmResult], arm: str, fraction: float, ratio: float | None
) -> ArmResult:
    """Return the result of an arm at a fraction and a ratio."""
    return next(
        result
        for result in results
        if (result.arm, result.fraction, result.ratio) == (arm, fraction, ratio)
    )


def compared(results: Iterable[ArmResult]) -> list[tuple[ArmResult, PairedDifference]]:
    """Pair every result but those of `real` with its difference from `real`."""
    return [(result, result.against_real) for result in results if result.against_real]
