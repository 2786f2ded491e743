"""What a source offers: its images as found, with their labels and patients.

Whether an image is any good turns out when it is decoded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.study.image_io import Picture
from pipelines.study.manifest import LABEL, SPLITS
from runtime.options import OptionError


@dataclass(frozen=True)
class SourceImage:
    """One image that a source offers.

    Attributes:
        origin: The file, or what was drawn.
        load: Decodes it.
        label: Its class, as the study calls it.
        source: The name of its source.
        patient: As the source numbers its patients. None: as DICOM says, else every file its own.
        view: As the source states it; empty where it does not.
        splits: Those that it may go to.
        name: Of a phantom: the file name to keep, without suffix.
        note: Of a phantom: a text to store in the image file.
    """

    origin: str
    load: Callable[[], Picture]
    label: str
    source: str
    patient: str | None = None
    view: str = ""
    splits: tuple[str, ...] = SPLITS
    name: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Listing:
    """A source as found.

    Attributes:
        source: Its name.
        kind: The layout that it was read as.
        images: What it offers.
        absent: Files that its table names and that are not there.
        passed_over: How many files it has besides, by reason.
        findings: How many images have each of its own names of labels.
        notes: What whoever imports it should know besides.
        tables: The tables that were read for it.
    """

    source: str
    kind: str
    images: list[SourceImage] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class FindingLabels:
    """From a source's names of findings to labels of the study.

    Attributes:
        chosen: Name, in lower case, to label; an empty label leaves the finding out.
        keep_others: Whether other names become labels themselves; else they are not wanted.
    """

    chosen: dict[str, str]
    keep_others: bool = False

    def labels_of(self, findings: Sequence[str]) -> set[str]:
        """Return the labels of an image with these findings.

        There are none where it is not wanted, and several where it cannot be told. Of levels, as in
        "Pneumonia/Viral/COVID-19", the last that is known counts.
        """
        labels = set()
        for finding in findings:
            levels = [level.strip().lower() for level in finding.split("/")]
            known = [self.chosen[level] for level in levels if level in self.chosen]
            if known:
                labels.add(known[-1])
            elif self.keep_others:
                labels.add(make_label(finding))
        return labels - {""}


def parse_labels(texts: Sequence[str]) -> dict[str, str]:
    """Make {"viral pneumonia": "pneumonia"} of "Viral Pneumonia=pneumonia".

    An empty label leaves the finding out. Raises OptionError.
    """
    chosen = {}
    for text in texts:
        finding, equals, label = text.rpartition("=")
        if not equals or not finding.strip() or (label and not LABEL.fullmatch(label)):
            raise OptionError(
                "label",
                text,
                "expected FINDING=LABEL, the label in lower-case letters, digits, - and _, "
                'as in `label` "Viral Pneumonia=pneumonia"',
            )
        chosen[finding.strip().lower()] = label
    return chosen


def make_label(name: str) -> str:
    """Make a label of a folder's or a finding's name; an empty one where that cannot be done."""
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower())[:64].strip("-_")


def splits_allowed(split: str | None, *, has_validation: bool) -> tuple[str, ...]:
    """Return the splits that an image may go to when its source has put it into one.

    A source without validation images leaves some of its training images for them.
    """
    if split is None:
        return SPLITS
    return ("train", "validation") if split == "train" and not has_validation else (split,)
