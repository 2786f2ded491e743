"""What was measured of one arm of a comparison, and how far two of them differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.metrics.paired_tests import (
    DifferenceEstimate,
    Discordance,
    Replicate,
    ReplicatedEstimate,
    Spread,
)
from pipelines.study.fractions import RealFraction
from runtime.estimate import Estimate

KIND_OF_ARM = {  # every other arm has synthetic images
    "real": "real",
    "real+classical": "classical",
    "real+weights": "classical",
    "real+oversampled": "classical",
    "real+duplicates": "control",
    "real+shuffled": "control",
    "real+oracle": "control",
}
ARM_KINDS = {
    "real": "real images as they are",
    "classical": "classical augmentation or class balance",
    "synthetic": "synthetic images",
    "control": "controls",
}


def arm_kind(arm: str) -> str:
    """Return which of ARM_KINDS an arm is, whatever its recipe."""
    name, _, _ = arm.partition("@")
    if name.endswith("-shuffled"):  # of a set with a name
        return "control"
    return KIND_OF_ARM.get(name, "synthetic")


@dataclass(frozen=True)
class ArmMeasures:
    """What is measured of an arm, each a mean over its replicates.

    Sensitivity and specificity are of the positive class against the rest, as is ROC AUC of two
    classes; of more it is the mean of every class against the rest.
    """

    accuracy: ReplicatedEstimate
    balanced_accuracy: ReplicatedEstimate
    roc_auc: ReplicatedEstimate
    sensitivity: ReplicatedEstimate
    specificity: ReplicatedEstimate

    def of(self, measure: str) -> ReplicatedEstimate:
        """Return one of them by its name."""
        estimate: ReplicatedEstimate = getattr(self, measure)
        return estimate


@dataclass(frozen=True)
class MeasureDifferences:
    """How far an arm lies above another in each measure, paired by replicate and image."""

    accuracy: DifferenceEstimate
    balanced_accuracy: DifferenceEstimate
    roc_auc: DifferenceEstimate
    sensitivity: DifferenceEstimate
    specificity: DifferenceEstimate

    def of(self, measure: str) -> DifferenceEstimate:
        """Return one of them by its name."""
        estimate: DifferenceEstimate = getattr(self, measure)
        return estimate


@dataclass(frozen=True)
class OutsideMeasure:
    """A measure of an arm on the external test set.

    Attributes:
        estimate: Its value there, a mean over replicates.
        fall: The value on the study's own test images minus that.
    """

    estimate: ReplicatedEstimate
    fall: Estimate


@dataclass(frozen=True)
class Condition:
    """What a group of classifiers was trained on.

    Attributes:
        fraction: Of the real training images, all of them or those of one class.
        ratio: Images added to the reals for each of them; None for the whole synthetic set, or an
            arm that adds none.
    """

    arm: str
    fraction: RealFraction
    ratio: float | None


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """An arm against a reference, at the same fraction of the real images.

    Attributes:
        roles: Why it is made: the reference is "real"; the arm's "like", the same but for the
            synthetic images; the "best" arm without synthetic images, by validation; or a "rival",
            the same arm with another synthetic set.
        mcnemar: Of the two arms' predictions, each averaged over its replicates.
        is_primary: Whether it is the question that was fixed before any training, judged by
            itself. All others are exploratory.
        p_adjusted: The p-value of the comparison's measure; where exploratory adjusted for all
            exploratory differences of the comparison (Holm 1979).
        verdict: "helps", "hurts" or "cannot tell", by that measure and `p_adjusted`.
    """

    condition: Condition
    reference: Condition
    roles: tuple[str, ...]
    differences: MeasureDifferences
    mcnemar: Discordance
    is_primary: bool
    p_adjusted: float
    verdict: str

    @property
    def title(self) -> str:
        """Both arms: real+gan − real."""
        return f"{self.condition.arm} − {self.reference.arm}"


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """What was measured of one arm at one fraction of the real images and one ratio.

    Attributes:
        about: What it is trained on, in words.
        fraction: Of the real training images, all of them or those of one class.
        ratio: Images added to the reals for each of them; None for the whole synthetic set, or an
            arm that adds none.
        train_images, synthetic_images: In the training set; the synthetic ones of them. Means over
            folds and subsets.
        real_images, real_patients: The reals of the fraction.
        spread: Of the comparison's measure, over its replicates.
        validation: The comparison's measure on the validation images, mean over its replicates.
        outside: Each measure on the external test set, by name; those alone that its classes allow,
            and none where there is no external set.
    """

    arm: str
    about: str
    fraction: RealFraction
    ratio: float | None
    train_images: int
    synthetic_images: int
    real_images: int
    real_patients: int
    measures: ArmMeasures
    replicates: tuple[Replicate, ...]
    spread: Spread
    validation: float
    outside: dict[str, OutsideMeasure] = field(default_factory=dict)

    @property
    def condition(self) -> Condition:
        return Condition(self.arm, self.fraction, self.ratio)

    @property
    def kind(self) -> str:
        """One of ARM_KINDS."""
        return arm_kind(self.arm)

    @property
    def added_per_real(self) -> float:
        """The ratio, worked out where the whole synthetic set was added."""
        return self.synthetic_images / self.real_images if self.ratio is None else self.ratio


def find_result(results: Sequence[ArmResult], condition: Condition) -> ArmResult:
    """Return the result of a condition."""
    return next(result for result in results if result.condition == condition)
