"""`cxr gan-train`: what it shows without training, and the pictures of a training."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import cxr, ok


@pytest.mark.parametrize(
    "text", ["3,576,704", "2,765,568", "--learning-rate    0.0002"], ids=["G", "D", "option"]
)
def test_a_dry_run_shows_the_parameters_and_options_of_a_preset(
    phantom_study: Path, text: str
) -> None:
    assert text in ok(cxr("gan-train", "--preset", "dcgan", "--dry-run", folder=phantom_study))


def test_a_dry_run_needs_no_data(tmp_path: Path) -> None:
    assert "generator:" in ok(cxr("gan-train", "--dry-run", folder=tmp_path / "nothing here"))


def test_a_dry_run_leaves_no_run(phantom_study: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    ok(cxr("gan-train", "--preset", "dcgan", "--dry-run", folder=study))
    assert not (study / "runs").exists()


def test_a_preview_of_augmentation_is_a_sheet_and_leaves_no_run(
    phantom_study: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    ok(cxr("gan-train", "--preview-augment", "--image-size", 32, folder=study))
    with Image.open(study / "augmentation.png") as sheet:
        assert sheet.width >= 8 * 128
    assert not (study / "runs").exists()


@pytest.fixture(scope="module")
def trained_for_longer(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a generator that was trained in two goes, with three sheets of samples."""
    study = Path(shutil.copytree(tiny_study, tmp_path_factory.mktemp("longer") / "study"))
    ok(cxr("gan-train", "--resume", "1", "--steps", 12, folder=study))
    return study / "runs" / "0001-gan-train"


@pytest.mark.parametrize("name", ["progress.png", "interpolation.png", "curves.png"])
def test_a_picture_of_the_training_shows_something(trained_for_longer: Path, name: str) -> None:
    with Image.open(trained_for_longer / name) as image:
        assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 20


def test_the_animation_has_a_frame_for_each_sheet_of_samples(trained_for_longer: Path) -> None:
    with Image.open(trained_for_longer / "progress.gif") as animation:
        assert animation.n_frames == 3
