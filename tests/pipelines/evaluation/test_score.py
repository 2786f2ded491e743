"""Scores to choose by do not look at the test images, and those that do are known by it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.metrics.memorisation import Memorisation
from pipelines.results.score_summary import ScoreSummary
from pipelines.study.image_cache import load_images
from pipelines.study.image_io import write_gray
from pipelines.study.synthetic import read_synthetic
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, ok
from tests.support.command_steps import TINY_GAN

SCORE = ("score", "--features", "random", "--device", "cpu", "--precision", "fp32")


def put_noise(study: Path, split: str) -> None:
    """Put noise in the place of every image of a split."""
    rng = np.random.default_rng(0)
    workspace = Workspace(study)
    for row in workspace.rows():
        if row.split == split:
            noise = rng.integers(0, 256, (row.height, row.width), np.uint8)
            write_gray(workspace.data / row.file_name, noise)
    shutil.rmtree(workspace.data / "arrays", ignore_errors=True)


def score(study: Path, *options: str) -> tuple[ScoreSummary, str]:
    """Score the newest synthetic set; return what was found, and what was printed."""
    output = ok(cxr(*SCORE, *options, folder=study))
    return ScoreSummary.load(Workspace(study).find_run("score")), output


def test_test_images_are_read_by_final_scores_alone_which_are_counted(study: Path) -> None:
    """Noise in the place of the test images changes nothing but a final score."""
    chosen, output = score(study)
    assert "the test images are for cxr score --final" in output
    final, output = score(study, "--final")
    assert "the first score of this study to look at them (0005-score)" in output
    put_noise(study, "test")
    assert score(study)[0] == chosen
    noisy, output = score(study, "--final")
    assert "one of 2 scores of this study to look at them (0005-score, 0007-score)" in output
    assert (chosen.held_out_split, final.held_out_split) == ("validation", "test")
    assert noisy.memorisation != final.memorisation
    assert noisy.scores != final.scores


def test_memory_is_asked_about_the_images_that_the_generator_saw(study: Path) -> None:
    """Samples that are training images give a generator of those away, and no other generator."""
    ok(cxr("gan-train", "--steps", 2, "--real-fraction", 0.4, *TINY_GAN, folder=study))
    ok(cxr("synthesize", "--n", 24, folder=study))
    workspace = Workspace(study)
    made = read_synthetic(workspace.find_run("synthesize").folder)
    training = [row for row in workspace.rows() if row.split == "train"]
    saw = {
        is_seen: [row for row in training if (row.sha256 in made.trained_on) == is_seen]
        for is_seen in (True, False)
    }
    memorisation = {}
    for is_seen, reals in saw.items():
        for number, row in enumerate(made.rows):
            of_label = [real for real in reals if real.label == row.label]
            shown = load_images(workspace, [of_label[number % len(of_label)]], made.image_size)
            write_gray(made.folder / row.file_name, shown[0])
        summary, output = score(study)
        assert isinstance(summary.memorisation, Memorisation)
        memorisation[is_seen] = summary.memorisation
    remembered, new = memorisation[True], memorisation[False]
    assert len(saw[True]) < len(saw[False])
    assert (new.n_training, new.n_unseen) == (len(saw[True]), len(saw[False]))
    assert new.n_held_out == len(saw[False]) + sum(
        row.split == "validation" for row in workspace.rows()
    )
    assert f"{new.n_unseen} of the training split, which the generator never saw" in output
    for space in ("pixels", "features"):
        favour = getattr(remembered, space).favour
        assert (favour.share, favour.p) == (1, pytest.approx(0, abs=0.01))
        assert getattr(new, space).favour.share == 0
    assert len(remembered.warnings) >= 2
    assert not new.warnings


def test_plain_folders_have_no_test_split(tmp_path: Path) -> None:
    result = cxr("score", "--dataset-a", tmp_path, "--final", folder=tmp_path)
    assert result.exit_code == 2
    assert "--final and --synthetic are of a study" in result.output
