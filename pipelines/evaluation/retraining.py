"""Classifiers that an audit trains anew, with the same options and pretrained weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.pretrained import Trunk
from pipelines.results.classifier_result import ClassifierResult
from pipelines.study.split import Split
from pipelines.training.train_and_test import train_once
from pipelines.training.training_setup import TrainingSetup
from runtime.device import Compute
from runtime.estimate import Estimate


@dataclass(frozen=True)
class Retraining:
    """What all classifiers of an audit have in common; `folder` gets one folder for each."""

    folder: Path
    config: ClassifierConfig
    trunk: Trunk | None
    compute: Compute

    def test_measures(
        self,
        name: str,
        splits: Mapping[str, Split],
        *,
        classes: Sequence[str],
        positive: str,
        what: str,
        store: FeatureStore | None = None,
    ) -> dict[str, Estimate]:
        """Train a classifier, or take the one that is finished; return its measures on `test`.

        name: of its folder. what: what its progress is shown as.
        """
        run = train_once(
            self.folder / name,
            self.config,
            splits,
            TrainingSetup(
                compute=self.compute,
                classes=classes,
                positive=positive,
                trunk=self.trunk,
                store=store,
            ),
            what=what,
        )
        return ClassifierResult.load(run).test.measures
