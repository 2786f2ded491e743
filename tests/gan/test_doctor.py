"""The doctor tells variety from collapse, sharp from blurred, and says so."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from gan import doctor
from gan.doctor import Finding, Reference, diagnose, diversity, extract_features, is_healthy
from runtime.run import Run
from tests.gan.tiny_training import load_best, run_training

CLASSES = ["covid", "normal"]


def make_scenes(count: int, seed: int) -> Tensor:
    """Images in −1..1: a smooth random scene under a fine random texture."""
    generator = torch.Generator().manual_seed(seed)
    smooth = interpolate(torch.randn(count, 1, 4, 4, generator=generator), size=64, mode="bilinear")
    return torch.tanh(0.5 * smooth + 0.1 * torch.randn(count, 1, 64, 64, generator=generator))


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(make_scenes(200, 0))


def test_reals_are_as_diverse_as_reals(reference: Reference) -> None:
    assert reference.diversity(make_scenes(200, 1)) == pytest.approx(1, abs=0.05)


def test_reals_are_nearer_to_reals_than_somewhat_duller_images(reference: Reference) -> None:
    scenes = make_scenes(200, 1)
    assert reference.distance(scenes) < 0.7 * reference.distance(0.8 * scenes)


def test_the_distance_is_that_of_the_gaussians() -> None:
    """Against the plain formula with a matrix square root (Dowson & Landau 1982)."""
    reals, fakes = make_scenes(60, 0)[..., :32, :32], make_scenes(50, 1)[..., :32, :32] * 0.9
    reference = Reference(reals)
    spread = reference.spread.double().numpy()
    first, second = (
        extract_features(images).double().numpy() / spread for images in (reals, fakes)
    )
    covariances = [np.cov(features, rowvar=False) for features in (first, second)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    of_means = np.square(first.mean(0) - second.mean(0)).sum()
    of_covariances = np.trace(covariances[0] + covariances[1] - 2 * root)
    assert reference.distance(fakes) == pytest.approx(of_means + of_covariances, rel=1e-2)


def spoil(images: Tensor, defect: str) -> Tensor:
    """Give images (N, 1, 64, 64) a defect."""
    generator = torch.Generator().manual_seed(2)
    return {
        "blurred": interpolate(avg_pool2d(images, 2), size=64, mode="bilinear"),
        "darker": images - 0.3,
        "noisy": images + 0.1 * torch.randn(images.shape, generator=generator),
        "striped": images + 0.1 * (torch.arange(64) % 2 * 2 - 1),
        "one picture": images[:1].expand(len(images), -1, -1, -1),
    }[defect]


@pytest.mark.parametrize("defect", ["blurred", "darker", "noisy", "striped", "one picture"])
def test_a_defect_is_farther_from_the_reals(reference: Reference, defect: str) -> None:
    scenes = make_scenes(200, 1)
    assert reference.distance(spoil(scenes, defect)) > 1.3 * reference.distance(scenes)


@pytest.mark.parametrize(
    ("defect", "collapsed"),
    [
        ("blurred", False),
        ("darker", False),
        ("noisy", False),
        ("striped", False),
        ("one picture", True),
    ],
)
def test_one_picture_alone_has_no_diversity(
    reference: Reference, defect: str, collapsed: bool
) -> None:
    assert (reference.diversity(spoil(make_scenes(200, 1), defect)) < 0.01) == collapsed


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 12), st.floats(0.1, 5), st.floats(-1, 1), st.randoms(use_true_random=False))
def test_diversity_scales_with_contrast_and_ignores_order_and_brightness(
    count: int, factor: float, shift: float, shuffler: random.Random
) -> None:
    images = make_scenes(count, count)
    order = list(range(count))
    shuffler.shuffle(order)
    assert diversity(factor * images[order] + shift) == pytest.approx(
        factor * diversity(images), rel=1e-3
    )


def checks(*diversities: float) -> list[dict]:
    """The journal of looks at every fiftieth step, of which class normal had these diversities."""
    return [
        {"step": 50 * number, "diversity": [0.9, value]}
        for number, value in enumerate(diversities, start=1)
    ]


COLLAPSING = checks(*[0.8] * 4, *[0.1] * 2)
COLLAPSED = checks(*[0.8] * 4, *[0.1] * 20)
DIVERGING = checks(*[0.8] * 4, *[3.1] * 2)
NEVER_VARIED = checks(*[0.0] * 20)
ALWAYS_WINS = checks(*[0.9] * 20) + [
    {"step": step, "d_loss": 0.001} for step in range(10, 1001, 10)
]


def snapshots(*distances: float) -> list[dict]:
    """The journal of a snapshot at every 500th step, whose classes had these distances each."""
    return [
        {"step": 500 * number, "diversity": [0.9, 0.9], "distance": [distance, distance]}
        for number, distance in enumerate(distances, start=1)
    ]


SPOILT = snapshots(900, 500, 700, 800)


@pytest.mark.parametrize(
    "journal",
    [
        pytest.param([], id="nothing yet"),
        pytest.param(snapshots(900, 500, 800, 520), id="one bad snapshot"),
        pytest.param(snapshots(900, 500, 520, 540), id="no longer better"),
        pytest.param(checks(0.1, 0.5, 0.9), id="ever more diverse"),
        pytest.param(checks(0.0, 0.1), id="only begun"),
        pytest.param([*ALWAYS_WINS[:-1], {"step": 1000, "d_loss": 0.5}], id="one loss is higher"),
        pytest.param([*ALWAYS_WINS[:-1], {"step": 1000, "d_loss": -4.0}], id="a Wasserstein loss"),
    ],
)
def test_a_healthy_run_gets_no_word(journal: list[dict]) -> None:
    assert diagnose(journal, CLASSES) is None


def find(journal: list[dict]) -> Finding:
    finding = diagnose(journal, CLASSES)
    assert finding is not None
    return finding


@pytest.mark.parametrize(
    ("journal", "words"),
    [
        pytest.param(COLLAPSING, "class normal: diversity 0.10", id="the class"),
        pytest.param(COLLAPSING, "collapsing since step 200; try", id="collapse"),
        pytest.param(DIVERGING, "class normal: diversity 3.10", id="the class of noise"),
        pytest.param(DIVERGING, "diverging since step 200; try", id="noise"),
        pytest.param(NEVER_VARIED, "never near 1 in 1000 steps; try", id="no variety at all"),
        pytest.param(
            ALWAYS_WINS, "the discriminator tells every image since step 0", id="discriminator"
        ),
        pytest.param(
            SPOILT, "1.6 times as far from the reals as they were at step 1000", id="spoilt"
        ),
    ],
)
def test_what_is_wrong_is_named(journal: list[dict], words: str) -> None:
    assert words in find(journal).text


@pytest.mark.parametrize(
    ("journal", "is_hopeless"),
    [
        pytest.param(COLLAPSING, False, id="collapsing"),
        pytest.param(COLLAPSED, True, id="collapsed for a thousand steps"),
        pytest.param(DIVERGING, False, id="diverging"),
        pytest.param(NEVER_VARIED, True, id="no variety in a thousand steps"),
        pytest.param(ALWAYS_WINS, True, id="discriminator"),
        pytest.param(SPOILT, False, id="spoilt"),
    ],
)
def test_what_lasts_is_hopeless(journal: list[dict], is_hopeless: bool) -> None:
    assert find(journal).is_hopeless == is_hopeless


class Warnings(logging.Handler):
    """The warnings that were given, as text."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.fixture(scope="module")
def collapsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Warnings]]:
    """A run of a learning rate far too high, which ends in noise and is stopped."""
    folder, warnings = tmp_path_factory.mktemp("collapsed"), Warnings()
    logging.getLogger("gan").addHandler(warnings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor, "UNHEALTHY_STEPS", 24)
        with pytest.raises(ValueError, match="rolled back to the best snapshot"):
            run_training(folder, steps=1000, sample_every=4, learning_rate=0.1, ema_decay=0.5)
    yield Run(next(folder.glob("*-gan-train"))), warnings
    logging.getLogger("gan").removeHandler(warnings)


def test_a_run_that_collapses_is_stopped_with_a_healthy_generator(
    collapsed: tuple[Run, Warnings],
) -> None:
    run, _ = collapsed
    best = load_best(run)
    assert is_healthy(best.diversity)
    assert best.step < 500
    assert not run.finished


def test_a_collapse_is_warned_of_and_in_the_journal(collapsed: tuple[Run, Warnings]) -> None:
    run, warnings = collapsed
    findings = [event["doctor"] for event in run.journal() if "doctor" in event]
    assert findings
    assert [text.partition(": ")[2] for text in warnings.texts] == findings
