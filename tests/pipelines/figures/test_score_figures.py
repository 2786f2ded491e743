"""The sheet of nearest pairs and the map of features show what they should, and the report page shows them."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.figures.score_figures import PAIRS, feature_map, nearest_pairs
from pipelines.figures.style import TILE
from pipelines.metrics.label_audit import fingerprints, judge_labels
from pipelines.metrics.memorisation import Memorisation, measure_nearness, share
from pipelines.metrics.nearest import thumbnails
from pipelines.report.page import write_report
from pipelines.study.image_cache import load_images
from pipelines.study.image_io import write_gray
from pipelines.study.manifest import read_table
from pipelines.study.synthetic import Split, read_synthetic
from pipelines.study.workspace import Workspace
from runtime.files import read_json, write_json
from runtime.run import Run
from tests.conftest import cxr, ok
from tests.pipelines.report.test_report import HOSTILE, Page

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


def drawn(sets: dict[str, Split], path: Path) -> np.ndarray:
    one, neighbours = measure_nearness(
        sets, {name: thumbnails(split.images) for name, split in sets.items()}
    )
    found = Memorisation(14, 30, 12, "cnn", one, one, {}, "none", [])
    nearest_pairs(sets, {"pixels": neighbours, "features": neighbours}, found, path)
    with Image.open(path) as image:
        assert image.mode == "L"
        assert "synthetic" in image.info["Comment"]
        return np.asarray(image)


def test_the_copy_comes_first_beside_its_original(sets: dict[str, Split], tmp_path: Path) -> None:
    sheet = drawn(sets, tmp_path / "pairs.png")
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
    rng = np.random.default_rng(0)
    features = {name: rng.normal(size=(len(split.labels), 6)) for name, split in sets.items()}
    sets["synthetic"].labels[:] = 0
    feature_map(sets, features, ["$a$_b", "normal", "never seen"], "cnn", tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as image:
        assert image.width == 880
        assert image.height > 800
        orange = np.asarray(image.convert("RGB")).astype(int)
    rows = ((orange[..., 0] > 200) & (orange[..., 1] < 190) & (orange[..., 2] < 120)).any(axis=1)
    assert rows[: image.height // 3].any()
    assert not rows[image.height // 3 :].any()
    feature_map(
        sets,
        {name: np.zeros_like(rows) for name, rows in features.items()},
        ["a", "b"],
        "cnn",
        tmp_path / "constant.png",
    )


def test_the_page_shows_them_with_their_warnings(
    sets: dict[str, Split], small: tuple[Workspace, Run]
) -> None:
    classes = ("covid", "normal")
    workspace, run = small
    score = workspace.find_run("score").folder
    before = Page(write_report(workspace, run).read_text(encoding="utf-8"))
    assert "tell-tale brightness have not been looked for" in before.text

    one, neighbours = measure_nearness(
        sets, {name: thumbnails(split.images) for name, split in sets.items()}
    )
    found = Memorisation(
        14,
        30,
        12,
        "cnn",
        one,
        one,
        {"covid": share(6, 12)},
        f"that of {HOSTILE} at step 250",
        ["copies: a warning of copies"],
    )
    asked = np.arange(40) % 2
    audit = judge_labels(
        "0003-classify-train",
        "cnn",
        classes,
        asked,
        np.zeros(40, int),
        asked,
        asked,
        [str(place) for place in range(40)],
    )
    sections = {
        "memorisation": asdict(found),
        "label_audit": asdict(audit),
        "fingerprints": asdict(fingerprints(sets["train"], sets["synthetic"], classes)),
        "classes": list(classes),
    }
    write_json(score / "score.json", read_json(score / "score.json") | sections)
    nearest_pairs(
        sets, {"pixels": neighbours, "features": neighbours}, found, score / "nearest_pairs.png"
    )
    feature_map(
        sets,
        {
            name: np.random.default_rng(0).normal(size=(len(split.labels), 6))
            for name, split in sets.items()
        },
        classes,
        "cnn",
        score / "feature_map.png",
    )
    page = Page(write_report(workspace, run).read_text(encoding="utf-8"))
    assert HOSTILE in page.text
    assert len(page.all("img")) == len(before.all("img")) + 2
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert "Copies: a warning of copies." in page.text
    assert "The generator does not listen to its label" in page.text
    assert "50.0\u00a0% (21.1–78.9)" in page.text
    assert "sharpness" in page.text
    assert "labels are ignored" in page.text

    left_out = {
        "memorisation": {"left_out": "too few images"},
        "label_audit": {"left_out": "no classifier"},
    }
    write_json(score / "score.json", read_json(score / "score.json") | left_out)
    (score / "nearest_pairs.png").unlink()
    page = Page(write_report(workspace, run).read_text(encoding="utf-8"))
    assert "left out, too few images" in page.text
    assert "left out, no classifier" in page.text
    assert len(page.all("img")) == len(before.all("img")) + 1


def test_a_score_tells_of_copies_on_the_sheet_and_on_the_page(study: Path) -> None:
    """A synthetic set that is the training set: caught in every section that can tell, with pictures and warnings."""
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
    found = json.loads((run.folder / "score.json").read_text())
    memory = found["memorisation"]
    assert memory["pixels"]["copied"] == memory["features"]["copied"] == 24
    assert memory["extractor"] == "random"
    assert memory["pixels"]["copied_p"] < 1e-6
    assert any("copies: 24 of 24" in warning for warning in memory["warnings"])
    assert "warning: copies: 24 of 24" in output
    assert "100.0 [85.8, 100.0]" in output
    assert set(memory["discriminator"]) == {"covid", "normal"}
    assert "0001-gan-train at step 8" in memory["discriminator_note"]
    assert found["label_audit"]["classifier"] == "0003-classify-train"
    assert set(found["label_audit"]["classes"]) == {"covid", "normal"}
    assert not found["fingerprints"]["warnings"]
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
