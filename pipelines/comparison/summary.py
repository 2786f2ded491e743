"""Summing a comparison up: from its finished classifiers to what summary.json says."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from classifier.config import ClassifierConfig
from pipelines.comparison.answer import (
    answer_sentence,
    control_warnings,
    limits,
    patient_warnings,
)
from pipelines.comparison.arm_results import Outcome, arm_results
from pipelines.comparison.data_efficiency import estimate_data_efficiency
from pipelines.comparison.datasets import Datasets, SetKey
from pipelines.comparison.design import Design
from pipelines.results.arm_result import find_result
from pipelines.results.comparison_summary import (
    Budget,
    ComparisonSummary,
    DataEfficiency,
    GeneratorUse,
    Plan,
    SyntheticSetUse,
)
from pipelines.results.image_count import ImageCount
from pipelines.study.manifest import study_fingerprint
from pipelines.study.shares import RealShare
from pipelines.study.split import Split

PACKAGES = ("cxr", "torch", "torchvision", "numpy", "scikit-learn", "scipy", "pillow")


@dataclass(frozen=True)
class Provenance:
    """By what a comparison was made.

    Attributes:
        generators: Names of runs, by share of the reals and number.
        synthetic_sets: Names of runs, by share of the reals, generator and draw.
        device: And precision.
    """

    generators: Mapping[tuple[RealShare, int], str]
    synthetic_sets: Mapping[SetKey, str]
    device: str


def summarise(
    design: Design,
    config: ClassifierConfig,
    outcomes: Sequence[Outcome],
    datasets: Datasets,
    positive: str,
    plan: Plan,
    provenance: Provenance,
) -> ComparisonSummary:
    """Sum up the finished classifiers of a comparison, in the order of the design's trials."""
    test = datasets.test
    size, headline = count_images(test), design.headline()
    results = arm_results(design, outcomes, datasets, positive)
    main = find_result(results, headline.arm, headline.fraction, headline.ratio)
    assert main.against_real is not None, "the headline is of an arm that is compared with `real`"
    warnings = patient_warnings(_patients_per_label(test, datasets.classes))
    warnings += control_warnings(results)
    data_efficiency: tuple[DataEfficiency, ...] = ()
    if len(design.fractions) > 1:
        is_right = {outcome.trial: outcome.is_right() for outcome in outcomes}
        data_efficiency = estimate_data_efficiency(results, is_right, test.patients)
    largest = RealShare(max(design.fractions))
    return ComparisonSummary(
        verdict=main.against_real.verdict,
        sentence=answer_sentence(main, results, size, design.seeds, warnings),
        headline=headline,
        positive=positive,
        classes=tuple(datasets.classes),
        results=results,
        data_efficiency=data_efficiency,
        budget=_budget(design, config, outcomes),
        plan=plan,
        test=size,
        image_size=int(test.images.shape[1]),
        generators=tuple(
            GeneratorUse(run, share.fraction, number)
            for (share, number), run in provenance.generators.items()
        ),
        synthetic_sets=tuple(
            SyntheticSetUse(run, share.fraction, number, draw)
            for (share, number, draw), run in provenance.synthetic_sets.items()
        ),
        generator=provenance.generators.get((largest, 0)),
        synthetic=provenance.synthetic_sets.get((largest, 0, 0)),
        data_fingerprint=study_fingerprint(datasets.rows),
        config=config,
        arms=tuple(arm.name for arm in design.selected_arms()),
        fractions=design.fractions,
        ratios=design.ratios,
        limits=limits(design, has_generator=bool(provenance.generators)),
        warnings=tuple(warnings),
        versions=_versions(),
        device=provenance.device,
    )


def count_images(split: Split) -> ImageCount:
    """Count the images and patients of a split."""
    return ImageCount(images=len(split.labels), patients=len(set(split.patients)))


def _budget(design: Design, config: ClassifierConfig, outcomes: Sequence[Outcome]) -> Budget:
    return Budget(
        kind=design.budget,
        arch=config.arch,
        steps=config.steps,
        batch_size=config.batch_size,
        seeds=tuple(sorted({outcome.trial.replicate.seed for outcome in outcomes})),
        generators=design.generators,
        draws=design.draws,
    )


def _patients_per_label(split: Split, classes: Sequence[str]) -> dict[str, int]:
    """Count the patients of a split that have an image of each label."""
    return {
        name: len({split.patients[place] for place in (split.labels == index).nonzero()[0]})
        for index, name in enumerate(classes)
    }


def _versions() -> dict[str, str]:
    """Return the versions of Python and of what the numbers hang on."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed (run from a checkout)"
    return versions
