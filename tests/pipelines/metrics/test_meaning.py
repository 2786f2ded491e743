"""That the scores mean what they say.

Of phantoms made worse by degrees, of a generator that drops modes, and of one that has collapsed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from classifier.features import FeatureStore
from pipelines.data.phantom import PhantomCase, draw, list_cases
from pipelines.metrics.classifier_tests import correct_answers, two_sample_test
from pipelines.metrics.confidence_intervals import estimate_by_half_samples
from pipelines.metrics.extractors import Extractor, choose_extractors
from pipelines.metrics.frechet import frechet_distance
from pipelines.metrics.kernel import kernel_distance
from pipelines.metrics.per_class import score_groups
from pipelines.metrics.precision_recall import manifold
from pipelines.metrics.scores import SCORE_NAMES, Score
from pipelines.study.split import Split
from runtime.device import choose_compute

N = 80  # reals to train on, and as many held out
Features = Callable[[np.ndarray], np.ndarray]


def phantom(case: PhantomCase, seed: int) -> np.ndarray:
    return draw(case, seed, 96).reshape(32, 3, 32, 3).mean(axis=(1, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def films() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """160 phantoms (N, 32, 32), their labels, 0 for covid, and their patients."""
    drawn = list_cases(160, 0)
    return (
        np.stack([phantom(case, 0) for case in drawn]),
        np.array([int(case.label == "normal") for case in drawn]),
        [str(case.patient) for case in drawn],
    )


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    (found,) = choose_extractors(["random"], [], choose_compute("cpu", "fp32"))
    assert "not comparable across studies" in found.record.note
    return found


@pytest.fixture(scope="module")
def features(extractor: Extractor) -> Features:
    store, compute = FeatureStore(), choose_compute("cpu", "fp32")
    return lambda images: extractor.features({"some": images}, store, compute)["some"]


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    return np.stack([gaussian_filter(image, sigma) for image in images])


def noisy(images: np.ndarray, sigma: float) -> np.ndarray:
    return (
        (images + np.random.default_rng(0).normal(0, sigma, images.shape))
        .clip(0, 255)
        .astype(np.uint8)
    )


@pytest.mark.parametrize(
    ("worsened", "degrees"), [(blurred, (0, 1.2, 2.5, 5)), (noisy, (0, 25, 50, 100))]
)
def test_distances_grow_with_blur_and_noise(
    films: tuple, features: Features, worsened: Callable, degrees: tuple[float, ...]
) -> None:
    images = films[0]
    reals = features(images[:N])
    sets = [features(worsened(images[N:], degree)) for degree in degrees]
    for measure in (frechet_distance, kernel_distance):
        found = [measure(reals, one) for one in sets]
        assert found == sorted(found)
        assert found[-1] > 3 * abs(found[0])
    covered = [manifold(reals, one) for one in sets]
    assert covered[0].precision > 0.7
    assert covered[-1].precision < 0.3
    assert covered[0].coverage > 0.7
    assert covered[-1].coverage < 0.3
    assert two_sample_test(reals, sets[-1]).p < 0.01


def test_dropped_modes_are_seen(films: tuple, features: Features) -> None:
    """Of dark and of bright films the generator makes fewer and fewer bright ones, then none."""
    images = films[0]
    kinds = features(images // 3), features(images // 3 + 150)
    half = N // 2
    reals = np.concatenate([kind[:half] for kind in kinds])
    found = [
        np.concatenate([kinds[0][half : half + N - bright], kinds[1][half : half + bright]])
        for bright in (half, half // 2, half // 6, 0)
    ]
    for measure in (frechet_distance, kernel_distance):
        distances = [measure(reals, one) for one in found]
        assert distances == sorted(distances)
    covered = [manifold(reals, one) for one in found]
    assert [one.coverage for one in covered] == sorted(
        (one.coverage for one in covered), reverse=True
    )
    assert covered[0].recall > 0.7
    assert covered[-1].recall < 0.55
    assert covered[-1].precision > 0.7


def score_all(
    films: tuple, features: Features, synthetic: np.ndarray, labels: np.ndarray
) -> dict[tuple[str, str], Score]:
    """All scores by group and name, with 80 phantoms to train on and 80 held out."""
    images, kinds, patients = films
    sets = {
        "train": Split(images[:N], kinds[:N], [""] * N, patients[:N]),
        "held_out": Split(images[N:], kinds[N:], [""] * N, patients[N:]),
        "synthetic": Split(
            synthetic,
            labels,
            [""] * len(labels),
            [f"synthetic {number}" for number in range(len(labels))],
        ),
    }
    scores, unscored = score_groups(
        ["covid", "normal"],
        sets,
        {"random": {name: features(one.images) for name, one in sets.items()}},
    )
    assert not unscored
    assert len(scores) == 3 * len(SCORE_NAMES)
    for score in scores:
        assert score.synthetic.low <= score.synthetic.value <= score.synthetic.high
        assert score.floor.low <= score.floor.value <= score.floor.high
        n = N if score.group == "overall" else N // 2
        assert (score.n_train, score.n_held_out) == (n, n)
    return {(score.group, score.name): score for score in scores}


def test_collapse_has_high_precision_and_low_recall(films: tuple, features: Features) -> None:
    images, kinds, _ = films
    one_film = {kind: images[:N][kinds[:N] == kind][3] for kind in (0, 1)}
    labels = np.arange(100) % 2
    found = score_all(
        films, features, noisy(np.stack([one_film[kind] for kind in labels]), 2), labels
    )
    for group in ("covid", "normal", "overall"):
        assert found[group, "precision"].synthetic.value > 0.9
        assert found[group, "recall"].synthetic.value < 0.2
        coverage, frechet = found[group, "coverage"], found[group, "frechet"]
        assert coverage.synthetic.high < coverage.floor.low
        assert frechet.synthetic.low > frechet.floor.high
        assert found[group, "two_sample_accuracy"].synthetic.value > 0.8
        assert found[group, "two_sample_accuracy"].synthetic_p < 0.01
    for group in ("covid", "normal"):
        assert found[group, "diversity"].synthetic.value < 0.5
        assert found[group, "ms_ssim_diversity"].synthetic.value < 0.5


def test_more_reals_score_as_reals_do(films: tuple, features: Features) -> None:
    """What other phantoms score, one more set of reals, lies within the intervals of the floor.

    And so does the floor in theirs.
    """
    drawn = list_cases(120, 7)
    labels = np.array([int(case.label == "normal") for case in drawn])
    found = score_all(films, features, np.stack([phantom(case, 7) for case in drawn]), labels)
    inside = [
        score.synthetic.low <= score.floor.value <= score.synthetic.high
        and score.floor.low <= score.synthetic.value <= score.floor.high
        for score in found.values()
    ]
    assert np.mean(inside) > 0.8
    tests = [score for score in found.values() if score.name == "two_sample_accuracy"]
    p_values = [p for score in tests for p in (score.synthetic_p, score.floor_p)]
    assert np.median(p_values) > 0.05


def test_copies_of_an_image_of_a_patient_change_no_score(films: tuple, features: Features) -> None:
    """However many images a patient has, one is scored; n is the number of patients."""
    images, kinds, patients = films
    own = np.unique(patients, return_index=True)[1]  # one image of each patient
    half = len(own) // 2
    numbers = {"train": own[:half], "held_out": own[half:]}
    scores = []
    for times in (1, 3):
        sets = {
            name: Split(
                *(part[np.repeat(places, times)] for part in (images, kinds)),
                [""] * (times * len(places)),
                [patients[place] for place in np.repeat(places, times)],
            )
            for name, places in numbers.items()
        }
        sets["synthetic"] = Split(
            images[:40], kinds[:40], [""] * 40, [f"synthetic {number}" for number in range(40)]
        )
        by_set = {name: features(split.images) for name, split in sets.items()}
        scores.append(score_groups(["covid", "normal"], sets, {"random": by_set})[0])
    for alone, thrice in zip(*scores, strict=True):
        assert (thrice.synthetic, thrice.floor) == (alone.synthetic, alone.floor)
        assert thrice.n_held_out == 3 * alone.n_held_out
        assert thrice.held_out_patients == alone.held_out_patients == alone.n_held_out


def test_a_generator_that_ignores_its_label_teaches_nothing(
    films: tuple, features: Features
) -> None:
    images, kinds, _ = films
    easy = features(np.where(kinds[:, None, None] == 1, images // 2 + 120, images // 2))
    shuffled = np.random.default_rng(0).permutation(kinds[:N])
    assert correct_answers(easy[:N], kinds[:N], easy[N:], kinds[N:]).mean() > 0.95
    assert correct_answers(easy[:N], shuffled, easy[N:], kinds[N:]).mean() < 0.75


def test_half_samples_have_the_spread_of_the_whole() -> None:
    """Of a difference of means the standard error is known.

    Images of one patient, who are alike, count as one.
    """
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 200), rng.normal(0, 2, 100)
    alone = [np.arange(len(values)).astype(str) for values in (first, second)]
    reach = {}
    for name, reals, patients in (
        ("alone", first, alone[0]),
        ("fourfold", np.repeat(first, 4), np.repeat(alone[0], 4)),
    ):
        found = estimate_by_half_samples(
            patients,
            alone[1],
            100,
            lambda i, j, reals=reals: {"gap": float(reals[i].mean() - second[j].mean())},
            "test",
        )["gap"]
        assert found.value == pytest.approx(first.mean() - second.mean())
        reach[name] = found.high - found.value
    known = 1.96 * np.sqrt(first.var() / 200 + second.var() / 100)
    assert reach["alone"] == pytest.approx(known, rel=0.25)
    assert reach["fourfold"] == pytest.approx(known, rel=0.25)


def test_the_two_sample_test_is_right_by_chance_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    tests = [two_sample_test(*rng.normal(size=(2, 20, 30))) for _ in range(60)]
    assert 0.35 < np.mean([test.correct.mean() for test in tests]) < 0.55
    assert np.mean([test.p < 0.2 for test in tests]) < 0.35
