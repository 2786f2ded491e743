"""A paper's experiment, once as it was done and once as it should be, beside the paper's own table.

CovidGAN (Waheed et al. 2020, IEEE Access 8, sections III and IV): an AC-GAN at 112 px; 1669 + 1399
synthetic images; a frozen VGG16 under a new head, batch 16, Adam 1e-3, 100 epochs with and without
them, so that the longer training set gets several times the optimizer steps; one training each.
Known departures: the weights of the lowest validation loss are kept and the learning rate falls
along a cosine, where the paper says nothing of either; patients never stand in two splits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.pretrained import Trunk
from gan.config import PRESETS
from pipelines.results.classifier_result import ClassifierResult
from pipelines.study.labels import check_every_class, choose_positive_class, list_classes
from pipelines.study.split import load_splits
from pipelines.study.synthetic import SyntheticSet, add_synthetic
from pipelines.study.workspace import Workspace
from pipelines.training.train_and_test import TrainingSetup, train_once
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
    )
}


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What `cxr reproduce` was asked for."""

    paper: str
    scale: float = 1.0  # of the GAN's steps, the pool and the epochs
    seeds: int = 5  # of the fair protocol
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise OptionError(
                "scale",
                f"{self.scale:g}",
                "expected more than 0, and at most 1 for the paper's own size",
            )


class PaperProtocol:
    """The paper's two trainings: equal epochs, so that synthetic images bring further steps."""

    def __init__(
        self,
        workspace: Workspace,
        about: Paper,
        settings: Reproduction,
        trunk: Trunk | None,
        compute: Compute,
    ) -> None:
        self.workspace, self.about, self.trunk, self.compute = workspace, about, trunk, compute
        self.seed = settings.seed
        self.epochs = max(1, round(settings.scale * about.epochs))
        self.steps: dict[str, int] = {}  # by arm, once they are known
        self.epoch_steps = 0  # of an epoch of the reals

    def train(
        self, run: Run, added: SyntheticSet, pool: Sequence[int]
    ) -> dict[str, ClassifierResult]:
        """Train without and with the paper's number of synthetic images; results by arm."""
        rows = self.workspace.rows()
        classes = list_classes(rows)
        positive = choose_positive_class(classes)
        splits = load_splits(self.workspace, added.image_size, classes)
        check_every_class(splits, classes)
        longer = add_synthetic(splits, _limit_to_pool(added, positive, pool), rows, classes)
        config = ClassifierConfig(**self.about.classifier, seed=self.seed)
        setup = TrainingSetup(
            compute=self.compute,
            classes=classes,
            positive=positive,
            trunk=self.trunk,
            store=FeatureStore(self.workspace.features),
        )
        results = {}
        for arm, arm_splits in zip(REPORTED_ARMS, (splits, longer), strict=True):
            epoch_steps = math.ceil(len(arm_splits["train"].labels) / config.batch_size)
            self.epoch_steps = self.epoch_steps or epoch_steps
            self.steps[arm] = self.epochs * epoch_steps
            trained = train_once(
                run.folder / "classifiers" / arm,
                replace(config, steps=self.steps[arm], evaluate_every=epoch_steps),
                arm_splits,
                setup,
                what=f"{self.about.name}, {arm}",
            )
            results[arm] = ClassifierResult.load(trained)
        return results

    def fair_options(self) -> dict[str, Any]:
        """The classifier's options in the fair protocol: the steps of the paper's reals."""
        return self.about.classifier | {
            "seed": self.seed,
            "steps": self.steps["real"],
            "evaluate_every": self.epoch_steps,
        }


def _limit_to_pool(added: SyntheticSet, positive: str, pool: Sequence[int]) -> SyntheticSet:
    """As many images of the positive class and of the other as the paper has."""
    positives = [row for row in added.rows if row.label == positive][: pool[0]]
    others = [row for row in added.rows if row.label != positive][: pool[1]]
    return replace(added, rows=positives + others)
