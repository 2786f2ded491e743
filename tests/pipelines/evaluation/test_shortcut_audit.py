"""The audit finds a shortcut where one was laid, and none where the difference is in the lungs."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torchvision import models
from torchvision.models.resnet import BasicBlock

from classifier import features, pretrained
from pipelines.evaluation.shortcut_audit import retained_auc
from pipelines.results.audit_result import AlterationResult, AuditResult, Skill
from pipelines.study.intended_use import INTENDED_USE
from runtime.estimate import Estimate
from runtime.run import Run
from tests.conftest import cxr, ok, signalled
from tests.support.command_steps import IN_FP32

CLASSIFIER = ["--image-size", 32, "--steps", 60, "--batch-size", 16, "--evaluate-every", 20]
CLASSIFIER += IN_FP32
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
    """An audited study with a white mark at the border of every covid image, and the output.

    It has two sources with both labels, one brighter than the other.
    """
    folder = tmp_path_factory.mktemp("marked")
    dark = draw(folder / "clinic-a", 16, 0, white_mark)
    bright = draw(folder / "clinic-b", 16, 1, white_mark, 70)
    ok(cxr("data", "import", dark, bright, "--split", "50/20/30", folder=folder / "study"))
    ok(cxr("classify-train", *CLASSIFIER, folder=folder / "study"))
    return folder / "study", ok(cxr("audit", "--steps", 50, *IN_FP32, folder=folder / "study"))


@pytest.fixture(scope="module")
def opaque(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An audited study whose labels differ within the lungs, one source each; and the output."""
    folder = tmp_path_factory.mktemp("opaque")
    study, drawn = folder / "study", draw(folder / "drawn", 40, 2, opacity)
    sources = [f"{drawn / label}={label}" for label in ("covid", "normal")]
    ok(cxr("data", "import", *sources, "--split", "50/20/30", folder=study))
    ok(cxr("classify-train", *CLASSIFIER, folder=study))
    return study, ok(cxr("audit", "1", *IN_FP32, folder=study))


def audited(study: Path, run: str = "0002-audit") -> AuditResult:
    return AuditResult.load(Run(study / "runs" / run))


def alteration(study: Path, name: str) -> AlterationResult:
    return next(result for result in audited(study).alterations if result.name == name)


def retrained_auc(study: Path, name: str) -> float:
    """The ROC AUC of the classifier that the audit trained on images altered so."""
    retrained = alteration(study, name).retrained
    assert retrained is not None
    return retrained.roc_auc.value


# A shortcut: a mark at the border.


def test_the_mark_is_learnt(marked: tuple[Path, str]) -> None:
    assert alteration(marked[0], "whole").as_it_is.roc_auc.value > 0.9


def test_with_other_steps_than_its_own_whole_images_get_a_classifier_too(
    marked: tuple[Path, str],
) -> None:
    assert retrained_auc(marked[0], "whole") > 0.9


@pytest.mark.parametrize("name", ["lungs-covered", "border-only"])
def test_the_mark_is_found_without_the_lungs(marked: tuple[Path, str], name: str) -> None:
    assert retrained_auc(marked[0], name) > 0.9
    assert alteration(marked[0], name).retained_auc > 0.8


@pytest.mark.parametrize("name", ["lungs-covered", "border-only"])
def test_skill_without_the_lungs_is_warned_of(marked: tuple[Path, str], name: str) -> None:
    title = alteration(marked[0], name).title
    assert any(warning.startswith(title) for warning in audited(marked[0]).warnings)


def test_sources_that_differ_are_told_apart_for_each_label(marked: tuple[Path, str]) -> None:
    tests = audited(marked[0]).sources.predicted
    assert [test.label for test in tests] == ["covid", "normal"]
    for test in tests:
        assert test.sources == ("clinic-a", "clinic-b")
        assert test.chance == 0.5
        assert test.balanced_accuracy.value > 0.85


def test_sources_that_differ_are_warned_of_last(marked: tuple[Path, str]) -> None:
    assert "warning 3: the sources of covid, normal can be told apart" in marked[1]
    assert "warning 4" not in marked[1]


@pytest.mark.parametrize("text", [INTENDED_USE, "audit.png"])
def test_the_command_says_what_it_is_for_and_where_the_figure_is(
    marked: tuple[Path, str], text: str
) -> None:
    assert text in marked[1]


def test_no_half_written_file_is_left(marked: tuple[Path, str]) -> None:
    assert not list(marked[0].rglob("*.partial"))


def test_values_lie_within_their_intervals(marked: tuple[Path, str]) -> None:
    for result in audited(marked[0]).alterations:
        for estimate in (result.as_it_is.accuracy, result.as_it_is.roc_auc):
            assert estimate.low <= estimate.value <= estimate.high


def test_every_number_has_the_number_of_test_images(marked: tuple[Path, str]) -> None:
    result = audited(marked[0])
    assert {line.as_it_is.roc_auc.n for line in result.alterations} == {result.test.images}


def test_the_figure_is_a_tall_picture(marked: tuple[Path, str]) -> None:
    with Image.open(marked[0] / "runs" / "0002-audit" / "audit.png") as picture:
        assert picture.height > picture.width > 800


# No shortcut: a difference in the lungs.


def test_a_difference_in_the_lungs_is_learnt(opaque: tuple[Path, str]) -> None:
    assert alteration(opaque[0], "whole").as_it_is.roc_auc.value > 0.9


def test_with_its_own_steps_whole_images_get_no_other_classifier(
    opaque: tuple[Path, str],
) -> None:
    assert alteration(opaque[0], "whole").retrained is None


@pytest.mark.parametrize("name", ["lungs-covered", "border-only"])
def test_a_difference_in_the_lungs_goes_with_them(opaque: tuple[Path, str], name: str) -> None:
    assert alteration(opaque[0], name).retained_auc < 0.8


def test_an_opacity_is_seen_in_few_pixels_too(opaque: tuple[Path, str]) -> None:
    assert retrained_auc(opaque[0], "few-pixels") > 0.9


def test_only_that_source_and_label_are_one_is_warned_of(opaque: tuple[Path, str]) -> None:
    assert audited(opaque[0]).warnings == (
        "source and label are the same thing in this study, see above",
    )


def test_labels_of_one_source_each_cannot_be_audited(opaque: tuple[Path, str]) -> None:
    assert "no audit can tell them apart" in opaque[1]
    assert not audited(opaque[0]).sources.predicted


# Arithmetic.


def skill(value: float, low: float) -> Skill:
    estimate = Estimate(value, low, 1.0, 10)
    return Skill(estimate, estimate)


@pytest.mark.parametrize(
    ("intact", "altered", "expected"),
    [
        pytest.param(skill(0.9, 0.8), skill(0.7, 0.6), 0.5, id="half of the skill"),
        pytest.param(skill(0.9, 0.8), skill(0.5, 0.4), 0.0, id="none"),
        pytest.param(skill(0.9, 0.8), None, None, id="no classifier of such images"),
        pytest.param(skill(0.9, 0.5), skill(0.7, 0.6), None, id="no skill to begin with"),
    ],
)
def test_retained_auc(intact: Skill, altered: Skill | None, expected: float | None) -> None:
    assert retained_auc(intact, altered) == (None if expected is None else pytest.approx(expected))


# Its run.


def test_an_audit_of_another_format_is_refused(marked: tuple[Path, str], tmp_path: Path) -> None:
    path = tmp_path / "0001-audit" / "audit.json"
    path.parent.mkdir()
    values = json.loads((marked[0] / "runs" / "0002-audit" / "audit.json").read_text())
    path.write_text(json.dumps(values | {"format": 1}))
    with pytest.raises(ValueError, match="make it anew with: cxr audit"):
        AuditResult.load(Run(path.parent))


def test_stopped_and_resumed_it_keeps_what_is_finished_and_ends_the_same(
    marked: tuple[Path, str], tmp_path: Path
) -> None:
    study = Path(shutil.copytree(marked[0], tmp_path / "study"))
    run = study / "runs" / "0003-audit"
    with signalled(run / "classifiers" / "lungs-covered" / "journal.jsonl", 1, signal.SIGINT):
        done = cxr("audit", "--steps", 50, *IN_FP32, folder=study)
    assert done.exit_code == 130
    assert "--resume" in done.stderr
    assert not (run / "audit.json").exists()
    kept = (run / "classifiers" / "whole" / "classifier.pt").stat().st_mtime_ns
    refused = cxr("audit", "--resume", "--steps", 60, folder=study)
    assert refused.exit_code == 2
    assert "steps 50 → 60" in refused.stderr
    ok(cxr("audit", "--resume", folder=study))
    assert audited(study, "0003-audit") == audited(study)
    assert (run / "classifiers" / "whole" / "classifier.pt").stat().st_mtime_ns == kept
    refused = cxr("audit", "--resume", folder=study)
    assert refused.exit_code == 2
    assert "cxr audit" in refused.stderr


class NarrowResNet(models.ResNet):
    """A ResNet-18 with a sixteenth of the channels after its first convolution."""

    def __init__(self, weights: None = None) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2])

    def _make_layer(self, block: type[BasicBlock], planes: int, *args: int, **options: int):
        return super()._make_layer(block, planes // 16, *args, **options)


def test_what_is_pretrained_begins_anew_from_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With small batches, which are filled up, few channels and few pixels, for speed."""
    monkeypatch.setattr(features, "FEATURE_BATCH", 4)
    monkeypatch.setattr(pretrained, "INPUT", 32)
    monkeypatch.setattr(models, "get_model", lambda arch, **options: NarrowResNet(**options))
    narrow = replace(pretrained.MODELS["resnet18"], features=512 // 16)
    monkeypatch.setitem(pretrained.MODELS, "resnet18", narrow)
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
        torch.save(NarrowResNet().state_dict(), tmp_path / f"{name}.pth")
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
    runs = ("0002-audit", "0004-audit")
    assert [audited(study, run).config.arch for run in runs] == ["svm", "resnet18"]


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
