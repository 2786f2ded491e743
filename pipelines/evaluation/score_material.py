"""What is scored: three sets of images, and the features of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from classifier.features import FeatureStore
from pipelines.metrics.extractors import Extractor
from pipelines.metrics.nearest import persons
from pipelines.study.labels import list_classes
from pipelines.study.manifest import SPLITS
from pipelines.study.split import Split, load_splits
from pipelines.study.synthetic import SyntheticSet
from pipelines.study.workspace import Workspace
from runtime.device import Compute


@dataclass(frozen=True)
class ScoredMaterial:
    """The images of three sets, and their features.

    Attributes:
        classes: The names of the label indices.
        sets: "train", "held_out" and "synthetic". The patients of reals are whole persons
            (`persons`).
        features: (N, d), float32, by extractor and set.
        seen: Whether the generator was trained on each image of "train", bool (N,).
    """

    classes: list[str]
    sets: dict[str, Split]
    features: dict[str, dict[str, np.ndarray]]
    seen: np.ndarray

    def count_patients(self) -> dict[str, int]:
        """Return how many patients the images of each set are of."""
        return {name: len(set(split.patients)) for name, split in self.sets.items()}

    def by_memory(self) -> ScoredMaterial:
        """Return the material by what the generator can remember, for the tests of that.

        "train" are the images that it was trained on; training images that it never saw count as
        held-out ones, but for those of persons of whom it saw another.
        """
        if self.seen.all():
            return self
        train, held_out = self.sets["train"], self.sets["held_out"]
        people = np.array(train.patients)
        others = np.flatnonzero(~np.isin(people, people[self.seen])).tolist()
        seen = np.flatnonzero(self.seen).tolist()
        sets = self.sets | {
            "train": train.take(seen),
            "held_out": train.take(others).join(held_out),
        }
        features = {
            extractor: of_set
            | {
                "train": of_set["train"][seen],
                "held_out": np.concatenate([of_set["train"][others], of_set["held_out"]]),
            }
            for extractor, of_set in self.features.items()
        }
        return ScoredMaterial(self.classes, sets, features, np.ones(len(seen), bool))


def read_material(
    workspace: Workspace,
    synthetic: SyntheticSet,
    extractors: Sequence[Extractor],
    compute: Compute,
    held_out_split: str,
) -> ScoredMaterial:
    """Read the three sets at the size of the synthetic images, and compute their features.

    held_out_split: the split whose images are the held-out reals. Raises ValueError when the
    synthetic set has a label that the study has not.
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
        "train": _merge_patients(workspace, splits["train"]),
        "held_out": _merge_patients(workspace, splits[held_out_split]),
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
    return ScoredMaterial(classes, sets, features, _find_seen(workspace, synthetic, sets["train"]))


def _find_seen(workspace: Workspace, synthetic: SyntheticSet, train: Split) -> np.ndarray:
    """Say which training images a set's generator was trained on, bool (N,).

    All of them where that is not known, or where it saw none, so that it is asked about all.
    """
    sha256 = {row.file_name: row.sha256 for row in workspace.rows()}
    seen = np.array([sha256[name] in synthetic.trained_on for name in train.file_names], bool)
    return seen if seen.any() else np.ones(len(seen), bool)


def _merge_patients(workspace: Workspace, split: Split) -> Split:
    """Give reals whole persons as patients: those who share a film are one."""
    rows = [row for row in workspace.rows() if row.split in SPLITS]
    people = persons(rows, workspace.tied_patients())
    person = dict(zip((row.file_name for row in rows), people, strict=True))
    return replace(split, patients=[person[file_name] for file_name in split.file_names])
