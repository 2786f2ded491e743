"""How measures and scores are called and written, in tables as on the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runtime.estimate import significant

MEASURE_TITLES = {  # by which arms are compared
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "roc_auc": "ROC AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}
POSITIVE_CLASS_MEASURES = ("sensitivity", "precision", "f1")
PERCENT_MEASURES = frozenset(MEASURE_TITLES) - {"roc_auc"} | {"precision", "f1"}


@dataclass(frozen=True)
class ScoreFormat:
    """How a score is called and written.

    Attributes:
        title: Its name.
        best: What is better: "lower", "higher", or the value that real images would have.
        write: Writes one of its numbers.
        scale: What they are multiplied by.
    """

    title: str
    best: str
    write: Callable[[float], str] = "{:.2f}".format
    scale: float = 1.0

    @property
    def label(self) -> str:
        """Its name, and what is better in brackets."""
        return f"{self.title} ({self.best})"

    def number(self, value: float) -> str:
        """Write one of its values."""
        return self.write(self.scale * value)


SCORE_FORMATS = {  # in the order in which scores are listed
    "frechet": ScoreFormat("Fréchet distance", "lower", significant),
    "kernel": ScoreFormat("kernel distance × 1000", "lower", significant, scale=1000),
    "precision": ScoreFormat("precision", "higher"),
    "recall": ScoreFormat("recall", "higher"),
    "density": ScoreFormat("density", "1"),
    "coverage": ScoreFormat("coverage", "higher"),
    "diversity": ScoreFormat("diversity of features", "1"),
    "ms_ssim_diversity": ScoreFormat("diversity by MS-SSIM", "1"),
    "two_sample_accuracy": ScoreFormat("told from reals", "0.5"),
    "train_synthetic_test_real": ScoreFormat("train synthetic, test real", "higher"),
    "train_real_test_synthetic": ScoreFormat("train real, test synthetic", "higher"),
}
