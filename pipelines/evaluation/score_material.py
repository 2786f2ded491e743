"""What is scored: three sets of images, and the features of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from classifier.features import FeatureStore
from pipelines.metrics.extractors import Extractor
from pipelines.study.labels import list_classes
from pipelines.study.split import Split, load_splits
from pipelines.study.synthetic import SyntheticSet
from pipelines.study.workspace import Workspace
from runtime.device import Compute


@dataclass(frozen=True)
class ScoredMaterial:
    """The images of three sets, and their features.

    Attributes:
        classes: The names of the label indices.
        sets: "train" (the reals that the generator was trained on), "held_out" (reals that it
            never saw) and "synthetic".
        features: (N, d), float32, by extractor and set.
    """

    classes: list[str]
    sets: dict[str, Split]
    features: dict[str, dict[str, np.ndarray]]


def read_material(
    workspace: Workspace,
    synthetic: SyntheticSet,
    extractors: Sequence[Extractor],
    compute: Compute,
) -> ScoredMaterial:
    """Read the three sets at the size of the synthetic images, and compute their features.

    Validation and test are held out together. Raises ValueError when the synthetic set has a label
    that the study has not.
    """
    classes = list_classes(workspace.rows())
    unknown = {row.label for row in synthetic.rows} - set(classes)
    if unknown:
        raise ValueError(
            f"{synthetic.folder}: label(s) {', '.join(sorted(unknown))} unknown to this study; "
            f"expected {', '.join(classes)}"
        )
    splits = load_splits(workspace, synthetic.image_size, classes)
    sets = {
        "train": splits["train"],
        "held_out": splits["validation"].join(splits["test"]),
        "synthetic": Split(
            synthetic.load_images(),
            np.array([classes.index(row.label) for row in synthetic.rows], np.int64),
            [row.file_name for row in synthetic.rows],
            [f"synthetic {number}" for number in range(len(synthetic.rows))],
        ),
    }
    store = FeatureStore(workspace.features)
    images = {name: split.images for name, split in sets.items()}
    features = {
        extractor.name: extractor.features(images, store, compute) for extractor in extractors
    }
    return ScoredMaterial(classes, sets, features)
