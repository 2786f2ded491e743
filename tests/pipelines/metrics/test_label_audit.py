"""A generator that ignores its label is found out, and so are fingerprints of its images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, laplace

from pipelines.data.phantom import draw, list_cases
from pipelines.metrics.fingerprints import (
    FINGERPRINTS,
    image_properties,
    measure_fingerprints,
)
from pipelines.metrics.label_audit import Answers, LabelAudit, audit_labels, judge_labels
from pipelines.study.split import Split, load_splits
from pipelines.study.workspace import Workspace
from runtime.device import choose_compute
from tests.conftest import cxr, ok

CLASSES = ["covid", "normal"]


@pytest.fixture(scope="module")
def films() -> tuple[Split, Split]:
    """Two sets of phantoms of 64 px, of different patients.

    Training reals, and what a perfect generator would make.
    """
    drawn = list_cases(200, 5)
    images, labels = (
        np.stack([draw(case, 5, 64) for case in drawn]),
        np.array([CLASSES.index(case.label) for case in drawn]),
    )
    patients = [str(case.patient) for case in drawn]
    half = np.array([patient in sorted(set(patients))[::2] for patient in patients])
    return tuple(
        Split(images[of], labels[of], [""] * of.sum(), list(np.array(patients)[of]))
        for of in (half, ~half)
    )


def judged(
    asked: np.ndarray, called: np.ndarray, *, recall: float = 0.9, classes: list[str] = CLASSES
) -> LabelAudit:
    """The verdict of a classifier that calls this share of 60 held-out reals rightly."""
    true = np.arange(60) % len(classes)
    right = np.random.default_rng(1).permutation(60) < round(60 * recall)
    return judge_labels(
        "0001-classify-train",
        "cnn",
        classes,
        Answers(asked, called),
        Answers(true, np.where(right, true, (true + 1) % len(classes))),
        [str(place // 2) for place in range(60)],
    )


def test_labels_that_are_heard() -> None:
    rng = np.random.default_rng(0)
    asked = rng.integers(2, size=200)
    called = np.where(rng.random(200) < 0.85, asked, 1 - asked)
    found = judged(asked, called)
    assert found.verdict == "labels are heard"
    assert not found.warnings
    assert found.chance == 0.5
    covid = found.classes["covid"]
    assert covid.agreement.n == (asked == 0).sum()
    assert covid.agreement.value == pytest.approx((called[asked == 0] == 0).mean())
    assert covid.recall.n == 30
    assert covid.recall.low <= covid.recall.value <= covid.recall.high
    assert found.mean_agreement.low < found.mean_agreement.value < found.mean_agreement.high
    assert found.mean_recall.value == pytest.approx(0.9)


@pytest.mark.parametrize("share_covid", [0.5, 0.9])
def test_shuffled_labels_are_caught(share_covid: float) -> None:
    """When labels mean nothing, the mean agreement is that of a guess.

    Whatever the generator makes most of.
    """
    rng = np.random.default_rng(0)
    made = (rng.random(400) > share_covid).astype(int)
    found = judged(rng.permutation(np.arange(400) % 2), made)
    assert found.verdict == "labels are ignored"
    assert "does not listen" in found.warnings[0]
    assert found.mean_agreement.low <= 0.5


def test_half_shuffled_labels_are_heard_badly() -> None:
    rng = np.random.default_rng(0)
    asked = np.arange(600) % 3
    called = np.where(rng.random(600) < 0.3, asked, rng.integers(3, size=600))
    found = judged(asked, called, classes=["a", "b", "c"])
    assert found.verdict == "labels are heard badly"
    assert "listens badly" in found.warnings[0]
    one_class = np.where((asked == 2) & (rng.random(600) < 0.8), 0, asked)
    found = judged(asked, one_class, classes=["a", "b", "c"])
    assert found.verdict == "labels are heard badly"
    assert "c (" in found.warnings[0]
    assert "a (" not in found.warnings[0]


def test_when_nothing_can_be_told() -> None:
    asked = np.arange(100) % 2
    assert "no better than a guess" in judged(asked, asked, recall=0.5).verdict
    single = judged(np.zeros(50, int), np.zeros(50, int))
    assert single.verdict.startswith("cannot tell")
    assert single.classes["normal"].agreement is None
    assert single.classes["covid"].agreement.value == 1
    assert not single.warnings


def test_a_good_generator_has_no_fingerprint(films: tuple[Split, Split]) -> None:
    train, fresh = films
    found = measure_fingerprints(train, fresh, CLASSES)
    assert not found.warnings
    assert list(found.by_name) == list(FINGERPRINTS)
    for one in found.by_name.values():
        assert all(
            0.3 < measure.value < 0.7 and measure.low < 0.55
            for measure in one.synthetic_from_real.values()
        )
        assert one.class_in_reals["covid"] == pytest.approx(1 - one.class_in_reals["normal"])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sharpness", lambda images: np.stack([gaussian_filter(image, 1.0) for image in images])),
        ("brightness", lambda images: (images * 0.7 + 76).astype(np.uint8)),
        (
            "contrast",
            lambda images: (
                (images - images.mean(axis=(1, 2), keepdims=True)) * 0.5
                + images.mean(axis=(1, 2), keepdims=True)
            ).astype(np.uint8),
        ),
    ],
)
def test_a_fingerprint_of_one_class_is_a_warning(
    films: tuple[Split, Split], name: str, change
) -> None:
    train, fresh = films
    covid = fresh.labels == 0
    images = fresh.images.copy()
    images[covid] = change(images[covid])
    found = measure_fingerprints(
        train, Split(images, fresh.labels, fresh.file_names, fresh.patients), CLASSES
    )
    told = found.by_name[name].synthetic_from_real
    assert abs(told["covid"].value - 0.5) > 0.3 > abs(told["normal"].value - 0.5)
    assert any(warning.startswith(f"{name} tells synthetic images") for warning in found.warnings)


def test_blur_of_both_classes_matters_when_one_is_mostly_synthetic(
    films: tuple[Split, Split],
) -> None:
    train, fresh = films
    blurred = np.stack([gaussian_filter(image, 1.5) for image in fresh.images])

    def warned(keep: np.ndarray) -> list[str]:
        chosen = np.flatnonzero(keep)
        return measure_fingerprints(
            train,
            Split(
                blurred[chosen],
                fresh.labels[chosen],
                [""] * len(chosen),
                [str(place) for place in chosen],
            ),
            CLASSES,
        ).warnings

    assert any("sharpness" in warning for warning in warned(fresh.labels == 0))
    assert not any("sharpness" in warning for warning in warned(np.ones(len(blurred), bool)))


def test_fingerprints_are_what_they_say(films: tuple[Split, Split]) -> None:
    image = films[0].images[0]
    brightness, contrast, sharpness, _border = image_properties(image[None])[0]
    assert (brightness, contrast) == pytest.approx((image.mean(), image.std()))
    assert sharpness == pytest.approx(
        np.square(laplace(image.astype(float))[1:-1, 1:-1]).mean() / image.var()
    )
    framed = np.full((1, 64, 64), 200, np.uint8)
    framed[:, :, :2] = 0
    assert image_properties(framed)[0][3] == pytest.approx(2 * 64 / (64 * 64 - 60 * 60))
    assert np.isfinite(image_properties(np.zeros((1, 32, 32), np.uint8))).all()


def test_a_classifier_is_asked_and_shuffled_labels_are_caught(study: Path) -> None:
    """Training reals, which it knows by heart, stand for held-out reals and for synthetic images.

    With their labels, then with labels that say nothing.
    """
    ok(cxr("classify-train", "--arch", "svm", folder=study))
    workspace, compute = Workspace(study), choose_compute("cpu", "fp32")
    train = load_splits(workspace, 32, CLASSES)["train"]
    heard = audit_labels(workspace, train, train, CLASSES, compute)
    assert heard.classifier == "0004-classify-train"
    assert heard.arch == "svm"
    assert heard.verdict == "labels are heard"
    labels = np.random.default_rng(0).permutation(train.labels)
    ignored = audit_labels(
        workspace,
        Split(train.images, labels, train.file_names, train.patients),
        train,
        CLASSES,
        compute,
    )
    assert ignored.verdict == "labels are ignored"
    assert ignored.warnings
    with pytest.raises(FileNotFoundError, match=r"at 16 px .*cxr classify-train --image-size 16"):
        audit_labels(
            workspace,
            Split(train.images[:, ::2, ::2], train.labels, train.file_names, train.patients),
            train,
            CLASSES,
            compute,
        )
    only = np.flatnonzero(train.labels == 0)
    with pytest.raises(ValueError, match="no held-out image of normal"):
        audit_labels(
            workspace,
            train,
            Split(train.images[only], train.labels[only], [], []),
            CLASSES,
            compute,
        )
