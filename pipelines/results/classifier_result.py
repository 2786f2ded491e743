"""What a trained classifier was measured to be, as its metrics.json holds it."""

from __future__ import annotations

from dataclasses import dataclass

from classifier.metrics import Metrics
from runtime.records import read_record, write_record
from runtime.run import Run

METRICS_FILE = "metrics.json"
METRICS_FORMAT = 3


@dataclass(frozen=True)
class ClassifierResult:
    """A classifier's measures on held-out images, and what it was trained with.

    Attributes:
        test: On the test split.
        external: On the external set; None where the study has none of every class.
        validation: Each measure that arms are compared by, on the validation images.
        train_images: Images in training, synthetic ones included.
        synthetic_images: The synthetic ones of them.
        steps: Optimizer steps done; 0 for an svm.
        best_step: The step of the lowest validation loss, whose weights were kept.
        caution: What must be said of the synthetic images; None where there is nothing.
    """

    test: Metrics
    external: Metrics | None
    validation: dict[str, float]
    train_images: int
    synthetic_images: int
    steps: int
    best_step: int
    caution: str | None = None

    @classmethod
    def load(cls, run: Run) -> ClassifierResult:
        """Read metrics.json of a run, or of one classifier in a run's folder.

        Raises FileNotFoundError when there is none, ValueError that names it when it is damaged or
        of another format.
        """
        return read_record(
            run.folder / METRICS_FILE, cls, METRICS_FORMAT, remedy="cxr classify-train"
        )

    def save(self, run: Run) -> None:
        """Write metrics.json into a run's folder."""
        write_record(run.folder / METRICS_FILE, self, METRICS_FORMAT)
