"""How well a lung network draws what people drew, as its lungs.json holds it."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.estimate import Estimate
from runtime.records import read_record, write_record
from runtime.run import Run

RESULT_FILE = "lungs.json"
RESULT_FORMAT = 1
LUNG_MEASURES = {  # fields of LungScores, and what tables call them
    "dice": "Dice",
    "iou": "IoU",
    "right_dice": "Dice, right lung",
    "right_iou": "IoU, right lung",
    "left_dice": "Dice, left lung",
    "left_iou": "IoU, left lung",
}


@dataclass(frozen=True)
class LungScores:
    """Agreement of drawn with true masks, means over images, intervals over patients.

    Attributes:
        dice, iou: Of both lungs together.
        right_dice, right_iou, left_dice, left_iou: Of the patient's right and left lung.
        patients: How many the images are of.
        under_80: How many images have a Dice under 0.80.
        doubtful: How many drawn masks do not look like two lungs.
    """

    dice: Estimate
    iou: Estimate
    right_dice: Estimate
    right_iou: Estimate
    left_dice: Estimate
    left_iou: Estimate
    patients: int
    under_80: int
    doubtful: int


@dataclass(frozen=True)
class LungResult:
    """A lung network's scores on images that it was not trained on.

    Attributes:
        validation: On the images that chose the step.
        test: On the others.
        train_images, train_patients: What it was trained on.
        steps: Training steps.
        best_step: The step of the highest validation Dice, whose weights were kept.
    """

    validation: LungScores
    test: LungScores
    train_images: int
    train_patients: int
    steps: int
    best_step: int

    @classmethod
    def load(cls, run: Run) -> LungResult:
        """Read lungs.json of a run.

        Raises FileNotFoundError when there is none, ValueError that names it when it is damaged or
        of another format.
        """
        return read_record(
            run.folder / RESULT_FILE, cls, RESULT_FORMAT, remedy="cxr lungs-train --masks DIR"
        )

    def save(self, run: Run) -> None:
        """Write lungs.json into a run's folder."""
        write_record(run.folder / RESULT_FILE, self, RESULT_FORMAT)
