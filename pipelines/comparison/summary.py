"""Summing a comparison up: from its finished classifiers to what summary.json says."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    read_by_condition,
)
from pipelines.comparison.arms import OWN_SET, Arm
from pipelines.comparison.contrasts import compare_arms, list_contrasts
from pipelines.comparison.data_efficiency import estimate_data_efficiency
from pipelines.comparison.datasets import Datasets, SetKey
from pipelines.comparison.design import Design, Trial
from pipelines.comparison.external_test import ExternalTest
from pipelines.results.arm_result import ArmResult, Condition, PairedDifference
from pipelines.results.comparison_summary import (
    Budget,
    ComparisonSummary,
    GeneratorUse,
    Plan,
    SetUse,
    SyntheticSetUse,
)
from pipelines.results.data_efficiency import DataEfficiency
from pipelines.results.image_count import ImageCount
from pipelines.study.fractions import RealFraction, of_all_classes
from pipelines.study.shares import RealShare
from pipelines.study.split import Split
from pipelines.study.synthetic import UNKNOWN_WARNING

GeneratorKey = tuple[str, RealShare, int]  # the name of its set, its reals, its number
PACKAGES = ("cxr", "torch", "torchvision", "numpy", "scikit-learn", "scipy", "pillow")


@dataclass(frozen=True)
class Provenance:
    """By what a comparison was made.

    Attributes:
        generators: Names of runs, by set, the reals they were trained on, and number.
        synthetic_sets: Names of runs, by set, the generator's reals and number, and draw.
        failed: Classes that had collapsed or were noise when they were drawn, by synthetic set.
        sets: The synthetic sets that it was given.
        view: What of the images was seen.
        data_fingerprint: Of the study in that view.
        device: And precision.
    """

    generators: Mapping[GeneratorKey, str]
    synthetic_sets: Mapping[SetKey, str]
    failed: Mapping[str, Sequence[str]]
    sets: tuple[SetUse, ...]
    view: str
    data_fingerprint: str
    device: str

    def shares(self) -> list[RealShare]:
        """Return the shares of the reals that have synthetic sets."""
        return list(dict.fromkeys(share for _, share, _, _ in self.synthetic_sets))

    def share_at(self, fraction: RealFraction) -> RealShare | None:
        """Return the first of them at a fraction."""
        return next((share for share in self.shares() if share.fraction == fraction), None)

    def cautions(self) -> list[str]:
        """Return what has to be said of sets of unknown origin, and of generators that failed."""
        of_sets = [own.caution for own in self.sets if own.caution]
        return of_sets + [
            f"the generator of {name} had collapsed, or drew noise, in {' and '.join(labels)}"
            for name, labels in self.failed.items()
        ]


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
    predictions = read_by_condition(design, outcomes, datasets, images)
    results = arm_results(design, outcomes, predictions, datasets, images)
    outside = ExternalTest.read(outcomes, datasets, positive)
    if outside:
        results = outside.add_to(results, predictions, images)
    external = outside.external if outside else None
    arms = {arm.name: arm for arm in design.selected_arms()}
    validation = {own.condition: own.validation for own in results}
    contrasts = list_contrasts(validation, question, arms)
    differences = compare_arms(contrasts, predictions, images, question)
    primary = next(own for own in differences if own.is_primary)
    warnings = [*provenance.cautions(), *_write_warnings(datasets, differences)]
    view = provenance.view
    sentence = answer_sentence(primary, results, differences, size, design, warnings, view)
    results = _note_cautions(results, arms, provenance.sets)
    first, largest = design.sets[0], provenance.share_at(question.fraction)
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
        generators=_generator_uses(design, provenance),
        synthetic_sets=_set_uses(design, provenance),
        generator=provenance.generators.get((first, largest, 0)) if largest else None,
        synthetic=provenance.synthetic_sets.get((first, largest, 0, 0)) if largest else None,
        data_fingerprint=provenance.data_fingerprint,
        config=config,
        arms=tuple(arm.name for arm in design.selected_arms()),
        fractions=design.fractions,
        ratios=design.ratios,
        limits=limits(design, provenance.sets, size.patients, bool(external)),
        warnings=tuple(warnings),
        versions=_versions(),
        device=provenance.device,
        sets=provenance.sets,
    )


def _note_cautions(
    results: tuple[ArmResult, ...], arms: Mapping[str, Arm], sets: Sequence[SetUse]
) -> tuple[ArmResult, ...]:
    """Say of every arm with images of unknown origin that they are."""
    unknown = {own.name for own in sets if own.caution}
    return tuple(
        replace(own, about=f"{own.about} ({UNKNOWN_WARNING})")
        if arms[own.arm].synthetic and arms[own.arm].set_name in unknown
        else own
        for own in results
    )


def _generator_uses(design: Design, provenance: Provenance) -> tuple[GeneratorUse, ...]:
    return tuple(
        GeneratorUse(run, *_place(design, share), number, _set_name(design, name))
        for (name, share, number), run in provenance.generators.items()
    )


def _set_uses(design: Design, provenance: Provenance) -> tuple[SyntheticSetUse, ...]:
    return tuple(
        SyntheticSetUse(run, *_place(design, share), number, draw, _set_name(design, name))
        for (name, share, number, draw), run in provenance.synthetic_sets.items()
    )


def _place(design: Design, share: RealShare) -> tuple[RealFraction, int | None, int | None]:
    """Return the fraction, subset and fold of a share."""
    return share.fraction, design.subset_of(share), share.fold


def _set_name(design: Design, name: str) -> str | None:
    """Return the name of a set; None in a comparison of one without a name of its own."""
    return None if design.sets == (OWN_SET,) else name


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
    arms = {arm.name: arm for arm in design.selected_arms()}
    return estimate_data_efficiency(results, values, images.patients, design.question(), arms)


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
