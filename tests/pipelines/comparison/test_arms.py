"""What each arm trains on, at which fraction, with how many steps."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.config import ClassifierConfig
from pipelines.comparison.arms import ARMS, duplicates, shuffled, training_sets
from pipelines.comparison.data_efficiency import images_for
from pipelines.comparison.design import Design, Trial
from pipelines.comparison.runner import configs_of
from pipelines.metrics.paired_tests import Replicate
from pipelines.study.manifest import Row
from pipelines.study.splitting import training_part
from pipelines.study.synthetic import Split


def split(labels: list[int], of: str) -> Split:
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    return Split(
        images,
        np.array(labels, np.int64),
        [f"{of}-{place}" for place in range(len(labels))],
        ["" if of == "synthetic" else f"p{place}" for place in range(len(labels))],
    )


REALS, SYNTHETIC = split([0, 0, 0, 1, 1], "real"), split([0, 1] * 6, "synthetic")


def test_training_sets_of_every_arm() -> None:
    for name, expected in (
        ("real", [5]),
        ("real+gan", [17]),
        ("gan-only", [12]),
        ("gan-pretrain", [12, 5]),
        ("real+classical", [5]),
        ("real+shuffled", [17]),
    ):
        beside = SYNTHETIC if ARMS[name].beside else None
        sets = training_sets(ARMS[name], REALS, beside)
        assert [len(one.labels) for one in sets] == expected, name
        for one in sets:
            assert len(one.images) == len(one.labels) == len(one.file_names) == len(one.patients)
    assert training_sets(ARMS["gan-pretrain"], REALS, SYNTHETIC)[-1] is REALS, (
        "fine-tuning ends on reals alone"
    )


@given(st.lists(st.integers(0, 1), min_size=1, max_size=40), st.integers(0, 5))
def test_duplicates_are_reals_of_the_asked_labels_each_as_often_as_another(
    labels: list[int], seed: int
) -> None:
    found = duplicates(REALS, np.array(labels), seed)
    assert found.labels.tolist() == labels
    assert set(found.file_names) <= set(REALS.file_names)
    for label in set(labels):
        times = Counter(name for name, own in zip(found.file_names, found.labels) if own == label)
        mine = [name for name, own in zip(REALS.file_names, REALS.labels) if own == label]
        assert max(times.values()) - min(times[name] for name in mine) <= 1
    for place, name in enumerate(found.file_names):
        assert (found.images[place] == REALS.images[REALS.file_names.index(name)]).all()


def test_shuffling_moves_labels_and_nothing_else() -> None:
    found = shuffled(SYNTHETIC, 3)
    assert (found.images == SYNTHETIC.images).all()
    assert found.file_names == SYNTHETIC.file_names
    assert Counter(found.labels.tolist()) == Counter(SYNTHETIC.labels.tolist())
    assert (found.labels != SYNTHETIC.labels).any()


def row(label: str, patient: int, number: int, part: str = "train") -> Row:
    name = f"images/{label}/{patient}-{number}.png"
    return Row(
        file_name=name,
        label=label,
        patient=f"{label}{patient}",
        split=part,
        fold=None,
        source="a",
        view="",
        sha256=name,
        near_hash="",
        width=64,
        height=64,
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(["covid", "normal"]), st.integers(0, 9), st.integers(0, 3)),
        min_size=1,
        max_size=60,
        unique=True,
    ),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
)
def test_a_fraction_holds_whole_patients_and_a_smaller_one_lies_within(
    named: list, one: float, two: float
) -> None:
    rows = [row(*each) for each in named] + [row("covid", 99, 0, "test")]
    small, large = (training_part(rows, fraction) for fraction in sorted((one, two)))
    assert {each.sha256 for each in small} <= {each.sha256 for each in large}
    for part, fraction in ((small, min(one, two)), (large, max(one, two))):
        chosen = {each.patient for each in part}
        assert part == [each for each in rows if each.split == "train" and each.patient in chosen]
        for label in {label for label, _, _ in named}:
            all_of = sum(each.label == label for each in rows if each.split == "train")
            assert sum(each.label == label for each in part) >= fraction * all_of - 1e-6
    assert training_part(rows, 1.0) == [each for each in rows if each.split == "train"]
    with pytest.raises(ValueError, match="at most 1"):
        training_part(rows, 1.5)


def test_equal_steps_for_all_and_by_epochs_more_for_longer_sets() -> None:
    config, one = ClassifierConfig(steps=801, evaluate_every=20), Replicate(None, None, 7)
    for name in ARMS:
        training = training_sets(ARMS[name], REALS, SYNTHETIC if ARMS[name].beside else None)
        configs = configs_of(Trial(name, 1.0, None, one), config, Design(), training, 5)
        assert sum(each.steps for each in configs) == 801 and {each.seed for each in configs} == {
            7
        }, name
        assert all(each.augment == ARMS[name].classical for each in configs)
    (longer,) = configs_of(
        Trial("real+gan", 1.0, None, one),
        config,
        Design(budget="epochs"),
        [split([0] * 15, "real")],
        5,
    )
    assert (longer.steps, longer.evaluate_every) == (2403, 60)


def test_a_design_names_every_classifier_once() -> None:
    design = Design.of(
        arms=",".join(ARMS),
        real_fractions="1,0.1",
        synthetic_ratio="2,0.5",
        seeds=3,
        generators=2,
        draws=2,
    )
    trials = design.trials(10)
    assert len({trial.name for trial in trials}) == len(trials)
    per_fraction = {
        "real": 3,
        "real+classical": 3,
        "real+duplicates": 2 * 3,
        "real+oracle": 2 * 2 * 3,
    }
    for fraction in (0.1, 1.0):
        counts = Counter(trial.arm for trial in trials if trial.fraction == fraction)
        assert counts == {name: per_fraction.get(name, 2 * 2 * 2 * 3) for name in ARMS}
    assert Design.saved(design.record()) == design
    assert {trial.replicate.seed for trial in trials} == {10, 11, 12}
    assert design.headline() == ("real+gan", 1.0, 0.5)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"arms": "real,fake"}, "--arms fake: expected some of real,"),
        ({"arms": "real"}, "nothing to compare"),
        ({"seeds": 1}, "at least 2"),
        ({"generators": 0}, "--generators 0"),
        ({"draws": -1}, "--draws -1"),
        ({"real_fractions": "0,1"}, "more than 0 and at most 1"),
        ({"real_fractions": "half"}, "expected numbers with commas"),
        ({"real_fractions": "nan"}, "more than 0"),
        ({"synthetic_ratio": "0"}, "--synthetic-ratio 0"),
        ({"budget": "minutes"}, "steps or epochs"),
    ],
)
def test_a_design_that_cannot_be_is_refused(option: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Design.of(**option)


def test_a_learning_curve_is_read_backwards() -> None:
    sizes, curve = [50, 100, 200, 400], [0.8, 0.85, 0.85, 0.9]
    assert images_for(0.8, sizes, curve) == 50
    assert images_for(0.85, sizes, curve) == pytest.approx(100)
    assert images_for(0.825, sizes, curve) == pytest.approx(np.sqrt(50 * 100))
    assert images_for(0.875, sizes, curve) == pytest.approx(np.sqrt(200 * 400))
    assert images_for(0.95, sizes, curve) == np.inf
    assert images_for(0.7, sizes, curve) == -np.inf


@given(st.lists(st.floats(0.5, 1), min_size=2, max_size=5), st.floats(0.4, 1.1), st.floats(0, 0.2))
def test_more_accuracy_is_worth_no_fewer_images(
    curve: list[float], level: float, more: float
) -> None:
    sizes = [50 * 2**place for place in range(len(curve))]
    assert images_for(level, sizes, curve) <= images_for(level + more, sizes, curve)
