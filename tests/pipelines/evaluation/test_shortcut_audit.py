"""The audit finds a shortcut where one was laid, and none where the difference is in the lungs."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torchvision import models

from classifier import features, pretrained
from pipelines.study.intended_use import INTENDED_USE
from tests.conftest import cxr, ok, signalled

CLASSIFIER = ["--image-size", 32, "--steps", 60, "--batch-size", 16, "--evaluate-every", 20]
SIZE = 64


def white_mark(image: np.ndarray) -> None:
    image[:6, -20:] = 255


def opacity(image: np.ndarray) -> None:
    """Within both lungs."""
    image[26:38, 12:24] += 90
    image[26:38, 40:52] += 90


def draw(
    folder: Path, n: int, seed: int, mark: Callable[[np.ndarray], None], brightness: float = 0
) -> Path:
    """n covid and n normal pictures of clouds, the covid ones with a mark."""
    rng = np.random.default_rng(seed)
    for label in ("covid", "normal"):
        (folder / label).mkdir(parents=True)
        for number in range(n):
            image = (
                110
                + brightness
                + 150 * gaussian_filter(rng.normal(size=(SIZE, SIZE)), 3)
                + rng.normal(0, 6, (SIZE, SIZE))
            )
            if label == "covid":
                mark(image)
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(
                folder / label / f"{number}.png"
            )
    return folder


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study of two sources with both labels, one brighter than the other, and a white mark at the border of every covid image, audited; and what the audit said."""
    folder = tmp_path_factory.mktemp("marked")
    dark, bright = (
        draw(folder / "clinic-a", 16, 0, white_mark),
        draw(folder / "clinic-b", 16, 1, white_mark, 70),
    )
    ok(cxr("data", "import", dark, bright, "--split", "50/20/30", folder=folder / "study"))
    ok(cxr("classify-train", *CLASSIFIER, folder=folder / "study"))
    return folder / "study", ok(cxr("audit", "--steps", 50, folder=folder / "study"))


def audited(study: Path, run: str) -> tuple[dict, dict[str, dict]]:
    result = json.loads((study / "runs" / run / "audit.json").read_text())
    return result, {line["name"]: line for line in result["alterations"]}


def test_a_mark_at_the_border_is_found_and_sources_that_differ_too(
    marked: tuple[Path, str],
) -> None:
    study, output = marked
    result, lines = audited(study, "0002-audit")
    assert lines["whole"]["as_it_is"]["roc_auc"]["value"] > 0.9
    assert lines["whole"]["retrained"]["roc_auc"]["value"] > 0.9, (
        "with other steps than its own, whole images get a classifier of as many too"
    )
    for name in ("lungs-covered", "border-only"):
        assert lines[name]["retrained"]["roc_auc"]["value"] > 0.9
        assert lines[name]["kept"] > 0.8
        assert any(warning.startswith(lines[name]["title"]) for warning in result["warnings"])
    assert {one["label"] for one in result["sources"]["predicted"]} == {"covid", "normal"}
    for one in result["sources"]["predicted"]:
        assert one["sources"] == ["clinic-a", "clinic-b"]
        assert one["chance"] == 0.5
        assert one["balanced_accuracy"]["value"] > 0.85
    assert "warning 3: the sources of covid, normal can be told apart" in output
    assert "warning 4" not in output
    assert INTENDED_USE in output
    assert "audit.png" in output
    assert not list(study.rglob("*.partial"))
    for line in lines.values():
        for measure in line["as_it_is"].values():
            low, high = measure["interval"]
            assert low <= measure["value"] <= high
    with Image.open(study / "runs" / "0002-audit" / "audit.png") as picture:
        assert picture.height > picture.width > 800


def test_a_difference_in_the_lungs_raises_no_warning_but_that_of_the_source(tmp_path: Path) -> None:
    study, drawn = tmp_path / "study", draw(tmp_path / "drawn", 40, 2, opacity)
    ok(
        cxr(
            "data",
            "import",
            f"{drawn / 'covid'}=covid",
            f"{drawn / 'normal'}=normal",
            "--split",
            "50/20/30",
            folder=study,
        )
    )
    ok(cxr("classify-train", *CLASSIFIER, folder=study))
    output = ok(cxr("audit", "1", folder=study))
    result, lines = audited(study, "0002-audit")
    assert lines["whole"]["as_it_is"]["roc_auc"]["value"] > 0.9
    assert lines["whole"]["retrained"] is None
    for name in ("lungs-covered", "border-only"):
        assert lines[name]["kept"] < 0.8
    assert lines["few-pixels"]["retrained"]["roc_auc"]["value"] > 0.9, (
        "an opacity is seen in few pixels too"
    )
    assert result["warnings"] == ["source and label are the same thing in this study, see above"]
    assert "no audit can tell them apart" in output
    assert not result["sources"]["predicted"]


def test_stopped_and_resumed_it_keeps_what_is_finished_and_ends_the_same(
    marked: tuple[Path, str], tmp_path: Path
) -> None:
    study = Path(shutil.copytree(marked[0], tmp_path / "study"))
    run = study / "runs" / "0003-audit"
    with signalled(run / "classifiers" / "lungs-covered" / "journal.jsonl", 1, signal.SIGINT):
        done = cxr("audit", "--steps", 50, folder=study)
    assert done.exit_code == 130
    assert "--resume" in done.stderr
    assert not (run / "audit.json").exists()
    kept = (run / "classifiers" / "whole" / "classifier.pt").stat().st_mtime_ns
    refused = cxr("audit", "--resume", "--steps", 60, folder=study)
    assert refused.exit_code == 2
    assert "steps 50 → 60" in refused.stderr
    ok(cxr("audit", "--resume", folder=study))
    assert audited(study, "0003-audit") == audited(study, "0002-audit")
    assert (run / "classifiers" / "whole" / "classifier.pt").stat().st_mtime_ns == kept
    refused = cxr("audit", "--resume", folder=study)
    assert refused.exit_code == 2
    assert "cxr audit" in refused.stderr


def test_what_is_pretrained_begins_anew_from_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With small batches, which are filled up, and few pixels, for speed."""
    monkeypatch.setattr(features, "BATCH", 4)
    monkeypatch.setattr(pretrained, "INPUT", 64)
    study = tmp_path / "study"
    ok(
        cxr(
            "data",
            "import",
            draw(tmp_path / "drawn", 6, 2, white_mark),
            "--split",
            "50/25/25",
            folder=study,
        )
    )
    torch.manual_seed(0)
    for name in ("first", "other"):
        torch.save(models.resnet18(weights=None).state_dict(), tmp_path / f"{name}.pth")
    short = ["--image-size", 32, "--steps", 2, "--batch-size", 4, "--evaluate-every", 2]
    ok(
        cxr(
            "classify-train",
            "--arch",
            "svm",
            "--features",
            "resnet18",
            "--weights",
            tmp_path / "first.pth",
            "--image-size",
            32,
            folder=study,
        )
    )
    ok(cxr("audit", folder=study))
    assert cxr("audit", "--steps", 5, folder=study).exit_code == 2, "an svm has no steps"
    ok(
        cxr(
            "classify-train",
            "--arch",
            "resnet18",
            "--unfreeze",
            1,
            "--weights",
            tmp_path / "first.pth",
            *short,
            folder=study,
        )
    )
    refused = cxr("audit", "--weights", tmp_path / "other.pth", folder=study)
    assert refused.exit_code == 2
    assert "not the weights that 0003-classify-train began with" in refused.stderr
    ok(cxr("audit", "--weights", tmp_path / "first.pth", folder=study))
    assert [audited(study, f"{number:04d}-audit")[0]["config"]["arch"] for number in (2, 4)] == [
        "svm",
        "resnet18",
    ]


def test_a_classifier_of_other_images_is_refused(marked: tuple[Path, str], tmp_path: Path) -> None:
    study = Path(shutil.copytree(marked[0], tmp_path / "study"))
    path = study / "data" / "manifest.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    refused = cxr("audit", folder=study)
    assert refused.exit_code == 2
    assert "have changed since 0001-classify-train" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert len(list((study / "runs").glob("*-*"))) == 2
