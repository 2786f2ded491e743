"""The same arm with its synthetic images used in several ways."""

from __future__ import annotations

from dataclasses import replace

import pytest

from classifier.config import ClassifierConfig
from pipelines.comparison.design import Design, Trial
from pipelines.comparison.recipes import parse_arm, select_arms
from pipelines.comparison.trials import configs_of
from pipelines.metrics.paired_tests import Replicate
from runtime.options import OptionError
from tests.pipelines.comparison.test_arms import REALS, SYNTHETIC

CONFIG = ClassifierConfig(steps=100, batch_size=16, synthetic_until=0.9, synthetic_share=0.9)
SEED_7 = Replicate(None, 0, 0, 7)


@pytest.mark.parametrize(
    "text",
    [
        "real+gan@share=0.50@weight=.3",
        "real+gan@weight=0.3@share=0.5",
        " real+gan @ share = 0.5 @ weight = 0.3",
    ],
)
def test_the_same_recipe_has_the_same_name(text: str) -> None:
    assert parse_arm(text).name == "real+gan@share=0.5@weight=0.3"


def test_a_recipe_replaces_what_the_comparison_says() -> None:
    own = parse_arm("real+gan@share=0.5@statistics=separate@weight=0.3").configure(CONFIG)
    assert own == replace(
        CONFIG, synthetic_share=0.5, synthetic_statistics="separate", synthetic_weight=0.3
    )


def test_a_baseline_can_make_up_for_unequal_classes() -> None:
    arm = parse_arm("real+classical@balance=weights")
    assert arm.is_baseline
    assert arm.configure(CONFIG) == replace(
        CONFIG.without_mixing(), augment=True, balance="weights"
    )


def test_an_arm_stands_before_its_recipes() -> None:
    names = ["gan-pretrain@rate=0.3", "real+gan@share=0.5", "real+gan", "gan-pretrain@rate=0.1"]
    assert [arm.name for arm in select_arms(names)] == [
        "real",
        "real+gan@share=0.5",
        "real+gan",
        "gan-pretrain@rate=0.3",
        "gan-pretrain@rate=0.1",
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("real+gan@share=0.5", "real+A@share=0.5"),
        ("gan-pretrain@rate=0.5", "A-pretrain@rate=0.5"),
        ("real+shuffled", "real+A-shuffled"),
        ("real+shuffled@share=0.5", "real+A-shuffled@share=0.5"),
    ],
)
def test_every_set_has_recipes_of_its_own(text: str, name: str) -> None:
    assert parse_arm(text).of_set("A").name == name


@pytest.mark.parametrize(
    ("arm", "rates"), [("gan-pretrain", [1e-3, 1e-3]), ("gan-pretrain@rate=0.1", [1e-3, 1e-4])]
)
def test_fine_tuning_has_its_own_rate(arm: str, rates: list[float]) -> None:
    trial, design = Trial(arm, 1.0, None, SEED_7), Design(arms=("real", arm))
    configs = configs_of(trial, CONFIG, design, [SYNTHETIC, REALS], 5)
    assert [config.learning_rate for config in configs] == pytest.approx(rates)


def test_the_question_is_about_the_first_of_an_arm_and_its_recipes() -> None:
    arms = ("real", "real+classical", "real+gan", "real+gan+classical@share=0.5")
    assert Design(arms=arms).question().arm == "real+gan+classical@share=0.5"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("real+gann@share=0.5", "expected some of real", id="no-arm"),
        pytest.param("real@share=0.5", "real takes @balance=…", id="without-synthetic"),
        pytest.param("gan-only@share=0.5", "gan-only takes @balance=…", id="without-reals"),
        pytest.param("real+weights@balance=sampling", "takes no recipe", id="balanced-already"),
        pytest.param(
            "gan-pretrain@share=0.5", "takes @balance=…, @rate=…", id="pretraining-of-a-share"
        ),
        pytest.param("real+gan@rate=0.5", "takes @balance=…, @share=", id="rate-of-a-mixture"),
        pytest.param("real+gan@share", "takes @balance=…, @share=", id="no-value"),
        pytest.param("real+gan@", "takes @balance=…, @share=", id="no-option"),
        pytest.param("real+gan@share=0.5@share=0.4", "says one thing twice", id="twice"),
        pytest.param("gan-pretrain@rate=2", "at most 1", id="rate-of-2"),
        pytest.param("gan-pretrain@rate=fast", "a number behind rate=", id="no-number"),
        pytest.param("real+gan@share=half", "a number behind share=", id="no-share"),
    ],
)
def test_a_recipe_that_an_arm_does_not_take_is_refused(text: str, problem: str) -> None:
    with pytest.raises(OptionError) as refused:
        parse_arm(text)
    assert (refused.value.field, problem in refused.value.problem) == ("arms", True)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("real+gan@share=1.5", "synthetic_share"),
        ("real+gan@weight=0", "synthetic_weight"),
        ("real+gan@statistics=own", "synthetic_statistics"),
        ("real@balance=luck", "balance"),
    ],
)
def test_a_value_that_a_classifier_does_not_take_is_refused(text: str, field: str) -> None:
    with pytest.raises(OptionError) as refused:
        parse_arm(text).configure(replace(CONFIG, synthetic_until=None))
    assert refused.value.field == field
