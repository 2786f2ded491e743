"""What a comparison consists of."""

from __future__ import annotations

from collections import Counter

import pytest

from pipelines.comparison.arms import ARMS, DEFAULT_ARMS
from pipelines.comparison.design import Design
from pipelines.results.comparison_summary import Question
from pipelines.results.image_count import ImageCount
from pipelines.study.fractions import RealFraction

DESIGN = Design.from_options(
    arms=",".join(ARMS),
    real_fractions="1,covid=0.1,0.1",
    synthetic_ratio="2,0.5",
    seeds=3,
    generators=2,
    draws=2,
)
TRIALS = DESIGN.trials(first_seed=10)


def test_every_classifier_has_a_name_of_its_own() -> None:
    assert len({trial.name for trial in TRIALS}) == len(TRIALS)


@pytest.mark.parametrize("fraction", [0.1, "covid=0.1", 1.0])
def test_an_arm_is_repeated_over_the_levels_that_it_has(fraction: RealFraction) -> None:
    counts = Counter(trial.arm for trial in TRIALS if trial.fraction == fraction)
    seeds, ratios, draws, generators = 3, 2, 2, 2
    assert counts == {
        **dict.fromkeys(ARMS, seeds * draws * generators * ratios),
        "real": seeds,
        "real+classical": seeds,
        "real+weights": seeds,
        "real+oversampled": seeds,
        "real+gan-balanced": seeds * draws * generators,
        "real+duplicates": seeds * ratios,
        "real+oracle": seeds * draws * ratios,
    }


def test_one_thinned_class_is_a_condition_of_its_own_and_subsets_of_it_are_drawn() -> None:
    design = Design(
        arms=("real", "real+gan-balanced"), seeds=2, fractions=("covid=0.1",), subsets=2
    )
    assert {trial.name for trial in design.trials(first_seed=0)} == {
        f"{arm}-fcovid=0.1-u{subset}{drawn}-s{seed}"
        for arm, drawn in (("real", ""), ("real+gan-balanced", "-g0-d0"))
        for subset in (0, 1)
        for seed in (0, 1)
    }
    assert design.question() == Question("real+gan-balanced", "real", "covid=0.1", None, "roc_auc")


def test_folds_and_subsets_repeat_everything_below_them() -> None:
    design = Design(
        arms=("real", "real+gan"), seeds=2, generators=2, fractions=(0.1, 1.0), folds=3, subsets=4
    )
    counts = Counter((trial.arm, trial.fraction) for trial in design.trials(first_seed=0))
    assert counts == {
        ("real", 0.1): 3 * 4 * 2,
        ("real", 1.0): 3 * 2,
        ("real+gan", 0.1): 3 * 4 * 2 * 2,
        ("real+gan", 1.0): 3 * 2 * 2,
    }
    names = {trial.name for trial in design.trials(first_seed=0)}
    assert len(names) == sum(counts.values())
    assert "real+gan-f0.1-k2-u3-g1-d0-s1" in names
    assert "real-f1-k0-s0" in names


def test_without_folds_and_subsets_names_and_record_say_nothing_of_them() -> None:
    """So that a comparison that an older version began goes on."""
    design = Design(arms=("real", "real+gan"), seeds=2, fractions=(0.5, 1.0), ratios=(2.0,))
    assert {trial.name for trial in design.trials(first_seed=0)} == {
        *("real-f0.5-s0", "real-f0.5-s1", "real-f1-s0", "real-f1-s1"),
        *("real+gan-f0.5-r2-g0-d0-s0", "real+gan-f0.5-r2-g0-d0-s1"),
        *("real+gan-f1-r2-g0-d0-s0", "real+gan-f1-r2-g0-d0-s1"),
    }
    assert not {"folds", "subsets"} & set(design.record())


def test_a_design_of_folds_and_subsets_is_read_from_its_record() -> None:
    design = Design(fractions=(0.5,), folds=3, subsets=2)
    assert Design.from_record(design.record()) == design


def test_seeds_are_consecutive() -> None:
    assert {trial.replicate.seed for trial in TRIALS} == {10, 11, 12}


def test_classifiers_come_seed_by_seed() -> None:
    seeds = [trial.replicate.seed for trial in TRIALS]
    assert seeds == sorted(seeds)


def test_a_design_is_read_from_its_record() -> None:
    assert Design.from_record(DESIGN.record()) == DESIGN


@pytest.mark.parametrize(
    ("arms", "arm", "reference"),
    [
        (DEFAULT_ARMS, "real+gan+classical", "real+classical"),
        (("real", "real+classical", "real+gan"), "real+gan", "real+classical"),
        (("real", "real+gan", "real+gan+classical"), "real+gan", "real"),
        (("real", "gan-only", "real+shuffled"), "gan-only", "real"),
        (("real", "real+classical", "real+shuffled"), "real+classical", "real"),
    ],
)
def test_the_question_is_what_synthetic_images_add_to_classical_augmentation(
    arms: tuple[str, ...], arm: str, reference: str
) -> None:
    question = Design(arms=arms, fractions=(0.5, 1.0), ratios=(0.5, 2.0)).question()
    ratio = 0.5 if ARMS[arm].added else None
    assert question == Question(arm, reference, 1.0, ratio, "roc_auc")


def test_a_comparison_is_judged_by_the_measure_that_was_asked_for() -> None:
    assert Design.from_options(measure="auc") == Design.from_options(measure="roc_auc")
    assert Design.from_options(measure="balanced-accuracy").question().measure == (
        "balanced_accuracy"
    )
    with pytest.raises(ValueError, match="--measure luck: expected accuracy, balanced-accuracy"):
        Design.from_options(measure="luck")


def test_the_plan_counts_classifiers_and_names_what_could_be_found() -> None:
    plan = DESIGN.plan(ImageCount(images=184, patients=118))
    assert plan.classifiers == len(TRIALS)
    assert plan.test_images == 184
    assert "118 test patients and 3 seeds" in plan.sentence
    assert list(plan.detectable) == ["0.02", "0.05", "0.1"]


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"seeds": 3, "arms": None}, []),
        ({"seeds": 4}, ["--seeds 3 → 4"]),
        ({"real_fractions": "0.1"}, ["--real-fractions 0.1,covid=0.1,1 → 0.1"]),
        ({"arms": "real+gan"}, [f"--arms {','.join(ARMS)} → real,real+gan"]),
    ],
    ids=["none", "seeds", "fractions", "arms"],
)
def test_options_that_ask_for_something_else_are_named(options: dict, changes: list[str]) -> None:
    assert DESIGN.changes(options) == changes


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"arms": "real,fake"}, "arms fake: expected some of real,"),
        ({"arms": "real"}, "nothing to compare"),
        ({"arms": ""}, "arms : expected some of"),
        ({"seeds": 1}, "at least 2"),
        ({"generators": 0}, "--generators 0"),
        ({"draws": -1}, "--draws -1"),
        ({"real_fractions": "0,1"}, "more than 0 and at most 1"),
        ({"real_fractions": "half"}, "expected shares of the real images"),
        ({"real_fractions": ""}, "expected shares of the real images"),
        ({"real_fractions": "0.1,covid=2"}, "covid=2: expected shares"),
        ({"real_fractions": "nan"}, "more than 0"),
        ({"synthetic_ratio": "0"}, "--synthetic-ratio 0"),
        ({"budget": "minutes"}, "steps or epochs"),
    ],
    ids=str,
)
def test_a_design_that_cannot_be_is_refused(option: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Design.from_options(**option)
