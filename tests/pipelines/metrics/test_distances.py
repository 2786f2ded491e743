"""Fréchet distances against known answers; what `cxr score` says of good and bad sets."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from classifier import features
from pipelines.metrics.frechet import frechet_distance
from pipelines.metrics.scores import SCORE_NAMES, Score
from pipelines.results.score_summary import FolderScores, ScoreSummary
from pipelines.study.image_cache import load_images
from pipelines.study.image_io import write_gray
from pipelines.study.synthetic import read_synthetic
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, ok


def by_square_root(a: np.ndarray, b: np.ndarray) -> float:
    """The textbook formula, as pytorch-fid computes it."""
    root = sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)).real
    gap = a.mean(0) - b.mean(0)
    return float(gap @ gap + np.trace(np.cov(a, rowvar=False) + np.cov(b, rowvar=False) - 2 * root))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    d=st.integers(2, 12),
    extra=st.tuples(st.integers(5, 60), st.integers(5, 60)),
)
def test_it_equals_the_textbook_formula(seed: int, d: int, extra: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    a, b = (
        rng.normal(size=(d + n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d) for n in extra
    )
    assert frechet_distance(a, b) == pytest.approx(by_square_root(a, b), rel=1e-6, abs=1e-8)


def test_gaussians_with_a_known_distance() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(200_000, 3)) * (1, 2, 3)
    b = rng.normal(size=(200_000, 3)) * (2, 2, 5) + (1, 0, 0)
    assert frechet_distance(a, b) == pytest.approx(1 + 1 + 0 + 4, rel=0.02)


def test_fewer_images_than_features() -> None:
    """With two images a side covariances have rank one; the answer is known in closed form."""
    a = np.zeros((2, 50))
    b = np.zeros((2, 50))
    a[:, 0] = (-1, 1)  # variance 2 along the first axis
    b[:, 1] = (-3, 3)  # variance 18 along the second
    assert frechet_distance(a, b) == pytest.approx(20)
    b = np.zeros((2, 50))
    b[:, 0] = (-3, 3)
    assert frechet_distance(a, b) == pytest.approx((np.sqrt(18) - np.sqrt(2)) ** 2)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(2, 40), d=st.integers(1, 30))
def test_it_is_a_distance(seed: int, n: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, d)), rng.normal(size=(n + 3, d)) + 1
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    assert frechet_distance(a, b) > 0
    assert frechet_distance(a + 5, b + 5) == pytest.approx(frechet_distance(a, b), abs=1e-6)


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 3)), np.zeros(3), np.full((4, 3), np.nan), np.zeros((4, 2))]
)
def test_what_is_not_a_set_of_features(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="features"):
        frechet_distance(np.random.default_rng(0).normal(size=(5, 3)), wrong)


def replace_synthetic(study: Path, images: dict[str, np.ndarray]) -> None:
    """Put other pixels into the study's synthetic set, class by class, over and over."""
    synthetic = read_synthetic(study / "runs" / "0002-synthesize")
    for number, row in enumerate(synthetic.rows):
        pool = images[row.label]
        write_gray(synthetic.folder / row.file_name, pool[number // 2 % len(pool)])


def score_overall(study: Path) -> Score:
    """The Fréchet distance of all classes together."""
    ok(cxr("score", "--features", "random", "--final", folder=study))
    (distance,) = ScoreSummary.load(Workspace(study).find_run("score")).overall_distances
    return distance


def test_better_images_score_better(study: Path) -> None:
    workspace = Workspace(study)
    rows = [row for row in workspace.rows() if row.split == "train"]
    reals = {
        label: load_images(workspace, [row for row in rows if row.label == label], 32)
        for label in ("covid", "normal")
    }
    replace_synthetic(study, reals)
    good = score_overall(study)
    rng = np.random.default_rng(0)
    replace_synthetic(
        study,
        {
            label: (pool + rng.normal(0, 40, pool.shape)).clip(0, 255).astype(np.uint8)
            for label, pool in reals.items()
        },
    )
    noisy = score_overall(study)
    replace_synthetic(
        study,
        {label: rng.integers(0, 256, pool.shape, dtype=np.uint8) for label, pool in reals.items()},
    )
    random = score_overall(study)
    assert good.synthetic.value < noisy.synthetic.value < random.synthetic.value
    assert good.all_synthetic < noisy.all_synthetic < random.all_synthetic
    assert good.floor == noisy.floor == random.floor
    assert (good.n_train, good.n_synthetic, good.n_held_out) == (
        len(rows),
        24,
        sum(row.split == "test" for row in workspace.rows()),
    )


def test_several_extractors_in_one_table(study: Path) -> None:
    features = ("--features", "random,cnn", "--features", "random")
    output = ok(cxr("score", "--final", *features, folder=study))
    summary = ScoreSummary.load(Workspace(study).find_run("score"))
    assert [extractor.name for extractor in summary.extractors] == ["random", "cnn"]
    assert len({extractor.sha256 for extractor in summary.extractors}) == 2
    for extractor in summary.extractors:
        assert extractor.sha256[:12] in output
        assert extractor.note in output
    assert {score.features for score in summary.scores} == {"random", "cnn", "pixels"}
    assert {found.name for found in [*summary.scores, *summary.unscored]} == set(SCORE_NAMES)
    assert sorted((study / "data" / "features").glob("*.npz"))
    assert "fewer images" in summary.warnings[0]


def test_the_table_of_scores_has_their_values(study: Path) -> None:
    ok(cxr("score", "--features", "random", folder=study))
    run = Workspace(study).find_run("score")
    with open(run.folder / "score.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    scores = ScoreSummary.load(run).scores
    assert [(row["group"], row["features"], row["score"]) for row in rows] == [
        (score.group, score.features, score.name) for score in scores
    ]
    for column, values in {
        "value": [score.synthetic.value for score in scores],
        "low": [score.synthetic.low for score in scores],
        "high": [score.synthetic.high for score in scores],
        "floor": [score.floor.value for score in scores],
        "floor_high": [score.floor.high for score in scores],
        "n": [score.synthetic.n for score in scores],
    }.items():
        assert [float(row[column]) for row in rows] == pytest.approx(values), column


def test_what_cannot_be_scored_is_said(study: Path) -> None:
    shutil.rmtree(study / "runs" / "0002-synthesize")
    ok(cxr("synthesize", "--n", 9, folder=study))
    output = ok(cxr("score", "--final", folder=study))
    assert re.search(r"covid, cnn: no Fréchet distance, \d+ training, 5 synthetic", output)
    assert "overall: " in output
    assert "features of cnn" in output


def test_a_study_with_no_classifier_is_scored_offline(study: Path) -> None:
    shutil.rmtree(study / "runs" / "0003-classify-train")
    assert "features of random (" in ok(cxr("score", "--final", folder=study))


def test_vgg16_features_of_real_weights(
    study: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With few images and small batches, which are filled up, for speed."""
    monkeypatch.setattr(features, "FEATURE_BATCH", 4)
    for label in ("covid", "normal"):
        for path in sorted((study / "data" / "images" / label).iterdir())[20:]:
            path.unlink()
    weights = shared / "weights" / "vgg16_features_fp16.pth"
    folders = [
        "--dataset-a",
        study / "data" / "images" / "covid",
        "--dataset-b",
        study / "data" / "images" / "normal",
        "--out",
        study,
    ]
    output = ok(
        cxr(
            "score",
            "--features",
            "vgg16,random",
            "--weights",
            f"vgg16={weights}",
            *folders,
            folder=study,
        )
    )
    scores = FolderScores.load(study)
    assert scores.extractors[0].name == "vgg16"
    assert len(scores.extractors[0].sha256) == 64
    assert "features of vgg16 (ImageNet" in output
    assert {score.features for score in scores.scores} == {"vgg16", "random", "pixels"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--features", "resnet"], "--features resnet: expected one or more of auto, inception"),
        (
            ["--features", "inception", "--weights", "absent.pth"],
            "no such file; expected pytorch-fid's Inception weights, https",
        ),
        (["--features", "random", "--weights", "some.pth"], "take none"),
        (["--features", "vgg16,resnet50", "--weights", "some.pth"], "--weights vgg16=some.pth"),
        (["--dataset-b", "x"], "go with --dataset-a"),
    ],
)
def test_options_that_make_no_sense(study: Path, options: list[str], message: str) -> None:
    result = cxr("score", *options, folder=study)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
