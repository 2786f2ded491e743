"""A classifier on the study's images, with or without synthetic ones, judged once on the test split."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from classifier.augment import augment
from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.learning_rate import find_learning_rate
from classifier.metrics import Metrics, best_threshold, evaluate
from classifier.predict import TrainedClassifier, predict
from classifier.pretrained import load_trunk, weights_hash
from classifier.train import train
from pipelines.figures.evaluation_figures import (
    learning_rates,
    measures,
    reliability,
    roc_and_precision_recall,
)
from pipelines.figures.style import confusion_matrix, image_sheet, training_curves
from pipelines.results.classifier_result import ClassifierResult
from pipelines.study.labels import check_every_class, positive_class, study_classes, study_size
from pipelines.study.manifest import EXTERNAL, study_fingerprint, table
from pipelines.study.runs import WITHOUT_RESUME, RunRequest, RunStart, prepare_run
from pipelines.study.synthetic import (
    Split,
    read_synthetic,
    real_splits,
    with_synthetic,
)
from pipelines.study.workspace import Workspace
from pipelines.training.model_card import write_classifier_card
from runtime.device import Compute
from runtime.files import write_text
from runtime.randomness import torch_generator
from runtime.run import Run

PREVIEWED = 8  # images of each class on the sheet


@dataclass(frozen=True, kw_only=True)
class ClassifierTraining:
    """What `cxr classify-train` was asked for."""

    config: ClassifierConfig
    synthetic: str | None = None  # the synthetic set that is added to the training split
    image_size: int | None = None  # side in pixels; the synthetic set's, where there is one
    positive: str | None = None  # the class whose sensitivity is reported


def train_classifier(
    workspace: Workspace,
    options: dict[str, Any],
    request: RunRequest,
    *,
    synthetic: str | None = None,
    image_size: int | None = None,
    weights: Path | None = None,
    positive: str | None = None,
) -> tuple[Run, dict[str, Metrics]]:
    """Train on the training split, and read the test split once; the external set too.

    The weights of the lowest validation loss are kept. options: the fields of ClassifierConfig
    that were asked for. synthetic: the set to add, "" for the newest. weights: a file of
    pretrained weights. Returns the finished run, and its metrics on `test` and perhaps `external`.
    """
    classes = study_classes(workspace)
    start = _prepare(workspace, options, request, synthetic, image_size, positive)
    settings, config, compute = start.settings, start.settings.config, start.compute
    positive = positive_class(classes, settings.positive)
    added = None
    if settings.synthetic:
        added = read_synthetic(workspace.find_run("synthesize", settings.synthetic).folder)
    size = study_size(workspace, added, settings.image_size)
    splits = real_splits(workspace, size, classes)
    check_every_class(splits, classes)
    if added:
        splits = with_synthetic(workspace, splits, added, classes)
    trunk = pretrained_trunk(config, weights)
    run = start.begin(
        {
            "classes": classes,
            "positive": positive,
            "image_size": size,
            "synthetic": added.folder.name if added else None,
            "trunk_sha256": weights_hash(trunk) if trunk else None,
            "data": study_fingerprint(workspace.rows()),
        }
    )
    tested, result = train_and_test(
        config,
        splits,
        run,
        compute,
        classes=classes,
        positive=positive,
        trunk=trunk,
        store=FeatureStore(workspace.features),
    )
    metrics = {name: measured for name, (measured, _) in tested.items()}
    if compute.is_main_process:
        _draw(run, config, tested, splits, classes)
        write_classifier_card(workspace, run, workspace.rows(), metrics)
        run.finish(result)
    compute.agree(None)
    return run, metrics


def _prepare(
    workspace: Workspace,
    options: dict[str, Any],
    request: RunRequest,
    synthetic: str | None,
    image_size: int | None,
    positive: str | None,
) -> RunStart[ClassifierTraining]:
    """Settle the settings; the newest synthetic set is, for a resumed run, the run's own."""
    given = options | {"image_size": image_size, "positive": positive}
    if synthetic or (synthetic == "" and request.resume is None):
        given["synthetic"] = workspace.find_run("synthesize", synthetic or None).name
    start = prepare_run(workspace, "classify-train", ClassifierTraining, given, request)
    if start.resumed and synthetic == "" and start.settings.synthetic is None:
        raise ValueError(
            f"{start.resumed.name} was begun without synthetic images; {WITHOUT_RESUME}"
        )
    return start


def preview_augmentation(
    workspace: Workspace, options: dict[str, Any], image_size: int | None
) -> Path:
    """A sheet of training images of each class, each above two of its augmentations; returns its path."""
    config, classes = ClassifierConfig(**options), study_classes(workspace)
    train = real_splits(workspace, study_size(workspace, None, image_size), classes)["train"]
    groups = []
    for index, label in enumerate(classes):
        mine = train.images[train.labels == index]
        reals = torch.from_numpy(
            mine[:: max(1, len(mine) // PREVIEWED)][:PREVIEWED].copy()
        ).unsqueeze(1)
        groups.append((f"{label}, training images", reals.squeeze(1).numpy()))
        for number, title in enumerate(("augmented", "and again")):
            changed = augment(
                reals, torch_generator(config.seed, "preview", index, number), flip=config.flip
            )
            groups.append((title, changed.round().to(torch.uint8).squeeze(1).numpy()))
    path = workspace.root / "classifier-augmentation.png"
    image_sheet(groups, path)
    return path


def suggest_learning_rate(
    workspace: Workspace,
    options: dict[str, Any],
    compute: Compute,
    image_size: int | None,
    weights: Path | None,
) -> tuple[float, Path]:
    """A range test on the training split: the rate to take, and the path of the curve."""
    config, classes = ClassifierConfig(**options), study_classes(workspace)
    train = real_splits(workspace, study_size(workspace, None, image_size), classes)["train"]
    trunk = pretrained_trunk(config, weights)
    test = find_learning_rate(
        config,
        train.dataset(),
        compute,
        classes=classes,
        trunk=trunk,
        store=FeatureStore(workspace.features),
    )
    path = workspace.root / "learning-rate.png"
    learning_rates(test, path)
    return test.suggested, path


def train_and_test(
    config: ClassifierConfig,
    splits: dict[str, Split],
    run: Run,
    compute: Compute,
    *,
    classes: Sequence[str],
    positive: str,
    trunk: nn.Module | None,
    start: TrainedClassifier | None = None,
    store: FeatureStore | None = None,
    what: str = "classify-train",
) -> tuple[dict[str, tuple[Metrics, np.ndarray]], dict[str, Any]]:
    """Train, predict, and leave metrics.json and predictions.csv in the run's folder.

    Returns metrics and probabilities (N, K) on `test`, and on `external` where the study has such images of every class, and
    the result to finish the run with, once all else that belongs to it is written. The threshold comes from the validation images.
    """
    started = time.monotonic()
    trained = train(
        config,
        splits["train"].dataset(),
        splits["validation"].dataset(),
        run,
        compute,
        classes=classes,
        trunk=trunk,
        start=start,
        store=store,
        what=what,
    )
    chosen, validation = list(classes).index(positive), splits["validation"]
    threshold = best_threshold(
        validation.labels == chosen,
        predict(trained, validation.dataset().tensors[0], compute, store)[:, chosen],
    )
    metrics = {}
    for name in ("test", EXTERNAL):
        if name in splits and len(set(splits[name].labels.tolist())) == len(classes):
            probabilities = predict(trained, splits[name].dataset().tensors[0], compute, store)
            metrics[name] = (
                evaluate(
                    splits[name].labels,
                    probabilities,
                    list(classes),
                    positive,
                    splits[name].patients,
                    threshold,
                ),
                probabilities,
            )
            if compute.is_main_process:
                write_predictions(
                    run.folder
                    / ("predictions.csv" if name == "test" else "predictions_external.csv"),
                    splits[name],
                    probabilities,
                    trained,
                )
    train_size, added = (
        len(splits["train"].labels),
        sum(not patient for patient in splits["train"].patients),
    )
    result = {
        "train_images": train_size,
        "synthetic_images": added,
        "steps": max((event["step"] for event in run.journal() if "step" in event), default=0),
        "best_step": run.journal()[-1]["best_step"],
    }
    if compute.is_main_process:
        ClassifierResult(
            test=metrics["test"][0],
            external=metrics[EXTERNAL][0] if EXTERNAL in metrics else None,
            **result,
        ).save(run)
    return metrics, result | {
        "accuracy": metrics["test"][0].measures["accuracy"].value,
        "seconds": round(time.monotonic() - started, 1),
    }


def train_once(
    folder: Path, config: ClassifierConfig, splits: dict[str, Split], compute: Compute, **study: Any
) -> Run:
    """The finished classifier in a folder, one of several of a command: trained and tested now, or kept where it is finished already.

    study: the other arguments of `train_and_test`. Its checkpoints go once it is finished.
    """
    run = Run(folder)
    run.folder.mkdir(parents=True, exist_ok=True)
    if not run.finished:
        _, result = train_and_test(config, splits, run, compute, **study)
        shutil.rmtree(run.folder / "checkpoints", ignore_errors=True)  # the svm has none
        run.finish(result)
    return run


def write_predictions(
    path: Path, test: Split, probabilities: np.ndarray, trained: TrainedClassifier
) -> None:
    classes = trained.classes
    rows = [
        {
            "file_name": name,
            "patient": patient,
            "label": classes[label],
            "predicted": classes[int(row.argmax())],
        }
        | {f"probability_{name}": f"{value:.6f}" for name, value in zip(classes, row)}
        for name, patient, label, row in zip(
            test.file_names, test.patients, test.labels, probabilities
        )
    ]
    write_text(
        path,
        table(
            ["file_name", "patient", "label", "predicted"]
            + [f"probability_{name}" for name in classes],
            rows,
        ),
    )


def pretrained_trunk(config: ClassifierConfig, weights: Path | None) -> nn.Module | None:
    if config.trunk:
        if str(weights) == "none" and not config.unfreeze:
            raise ValueError(
                "--weights none: a frozen network without weights sees nothing; train it with --unfreeze 5"
            )
        return load_trunk(config.trunk, weights)
    if weights is not None:
        raise ValueError(
            f"--weights {weights}: {config.arch} takes none; use it with --arch vgg16, resnet18 or resnet50, or with --arch svm --features vgg16"
        )
    return None


def _draw(
    run: Run,
    config: ClassifierConfig,
    metrics: dict[str, tuple[Metrics, np.ndarray]],
    splits: dict[str, Split],
    classes: list[str],
) -> None:
    if config.arch != "svm":
        training_curves(run.journal(), run.folder / "training_curves.png")
    for name, (measured, probabilities) in metrics.items():
        which = "Test split" if name == "test" else "External set"
        suffix = "" if name == "test" else "_external"
        confusion_matrix(
            measured.confusion,
            classes,
            run.folder / f"confusion_matrix{suffix}.png",
            f"{which}, {measured.n} images of {measured.patients} patients",
        )
        measures(measured, run.folder / f"measures{suffix}.png", which)
        roc_and_precision_recall(
            splits[name].labels,
            probabilities,
            classes,
            measured,
            run.folder / f"roc_pr{suffix}.png",
        )
        reliability(measured, run.folder / f"reliability{suffix}.png")
