"""The commands that people come for: in a row, killed and resumed, and given what they cannot use."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset
from torchvision.datasets import ImageFolder

from classifier.config import ClassifierConfig
from classifier.features import BATCH
from classifier.predict import load_classifier, predict
from classifier.train import train as train_classifier
from gan.config import GanConfig
from gan.train import train as train_gan
from pipelines.comparison import demo
from pipelines.results.classifier_result import ClassifierResult
from pipelines.study.manifest import read_manifest
from pipelines.study.split import load_splits
from pipelines.study.workspace import Workspace
from runtime import checkpoint
from runtime.device import Compute
from runtime.run import Run, list_runs
from tests.conftest import TINY_CLASSIFIER, TINY_GAN, cxr, ok
from tests.support.command_server import CommandServer
from tests.support.torchrun_pair import TorchrunPair


def test_the_whole_study(study: Path) -> None:
    """After the generator, the synthetic set and the first classifier of the fixture: the other commands, and their files."""
    output = ok(cxr("classify-train", "--with-synthetic", *TINY_CLASSIFIER, folder=study))
    assert "0004-classify-train" in output
    assert "accuracy" in output
    assert "next: cxr score" in output
    assert "0005-score" in ok(cxr("score", folder=study))
    output = ok(cxr("compare", "--seeds", 2, *TINY_CLASSIFIER, folder=study))
    assert "real+gan" in output
    assert "report.html" in output

    trained = ClassifierResult.load(Run(study / "runs" / "0004-classify-train"))
    assert trained.synthetic_images == 24
    assert trained.steps == 6
    rows = read_manifest(study / "data" / "manifest.csv")
    with open(study / "runs" / "0004-classify-train" / "predictions.csv", newline="") as file:
        predictions = list(csv.DictReader(file))
    assert {row["file_name"] for row in predictions} == {
        row.file_name for row in rows if row.split == "test"
    }
    share = np.mean([row["label"] == row["predicted"] for row in predictions])
    assert trained.test.measures["accuracy"].value == pytest.approx(share)
    for row in predictions:
        assert sum(
            float(row[f"probability_{name}"]) for name in ("covid", "normal")
        ) == pytest.approx(1, abs=1e-5)

    comparison = study / "runs" / "0006-compare"
    with open(comparison / "results.csv", newline="") as file:
        results = list(csv.DictReader(file))
    assert Counter(row["arm"] for row in results) == {"real": 2, "real+classical": 2, "real+gan": 2}
    assert {row["steps"] for row in results} == {"6"}, "the budget is equal"
    summary = json.loads((comparison / "summary.json").read_text())
    assert summary["headline"]["arm"] == "real+gan"
    assert summary["sentence"] in output
    assert "not scored" not in (comparison / "report.html").read_text(encoding="utf-8")
    for picture in study.rglob("*.png"):
        with Image.open(picture) as image:
            image.verify()
    assert not list(study.rglob("*.partial"))
    assert "report.html" in ok(cxr("report", folder=study))


def test_the_demo_is_a_whole_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With smaller numbers than it has, for speed."""
    monkeypatch.setattr(demo, "PHANTOMS", 40)
    monkeypatch.setattr(demo, "SYNTHETIC", 16)
    monkeypatch.setattr(demo, "GAN", {"steps": 4, "image_size": 32, "width": 4, "batch_size": 8})
    monkeypatch.setattr(demo, "DESIGN", {"seeds": 2})
    monkeypatch.setattr(demo, "CLASSIFIER", {"steps": 6, "batch_size": 8, "evaluate_every": 3})
    output = ok(cxr("demo", folder=tmp_path / "demo"))
    for word in (
        "accuracy",
        "sensitivity",
        "specificity",
        "real+gan",
        "Fréchet distance",
        "0006-compare/report.html",
    ):
        assert word in output


def test_synthetic_images_say_so_and_load_as_a_folder_per_label(study: Path) -> None:
    folder = study / "runs" / "0002-synthesize"
    loaded = ImageFolder(str(folder / "images"))
    assert loaded.classes == ["covid", "normal"]
    assert Counter(loaded.targets) == {0: 12, 1: 12}
    for path, _ in loaded.samples:
        assert Path(path).name.startswith("synthetic-")
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("L", (32, 32))
            assert "synthetic" in image.text["Comment"]
            assert "0001-gan-train" in image.text["Source"]
    with open(folder / "manifest.csv", newline="") as file:
        assert {row["synthetic"] for row in csv.DictReader(file)} == {"yes"}


def test_sample_i_is_the_same_whatever_n(study: Path) -> None:
    ok(cxr("synthesize", "--n", 60, folder=study))
    ok(cxr("synthesize", "--n", 7, "--label", "normal", folder=study))
    few, many, of_one = (
        study / "runs" / name / "images"
        for name in ("0002-synthesize", "0004-synthesize", "0005-synthesize")
    )
    for path in few.rglob("*.png"):
        assert np.array_equal(
            np.asarray(Image.open(path)), np.asarray(Image.open(many / path.relative_to(few)))
        )
    assert [path.parent.name for path in of_one.rglob("*.png")] == ["normal"] * 7


def final_state(study: Path, run: str) -> dict:
    folder = study / "runs" / run
    state = checkpoint.load(folder / "checkpoints" / "last.pt", "gan checkpoint")
    weights = {
        f"{part}.{name}": value.numpy().tobytes()
        for part in ("generator", "discriminator", "average")
        for name, value in state[part].items()
    }
    moments = {
        f"{part}.{index}.{name}": value.numpy().tobytes()
        for part in ("generator_optimizer", "discriminator_optimizer")
        for index, moment in state[part]["state"].items()
        for name, value in moment.items()
    }
    return (
        weights
        | moments
        | {"journal": (folder / "journal.jsonl").read_bytes(), "step": state["step"]}
    )


def test_stopped_by_ctrl_c_a_command_says_how_to_go_on(
    command_server: CommandServer, phantom_study: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    process = command_server.start("gan-train", "--steps", 100_000, *TINY_GAN, folder=study)
    deadline = time.monotonic() + 60
    while (
        not (study / "runs" / "0001-gan-train" / "samples" / "step-000004.png").exists()
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    os.kill(process, signal.SIGINT)
    stopped = command_server.wait(process)
    assert stopped.returncode == 130
    assert "--resume" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    reached = checkpoint.load(
        study / "runs" / "0001-gan-train" / "checkpoints" / "last.pt", "gan checkpoint"
    )["step"]
    assert f"stopped at step {reached}" in stopped.stderr
    refused = cxr("gan-train", "--resume", "--width", 8, folder=study)
    assert refused.exit_code == 2
    assert "--width 4 → 8" in refused.output
    assert cxr("synthesize", "--n", 2, folder=study).exit_code == 0, "what is there can be used"


def test_two_processes_train_what_one_does(
    phantom_study: Path, tmp_path: Path, torchrun_pair: TorchrunPair
) -> None:
    for name in ("one", "two"):
        shutil.copytree(phantom_study, tmp_path / name)
    training = [
        "gan-train",
        "--steps",
        5,
        *TINY_GAN,
        "--batch-size",
        16,
        "--device",
        "cpu",
        "--precision",
        "fp32",
    ]
    ok(cxr(*training, folder=tmp_path / "one"))
    done = torchrun_pair.run(*training, folder=tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("made: a generator") == 1, "one process speaks"
    assert [run.name for run in list_runs(tmp_path / "two" / "runs")] == ["0001-gan-train"], (
        "one process writes"
    )
    states = [
        checkpoint.load(
            tmp_path / name / "runs/0001-gan-train/checkpoints/last.pt", "gan checkpoint"
        )
        for name in ("one", "two")
    ]
    for part in (
        "generator",
        "discriminator",
        "average",
    ):  # as a whole: where a gradient is all rounding, Adam makes a step of its sign
        one, two = (
            torch.cat([value.flatten() for value in state[part].values()]) for state in states
        )
        assert (one - two).norm() < 1e-3 * one.norm(), (
            "five steps change the weights by ten times as much"
        )


def test_two_processes_train_one_classifier_and_judge_it_as_one_does(
    tmp_path: Path, torchrun_pair: TorchrunPair
) -> None:
    """Of two batches of test images each process predicts one, so that what they say fits the file only if both hold the same weights."""
    rng = np.random.default_rng(0)
    for number in range(120):
        film = tmp_path / "films" / ("covid", "normal")[number % 2] / f"{number}.png"
        film.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(
            rng.integers(0, 200, (16, 16), np.uint8).repeat(8, 0).repeat(8, 1)
            + np.uint8(50 * (number % 2))
        ).save(film)
    ok(cxr("data", "import", tmp_path / "films", "--split", "30/10/60", folder=tmp_path))
    training = [
        "classify-train",
        "--steps",
        7,
        "--batch-size",
        8,
        "--evaluate-every",
        3,
        "--augment",
        "yes",
        "--device",
        "cpu",
        "--precision",
        "fp32",
    ]
    done = torchrun_pair.run(*training, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("made: a classifier") == 1, "one process speaks"
    (run,) = (tmp_path / "runs").glob("*-classify-train")
    classifier = load_classifier(run / "classifier.pt", torch.device("cpu"))
    test = load_splits(Workspace(tmp_path), 64, classifier.classes)["test"]
    assert len(test.labels) > BATCH
    alone = predict(classifier, test.to_dataset().tensors[0], Compute(torch.device("cpu"), "fp32"))
    with open(run / "predictions.csv", newline="", encoding="utf-8") as file:
        together = [
            [float(row[f"probability_{name}"]) for name in classifier.classes]
            for row in csv.DictReader(file)
        ]
    assert np.allclose(alone, together, atol=2e-6)


def test_what_processes_cannot_share_is_refused(
    study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    of_two = Compute(torch.device("cpu"), "fp32", rank=0, world_size=2)
    images = TensorDataset(torch.zeros(8, 1, 32, 32, dtype=torch.uint8), torch.arange(8) % 2)
    classes = {"classes": ["covid", "normal"]}
    with pytest.raises(
        ValueError, match="--batch-size 12 over 2 processes: expected a multiple of 16"
    ):
        train_gan(
            GanConfig(image_size=32, batch_size=12),
            images,
            Run(tmp_path),
            of_two,
            trained_on=[],
            **classes,
        )
    with pytest.raises(
        ValueError, match="--batch-size 9 over 2 processes: expected a multiple of 2"
    ):
        train_classifier(
            ClassifierConfig(batch_size=9), images, images, Run(tmp_path), of_two, **classes
        )
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused = cxr("score", folder=study)
    assert refused.exit_code == 2
    assert "runs in one process" in refused.output


def test_synthesis_that_was_killed_goes_on_where_it_was(study: Path) -> None:
    ok(cxr("synthesize", "--n", 130, "--seed", 5, folder=study))
    folder = study / "runs" / "0004-synthesize"
    whole = {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    for name in (
        "result.json",
        "manifest.csv",
        "samples.png",
        "images/covid/synthetic-000030.png",
        "images/normal/synthetic-000129.png",
    ):
        (folder / name).unlink()
    kept = (folder / "images/covid/synthetic-000060.png").stat().st_mtime_ns
    refused = cxr("synthesize", "--resume", "--n", 200, folder=study)
    assert refused.exit_code == 2
    assert "--n 130 → 200" in refused.output
    ok(cxr("synthesize", "--resume", folder=study))
    assert {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    } == whole
    assert (folder / "images/covid/synthetic-000060.png").stat().st_mtime_ns == kept, (
        "what was there is kept"
    )


def test_snapshots_can_be_chosen(study: Path) -> None:
    for snapshot, step in (("4", 4), ("last", 8)):
        assert f"at step {step};" in ok(
            cxr("synthesize", "--n", 2, "--snapshot", snapshot, folder=study)
        )
    refused = cxr("synthesize", "--n", 2, "--snapshot", "7", folder=study)
    assert refused.exit_code == 2
    assert "best, last, 4, 8" in refused.output


def test_a_dry_run_and_a_preview_leave_no_run(phantom_study: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    output = ok(cxr("gan-train", "--preset", "dcgan", "--dry-run", folder=study))
    assert "3,576,704" in output
    assert "2,765,568" in output
    assert "--learning-rate    0.0002" in output
    assert "generator:" in ok(cxr("gan-train", "--dry-run", folder=tmp_path / "nothing here"))
    ok(cxr("gan-train", "--preview-augment", "--image-size", 32, folder=study))
    with Image.open(study / "augmentation.png") as sheet:
        assert sheet.width >= 8 * 128
    assert not (study / "runs").exists()


def test_a_generator_is_shown_as_it_came_about(study: Path) -> None:
    ok(cxr("gan-train", "--resume", "1", "--steps", 12, folder=study))
    folder = study / "runs" / "0001-gan-train"
    for name in ("progress.png", "interpolation.png", "curves.png"):
        with Image.open(folder / name) as image:
            assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 20, name
    with Image.open(folder / "progress.gif") as animation:
        assert animation.n_frames == 3


@pytest.mark.parametrize("preset", ["dcgan", "covidgan"])
def test_the_papers_can_be_trained(phantom_study: Path, tmp_path: Path, preset: str) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    ok(
        cxr(
            "gan-train",
            "--preset",
            preset,
            "--steps",
            2,
            "--width",
            4,
            "--batch-size",
            4,
            folder=study,
        )
    )
    ok(cxr("synthesize", "--n", 4, folder=study))
    assert len(list((study / "runs" / "0002-synthesize").rglob("synthetic-*.png"))) == 4


def test_a_finished_generator_can_be_trained_for_longer(study: Path) -> None:
    assert cxr("gan-train", "--resume", folder=study).exit_code == 2, "none is unfinished"
    ok(cxr("gan-train", "--resume", "1", "--steps", 12, folder=study))
    fresh = Path(shutil.copytree(study, study.parent / "fresh"))
    ok(cxr("gan-train", "--steps", 12, *TINY_GAN, folder=fresh))
    assert final_state(study, "0001-gan-train") == final_state(fresh, "0004-gan-train")


def test_a_resumed_classifier_keeps_every_option(study: Path) -> None:
    ok(cxr("classify-train", "--positive", "normal", *TINY_CLASSIFIER, folder=study))
    folder = study / "runs" / "0004-classify-train"
    whole = (folder / "metrics.json").read_bytes()
    for name in ("result.json", "metrics.json", "confusion_matrix.png"):
        (folder / name).unlink()
    for other in (["--positive", "covid"], ["--with-synthetic"], ["--image-size", 48]):
        refused = cxr("classify-train", "--resume", *other, folder=study)
        assert refused.exit_code == 2
        assert "→" in refused.output
    ok(cxr("classify-train", "--resume", folder=study))
    assert (folder / "metrics.json").read_bytes() == whole
    assert (folder / "confusion_matrix.png").exists()
