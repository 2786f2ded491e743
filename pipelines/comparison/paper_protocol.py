"""A paper's experiment, once as it was done and once as it should be, beside the paper's own table.

CovidGAN (Waheed et al. 2020, IEEE Access 8, sections III and IV): an AC-GAN at 112 px; 1669 + 1399
synthetic images; a frozen VGG16 under a new head, batch 16, Adam 1e-3, 100 epochs with and without
them, so that the longer training set gets several times the optimizer steps; one training each.
Known departures stand in `PAPERS`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.pretrained import Trunk
from gan.config import PRESETS
from pipelines.results.classifier_result import ClassifierResult
from pipelines.study.labels import check_every_class, choose_positive_class, list_classes
from pipelines.study.manifest import SPLITS
from pipelines.study.split import Split, load_splits
from pipelines.study.synthetic import SyntheticSet, load_synthetic_split
from pipelines.study.workspace import Workspace
from pipelines.training.train_and_test import train_once
from pipelines.training.training_setup import TrainingSetup
from runtime.device import Compute
from runtime.options import OptionError
from runtime.run import Run

REPORTED_MEASURES = ("accuracy", "sensitivity", "specificity")
REPORTED_ARMS = ("real", "real+gan")


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What a paper did and found; shares in 0..1."""

    name: str
    source: str
    gan_steps: int
    pool: tuple[int, int]  # synthetic images of the positive class, and of the other
    epochs: int
    classifier: dict[str, Any]
    test_images: int
    real: tuple[float, float, float]  # accuracy, sensitivity, specificity
    synthetic: tuple[float, float, float]
    departures: tuple[str, ...]  # of its protocol here, a sentence each


PAPERS = {
    "covidgan": Paper(
        name="covidgan",
        source="Waheed et al., IEEE Access 8, 2020",
        gan_steps=PRESETS["covidgan"]["steps"],
        pool=(1669, 1399),
        epochs=100,
        classifier={"arch": "vgg16", "batch_size": 16, "learning_rate": 1e-3, "weight_decay": 0.0},
        test_images=192,
        real=(0.85, 0.69, 0.95),
        synthetic=(0.95, 0.90, 0.97),
        departures=(
            "The paper does not say which epoch's weights it tests: here those of the lowest "
            "validation loss.",
            "The paper does not say how its learning rate falls: here along a cosine.",
            "The paper does not say that patients were kept apart: here they are, but for the "
            "first rung of the ladder.",
            "The images are this study's, not the paper's 403 of COVID-19 and 721 normal ones.",
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What `cxr reproduce` was asked for."""

    paper: str
    scale: float = 1.0  # of the GAN's steps, the pool and the epochs
    seeds: int = 5  # of the fair protocol, and of every rung of the ladder
    seed: int = 0
    generator: str | None = None  # the run in the place of the paper's own GAN

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise OptionError(
                "scale",
                f"{self.scale:g}",
                "expected more than 0, and at most 1 for the paper's own size",
            )

    @property
    def run_seeds(self) -> range:
        """The seeds of a rung's runs."""
        return range(self.seed, self.seed + self.seeds)


class PaperProtocol:
    """The paper's images and options, and its two trainings.

    Those are of equal epochs, so that synthetic images bring further steps.
    """

    def __init__(
        self,
        workspace: Workspace,
        about: Paper,
        settings: Reproduction,
        trunk: Trunk | None,
        compute: Compute,
        drawn: SyntheticSet,
    ) -> None:
        rows = workspace.rows()
        classes = list_classes(rows)
        positive = choose_positive_class(classes)
        splits = load_splits(workspace, drawn.image_size, classes)
        check_every_class(splits, classes)
        pool = _limit_to_pool(drawn, positive, pool_of(about, settings.scale))
        self.about = about
        self.splits = {name: splits[name] for name in SPLITS}
        self.synthetic = load_synthetic_split(pool, splits, rows, classes)
        self.trained_on = drawn.trained_on  # hashes of the images that the generator saw
        self.config = ClassifierConfig(**about.classifier, seed=settings.seed)
        self.epochs = max(1, round(settings.scale * about.epochs))
        self.setup = TrainingSetup(
            compute=compute,
            classes=classes,
            positive=positive,
            trunk=trunk,
            store=FeatureStore(workspace.features),
        )

    def train(self, run: Run) -> dict[str, ClassifierResult]:
        """Train without and with the paper's number of synthetic images; results by arm."""
        results = {}
        for arm in REPORTED_ARMS:
            training = self.training_set(arm, self.splits["train"])
            epoch_steps = self.epoch_steps(len(training.labels))
            config = replace(
                self.config, steps=self.epochs * epoch_steps, evaluate_every=epoch_steps
            )
            trained = train_once(
                run.folder / "classifiers" / arm,
                config,
                {**self.splits, "train": training},
                self.setup,
                what=f"{self.about.name}, {arm}",
            )
            results[arm] = ClassifierResult.load(trained)
        return results

    def training_set(self, arm: str, reals: Split) -> Split:
        """Return what an arm trains on beside these reals: nothing, or the synthetic images."""
        return reals if arm == "real" else reals.join(self.synthetic)

    def epoch_steps(self, images: int) -> int:
        """Count the optimizer steps of an epoch of so many images."""
        return math.ceil(images / self.config.batch_size)

    def steps_of(self, arm: str) -> int:
        """Count the optimizer steps that the paper gives an arm."""
        added = 0 if arm == "real" else len(self.synthetic.labels)
        return self.epochs * self.epoch_steps(len(self.splits["train"].labels) + added)

    def count_synthetic(self) -> dict[str, int]:
        """Count the synthetic images of each class."""
        counts = np.bincount(self.synthetic.labels, minlength=len(self.setup.classes)).tolist()
        return dict(zip(self.setup.classes, counts, strict=True))

    def commonest_share(self) -> float:
        """Return the accuracy of calling every test image by the commonest label."""
        labels = self.splits["test"].labels
        return float(np.bincount(labels).max() / len(labels))

    def fair_options(self) -> dict[str, Any]:
        """The classifier's options in the fair protocol: the steps of the paper's reals."""
        return self.about.classifier | {
            "seed": self.config.seed,
            "steps": self.steps_of("real"),
            "evaluate_every": self.epoch_steps(len(self.splits["train"].labels)),
        }


def pool_of(about: Paper, scale: float) -> tuple[int, int]:
    """Return how many synthetic images of the positive class are added, and of the other."""
    positives, others = (max(1, round(scale * count)) for count in about.pool)
    return positives, others


def _limit_to_pool(added: SyntheticSet, positive: str, pool: Sequence[int]) -> SyntheticSet:
    """As many images of the positive class and of the other as the paper has."""
    positives = [row for row in added.rows if row.label == positive][: pool[0]]
    others = [row for row in added.rows if row.label != positive][: pool[1]]
    return replace(added, rows=positives + others)
