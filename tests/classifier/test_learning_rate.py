"""The range test finds rates that train."""

from __future__ import annotations

import pytest

from classifier.config import ClassifierConfig
from classifier.learning_rate import HIGHEST_RATE, LOWEST_RATE, RateTest, find_learning_rate
from runtime.options import OptionError
from tests.classifier.stripes import CLASSES, CPU, stripes


@pytest.fixture(scope="module")
def rate_test() -> RateTest:
    return find_learning_rate(
        ClassifierConfig(batch_size=16), stripes(120, 0), CPU, classes=CLASSES
    )


def test_the_suggestion_lies_far_below_the_rate_that_breaks(rate_test: RateTest) -> None:
    assert LOWEST_RATE < rate_test.suggested < HIGHEST_RATE / 10


def test_rates_rise(rate_test: RateTest) -> None:
    assert list(rate_test.rates) == sorted(rate_test.rates)


def test_at_the_suggestion_the_loss_has_fallen(rate_test: RateTest) -> None:
    loss = rate_test.losses[rate_test.rates.index(rate_test.suggested)]
    assert loss < rate_test.losses[0]


def test_an_svm_has_no_rate() -> None:
    with pytest.raises(OptionError, match="svm"):
        find_learning_rate(ClassifierConfig(arch="svm"), stripes(12, 0), CPU, classes=CLASSES)
