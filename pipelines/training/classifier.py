"""`cxr classify-train`: a classifier on the study's images, with or without synthetic ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from classifier.augment import augment
from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.learning_rate import find_learning_rate
from classifier.metrics import Metrics
from classifier.weights import weights_hash
from pipelines.figures.evaluation_figures import (
    draw_confusion_matrix,
    draw_learning_rates,
    draw_measures,
    draw_reliability,
    draw_roc_and_precision_recall,
)
from pipelines.figures.image_sheet import draw_image_sheet
from pipelines.figures.training_figures import draw_training_curves
from pipelines.results.classifier_result import ClassifierResult
from pipelines.study.labels import (
    check_every_class,
    choose_image_size,
    choose_positive_class,
    list_classes,
)
from pipelines.study.runs import WITHOUT_RESUME, RunRequest, RunStart, prepare_run
from pipelines.study.split import Split, load_splits
from pipelines.study.synthetic import SyntheticSet, add_synthetic, read_synthetic
from pipelines.study.views import choose_view, view_facts
from pipelines.study.workspace import Workspace
from pipelines.training.classifier_card import write_classifier_card
from pipelines.training.train_and_test import (
    TestedSplit,
    pretrained_trunk,
    train_and_test,
)
from pipelines.training.training_setup import TrainingSetup
from runtime.device import Compute
from runtime.options import OptionError
from runtime.randomness import torch_generator
from runtime.run import Run
from runtime.stopwatch import Stopwatch

CLASSIFIER_PREVIEW_IMAGES = 8  # images of each class on the sheet


@dataclass(frozen=True, kw_only=True)
class ClassifierTraining:
    """What `cxr classify-train` was asked for."""

    config: ClassifierConfig
    synthetic: str | None = None  # the synthetic set that is added to the training split
    image_size: int | None = None  # side in pixels; the synthetic set's, where there is one
    view: str | None = None  # what of the images it sees; the synthetic set's, where there is one
    positive: str | None = None  # the class whose sensitivity is reported


def train_classifier(
    workspace: Workspace,
    options: dict[str, Any],
    request: RunRequest,
    *,
    synthetic: str | None = None,
    image_size: int | None = None,
    view: str | None = None,
    weights: Path | None = None,
    positive: str | None = None,
) -> tuple[Run, dict[str, Metrics]]:
    """Train on the training split, and read the test split once; the external set too.

    The weights of the lowest validation loss are kept. options: the fields of ClassifierConfig
    that were asked for. synthetic: the set to add, "" for the newest. weights: a file of
    pretrained weights. Returns the finished run, and its metrics on `test` and perhaps `external`.
    """
    watch = Stopwatch("imports", request.started)
    watch.begin("data")
    given = options | {"image_size": image_size, "view": view, "positive": positive}
    start = _prepare(workspace, given, request, synthetic)
    settings, config, compute = start.settings, start.settings.config, start.compute
    added_run = settings.synthetic and workspace.find_run("synthesize", settings.synthetic)
    workspace = choose_view(workspace, settings.view, added_run or None)
    classes = list_classes(workspace.rows())
    positive = choose_positive_class(classes, settings.positive)
    added = read_synthetic(added_run.folder) if added_run else None
    size = choose_image_size(workspace, added, settings.image_size)
    splits = _load_splits(workspace, added, size, classes)
    trunk = pretrained_trunk(config, weights)
    run = start.begin(
        {
            "classes": classes,
            "positive": positive,
            "image_size": size,
            "synthetic": added.folder.name if added else None,
            "trunk_sha256": weights_hash(trunk) if trunk else None,
            "data": workspace.fingerprint(),
            **view_facts(workspace),
            **({"caution": added.caution} if added and added.caution else {}),
        }
    )
    setup = TrainingSetup(
        compute=compute,
        classes=classes,
        positive=positive,
        trunk=trunk,
        store=FeatureStore(workspace.features),
    )
    watch.begin("training and test")
    tested, result = train_and_test(config, splits, run, setup)
    metrics = {name: answers.metrics for name, answers in tested.items()}
    if compute.is_main_process:
        _note_caution(run)
        watch.begin("figures")
        _draw(run, config, tested, splits, classes)
        write_classifier_card(workspace, run, workspace.rows(), metrics)
        run.finish(result | {"seconds_by_part": watch.read()})
    compute.agree(None)
    return run, metrics


def _load_splits(
    workspace: Workspace, added: SyntheticSet | None, size: int, classes: Sequence[str]
) -> dict[str, Split]:
    """Load the study's splits, each with every class, the training split with the added set."""
    splits = load_splits(workspace, size, classes)
    check_every_class(splits, classes)
    return add_synthetic(splits, added, workspace.rows(), classes) if added else splits


def _note_caution(run: Run) -> None:
    """Add to metrics.json what must be said of the synthetic images, if there is anything."""
    if caution := run.config.get("caution"):
        replace(ClassifierResult.load(run), caution=caution).save(run)


def _prepare(
    workspace: Workspace, given: dict[str, Any], request: RunRequest, synthetic: str | None
) -> RunStart[ClassifierTraining]:
    """Settle the settings; the newest synthetic set is, for a resumed run, the run's own."""
    if synthetic or (synthetic == "" and request.resume is None):
        given = {**given, "synthetic": workspace.find_run("synthesize", synthetic or None).name}
    start = prepare_run(workspace, "classify-train", ClassifierTraining, given, request)
    mixing = start.settings.config.mixing_options
    if mixing and start.settings.synthetic is None:
        name = mixing[0]
        value = getattr(start.settings.config, name)
        raise OptionError(name, value, "there is no synthetic set; add `with_synthetic`")
    if start.resumed and synthetic == "" and start.settings.synthetic is None:
        raise ValueError(
            f"{start.resumed.name} was begun without synthetic images; {WITHOUT_RESUME}"
        )
    return start


def preview_augmentation(
    workspace: Workspace,
    options: dict[str, Any],
    image_size: int | None,
    view: str | None = None,
) -> Path:
    """Draw a sheet of training images of each class, each above two of its augmentations.

    Returns its path.
    """
    workspace = choose_view(workspace, view, None)
    config, classes = ClassifierConfig(**options), list_classes(workspace.rows())
    train_split = _load_training_split(workspace, image_size, classes)
    groups = []
    for index, label in enumerate(classes):
        of_class = train_split.images[train_split.labels == index]
        spaced = of_class[:: max(1, len(of_class) // CLASSIFIER_PREVIEW_IMAGES)][
            :CLASSIFIER_PREVIEW_IMAGES
        ]
        reals = torch.from_numpy(spaced.copy()).unsqueeze(1)
        groups.append((f"{label}, training images", reals.squeeze(1).numpy()))
        for number, title in enumerate(("augmented", "and again")):
            random = torch_generator(config.seed, "preview", index, number)
            augmented = augment(reals, random, flip=config.flip).round().to(torch.uint8)
            groups.append((title, augmented.squeeze(1).numpy()))
    path = workspace.root / "classifier-augmentation.png"
    draw_image_sheet(groups, path)
    return path


def suggest_learning_rate(
    workspace: Workspace,
    options: dict[str, Any],
    compute: Compute,
    image_size: int | None,
    view: str | None,
    weights: Path | None,
) -> tuple[float, Path]:
    """Test a range of learning rates on the training split.

    Returns the rate to take, and the path of the curve.
    """
    workspace = choose_view(workspace, view, None)
    config, classes = ClassifierConfig(**options), list_classes(workspace.rows())
    test = find_learning_rate(
        config,
        _load_training_split(workspace, image_size, classes).to_dataset(),
        compute,
        classes=classes,
        trunk=pretrained_trunk(config, weights),
        store=FeatureStore(workspace.features),
    )
    path = workspace.root / "learning-rate.png"
    draw_learning_rates(test, path)
    return test.suggested, path


def _load_training_split(
    workspace: Workspace, image_size: int | None, classes: Sequence[str]
) -> Split:
    size = choose_image_size(workspace, None, image_size)
    return load_splits(workspace, size, classes)["train"]


def _draw(
    run: Run,
    config: ClassifierConfig,
    tested: Mapping[str, TestedSplit],
    splits: Mapping[str, Split],
    classes: list[str],
) -> None:
    """Draw the pictures of a trained classifier."""
    if config.arch != "svm":
        draw_training_curves(run.journal(), run.folder / "training_curves.png")
    for name, answers in tested.items():
        metrics = answers.metrics
        title = "Test split" if name == "test" else "External set"
        suffix = "" if name == "test" else "_external"
        draw_confusion_matrix(
            metrics.confusion,
            classes,
            run.folder / f"confusion_matrix{suffix}.png",
            f"{title}, {metrics.n} images of {metrics.patients} patients",
        )
        draw_measures(metrics, run.folder / f"measures{suffix}.png", title)
        draw_roc_and_precision_recall(
            splits[name].labels,
            answers.probabilities,
            classes,
            metrics,
            run.folder / f"roc_pr{suffix}.png",
        )
        draw_reliability(metrics, run.folder / f"reliability{suffix}.png")
