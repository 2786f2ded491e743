"""One classifier: trained, and tested once; shared by all commands that train some."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from classifier.config import ClassifierConfig
from classifier.metrics import Metrics, best_threshold, evaluate
from classifier.predict import TrainedClassifier, predict
from classifier.pretrained import Trunk, load_trunk
from classifier.train import TrainingData, train
from pipelines.metrics.measures import pseudo_values
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.results.classifier_result import ClassifierResult
from pipelines.results.predictions import EXTERNAL_PREDICTIONS, PREDICTIONS, write_predictions
from pipelines.study.manifest import EXTERNAL
from pipelines.study.split import Split
from pipelines.training.selection import select_synthetic
from pipelines.training.training_setup import TrainingSetup
from runtime.memory import explain_out_of_memory
from runtime.options import OptionError
from runtime.run import Run

HELD_OUT = {"test": PREDICTIONS, EXTERNAL: EXTERNAL_PREDICTIONS}  # splits, and their tables


@dataclass(frozen=True)
class TestedSplit:
    """A classifier's answers on one set of images, and what they are worth."""

    metrics: Metrics
    probabilities: np.ndarray  # (N, K)


def train_and_test(
    config: ClassifierConfig,
    splits: Mapping[str, Split],
    run: Run,
    setup: TrainingSetup,
    *,
    start: TrainedClassifier | None = None,
    what: str = "classify-train",
) -> tuple[dict[str, TestedSplit], dict[str, Any]]:
    """Train, predict, and leave metrics.json and the tables of predictions in the run's folder.

    start: a classifier to go on from. what: what the progress is shown as. Returns the answers on
    `test`, and on `external` where the study has such images of every class, and the result to
    finish the run with, once all else that belongs to it is written. The threshold comes from
    the validation images. Probabilities are computed in float32 whatever the precision of training.
    """
    started = time.monotonic()
    if config.synthetic_keep < 1:
        splits = {**splits, "train": select_synthetic(config, splits, run, setup, what)}
    with explain_out_of_memory(config.batch_size, run):
        trained = train(
            config,
            _training_data(splits, setup),
            run,
            setup.compute,
            trunk=setup.trunk,
            start=start,
            store=setup.store,
            what=what,
        )
    probabilities = {
        name: _probabilities(trained, splits[name], setup)
        for name in ("validation", *HELD_OUT)
        if name in splits
    }
    tested = _test(splits, setup, probabilities)
    patients = splits["train"].patients
    result = {
        "train_images": len(patients),
        "synthetic_images": patients.count(""),
        "steps": max((event["step"] for event in run.journal() if "step" in event), default=0),
        "best_step": run.journal()[-1]["best_step"],
    }
    if setup.compute.is_main_process:
        for name, file_name in HELD_OUT.items():
            if name in splits:
                path = run.folder / file_name
                write_predictions(path, splits[name], probabilities[name], setup.classes)
        ClassifierResult(
            test=tested["test"].metrics,
            external=tested[EXTERNAL].metrics if EXTERNAL in tested else None,
            validation=_measure_validation(
                splits["validation"], probabilities["validation"], setup
            ),
            **result,
        ).save(run)
    accuracy = tested["test"].metrics.measures["accuracy"].value
    seconds = round(time.monotonic() - started, 1)
    return tested, result | {"accuracy": accuracy, "seconds": seconds}


def train_once(
    folder: Path,
    config: ClassifierConfig,
    splits: Mapping[str, Split],
    setup: TrainingSetup,
    *,
    what: str,
) -> Run:
    """Train and test one of several classifiers of a command, or take the one that is finished.

    Its checkpoints go once it is finished. Returns its run.
    """
    run = Run(folder)
    run.folder.mkdir(parents=True, exist_ok=True)
    if not run.finished:
        _, result = train_and_test(config, splits, run, setup, what=what)
        for name in ("selection", "checkpoints"):  # the svm has neither
            shutil.rmtree(run.folder / name, ignore_errors=True)
        run.finish(result)
    return run


def pretrained_trunk(config: ClassifierConfig, weights: Path | None) -> Trunk | None:
    """Load the pretrained trunk that a configuration wants; None where it wants none.

    Raises OptionError when weights are given to a network that takes none.
    """
    if config.trunk:
        if str(weights) == "none" and not config.unfreeze:
            raise OptionError(
                "weights",
                "none",
                "a frozen network without weights sees nothing; train it with `unfreeze` 5",
            )
        return load_trunk(config.trunk, weights)
    if weights is not None:
        raise OptionError(
            "weights",
            weights,
            f"{config.arch} takes none; use it with `arch` vgg16, resnet18 or resnet50, or with "
            "`arch` svm `features` vgg16",
        )
    return None


def _training_data(splits: Mapping[str, Split], setup: TrainingSetup) -> TrainingData:
    return TrainingData(
        splits["train"].to_dataset(),
        splits["validation"].to_dataset(),
        setup.classes,
        torch.from_numpy(splits["train"].is_synthetic),
    )


def _probabilities(trained: TrainedClassifier, split: Split, setup: TrainingSetup) -> np.ndarray:
    """Predict the images of a split, (N, K)."""
    return predict(trained, split.to_dataset().tensors[0], setup.compute, setup.store)


def _measure_validation(
    split: Split, probabilities: np.ndarray, setup: TrainingSetup
) -> dict[str, float]:
    """Measure the answers on validation images, by which arms without synthetic images are chosen.

    probabilities: (N, K).
    """
    positive = list(setup.classes).index(setup.positive)
    return {
        name: float(pseudo_values(name, split.labels, probabilities[None], positive, None).mean())
        for name in MEASURE_TITLES
    }


def _test(
    splits: Mapping[str, Split], setup: TrainingSetup, probabilities: Mapping[str, np.ndarray]
) -> dict[str, TestedSplit]:
    """Measure the answers on held-out images, at a threshold chosen on the validation images.

    probabilities: By the names of splits, (N, K).
    """
    classes = list(setup.classes)
    positive = classes.index(setup.positive)
    threshold = best_threshold(
        splits["validation"].labels == positive, probabilities["validation"][:, positive]
    )
    tested = {}
    for name in HELD_OUT:
        split = splits.get(name)
        if split is None or len(set(split.labels.tolist())) < len(classes):
            continue
        metrics = evaluate(
            split.labels, probabilities[name], classes, setup.positive, split.patients, threshold
        )
        tested[name] = TestedSplit(metrics, probabilities[name])
    return tested
