"""What a source offers: its images as found, with their labels and patients.

Whether an image is any good turns out when it is decoded.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.study.image_io import Picture
from pipelines.study.import_log import PassedOver
from pipelines.study.manifest import LABEL, SPLITS
from runtime.options import OptionError

COVID_LABELS = {"covid-19": "covid"}
EVERY_OTHER = "*"  # as a finding: each that is not named


@dataclass(frozen=True)
class SourceImage:
    """One image that a source offers.

    Attributes:
        origin: The file, or what was drawn.
        load: Decodes it.
        label: Its class, as the study calls it.
        source: The name of its source.
        patient: As the source numbers its patients. None: as DICOM says, else every file its own.
        register: Whose numbers these are, where several sources share them; empty: the source's.
        nih_number: The patient's number in a file name as NIH's are; empty where it is none.
        folder_patient: The folder that is one patient's; it counts where nothing else tells.
        table_rows: What the rows of its source's table say of it, by column. Patients may be told
            by it: the study keeps none of it.
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
    register: str = ""
    nih_number: str = ""
    folder_patient: str = ""
    table_rows: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class Listing:
    """A source as found.

    Attributes:
        source: Its name.
        kind: The layout that it was read as.
        images: What it offers.
        absent: Files that its table names and that are not there.
        passed_over: How many files it has besides, by reason.
        passed_over_files: Those of them that are known by name.
        findings: How many images have each of its own names of labels.
        label_names: Of which of these names each label is; see FindingLabels.
        notes: What whoever imports it should know besides.
        tables: The tables that were read for it.
        columns: The names of their columns.
        is_selective: Whether findings that are not named are left out, and do not become labels.
    """

    source: str
    kind: str
    images: list[SourceImage] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    passed_over_files: list[PassedOver] = field(default_factory=list)
    findings: Counter[str] = field(default_factory=Counter)
    label_names: dict[str, dict[str, bool]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    is_selective: bool = False


@dataclass(frozen=True)
class FindingLabels:
    """From a source's names of findings to labels of the study.

    Attributes:
        chosen: Name, in lower case, to label; an empty label leaves the finding out. Under "*" the
            label of images none of whose findings is named, where others are not kept.
        keep_others: Whether other names become labels themselves; else they are not wanted.
        made: The names that became each label, with whether more than case, spaces, - and _ of the
            name is lost in it.
    """

    chosen: dict[str, str]
    keep_others: bool = False
    made: dict[str, dict[str, bool]] = field(default_factory=dict)

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
                labels.add(self._note(known[-1], finding, is_lossy=False))
            elif self.keep_others:
                label = make_label(finding)
                labels.add(self._note(label, finding, is_lossy=_plain(label) != _plain(finding)))
        if findings and not labels and EVERY_OTHER in self.chosen:
            labels = {
                self._note(self.chosen[EVERY_OTHER], name, is_lossy=False) for name in findings
            }
        return labels - {""}

    def label_of(self, name: str, where: str) -> str | None:
        """Return the label of a table's or folder's own name, None where it is not wanted.

        Raises ValueError, which begins with `where`, when none can be made of the name.
        """
        for text in (name, name.replace("/", "-")):
            if text.lower() in self.chosen:
                return self._note(self.chosen[text.lower()], name, is_lossy=False) or None
        label = make_label(name)
        if not label:
            raise ValueError(f"{where}: no label can be made from {name!r}; rename it with --label")
        return self._note(label, name, is_lossy=_plain(label) != _plain(name))

    def _note(self, label: str, name: str, *, is_lossy: bool) -> str:
        if label:
            self.made.setdefault(label, {})[name] = is_lossy
        return label


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
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:64].strip("-_")


def check_label_names(listings: Sequence[Listing]) -> None:
    """Raise ValueError when names that are not the same to a reader give one label.

    Such are "COVID+" and "COVID-", or two that differ beyond the 64th character: case, spaces, -
    and _ between words make no difference, and what was chosen with `--label` is wanted.
    """
    names_of: dict[str, dict[str, bool]] = {}
    for listing in listings:
        for label, names in listing.label_names.items():
            names_of.setdefault(label, {}).update(names)
    for label, names in names_of.items():
        for name in (name for name, is_lossy in names.items() if is_lossy):
            other = next((other for other in names if _plain(other) != _plain(name)), None)
            if other is not None:
                raise ValueError(
                    f"{other!r} and {name!r} would both become the label {label}; give each a "
                    f'label of its own, as in --label "{name}=LABEL", or the same to both'
                )


def note_label_names(listing: Listing) -> None:
    """Note the labels that say less than the names they were made of."""
    for label, names in listing.label_names.items():
        for name in (name for name, is_lossy in names.items() if is_lossy):
            listing.notes.append(f"{name!r} became the label {label}")


def _plain(name: str) -> str:
    """Write a name without what makes no difference; a sign at its end, as in COVID-, does."""
    plain = unicodedata.normalize("NFC", name).casefold().strip().strip("_")
    return re.sub(r"[\s_-]+", "-", plain)


def only_label(listing: Listing, labels: set[str]) -> str | None:
    """Return the label of an image that has one; else count why it is passed over."""
    if len(labels) == 1:
        return next(iter(labels))
    reason = f"several labels: {', '.join(sorted(labels))}" if labels else "another finding"
    listing.passed_over[reason] += 1
    return None


def splits_allowed(split: str | None, *, has_validation: bool) -> tuple[str, ...]:
    """Return the splits that an image may go to when its source has put it into one.

    A source without validation images leaves some of its training images for them.
    """
    if split is None:
        return SPLITS
    return ("train", "validation") if split == "train" and not has_validation else (split,)
