"""What all classifiers of a command have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from classifier.features import FeatureStore
from classifier.pretrained import Trunk
from runtime.device import Compute


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """What all classifiers of a command have in common."""

    compute: Compute
    classes: Sequence[str]
    positive: str  # the class whose sensitivity is reported
    trunk: Trunk | None = None  # with pretrained weights
    store: FeatureStore | None = None  # of the features of a frozen trunk

    def __post_init__(self) -> None:
        if self.positive not in self.classes:
            raise ValueError(f"{self.positive} is none of {', '.join(self.classes)}")
