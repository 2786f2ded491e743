"""A classifier on the study's images, with or without synthetic ones, judged once on the test split."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from classifier.config import ClassifierConfig
from classifier.metrics import Metrics, evaluate
from classifier.networks import load_vgg16_trunk, weights_hash
from classifier.predict import TrainedClassifier, predict
from classifier.train import train
from pipelines.data.manifest import SPLITS, study_fingerprint, table
from pipelines.merge import Split, SyntheticSet, read_synthetic, real_splits, with_synthetic
from pipelines.report.figures import confusion_matrix, training_curves
from pipelines.workspace import Workspace, resume
from runtime.device import Compute
from runtime.files import write_json, write_text
from runtime.run import Run

DEFAULT_SIZE = 64
NEGATIVE_NAMES = ("normal", "negative", "healthy", "no_findings", "control")


def train_classifier(
    workspace: Workspace,
    options: dict[str, Any],
    compute: Compute,
    *,
    synthetic: str | None,
    with_synthetic_images: bool,
    image_size: int | None,
    weights: Path | None,
    positive: str | None,
    resume_name: str | None,
    resuming: bool,
) -> tuple[Run, Metrics]:
    """Train on the training split, keep the best epoch by validation, read the test split once.

    options: the fields of ClassifierConfig that were asked for. synthetic: the set to add, the newest when None.
    image_size: of the real images; a synthetic set fixes it. weights: pretrained weights for vgg16.
    positive: the class whose sensitivity is reported. Returns the finished run and its test metrics.
    """
    classes = study_classes(workspace)
    resumed = workspace.unfinished_run("classify-train", resume_name) if resuming else None
    if resumed:
        saved = resumed.config
        config = resume(resumed, ClassifierConfig, options)
        with_synthetic_images = with_synthetic_images or saved["synthetic"] is not None
        synthetic, image_size, positive = synthetic or saved["synthetic"], image_size or saved["image_size"], positive or saved["positive"]
    else:
        config = ClassifierConfig(**options)
    positive = positive_class(classes, positive)
    added = read_synthetic(workspace.find_run("synthesize", synthetic).folder) if with_synthetic_images else None
    size = study_size(workspace, added, image_size)
    splits = real_splits(workspace, size, classes)
    check_every_class(splits, classes)
    if added:
        splits = with_synthetic(workspace, splits, added, classes)
    trunk = pretrained_trunk(config.arch, weights)
    record = asdict(config) | {
        "classes": classes,
        "positive": positive,
        "image_size": size,
        "synthetic": added.folder.name if added else None,
        "trunk_sha256": weights_hash(trunk) if trunk else None,
        "data": study_fingerprint(workspace.rows()),
        "compute": str(compute),
    }
    run = workspace.open_run("classify-train", record, resumed)
    metrics, result = train_and_test(config, splits, run, compute, classes=classes, positive=positive, trunk=trunk)
    training_curves(run.journal(), run.folder / "training_curves.png")
    confusion_matrix(metrics.confusion, classes, run.folder / "confusion_matrix.png", f"Test split, {metrics.n} images of {metrics.patients} patients")
    run.finish(result)
    return run, metrics


def train_and_test(
    config: ClassifierConfig,
    splits: dict[str, Split],
    run: Run,
    compute: Compute,
    *,
    classes: Sequence[str],
    positive: str,
    trunk: nn.Module | None,
    what: str = "classify-train",
) -> tuple[Metrics, dict[str, Any]]:
    """Train, predict the test split, and leave metrics.json and predictions.csv in the run's folder.

    Returns the metrics and the result to finish the run with, once all else that belongs to it is written.
    """
    started = time.monotonic()
    trained = train(config, splits["train"].dataset(), splits["validation"].dataset(), run, compute, classes=classes, trunk=trunk, what=what)
    test = splits["test"]
    probabilities = predict(trained, test.dataset().tensors[0], compute)
    metrics = evaluate(test.labels, probabilities, list(classes), positive, test.patients)
    write_predictions(run.folder / "predictions.csv", test, probabilities, trained)
    train_size, added = len(splits["train"].labels), sum(not patient for patient in splits["train"].patients)
    result = {"train_images": train_size, "synthetic_images": added, "steps": config.steps, "best_step": run.journal()[-1]["best_step"]}
    write_json(run.folder / "metrics.json", asdict(metrics) | result)
    return metrics, result | {"accuracy": metrics.accuracy, "seconds": round(time.monotonic() - started, 1)}


def write_predictions(path: Path, test: Split, probabilities: np.ndarray, trained: TrainedClassifier) -> None:
    classes = trained.classes
    rows = [
        {"file_name": name, "patient": patient, "label": classes[label], "predicted": classes[int(row.argmax())]}
        | {f"probability_{name}": f"{value:.6f}" for name, value in zip(classes, row)}
        for name, patient, label, row in zip(test.file_names, test.patients, test.labels, probabilities)
    ]
    write_text(path, table(["file_name", "patient", "label", "predicted"] + [f"probability_{name}" for name in classes], rows))


def study_classes(workspace: Workspace) -> list[str]:
    """The study's labels, sorted. Raises ValueError when there is only one."""
    classes = sorted({row.label for row in workspace.rows()})
    if len(classes) < 2:
        raise ValueError(f"the study has one class, {classes[0]}; a classifier needs two: import another with cxr data import PATH=LABEL")
    return classes


def positive_class(classes: Sequence[str], asked: str | None = None) -> str:
    """The class that sensitivity is about: the one asked for, covid, or the last that does not sound healthy."""
    if asked is not None and asked not in classes:
        raise ValueError(f"--positive {asked}: no such label in this study; expected one of {', '.join(classes)}")
    if asked is not None or "covid" in classes:
        return asked or "covid"
    return next((name for name in reversed(classes) if name not in NEGATIVE_NAMES), classes[-1])


def study_size(workspace: Workspace, synthetic: SyntheticSet | None, asked: int | None) -> int:
    """Side in pixels at which images are read: the synthetic set's; else the one asked for, the newest generator's, or 64."""
    if synthetic:
        if asked not in (None, synthetic.image_size):
            raise ValueError(f"--image-size {asked}: {synthetic.folder.name} has images of {synthetic.image_size} px, and reals and synthetic images share one size")
        return synthetic.image_size
    if asked is not None:
        if not 16 <= asked <= 512:
            raise ValueError(f"--image-size {asked}: expected 16 to 512 pixels")
        return asked
    try:
        return workspace.find_run("gan-train", holding="generator.pt").config["image_size"]
    except FileNotFoundError:
        return DEFAULT_SIZE


def pretrained_trunk(arch: str, weights: Path | None) -> nn.Module | None:
    if arch == "vgg16":
        return load_vgg16_trunk(weights)
    if weights is not None:
        raise ValueError(f"--weights {weights}: {arch} is trained from scratch and takes none; use it with --arch vgg16")
    return None


def check_every_class(splits: dict[str, Split], classes: Sequence[str]) -> None:
    for name in SPLITS:
        absent = [label for index, label in enumerate(classes) if not (splits[name].labels == index).any()]
        if absent:
            raise ValueError(f"no image of {', '.join(absent)} in the {name} split; import images of more patients")
