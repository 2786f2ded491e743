"""TRAINED_ON.json: which images of which study an export held, for whoever trains on it.

It goes with the export to another program, and comes back with that program's images, so that the
leak lock knows what their generator saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.study.fractions import RealFraction
from pipelines.study.leak_lock import check_leak
from pipelines.study.manifest import Row
from runtime.records import read_record, write_record

TRAINED_ON_FILE = "TRAINED_ON.json"
TRAINED_ON_FORMAT = 1
REMEDY = "cxr data export DIR --for imagefolder"


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """What an export of training images held.

    Attributes:
        study: Fingerprint of the study's images, labels, patients and splits in the view.
        view: What of each image was exported, one of VIEWS.
        lung_network: Hash of the network behind a view of the lungs; None of whole images.
        image_size: Side in pixels.
        real_fraction: Of the training images.
        fold: The fold of the manifest that was left out; None where all were in.
        classes: The study's labels, in the order of their indices.
        images: Hashes of the images as the manifest has them, sorted.
    """

    study: str
    view: str
    lung_network: str | None
    image_size: int
    real_fraction: RealFraction
    fold: int | None
    classes: tuple[str, ...]
    images: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> TrainedOn:
        """Read one. Raises FileNotFoundError, or ValueError that names the file and its fault."""
        stated = read_record(path, cls, TRAINED_ON_FORMAT, remedy=REMEDY)
        if not stated.images:
            raise ValueError(f"{path} names no image; write it anew with: {REMEDY}")
        return stated

    def save(self, folder: Path) -> None:
        """Write it into the folder of an export."""
        write_record(folder / TRAINED_ON_FILE, self, TRAINED_ON_FORMAT)

    def check(self, path: Path, study: str, rows: Sequence[Row]) -> None:
        """Raise ValueError unless all of its images are training images of this study.

        path: Where it was read. study, rows: The study's fingerprint, and all of its images.
        """
        splits = {row.sha256: row.split for row in rows}
        unknown = [sha256 for sha256 in self.images if sha256 not in splits]
        if unknown:
            other = "" if self.study == study else "it was written for another study; "
            raise ValueError(
                f"{path} names {len(unknown)} of {len(self.images)} images that this study does "
                f"not have: {other}train on an export of this one: {REMEDY}"
            )
        check_leak(self.images, rows, str(path))
        repeated = [sha256 for sha256, count in Counter(self.images).items() if count > 1]
        if repeated:
            raise ValueError(f"{path} names the image {repeated[0][:16]} twice; it was edited")
