"""What each arm trains on, and with how many steps."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.config import ClassifierConfig
from pipelines.comparison.arms import (
    ARMS,
    OWN_SET,
    arms_of_sets,
    count_lacking,
    repeat_reals,
    shuffle_labels,
    training_sets,
)
from pipelines.comparison.design import Design, Trial
from pipelines.comparison.recipes import select_arms
from pipelines.comparison.trials import configs_of
from pipelines.metrics.paired_tests import Replicate
from pipelines.study.labels import order_in_turn
from pipelines.study.split import Split
from runtime.options import OptionError


def make_split(labels: list[int], name: str) -> Split:
    """Make a split whose image i is full of i."""
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    return Split(
        images,
        np.array(labels, np.int64),
        [f"{name}-{place}" for place in range(len(labels))],
        ["" if name == "synthetic" else f"p{place}" for place in range(len(labels))],
    )


REALS = make_split([0, 0, 0, 1, 1], "real")
SYNTHETIC = make_split([0, 1] * 6, "synthetic")
TARGETS = st.lists(st.integers(0, 1), min_size=1, max_size=40)
ANY_SEED = st.integers(0, 5)


def sets_of(arm: str) -> list[Split]:
    return training_sets(ARMS[arm], REALS, SYNTHETIC if ARMS[arm].added else None)


@pytest.mark.parametrize(
    ("arm", "sizes"),
    [
        ("real", [5]),
        ("real+gan", [17]),
        ("gan-only", [12]),
        ("gan-pretrain", [12, 5]),
        ("real+classical", [5]),
        ("real+shuffled", [17]),
    ],
)
def test_an_arm_has_its_training_sets(arm: str, sizes: list[int]) -> None:
    assert [len(split.labels) for split in sets_of(arm)] == sizes


@pytest.mark.parametrize("arm", ARMS)
def test_training_sets_know_all_of_every_image(arm: str) -> None:
    for split in sets_of(arm):
        assert len(split.images) == len(split.labels)
        assert len(split.file_names) == len(split.patients) == len(split.labels)


def test_fine_tuning_ends_on_reals_alone() -> None:
    assert sets_of("gan-pretrain")[-1] is REALS


@given(TARGETS, ANY_SEED)
def test_repeated_reals_have_the_labels_asked_for(labels: list[int], seed: int) -> None:
    assert repeat_reals(REALS, np.array(labels), seed).labels.tolist() == labels


@given(TARGETS, ANY_SEED)
def test_repeated_reals_are_used_equally_often(labels: list[int], seed: int) -> None:
    repeated = repeat_reals(REALS, np.array(labels), seed)
    times = Counter(repeated.file_names)
    for label in set(labels):
        members = [
            name for name, own in zip(REALS.file_names, REALS.labels, strict=True) if own == label
        ]
        counts = [times[name] for name in members]
        assert max(counts) - min(counts) <= 1


@given(TARGETS, ANY_SEED)
def test_repeated_reals_keep_their_pixels(labels: list[int], seed: int) -> None:
    repeated = repeat_reals(REALS, np.array(labels), seed)
    for name, image in zip(repeated.file_names, repeated.images, strict=True):
        assert (image == REALS.images[REALS.file_names.index(name)]).all()


def test_shuffling_moves_labels() -> None:
    shuffled = shuffle_labels(SYNTHETIC, 3)
    assert Counter(shuffled.labels.tolist()) == Counter(SYNTHETIC.labels.tolist())
    assert (shuffled.labels != SYNTHETIC.labels).any()


def test_shuffling_moves_nothing_but_labels() -> None:
    shuffled = shuffle_labels(SYNTHETIC, 3)
    assert (shuffled.images == SYNTHETIC.images).all()
    assert shuffled.file_names == SYNTHETIC.file_names


CONFIG = ClassifierConfig(steps=801, evaluate_every=20)
MIXING = {"real+gan", "real+gan+classical", "real+shuffled"}
SEED_7 = Replicate(None, None, None, 7)


def configs(arm: str) -> list[ClassifierConfig]:
    return configs_of(Trial(arm, 1.0, None, SEED_7), CONFIG, Design(), sets_of(arm), 5)


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_has_the_same_steps_in_all(arm: str) -> None:
    assert sum(config.steps for config in configs(arm)) == 801


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_has_the_seed_of_its_replicate(arm: str) -> None:
    assert {config.seed for config in configs(arm)} == {7}


@pytest.mark.parametrize("arm", ARMS)
def test_only_classical_arms_are_augmented(arm: str) -> None:
    assert {config.augment for config in configs(arm)} == {ARMS[arm].classical}


@pytest.mark.parametrize("arm", ARMS)
def test_only_arms_that_balance_classes_do(arm: str) -> None:
    expected = {"real+weights": "weights", "real+oversampled": "sampling"}.get(arm, "none")
    assert {config.balance for config in configs(arm)} == {expected}


@given(TARGETS)
def test_what_classes_lack_makes_them_all_as_large_as_the_largest(labels: list[int]) -> None:
    counts = np.bincount(labels, minlength=3)
    filled = counts + count_lacking(np.array(labels), 3)
    assert filled.tolist() == [counts.max()] * 3


@pytest.mark.parametrize("arm", ARMS)
def test_only_arms_that_mix_synthetic_images_keep_what_is_said_of_their_mixing(arm: str) -> None:
    mixing = {
        "synthetic_share": 0.5,
        "synthetic_until": 0.7,
        "synthetic_weight": 0.5,
        "synthetic_statistics": "separate",
    }
    config = replace(CONFIG, **mixing)  # type: ignore[arg-type]
    given = configs_of(Trial(arm, 1.0, None, SEED_7), config, Design(), sets_of(arm), 5)
    expected = set(mixing) if arm in MIXING else set()
    assert all(set(own.mixing_options) == expected for own in given)


def test_by_epochs_a_longer_set_has_more_steps_and_as_many_looks() -> None:
    trial, design = Trial("real+gan", 1.0, None, SEED_7), Design(budget="epochs")
    (config,) = configs_of(trial, CONFIG, design, [make_split([0] * 15, "real")], 5)
    assert (config.steps, config.evaluate_every) == (2403, 60)


@given(
    names=st.sets(st.sampled_from(sorted(ARMS)), min_size=1),
    sets=st.lists(st.sampled_from(["A", "B", "style-2", OWN_SET]), min_size=1, unique=True),
)
def test_each_set_has_arms_of_its_own(names: set[str], sets: list[str]) -> None:
    arms = arms_of_sets(select_arms(["real+classical", *names]), sets)
    assert len({arm.name for arm in arms}) == len(arms)
    for arm in arms:
        rivals = [other for other in arms if other.is_rival_of(arm)]
        assert len(rivals) == (len(sets) - 1 if arm.synthetic else 0)
        assert not any(other.is_rival_of(arm) and other.like != arm.like for other in arms)
    if sets == [OWN_SET]:
        assert all(arm == ARMS[arm.name] for arm in arms)


@pytest.mark.parametrize("name", ["classical", "oracle", "shuffled", "A-balanced", "my-only"])
def test_a_set_is_not_named_as_another_arm_is(name: str) -> None:
    with pytest.raises(OptionError, match="would be taken for another arm"):
        arms_of_sets(select_arms(["real+gan"]), ["A", name])


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60))
def test_every_beginning_has_the_shares_of_all(labels: list[str]) -> None:
    order = order_in_turn(labels)
    assert sorted(order) == list(range(len(labels)))
    for length in range(1, len(labels) + 1):
        for label in set(labels):
            expected = length * labels.count(label) / len(labels)
            taken = sum(labels[place] == label for place in order[:length])
            assert abs(taken - expected) <= 2
