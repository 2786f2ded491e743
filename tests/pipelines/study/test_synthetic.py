"""Synthetic images reach the training split alone, and the leak lock holds under attack."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.importing import import_listings
from pipelines.data.phantom_source import list_phantoms
from pipelines.study.image_cache import load_images
from pipelines.study.image_io import write_gray
from pipelines.study.labels import list_classes
from pipelines.study.manifest import fingerprint, write_manifest
from pipelines.study.split import Split, load_splits
from pipelines.study.synthetic import SyntheticSet, add_synthetic, read_synthetic
from pipelines.study.workspace import Workspace
from runtime import checkpoint
from runtime.files import read_json, write_json
from tests.conftest import TINY_CLASSIFIER, cxr, ok

SIZE = 32


@dataclass(frozen=True)
class Merge:
    """A study's splits before and after its synthetic set was added."""

    before: dict[str, Split]
    after: dict[str, Split]
    synthetic: SyntheticSet


def merge(workspace: Workspace, size: int = SIZE, classes: Sequence[str] | None = None) -> Merge:
    rows = workspace.rows()
    own_classes = list_classes(rows)
    synthetic = read_synthetic(workspace.find_run("synthesize").folder)
    splits = load_splits(workspace, size, own_classes)
    after = add_synthetic(splits, synthetic, rows, classes or own_classes)
    return Merge(splits, after, synthetic)


@pytest.fixture(scope="module")
def merged(tiny_study: Path) -> Merge:
    """The tiny study with its own synthetic set."""
    return merge(Workspace(tiny_study))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_validation_and_test_are_the_very_same(merged: Merge, split: str) -> None:
    assert merged.after[split] is merged.before[split]


def test_training_grows_by_the_synthetic_images(merged: Merge) -> None:
    reals, training = merged.before["train"], merged.after["train"]
    assert len(training.labels) == len(reals.labels) + 24
    assert np.array_equal(training.images[: len(reals.labels)], reals.images)
    assert np.array_equal(training.images[len(reals.labels) :], merged.synthetic.load_images())


def test_synthetic_images_are_told_by_their_names(merged: Merge) -> None:
    reals = len(merged.before["train"].labels)
    assert all("synthetic" in name for name in merged.after["train"].file_names[reals:])
    real_names = [name for split in merged.before.values() for name in split.file_names]
    assert not any("synthetic" in name for name in real_names)


def test_reals_and_synthetic_images_are_decoded_alike(study: Path, tmp_path: Path) -> None:
    """A real image written as a synthetic one is written comes back as the same pixels."""
    workspace = Workspace(study)
    reals = load_images(workspace, workspace.rows(), SIZE)
    write_gray(tmp_path / "real.png", reals[0])
    with (
        Image.open(tmp_path / "real.png") as real,
        Image.open(next((study / "runs").rglob("synthetic-*.png"))) as synthetic,
    ):
        assert (real.mode, real.size) == (synthetic.mode, synthetic.size)
        assert real.format == synthetic.format
        assert np.array_equal(np.asarray(real), reals[0])


def split_again(study: Path) -> None:
    """Another seed of the split puts images that the generator saw into test."""
    shutil.rmtree(study / "data")
    import_listings(Workspace(study), [list_phantoms(20, 0)], ratios=(0.7, 0.1, 0.2), seed=1)


def move_one_image(study: Path) -> None:
    workspace = Workspace(study)
    rows = workspace.rows()
    moved = next(row for row in rows if row.split == "train")
    write_manifest(
        workspace.manifest_path,
        [replace(row, split="test") if row == moved else row for row in rows],
    )


def rename_and_move(study: Path) -> None:
    """The image file gets another name and another container; its pixels are the same."""
    workspace = Workspace(study)
    rows = workspace.rows()
    moved = next(row for row in rows if row.split == "train")
    renamed = replace(moved, split="validation", file_name="images/covid/innocent.png")
    Image.open(workspace.data / moved.file_name).save(
        workspace.data / "images" / "covid" / "innocent.png", compress_level=0
    )
    write_manifest(workspace.manifest_path, [renamed if row == moved else row for row in rows])


@pytest.mark.parametrize(
    "attack", [split_again, move_one_image, rename_and_move], ids=lambda attack: attack.__name__
)
@pytest.mark.parametrize(
    "command",
    [
        ["classify-train", "--with-synthetic", *TINY_CLASSIFIER],
        ["compare", *TINY_CLASSIFIER],
        ["score"],
        ["synthesize", "--n", 4],
    ],
    ids=lambda command: command[0],
)
def test_a_generator_that_saw_held_out_images_is_refused(
    study: Path, attack: Callable[[Path], None], command: list[object]
) -> None:
    attack(study)
    runs = sorted((study / "runs").iterdir())
    result = cxr(*command, folder=study)
    assert result.exit_code == 2
    assert "leak" in result.output
    assert "cxr gan-train" in result.output
    assert sorted((study / "runs").iterdir()) == runs


def forget(study: Path) -> None:
    path = study / "runs" / "0002-synthesize" / "config.json"
    write_json(path, read_json(path) | {"trained_on": []})


def confess_less(study: Path) -> None:
    path = study / "runs" / "0002-synthesize" / "config.json"
    config = read_json(path)
    write_json(path, config | {"trained_on": config["trained_on"][1:]})


def mix_sets(study: Path) -> None:
    """Rows that claim another generator's training images."""
    path = study / "runs" / "0002-synthesize" / "manifest.csv"
    lines = path.read_text().splitlines()
    lines[-1] = lines[-1].rsplit(",", 1)[0] + "," + fingerprint(["other"])
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "attack", [forget, confess_less, mix_sets], ids=lambda attack: attack.__name__
)
def test_a_set_that_cannot_say_what_its_generator_saw_is_refused(
    study: Path, attack: Callable[[Path], None]
) -> None:
    attack(study)
    with pytest.raises(ValueError, match="cannot prove"):
        merge(Workspace(study))


def test_a_generator_that_forgot_what_it_saw_is_refused(study: Path) -> None:
    path = study / "runs" / "0001-gan-train" / "generator.pt"
    state = checkpoint.load(path, "generator")
    checkpoint.save(path, "generator", {**state, "trained_on": []})
    result = cxr("synthesize", "--n", 4, folder=study)
    assert result.exit_code == 2
    assert "does not say which images" in result.output


def test_a_test_image_among_the_synthetic_ones_is_found(study: Path) -> None:
    workspace = Workspace(study)
    test = [row for row in workspace.rows() if row.split == "test"]
    victim = next((study / "runs" / "0002-synthesize" / "images").rglob("*.png"))
    write_gray(victim, load_images(workspace, test, SIZE)[0])
    with pytest.raises(ValueError, match="pixel for pixel"):
        merge(workspace)


def test_another_size_is_an_error(study: Path) -> None:
    with pytest.raises(ValueError, match="expected one size"):
        merge(Workspace(study), size=64)


def test_a_label_that_the_study_has_not_is_an_error(study: Path) -> None:
    with pytest.raises(ValueError, match="unknown to this study"):
        merge(Workspace(study), classes=["covid", "flu"])


def test_training_at_another_size_is_refused(study: Path) -> None:
    result = cxr("classify-train", "--with-synthetic", "--image-size", 64, folder=study)
    assert result.exit_code == 2
    assert "--image-size 64: " in result.stderr


def test_a_synthetic_image_of_another_size_is_an_error(study: Path) -> None:
    image = next((study / "runs" / "0002-synthesize" / "images").rglob("*.png"))
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(image)
    with pytest.raises(ValueError, match="expected 32×32"):
        merge(Workspace(study))


def test_the_lock_lets_an_honest_generator_pass_in_another_study(
    study: Path, tmp_path: Path
) -> None:
    """Copied into a study of other patients, a synthetic set is welcome."""
    other = tmp_path / "other"
    ok(cxr("data", "phantom", "--n", 16, "--seed", 9, folder=other))
    shutil.copytree(study / "runs" / "0002-synthesize", other / "runs" / "0001-synthesize")
    merged = merge(Workspace(other))
    assert len(merged.after["train"].labels) == len(merged.before["train"].labels) + 24
