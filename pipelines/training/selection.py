"""Which synthetic images to train on, chosen by a classifier that saw the reals alone.

Of each class those come first that it calls what they were asked to be, and of these the nearest,
in its features, to a real training image of the class (Xue et al. 2019, arXiv 1912.03837, by
confidence and distance to the centre of the class; here the nearest real in place of the centre,
since a class has several kinds of films).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from classifier.config import ClassifierConfig
from classifier.features import apply_in_batches
from classifier.predict import TrainedClassifier, predict
from classifier.train import TrainingData, train
from pipelines.metrics.nearest import nearest
from pipelines.study.split import Split
from pipelines.study.tables import format_table
from pipelines.training.training_setup import TrainingSetup
from runtime.files import write_text
from runtime.run import Run

SELECTION_TABLE = "selection.csv"


def select_synthetic(
    config: ClassifierConfig, splits: Mapping[str, Split], run: Run, setup: TrainingSetup, what: str
) -> Split:
    """Return the training split with the share `synthetic_keep` of its synthetic images.

    The classifier that chooses has the same options and steps, without augmentation. The run's
    folder gets selection.csv, a row per synthetic image. what: what the progress is shown as.
    """
    training = splits["train"]
    synthetic = np.flatnonzero(training.is_synthetic)
    reals = training.take(np.flatnonzero(~training.is_synthetic).tolist())
    asked = training.take(synthetic.tolist())
    chooser = Run(run.folder / "selection")
    chooser.folder.mkdir(exist_ok=True)
    trained = train(
        replace(config.without_mixing(), augment=False, flip=False),
        TrainingData(reals.to_dataset(), splits["validation"].to_dataset(), setup.classes),
        chooser,
        setup.compute,
        trunk=setup.trunk,
        store=setup.store,
        what=f"{what}, selection",
    )
    ranking = rank_synthetic(trained, reals, asked, setup)
    kept = ranking.first(config.synthetic_keep)
    if setup.compute.is_main_process:
        _write_table(run, asked, ranking, kept, setup.classes)
    removed = set(synthetic[~kept].tolist())
    return training.take([place for place in range(len(training.labels)) if place not in removed])


@dataclass(frozen=True)
class Ranking:
    """What a classifier of the reals says of synthetic images, (N,) each.

    Attributes:
        labels: Indices of what they were asked to be.
        called: Indices of what it calls them.
        distance: To the nearest real of the label, in its features.
    """

    labels: np.ndarray
    called: np.ndarray
    distance: np.ndarray

    def first(self, share: float) -> np.ndarray:
        """Say which images are the first of each label, bool (N,): this share of them, rounded up.

        Those that are called as asked come before the others, then the nearer.
        """
        kept = np.zeros(len(self.labels), bool)
        order = np.lexsort((self.distance, self.called != self.labels))
        for label in np.unique(self.labels):
            members = order[self.labels[order] == label]
            kept[members[: math.ceil(share * len(members))]] = True
        return kept


def rank_synthetic(
    trained: TrainedClassifier, reals: Split, synthetic: Split, setup: TrainingSetup
) -> Ranking:
    """Ask a classifier of the reals what synthetic images are, and how far from reals they lie.

    reals: Of every label that the synthetic images have, one or more.
    """
    head = trained.network.head
    assert isinstance(head, nn.Sequential), "a network with stages, not an svm"
    body = nn.Sequential(trained.network.trunk, *head[:-1]).eval()
    features = {
        name: apply_in_batches(body, split.pixels(), setup.compute).flatten(1).numpy()
        for name, split in (("reals", reals), ("synthetic", synthetic))
    }
    distance = np.zeros(len(synthetic.labels))
    for label in np.unique(synthetic.labels):
        own = synthetic.labels == label
        of_label = features["reals"][reals.labels == label]
        distance[own] = nearest(features["synthetic"][own], of_label).distance
    called = predict(trained, synthetic.pixels(), setup.compute).argmax(axis=1)
    return Ranking(synthetic.labels, called, distance)


def _write_table(
    run: Run, asked: Split, ranking: Ranking, kept: np.ndarray, classes: Sequence[str]
) -> None:
    rows = [
        {
            "file_name": asked.file_names[place],
            "label": classes[ranking.labels[place]],
            "called": classes[ranking.called[place]],
            "distance": f"{ranking.distance[place]:.6g}",
            "kept": "yes" if kept[place] else "no",
        }
        for place in range(len(kept))
    ]
    columns = ("file_name", "label", "called", "distance", "kept")
    write_text(run.folder / SELECTION_TABLE, format_table(columns, rows))
