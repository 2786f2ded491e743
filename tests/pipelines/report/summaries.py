"""Summaries of comparisons written by hand, for tests of the report and of its figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from classifier.config import ClassifierConfig
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.metrics.paired_tests import (
    DifferenceEstimate,
    Discordance,
    Replicate,
    ReplicatedEstimate,
    Spread,
)
from pipelines.results.arm_result import (
    ArmMeasures,
    ArmResult,
    Condition,
    MeasureDifferences,
    OutsideMeasure,
    PairedDifference,
)
from pipelines.results.comparison_rows import ClassifierRow
from pipelines.results.comparison_summary import (
    Budget,
    ComparisonSummary,
    ExternalSet,
    GeneratorUse,
    Plan,
    Question,
    SyntheticSetUse,
)
from pipelines.results.data_efficiency import DataEfficiency, FurtherReals
from pipelines.results.image_count import ImageCount
from pipelines.study.fractions import (
    RealFraction,
    of_all_classes,
    sort_fractions,
    split_fraction,
)
from runtime.estimate import Estimate

IMAGE_SIZE = 32
CLASSES = ("covid", "normal")
ARMS = {  # accuracy with all reals, and whether images are added
    "real": (0.9111, False),
    "real+classical": (0.9222, False),
    "real+duplicates": (0.9058, True),
    "real+gan": (0.9027, True),
    "real+gan+classical": (0.9333, True),
    "gan-only": (0.8144, True),
    "gan-pretrain": (0.9299, True),
    "real+shuffled": (0.7766, True),
}
REAL_IMAGES, PATIENTS, SYNTHETIC = 400, 250, 1000
SEEDS, GENERATORS, DRAWS = (4, 5, 6), 3, 2
CONFIG = ClassifierConfig(steps=12800, seed=4)


def make_estimate(mean: float, count: int) -> ReplicatedEstimate:
    """Make the mean of some replicates, each of another value."""
    values = tuple(mean + 0.0113 * ((number * 7) % 5 - 2) / 2 for number in range(count))
    return ReplicatedEstimate(mean, mean - 0.0312, mean + 0.03, 4, values, 0.0444)


def make_difference(mean: float, count: int) -> DifferenceEstimate:
    """Make the same with a p-value."""
    estimate = make_estimate(mean, count)
    return DifferenceEstimate(**dataclasses.asdict(estimate), p=0.0321)


def make_outside(inside: float, count: int) -> OutsideMeasure:
    """Make a measure on an external set, 0.2145 below that inside."""
    fall = Estimate(0.2145, 0.1534, 0.2778, 13)
    return OutsideMeasure(make_estimate(inside - fall.value, count), fall)


def make_result(arm: str, fraction: RealFraction, ratio: float | None) -> ArmResult:
    """Make a result whose accuracy falls with the reals, and a little with more images added."""
    mean, has_added = ARMS[arm]
    share = split_fraction(fraction)[1]
    mean -= 0.05 * (1 - share) + (0.004 * ratio if has_added and ratio else 0)
    has_synthetic = has_added and arm != "real+duplicates"
    replicates = tuple(
        Replicate(None, generator, draw, seed)
        for generator in (range(GENERATORS) if has_synthetic else [None])
        for draw in (range(DRAWS) if has_synthetic else [None])
        for seed in SEEDS
    )
    count, reals = len(replicates), round(REAL_IMAGES * share)
    added = (SYNTHETIC if ratio is None else round(ratio * reals)) if has_added else 0
    return ArmResult(
        arm=arm,
        about=f"what {arm} is",
        fraction=fraction,
        ratio=ratio if has_added else None,
        train_images=reals + added,
        synthetic_images=added if has_synthetic else 0,
        real_images=reals,
        real_patients=round(PATIENTS * share),
        measures=ArmMeasures(*(make_estimate(mean - place / 50, count) for place in range(5))),
        replicates=replicates,
        spread=Spread(
            subsets=None,
            generators=0.0041 if has_synthetic else None,
            draws=0.0083 if has_synthetic else None,
            seeds=0.0127,
        ),
        validation=mean,
        outside={
            name: make_outside(mean - place / 50, count)
            for place, name in enumerate(MEASURE_TITLES)
        },
    )


def make_differences(
    results: Sequence[ArmResult], question: Question
) -> tuple[PairedDifference, ...]:
    """Make a difference of every result from `real`, and that of the question."""
    return tuple(
        make_paired_difference(result, reference, question)
        for result in results
        for reference in dict.fromkeys(("real", question.reference))
        if reference == "real" != result.arm or result.condition == question.condition
    )


def make_paired_difference(
    result: ArmResult, reference: str, question: Question
) -> PairedDifference:
    """Make a difference from a reference, by the table of arms."""
    is_primary = (result.condition, reference) == (question.condition, question.reference)
    change = ARMS[result.arm][0] - ARMS[reference][0]
    count = len(result.replicates)
    return PairedDifference(
        condition=result.condition,
        reference=Condition(reference, result.fraction, None),
        roles=("real",) if reference == "real" else ("like", "best"),
        differences=MeasureDifferences(
            *(make_difference(change - place / 100, count) for place in range(5))
        ),
        mcnemar=Discordance(13, 17, 0.5847),
        is_primary=is_primary,
        p_adjusted=0.0321 if is_primary else 0.1284,
        verdict="cannot tell" if abs(change) < 0.03 else "hurts" if change < 0 else "helps",
    )


def make_further(patients: int, bound: str = "") -> FurtherReals:
    """Make a number of further patients, with thrice as many images."""
    return FurtherReals(patients=patients, images=3 * patients, bound=bound)


def make_data_efficiency(question: Question, fraction: float) -> DataEfficiency:
    """Make a worth in real patients, open below at few reals and above at all of them."""
    return DataEfficiency(
        arm=question.arm,
        reference=question.reference,
        fraction=fraction,
        ratio=question.ratio,
        synthetic_images=SYNTHETIC,
        real_patients=round(PATIENTS * fraction),
        real_images=round(REAL_IMAGES * fraction),
        further=make_further(round(7 - 13 * fraction)),
        low=make_further(round(6 - 60 * fraction), "at most" if fraction < 0.2 else ""),
        high=make_further(round(20 - 20 * fraction), "at least" if fraction == 1 else ""),
        sentence=f"A sentence of worth at {fraction:g}.",
    )


def make_summary(
    classes: Sequence[str] = CLASSES,
    data: str = "cd" * 32,
    *,
    arms: Sequence[str] = tuple(ARMS),
    fractions: Sequence[RealFraction] = (0.1, 0.25, 1.0),
    ratios: Sequence[float | None] = (0.5, 2.0),
    **changes: Any,
) -> ComparisonSummary:
    """Make what a comparison of these arms might leave, with some fields changed."""
    results = [
        make_result(arm, fraction, ratio)
        for fraction in fractions
        for number, ratio in enumerate(ratios)
        for arm in arms
        if ARMS[arm][1] or number == 0
    ]
    order = sort_fractions(fractions)
    results.sort(key=lambda result: (order.index(result.fraction), result.arm != "real"))
    arm = "real+gan+classical" if "real+gan+classical" in arms else "real+gan"
    reference = "real+classical" if "real+classical" in arms else "real"
    question = changes.pop("question", Question(arm, reference, 1.0, ratios[-1], "roc_auc"))
    has_curve = len(of_all_classes(fractions)) > 1
    summary = ComparisonSummary(
        verdict="cannot tell",
        sentence=(
            "Whether synthetic images help cannot be told. Beware: few test patients: 2 covid."
        ),
        question=question,
        positive=classes[0],
        classes=tuple(classes),
        results=tuple(results),
        differences=make_differences(results, question),
        data_efficiency=tuple(
            make_data_efficiency(question, fraction)
            for fraction in of_all_classes(fractions)
            if has_curve
        ),
        budget=Budget(
            kind="steps",
            arch="cnn",
            steps=12800,
            batch_size=32,
            seeds=SEEDS,
            generators=GENERATORS,
            draws=DRAWS,
            folds=1,
            subsets=1,
        ),
        plan=Plan({"0.02": 0.03, "0.05": 0.05}, "What was stated in the plan.", 100, 4),
        test=ImageCount(images=4, patients=4),
        external=ExternalSet(
            ImageCount(images=9, patients=8),
            {name: ImageCount(images=4 + place, patients=4) for place, name in enumerate(classes)},
            undefined="",
        ),
        image_size=IMAGE_SIZE,
        view="whole",
        generators=(
            GeneratorUse("0001-gan-train", 1.0, None, None, 0),
            GeneratorUse("replicates/0001-gan-train", 1.0, None, None, 1),
        ),
        synthetic_sets=(
            SyntheticSetUse("0002-synthesize", 1.0, None, None, 0, 0),
            SyntheticSetUse("replicates/0002-synthesize", 1.0, None, None, 1, 0),
        ),
        generator="0001-gan-train",
        synthetic="0002-synthesize",
        data_fingerprint=data,
        config=CONFIG,
        arms=tuple(arms),
        fractions=tuple(fractions),
        ratios=tuple(ratios),
        limits=("A limit of this study.",),
        warnings=("few test patients: 2 covid",),
        versions={"cxr": "0.1.0", "torch": "2.99.1"},
        device="cpu, fp32",
    )
    return dataclasses.replace(summary, **changes)


def make_poor_summary(data: str) -> ComparisonSummary:
    """Make a summary of two arms without synthetic images, at one fraction."""
    summary = make_summary(
        data=data,
        arms=("real", "real+classical"),
        fractions=(1.0,),
        ratios=(None,),
        question=Question("real+classical", "real", 1.0, None, "roc_auc"),
        warnings=(),
        generators=(),
        synthetic_sets=(),
        generator=None,
        synthetic=None,
        sentence="Whether augmentation helps cannot be told.",
        external=None,
    )
    budget = dataclasses.replace(summary.budget, kind="epochs", generators=0, draws=0)
    results = tuple(dataclasses.replace(result, outside={}) for result in summary.results)
    return dataclasses.replace(summary, budget=budget, results=results)


def make_rows(summary: ComparisonSummary) -> list[ClassifierRow]:
    """Make a row of results.csv for every replicate."""
    return [
        ClassifierRow(
            arm=result.arm,
            fold=None,
            fraction=result.fraction,
            subset=replicate.subset,
            ratio=result.ratio,
            generator=replicate.generator,
            draw=replicate.draw,
            seed=replicate.seed,
            steps=summary.budget.steps,
            train_images=result.train_images,
            synthetic_images=result.synthetic_images,
            accuracy=0.8766,
            balanced_accuracy=0.8321,
            sensitivity=0.7654,
            specificity=0.6543,
            roc_auc=0.5432,
            best_step=340,
            seconds=41.4,
        )
        for result in summary.results
        for replicate in result.replicates
    ]
