"""Options that cannot be are refused by the name of their field."""

from __future__ import annotations

from typing import Any

import pytest

from classifier.config import ClassifierConfig
from runtime.options import OptionError


@pytest.mark.parametrize(
    ("options", "field", "problem"),
    [
        pytest.param({"arch": "alexnet"}, "arch", "expected one of cnn", id="unknown-arch"),
        pytest.param({"balance": "luck"}, "balance", "expected one of none", id="unknown-balance"),
        pytest.param({"steps": 0}, "steps", "at least 1", id="no-steps"),
        pytest.param({"learning_rate": 0.0}, "learning_rate", "a positive number", id="zero-rate"),
        pytest.param(
            {"learning_rate": float("nan")}, "learning_rate", "a positive number", id="nan-rate"
        ),
        pytest.param({"weight_decay": -1.0}, "weight_decay", "0 or more", id="negative-decay"),
        pytest.param(
            {"label_smoothing": 1.0}, "label_smoothing", "up to, not including, 1", id="smoothing-1"
        ),
        pytest.param({"patience": -1}, "patience", "0 or more", id="negative-patience"),
        pytest.param({"unfreeze": 2}, "unfreeze", "cnn and svm have none", id="unfrozen-cnn"),
        pytest.param(
            {"arch": "vgg16", "unfreeze": 6}, "unfreeze", "0 to 5 stages", id="too-many-stages"
        ),
        pytest.param(
            {"features": "vgg16"}, "features", "only `arch` svm is given", id="features-of-a-cnn"
        ),
        pytest.param({"flip": True}, "flip", "add `augment` yes", id="flip-alone"),
        pytest.param(
            {"arch": "svm", "augment": True}, "arch", "leave out `augment`", id="augmented-svm"
        ),
        pytest.param(
            {"synthetic_share": 1.01}, "synthetic_share", "a share from 0 to 1", id="share-above-1"
        ),
        pytest.param(
            {"synthetic_share": float("nan")}, "synthetic_share", "from 0 to 1", id="nan-share"
        ),
        pytest.param(
            {"synthetic_share": 0.5, "synthetic_until": 0.0},
            "synthetic_until",
            "more than 0",
            id="until-0",
        ),
        pytest.param(
            {"synthetic_until": 0.5}, "synthetic_until", "add `synthetic_share`", id="until-alone"
        ),
        pytest.param(
            {"arch": "svm", "synthetic_share": 0.5},
            "arch",
            "`synthetic_share`",
            id="svm-of-a-share",
        ),
        pytest.param({"synthetic_weight": 0.0}, "synthetic_weight", "more than 0", id="weight-0"),
        pytest.param({"synthetic_weight": 1.5}, "synthetic_weight", "at most 1", id="weight-1.5"),
        pytest.param({"synthetic_keep": 0.0}, "synthetic_keep", "more than 0", id="keep-none"),
        pytest.param(
            {"synthetic_statistics": "own"}, "synthetic_statistics", "shared", id="own-statistics"
        ),
        pytest.param(
            {"synthetic_statistics": "separate"},
            "synthetic_statistics",
            "add `synthetic_share`",
            id="separate-without-a-share",
        ),
        pytest.param(
            {"synthetic_statistics": "separate", "synthetic_share": 1.0},
            "synthetic_statistics",
            "less than 1",
            id="separate-without-reals",
        ),
        pytest.param(
            {"synthetic_statistics": "separate", "synthetic_share": 0.5, "arch": "resnet18"},
            "synthetic_statistics",
            "with `unfreeze`",
            id="separate-frozen",
        ),
        pytest.param(
            {"arch": "svm", "synthetic_weight": 0.5}, "arch", "`synthetic_weight`", id="svm-weight"
        ),
        pytest.param({"arch": "svm", "balance": "sampling"}, "arch", "`balance`", id="sampled-svm"),
        pytest.param({"arch": "svm", "balance": "weights"}, "arch", "`balance`", id="weighted-svm"),
    ],
)
def test_an_option_that_cannot_be_is_refused(
    options: dict[str, Any], field: str, problem: str
) -> None:
    with pytest.raises(OptionError) as refused:
        ClassifierConfig(**options)
    assert refused.value.field == field
    assert problem in refused.value.problem


@pytest.mark.parametrize(
    ("options", "trunk"),
    [
        pytest.param({}, None, id="cnn"),
        pytest.param({"arch": "resnet18"}, "resnet18", id="resnet18"),
        pytest.param({"arch": "svm"}, None, id="svm-on-pixels"),
        pytest.param({"arch": "svm", "features": "vgg16"}, "vgg16", id="svm-on-vgg16"),
    ],
)
def test_the_trunk_is_the_network_whose_weights_are_needed(
    options: dict[str, Any], trunk: str | None
) -> None:
    assert ClassifierConfig(**options).trunk == trunk
