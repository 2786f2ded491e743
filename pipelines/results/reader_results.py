"""What a reader study leaves: its key.json, and the scores of its readers.

key.json holds what the page must not give away: which image is real, and the secret that the order
and the identifiers of the images come from. The id of the study is the hash of all that, so that a
key altered after the answers are in is seen. Its form is therefore bare, without a format number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from runtime.estimate import Estimate
from runtime.files import read_json, write_json
from runtime.records import RecordError, parse_record, write_record

READER_KEY_FILE = "key.json"
READER_SCORE_FORMAT = 2

REAL_ANSWER = "real"
SYNTHETIC_ANSWER = "synthetic"


@dataclass(frozen=True)
class JudgedImage:
    """One image of a reader study.

    Attributes:
        image: What the page calls it.
        answer: The right one, REAL_ANSWER or SYNTHETIC_ANSWER.
        file_name: From the study's folder on.
        patient: Empty for a synthetic image.
    """

    image: str
    answer: str
    file_name: str
    label: str
    patient: str


@dataclass(frozen=True, kw_only=True)
class ReaderKey:
    """The key of a reader study.

    Attributes:
        study: Its id, the commitment to all that follows.
        n: How many images there are, half of them real.
        synthetic: The synthetic set of the other half; `generator` drew it.
        images: In the order of the page.
    """

    study: str
    n: int
    seed: int
    synthetic: str
    generator: str
    image_size: int
    view: str
    data_fingerprint: str
    secret: str
    images: tuple[JudgedImage, ...]

    @classmethod
    def commit(cls, **values: Any) -> ReaderKey:
        """Make the key of these values, all but `study`, which is the commitment to them."""
        key = cls(study="", **values)
        return replace(key, study=commitment(asdict(key)))

    def file_names(self, answer: str) -> list[str]:
        """The files whose right answer this is, in the order of the page."""
        return [image.file_name for image in self.images if image.answer == answer]

    def save(self, folder: Path) -> None:
        """Write key.json."""
        write_json(folder / READER_KEY_FILE, asdict(self))


def find_key(folder: Path, study: str) -> ReaderKey | None:
    """Read key.json in a run's folder; None when it is of another study.

    Raises ValueError when it is damaged, or not the key that the study was made with.
    """
    path = folder / READER_KEY_FILE
    values = read_json(path).expect(study=str, images=list)
    if values["study"] != study:
        return None
    if commitment(values) != study:
        raise ValueError(
            f"{path} is not the key that {folder.name} was made with; it was altered, and scores "
            "nothing"
        )
    try:
        return parse_record(ReaderKey, values)
    except RecordError as error:
        raise ValueError(
            f"{path}: {error}; it is damaged, or another version of cxr wrote it"
        ) from error


def commitment(key: Mapping[str, Any]) -> str:
    """Return the id of a study: the SHA-256 of its key.

    It hides the key, which holds a secret of 256 bits, and binds it.
    """
    values = {name: value for name, value in key.items() if name != "study"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class ReaderScore:
    """What one reader made of the images, as score-FILE.json holds it.

    Attributes:
        study, run, synthetic: The study, the run that made it, and its synthetic set.
        reader: The name or code that the reader gave, perhaps none.
        answers, answers_sha256: Name and hash of the file of answers.
        accuracy: Share of right answers; p of the exact test against guessing.
        sensitivity: Share of the synthetic images that were called synthetic.
        specificity: Share of the real images that were called real.
        fooled_by: Synthetic images that were called real.
        called_synthetic: Real images that were called synthetic.
        file, sheet: Names of the score's file, and of the picture of misjudged images.
        limit: What the score does not say.
    """

    study: str
    run: str
    synthetic: str
    reader: str
    answers: str
    answers_sha256: str
    n: int
    accuracy: Estimate
    p: float
    sensitivity: Estimate
    specificity: Estimate
    median_seconds: float
    fooled_by: tuple[str, ...]
    called_synthetic: tuple[str, ...]
    file: str
    sheet: str | None
    limit: str

    def save(self, folder: Path) -> None:
        """Write score-FILE.json."""
        write_record(folder / self.file, self, READER_SCORE_FORMAT)


@dataclass(frozen=True)
class Agreement:
    """How far two readers of one study agree.

    Attributes:
        readers: The names of their files of answers.
        agreement: Share of the images that both gave one answer to.
        kappa: Cohen's; None where both gave one and the same answer throughout.
    """

    readers: tuple[str, str]
    n: int
    agreement: float
    kappa: float | None
