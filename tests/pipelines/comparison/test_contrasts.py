"""Which arms are held against which, and the answer in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from pipelines.comparison.answer import answer_sentence
from pipelines.comparison.arm_results import HeldOutImages, Predictions
from pipelines.comparison.contrasts import compare_arms, list_contrasts
from pipelines.comparison.design import Design
from pipelines.metrics.measures import pseudo_values
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.metrics.paired_tests import Replicate
from pipelines.results.arm_result import ArmResult, Condition, PairedDifference
from pipelines.results.comparison_summary import Question
from pipelines.results.image_count import ImageCount
from tests.pipelines.report.summaries import make_summary

SEEDS, TEST = 5, 400
LABELS = np.arange(TEST) % 2
IMAGES = HeldOutImages(LABELS, [str(number) for number in range(TEST)], None, positive=1)


def all_reals(arm: str, ratio: float | None = None) -> Condition:
    return Condition(arm, 1.0, ratio)


def make_predictions(strength: float, generators: int = 0, shift: float = 0.0) -> Predictions:
    """Make classifiers whose scores lie `strength` apart; `shift` moves all of them alike."""
    random = np.random.default_rng(0)
    noise = random.normal(size=TEST)  # of the images, the same for every classifier
    replicates = tuple(
        Replicate(None, generator, None if generator is None else 0, seed)
        for generator in (range(generators) if generators else [None])
        for seed in range(SEEDS)
    )
    scores = strength * (LABELS - 0.5) + noise + 0.05 * random.normal(size=(len(replicates), TEST))
    positive = 1 / (1 + np.exp(-(scores + shift)))
    probabilities = np.stack([1 - positive, positive], axis=2)
    return Predictions(
        replicates=replicates,
        values={name: pseudo_values(name, LABELS, probabilities, 1) for name in MEASURE_TITLES},
        pooled_right=probabilities.mean(axis=0).argmax(axis=1) == LABELS,
        validation=dict.fromkeys(MEASURE_TITLES, strength),
    )


def judge_arms(
    arms: dict[str, Predictions], measure: str = "roc_auc"
) -> dict[str, PairedDifference]:
    """Compare arms at all reals; return the differences by their titles."""
    question = Design(arms=tuple(arms), measure=measure).question()
    predictions = {all_reals(name): own for name, own in arms.items()}
    validation = {condition: own.validation[measure] for condition, own in predictions.items()}
    contrasts = list_contrasts(validation, question)
    return {own.title: own for own in compare_arms(contrasts, predictions, IMAGES, question)}


def test_what_classical_augmentation_does_as_well_is_no_help_of_synthetic_images() -> None:
    weak, strong = make_predictions(1.0), make_predictions(2.5)
    judged = judge_arms(
        {
            "real": weak,
            "real+classical": strong,
            "real+gan": make_predictions(2.5, generators=1),
            "real+gan+classical": make_predictions(2.5, generators=1),
        }
    )
    assert judged["real+gan − real"].verdict == "helps"
    assert judged["real+gan − real+classical"].verdict == "cannot tell"
    (primary,) = (own for own in judged.values() if own.is_primary)
    assert primary.title == "real+gan+classical − real+classical"
    assert primary.verdict == "cannot tell"


def test_a_shift_of_all_probabilities_moves_accuracy_and_not_the_auc() -> None:
    arms = {
        "real": make_predictions(2.0, shift=1.5),
        "real+gan": make_predictions(2.0, generators=1),
    }
    by_auc, by_accuracy = (judge_arms(arms, name) for name in ("roc_auc", "accuracy"))
    assert by_auc["real+gan − real"].verdict == "cannot tell"
    assert by_accuracy["real+gan − real"].verdict == "helps"


def test_the_best_arm_without_synthetic_images_is_chosen_by_validation() -> None:
    validation = {
        all_reals("real"): 0.8,
        all_reals("real+classical"): 0.7,
        all_reals("real+weights"): 0.85,
        all_reals("real+duplicates", 2.0): 0.9,
        all_reals("real+oversampled"): 0.91,
        all_reals("real+gan", 2.0): 0.95,
        all_reals("real+oracle", 2.0): 0.99,
    }
    question = Question("real+gan", "real+classical", 1.0, 2.0, "accuracy")
    roles = {
        contrast.reference.arm: contrast.roles
        for contrast in list_contrasts(validation, question)
        if contrast.condition.arm == "real+gan"
    }
    assert roles == {"real": ("real", "like"), "real+oversampled": ("best",), "real+classical": ()}


def test_an_arm_is_held_against_its_like_at_its_own_fraction() -> None:
    arms = ("real", "real+classical", "real+gan+classical")
    validation = {Condition(arm, part, None): part for part in (0.1, 1.0) for arm in arms}
    question = Question("real+gan+classical", "real+classical", 1.0, None, "roc_auc")
    for contrast in list_contrasts(validation, question):
        assert contrast.condition.fraction == contrast.reference.fraction
        if contrast.condition.arm == "real+gan+classical":
            is_like = contrast.reference.arm == "real+classical"
            assert ("like" in contrast.roles) == is_like


# The answer in words.


def sentence_of(
    differences: Sequence[PairedDifference],
    results: Sequence[ArmResult],
    view: str = "whole",
    **design: int,
) -> str:
    (primary,) = (own for own in differences if own.is_primary)
    count = ImageCount(images=184, patients=118)
    return answer_sentence(
        primary, results, differences, count, Design(**design), warnings=[], view=view
    )


def changed(verdict: str, **measures: tuple[float, float]) -> list[PairedDifference]:
    """Give the question another verdict, and measures other values and p."""
    differences = []
    for own in make_summary().differences:
        if own.is_primary:
            estimates = {
                name: dataclasses.replace(own.differences.of(name), value=value, p=p)
                for name, (value, p) in measures.items()
            }
            changes = dataclasses.replace(own.differences, **estimates)
            own = dataclasses.replace(own, verdict=verdict, differences=changes)
        differences.append(own)
    return differences


def with_generators(number: int) -> list[ArmResult]:
    """Leave as many generators in the results."""
    return [
        dataclasses.replace(
            result,
            replicates=tuple(own for own in result.replicates if (own.generator or 0) < number),
        )
        for result in make_summary().results
    ]


QUIET = dict.fromkeys(MEASURE_TITLES, (0.0, 0.9))


@pytest.mark.parametrize(
    ("generators", "verdict", "start"),
    [
        (1, "helps", "Adding these 800 synthetic images, of one generator, to 400 classically"),
        (2, "hurts", "Adding these 800 synthetic images, of two generators, to 400 classically"),
        (3, "helps", "Adding 800 synthetic images to 400 classically augmented real ones helps:"),
        (1, "cannot tell", "Whether adding these 800 synthetic images, of one generator, to 400"),
    ],
)
def test_one_generator_is_spoken_of_as_one(generators: int, verdict: str, start: str) -> None:
    sentence = sentence_of(changed(verdict, **QUIET), with_generators(generators))
    assert sentence.startswith(start)


def test_one_drawing_of_few_reals_is_spoken_of_as_these() -> None:
    results = [dataclasses.replace(own, fraction=0.1) for own in with_generators(3)]
    differences = [
        dataclasses.replace(
            own,
            condition=dataclasses.replace(own.condition, fraction=0.1),
            reference=dataclasses.replace(own.reference, fraction=0.1),
        )
        for own in changed("helps", **QUIET)
    ]
    assert "synthetic images to these 40 classically augmented" in sentence_of(differences, results)


def test_five_folds_have_five_generators() -> None:
    sentence = sentence_of(changed("helps", **QUIET), with_generators(1), folds=5)
    assert sentence.startswith("Adding 800 synthetic images to 400")
    assert ", 5 folds" in sentence


def test_the_answer_says_what_synthetic_images_do_without_augmentation_too() -> None:
    sentence = sentence_of(changed("cannot tell", **QUIET), with_generators(3))
    assert "Against real images as they are, real+gan makes −2.8 points" in sentence
    assert "Classical augmentation alone makes −0.9 points" in sentence
    assert sentence.count("exploratory") == 2


def test_measures_that_disagree_with_the_verdict_are_named() -> None:
    disagreeing = QUIET | {"accuracy": (0.05, 0.001)}
    sentence = sentence_of(changed("cannot tell", **disagreeing), with_generators(3))
    assert "say otherwise: by accuracy +5.0 points" in sentence
    assert "sensitivity" not in sentence
    agreeing = sentence_of(changed("cannot tell", **QUIET), with_generators(3))
    assert "otherwise" not in agreeing


def test_of_a_rare_class_every_measure_of_it_is_named() -> None:
    results = [dataclasses.replace(own, fraction="covid=0.1") for own in with_generators(3)]
    differences = [
        dataclasses.replace(
            own,
            condition=dataclasses.replace(own.condition, fraction="covid=0.1"),
            reference=dataclasses.replace(own.reference, fraction="covid=0.1"),
        )
        for own in changed("cannot tell", **QUIET | {"sensitivity": (0.05, 0.001)})
    ]
    sentence = sentence_of(differences, results)
    assert "Of the same predictions by balanced accuracy" in sentence
    assert "say otherwise: by sensitivity +5.0 points" in sentence
    assert "by accuracy" not in sentence


def test_the_answer_names_the_view_where_it_is_not_the_whole_image() -> None:
    differences, results = changed("helps", **QUIET), with_generators(3)
    assert ": ROC AUC is" in sentence_of(differences, results)
    assert ": on the box of the lungs ROC AUC is" in sentence_of(differences, results, "lung-box")
