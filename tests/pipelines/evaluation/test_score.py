"""Scores to choose by do not look at the test images, and those that do are known by it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from pipelines.results.score_summary import ScoreSummary
from pipelines.study.image_io import write_gray
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, ok

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


def test_plain_folders_have_no_test_split(tmp_path: Path) -> None:
    result = cxr("score", "--dataset-a", tmp_path, "--final", folder=tmp_path)
    assert result.exit_code == 2
    assert "--final and --synthetic are of a study" in result.output
