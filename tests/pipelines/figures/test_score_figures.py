"""The sheet of nearest pairs and the map of features show what they should."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.figures.score_figures import PAIRS, draw_feature_map, draw_nearest_pairs
from pipelines.figures.style import TILE
from pipelines.metrics.label_audit import LabelAudit
from pipelines.metrics.memorisation import Memorisation
from pipelines.metrics.nearest import thumbnails
from pipelines.metrics.nearness import measure_nearness
from pipelines.results.score_summary import ScoreSummary
from pipelines.study.image_cache import load_images
from pipelines.study.image_io import write_gray
from pipelines.study.split import Split
from pipelines.study.synthetic import read_synthetic
from pipelines.study.tables import read_table
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, ok

SIZE = 32


@pytest.fixture
def sets() -> dict[str, Split]:
    """Noise in three sets; synthetic image 5 is training image 3."""
    rng = np.random.default_rng(0)
    found = {}
    for name, count in (("train", 30), ("held_out", 12), ("synthetic", 14)):
        images = rng.integers(0, 256, (count, SIZE, SIZE), np.uint8)
        found[name] = Split(
            images,
            np.arange(count) % 2,
            [f"images/{name}-{number:06d}.png" for number in range(count)],
            [f"{name} {number}" for number in range(count)],
        )
    found["synthetic"].images[5] = found["train"].images[3]
    return found


def draw_pairs(sets: dict[str, Split], path: Path) -> None:
    """Draw the sheet with thumbnails in the place of features too."""
    rows = {name: thumbnails(split.images) for name, split in sets.items()}
    nearness, neighbours = measure_nearness(sets, rows)
    threshold = nearness.copies.threshold
    draw_nearest_pairs(
        sets,
        {"pixels": neighbours, "features": neighbours},
        {"pixels": threshold, "features": threshold},
        path,
    )


def draw_random_map(sets: dict[str, Split], classes: Sequence[str], path: Path) -> None:
    rng = np.random.default_rng(0)
    features = {name: rng.normal(size=(len(split.labels), 6)) for name, split in sets.items()}
    draw_feature_map(sets, features, classes, "cnn", path)


def test_the_sheet_says_that_images_are_synthetic(sets: dict[str, Split], tmp_path: Path) -> None:
    draw_pairs(sets, tmp_path / "pairs.png")
    with Image.open(tmp_path / "pairs.png") as image:
        assert image.mode == "L"
        assert "synthetic" in image.info["Comment"]


def test_the_copy_comes_first_beside_its_original(sets: dict[str, Split], tmp_path: Path) -> None:
    draw_pairs(sets, tmp_path / "pairs.png")
    sheet = np.asarray(Image.open(tmp_path / "pairs.png"))
    tile = np.kron(sets["train"].images[3], np.ones((TILE // SIZE, TILE // SIZE), np.uint8))
    top = TILE // 2
    first, second = (
        sheet[top : top + TILE, :TILE],
        sheet[top : top + TILE, TILE + TILE // 16 : 2 * TILE + TILE // 16],
    )
    assert np.array_equal(first, tile)
    assert np.array_equal(second, tile)
    third = sheet[top : top + TILE, 2 * (TILE + TILE // 16) : 3 * TILE + TILE // 8]
    assert any(
        np.array_equal(third[:: TILE // SIZE, :: TILE // SIZE], image)
        for image in sets["held_out"].images
    )
    assert sheet.shape[0] == top + PAIRS * (TILE + TILE // 5)


def test_the_map_takes_any_class_name_and_empty_classes(
    sets: dict[str, Split], tmp_path: Path
) -> None:
    sets["synthetic"].labels[:] = 0
    draw_random_map(sets, ["$a$_b", "normal", "never seen"], tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as image:
        assert image.width == 880
        assert image.height > 800
        pixels = np.asarray(image.convert("RGB")).astype(int)
    orange = (pixels[..., 0] > 200) & (pixels[..., 1] < 190) & (pixels[..., 2] < 120)
    rows = orange.any(axis=1)
    assert rows[: image.height // 3].any()
    assert not rows[image.height // 3 :].any()


def test_the_map_takes_features_that_are_all_alike(sets: dict[str, Split], tmp_path: Path) -> None:
    features = {name: np.zeros((len(split.labels), 6)) for name, split in sets.items()}
    draw_feature_map(sets, features, ["a", "b"], "cnn", tmp_path / "constant.png")
    assert (tmp_path / "constant.png").exists()


def test_a_score_tells_of_copies_on_the_sheet_and_on_the_page(study: Path) -> None:
    """A synthetic set that is the training set is caught in every section that can tell."""
    workspace = Workspace(study)
    synthetic = read_synthetic(study / "runs" / "0002-synthesize")
    rows = [row for row in workspace.rows() if row.split == "train"]
    pools = {
        label: load_images(workspace, [row for row in rows if row.label == label], SIZE)
        for label in ("covid", "normal")
    }
    for number, row in enumerate(synthetic.rows):
        write_gray(synthetic.folder / row.file_name, pools[row.label][number // 2])
    output = ok(cxr("score", "--features", "random", folder=study))
    run = workspace.find_run("score")
    summary = ScoreSummary.load(run)
    memory = summary.memorisation
    assert isinstance(memory, Memorisation)
    assert memory.pixels.copies.count == memory.features.copies.count == 24
    assert memory.extractor == "random"
    assert memory.pixels.copies.p < 1e-6
    assert any("copies: 24 of 24" in warning for warning in memory.warnings)
    assert "warning: copies: 24 of 24" in output
    assert "100.0 [85.8, 100.0]" in output
    assert set(memory.discriminator) == {"covid", "normal"}
    assert "0001-gan-train at step 8" in memory.discriminator_note
    assert isinstance(summary.label_audit, LabelAudit)
    assert summary.label_audit.classifier == "0003-classify-train"
    assert set(summary.label_audit.classes) == {"covid", "normal"}
    assert not summary.fingerprints.warnings
    table = read_table(
        run.folder / "nearest.csv",
        ["file_name", "pixels_training", "pixels_training_distance", "features_held_out_distance"],
    )
    assert len(table) == 24
    assert all(
        float(row["pixels_training_distance"]) < 1e-6 < float(row["features_held_out_distance"])
        for row in table
    )
    assert {row["pixels_training"] for row in table} <= {row.file_name for row in rows}


def test_a_score_goes_on_without_discriminator_and_classifier(study: Path) -> None:
    shutil.rmtree(study / "runs" / "0001-gan-train" / "checkpoints")
    shutil.rmtree(study / "runs" / "0003-classify-train")
    output = ok(cxr("score", "--features", "random", folder=study))
    assert "none: " in output
    assert "last.pt is gone" in output
    assert (
        "label audit: left out, no classifier trained on this study's real images alone at 32 px"
        in output
    )
    assert "cxr classify-train --image-size 32" in output
