"""Summing a comparison up: from its finished classifiers to what summary.json says."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from classifier.config import ClassifierConfig
from pipelines.comparison.answer import (
    answer_sentence,
    control_warnings,
    limits,
    outside_sentence,
    patient_warnings,
)
from pipelines.comparison.arm_results import (
    HeldOutImages,
    Outcome,
    Predictions,
    arm_results,
    read_predictions,
)
from pipelines.comparison.contrasts import compare_arms, list_contrasts
from pipelines.comparison.data_efficiency import estimate_data_efficiency
from pipelines.comparison.datasets import Datasets, SetKey
from pipelines.comparison.design import Design, Trial
from pipelines.comparison.external_test import ExternalTest
from pipelines.results.arm_result import ArmResult, Condition, PairedDifference
from pipelines.results.comparison_summary import (
    Budget,
    ComparisonSummary,
    DataEfficiency,
    GeneratorUse,
    Plan,
    SyntheticSetUse,
)
from pipelines.results.image_count import ImageCount
from pipelines.study.fractions import of_all_classes
from pipelines.study.shares import RealShare
from pipelines.study.split import Split

PACKAGES = ("cxr", "torch", "torchvision", "numpy", "scikit-learn", "scipy", "pillow")


@dataclass(frozen=True)
class Provenance:
    """By what a comparison was made.

    Attributes:
        generators: Names of runs, by the reals they were trained on, and number.
        synthetic_sets: Names of runs, by the generator's reals and number, and draw.
        view: What of the images was seen.
        data_fingerprint: Of the study in that view.
        device: And precision.
    """

    generators: Mapping[tuple[RealShare, int], str]
    synthetic_sets: Mapping[SetKey, str]
    view: str
    data_fingerprint: str
    device: str

    def shares(self) -> list[RealShare]:
        """Return the shares of the reals that have generators."""
        return list(dict.fromkeys(share for share, _ in self.generators))


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
    test, size, question = datasets.test, count_images(datasets.test), design.question()
    images = HeldOutImages.of(datasets, positive)
    predictions = read_predictions(design, outcomes, datasets, images)
    results = arm_results(design, outcomes, predictions, datasets, images)
    outside = ExternalTest.read(outcomes, datasets, positive)
    if outside:
        results = outside.add_to(results, predictions, images)
    external = outside.external if outside else None
    contrasts = list_contrasts({own.condition: own.validation for own in results}, question)
    differences = compare_arms(contrasts, predictions, images, question)
    primary = next(own for own in differences if own.is_primary)
    warnings = _write_warnings(datasets, differences)
    view = provenance.view
    sentence = answer_sentence(primary, results, differences, size, design, warnings, view)
    largest = [share for share in provenance.shares() if share.fraction == question.fraction]
    return ComparisonSummary(
        verdict=primary.verdict,
        sentence=sentence + outside_sentence(primary, results, external, design.measure),
        question=question,
        positive=positive,
        classes=tuple(datasets.classes),
        results=results,
        differences=differences,
        data_efficiency=_data_efficiency(design, outcomes, results, predictions, images),
        budget=_budget(design, config, outcomes),
        plan=plan,
        test=size,
        external=external,
        image_size=int(test.images.shape[1]),
        view=view,
        generators=tuple(
            GeneratorUse(run, share.fraction, design.subset_of(share), share.fold, number)
            for (share, number), run in provenance.generators.items()
        ),
        synthetic_sets=tuple(
            SyntheticSetUse(run, share.fraction, design.subset_of(share), share.fold, number, draw)
            for (share, number, draw), run in provenance.synthetic_sets.items()
        ),
        generator=provenance.generators[largest[0], 0] if largest else None,
        synthetic=provenance.synthetic_sets[largest[0], 0, 0] if largest else None,
        data_fingerprint=provenance.data_fingerprint,
        config=config,
        arms=tuple(arm.name for arm in design.selected_arms()),
        fractions=design.fractions,
        ratios=design.ratios,
        limits=limits(design, bool(provenance.generators), size.patients, bool(external)),
        warnings=tuple(warnings),
        versions=_versions(),
        device=provenance.device,
    )


def _write_warnings(datasets: Datasets, differences: Sequence[PairedDifference]) -> list[str]:
    few_patients = patient_warnings(_patients_per_label(datasets.test, datasets.classes))
    return [*few_patients, *control_warnings(differences)]


def _data_efficiency(
    design: Design,
    outcomes: Sequence[Outcome],
    results: Sequence[ArmResult],
    predictions: Mapping[Condition, Predictions],
    images: HeldOutImages,
) -> tuple[DataEfficiency, ...]:
    """Return what synthetic images are worth; nothing of a design with one fraction of all."""
    if len(of_all_classes(design.fractions)) < 2:
        return ()
    values = _values_of_trials(outcomes, predictions, images, design.measure)
    return estimate_data_efficiency(results, values, images.patients)


def _values_of_trials(
    outcomes: Sequence[Outcome],
    predictions: Mapping[Condition, Predictions],
    images: HeldOutImages,
    measure: str,
) -> dict[Trial, np.ndarray]:
    """Return what each test image of a classifier's own fold adds to a measure, by trial."""
    values = {}
    for outcome in outcomes:
        own = predictions[outcome.condition]
        row = own.values[measure][own.replicates.index(outcome.trial.replicate)]
        is_own = slice(None) if images.folds is None else images.folds == outcome.trial.fold
        values[outcome.trial] = row[is_own]
    return values


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
        folds=design.folds,
        subsets=design.subsets,
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
