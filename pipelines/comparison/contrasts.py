"""Which arms of a comparison are held against which, and what that says.

An arm is held against `real`; one with synthetic images also against its like without them, against
the best arm that needs no generator, chosen by validation images, and, where there are several
synthetic sets, against the same arm of every later one. One of these differences is the primary
question, fixed before any training and judged by itself at 5 %. All others are exploratory and
share one error rate (Holm 1979), so that of null studies at most 5 % answer the question wrongly,
and at most 5 % show "helps" or "hurts" anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipelines.comparison.arm_results import HeldOutImages, Predictions
from pipelines.comparison.arms import ARMS, Arm
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.metrics.paired_tests import adjust_holm, estimate_difference, judge, mcnemar_test
from pipelines.results.arm_result import Condition, MeasureDifferences, PairedDifference
from pipelines.results.comparison_summary import Question


@dataclass(frozen=True)
class Contrast:
    """Two conditions to be held against each other, and why: real, like, best or rival."""

    condition: Condition
    reference: Condition
    roles: tuple[str, ...]


def list_contrasts(
    validation: Mapping[Condition, float],
    question: Question,
    arms: Mapping[str, Arm] = ARMS,
) -> tuple[Contrast, ...]:
    """List the contrasts of a comparison.

    validation: The mean measure of every condition on validation images. arms: By their names.
    """
    contrasts = []
    for condition in validation:
        references: dict[Condition, list[str]] = {}
        for role, reference in _references(condition, validation, arms):
            references.setdefault(reference, []).append(role)
        if condition == question.condition:
            references.setdefault(_of_arm(question.reference, condition), [])
        contrasts += [
            Contrast(condition, reference, tuple(roles)) for reference, roles in references.items()
        ]
    return tuple(contrasts)


def _references(
    condition: Condition, validation: Mapping[Condition, float], arms: Mapping[str, Arm]
) -> list[tuple[str, Condition]]:
    """What a condition is held against, by role."""
    arm, real = arms[condition.arm], _of_arm("real", condition)
    if condition == real:
        return []
    references = [("real", real)]
    if arm.added == "synthetic":
        like = _of_arm(arm.like or "real", condition)
        if like in validation:
            references.append(("like", like))
        baselines = [
            other
            for other in validation
            if other.fraction == condition.fraction and arms[other.arm].is_baseline
        ]
        references.append(("best", max(baselines, key=validation.__getitem__)))
        references += [("rival", other) for other in _rivals(condition, validation, arms)]
    return references


def _rivals(
    condition: Condition, validation: Mapping[Condition, float], arms: Mapping[str, Arm]
) -> list[Condition]:
    """Return the same arm of every set that comes after this one's."""
    later = list(validation)[list(validation).index(condition) + 1 :]
    arm = arms[condition.arm]
    return [
        other
        for other in later
        if (other.fraction, other.ratio) == (condition.fraction, condition.ratio)
        and arms[other.arm].is_rival_of(arm)
    ]


def _of_arm(name: str, condition: Condition) -> Condition:
    """The condition of an arm that adds nothing, at the same fraction of the reals."""
    return Condition(name, condition.fraction, None)


def compare_arms(
    contrasts: tuple[Contrast, ...],
    predictions: Mapping[Condition, Predictions],
    test: HeldOutImages,
    question: Question,
) -> tuple[PairedDifference, ...]:
    """Estimate every contrast in all measures, and judge it by the question's."""
    primary = question.condition, _of_arm(question.reference, question.condition)
    differences = [
        _compare(contrast, predictions, test, (contrast.condition, contrast.reference) == primary)
        for contrast in contrasts
    ]
    exploratory = [own for own in differences if not own.is_primary]
    p_values = [own.differences.of(question.measure).p for own in exploratory]
    adjusted = iter(adjust_holm(p_values))
    return tuple(
        _judge(
            own,
            own.differences.of(question.measure).p if own.is_primary else next(adjusted),
            question.measure,
        )
        for own in differences
    )


def _compare(
    contrast: Contrast,
    predictions: Mapping[Condition, Predictions],
    test: HeldOutImages,
    is_primary: bool,
) -> PairedDifference:
    """Estimate a contrast, each replicate against its partner; not judged yet."""
    own, reference = predictions[contrast.condition], predictions[contrast.reference]
    partners = reference.paired_with(own.replicates)
    estimates = {
        name: estimate_difference(
            own.values[name] - reference.values[name][partners],
            test.patients,
            own.replicates,
            n=test.count(name),
            folds=test.folds,
        )
        for name in MEASURE_TITLES
    }
    return PairedDifference(
        condition=contrast.condition,
        reference=contrast.reference,
        roles=contrast.roles,
        differences=MeasureDifferences(**estimates),
        mcnemar=mcnemar_test(own.pooled_right, reference.pooled_right),
        is_primary=is_primary,
        p_adjusted=1.0,
        verdict="cannot tell",
    )


def _judge(difference: PairedDifference, p: float, measure: str) -> PairedDifference:
    value = difference.differences.of(measure).value
    return replace(difference, p_adjusted=p, verdict=judge(value, p))
