"""What a check of a study's images found: `check.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.files import read_json, write_json
from runtime.records import RecordError, parse_record


@dataclass(frozen=True)
class ImageGroup:
    """The images of one label from one source.

    Attributes:
        images, patients: How many.
        side, brightness, contrast: Medians: pixels of the longest side, and gray levels.
        border: Median of the dark border, in per cent of the frame.
    """

    label: str
    source: str
    images: int
    patients: int
    side: float
    brightness: float
    contrast: float
    border: float


@dataclass(frozen=True)
class Predictability:
    """How often the label can be told, the lungs not being looked at: shares of the images.

    Attributes:
        by_source: From the source alone.
        by_facts: From FACTS together, by a linear classifier that has not seen the patient.
        commonest: From nothing, by always saying the commonest label.
    """

    by_source: float
    by_facts: float
    commonest: float


@dataclass(frozen=True)
class CheckReport:
    """The numbers and warnings of a check.

    Attributes:
        images: How many the study had.
        groups: Its images by label and source.
        apart: By label, how well each fact alone tells it from the others (AUC, 0.5 or more).
        predictable: None where there is one label only.
        warnings: What a reviewer would object to.
    """

    images: int
    groups: list[ImageGroup]
    apart: dict[str, dict[str, float]]
    predictable: Predictability | None
    warnings: list[str]

    def save(self, path: Path) -> None:
        """Write check.json."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> CheckReport:
        """Read check.json. Raises ValueError that names the file when it is damaged."""
        try:
            return parse_record(cls, read_json(path))
        except RecordError as error:
            raise ValueError(
                f"{path}: {error}; it is damaged, or another version of cxr wrote it: "
                "make it anew with: cxr data check"
            ) from error
