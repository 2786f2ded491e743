"""Fréchet distances against known answers and an independent implementation; what score says of good and bad sets."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from pipelines.data.reading import write_gray
from pipelines.data.store import load_images
from pipelines.merge import read_synthetic
from pipelines.scoring.frechet import frechet_distance
from pipelines.workspace import Workspace
from tests.conftest import cxr, ok


def by_square_root(a: np.ndarray, b: np.ndarray) -> float:
    """The textbook formula, as pytorch-fid computes it."""
    root = sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)).real
    gap = a.mean(0) - b.mean(0)
    return float(gap @ gap + np.trace(np.cov(a, rowvar=False) + np.cov(b, rowvar=False) - 2 * root))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), d=st.integers(2, 12), extra=st.tuples(st.integers(5, 60), st.integers(5, 60)))
def test_it_equals_the_textbook_formula(seed: int, d: int, extra: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.normal(size=(d + n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d) for n in extra)
    assert frechet_distance(a, b) == pytest.approx(by_square_root(a, b), rel=1e-6, abs=1e-8)


def test_gaussians_with_a_known_distance() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(200_000, 3)) * (1, 2, 3)
    b = rng.normal(size=(200_000, 3)) * (2, 2, 5) + (1, 0, 0)
    assert frechet_distance(a, b) == pytest.approx(1 + 1 + 0 + 4, rel=0.02)


def test_fewer_images_than_features() -> None:
    """With two images a side the covariances have rank one, and the answer is known in closed form."""
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
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a)) and frechet_distance(a, b) > 0
    assert frechet_distance(a + 5, b + 5) == pytest.approx(frechet_distance(a, b), abs=1e-6)


@pytest.mark.parametrize("wrong", [np.zeros((1, 3)), np.zeros(3), np.full((4, 3), np.nan), np.zeros((4, 2))])
def test_what_is_not_a_set_of_features(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="features"):
        frechet_distance(np.random.default_rng(0).normal(size=(5, 3)), wrong)


def replace_synthetic(study: Path, images: dict[str, np.ndarray]) -> None:
    """Put other pixels into the study's synthetic set, class by class, over and over."""
    synthetic = read_synthetic(study / "runs" / "0002-synthesize")
    for number, row in enumerate(synthetic.rows):
        pool = images[row.label]
        write_gray(synthetic.folder / row.file_name, pool[number // 2 % len(pool)])


def overall(study: Path) -> dict:
    ok(cxr("score", folder=study))
    return json.loads((Workspace(study).find_run("score").folder / "score.json").read_text())["scores"][-1]


def test_better_images_score_better(study: Path) -> None:
    workspace = Workspace(study)
    rows = [row for row in workspace.rows() if row.split == "train"]
    reals = {label: load_images(workspace, [row for row in rows if row.label == label], 32) for label in ("covid", "normal")}
    replace_synthetic(study, reals)
    good = overall(study)
    rng = np.random.default_rng(0)
    replace_synthetic(study, {label: (pool + rng.normal(0, 40, pool.shape)).clip(0, 255).astype(np.uint8) for label, pool in reals.items()})
    noisy = overall(study)
    replace_synthetic(study, {label: rng.integers(0, 256, pool.shape, dtype=np.uint8) for label, pool in reals.items()})
    random = overall(study)
    assert good["frechet"] < noisy["frechet"] < random["frechet"]
    assert (good["n_train"], good["n_synthetic"], good["n_held_out"]) == (len(rows), 24, 64 - len(rows))


def test_what_cannot_be_scored_is_said(study: Path) -> None:
    shutil.rmtree(study / "runs" / "0002-synthesize")
    ok(cxr("synthesize", "--n", 9, folder=study))
    output = ok(cxr("score", folder=study))
    assert re.search(r"covid: not scored, \d+ training, 5 synthetic", output)
    assert "overall" in output and "cnn" in output


def test_vgg16_features_of_real_weights(study: Path, shared: Path) -> None:
    weights = shared / "weights" / "vgg16_features_fp16.pth"
    output = ok(cxr("score", "--features", "vgg16", "--weights", weights, folder=study))
    assert "vgg16" in output
    scores = json.loads((Workspace(study).find_run("score").folder / "score.json").read_text())
    assert scores["extractor"]["name"] == "vgg16" and len(scores["extractor"]["sha256"]) == 64
