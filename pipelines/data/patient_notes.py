"""What is doubtful about the patients of an import, in plain words and without their numbers."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.data.candidates import Candidate
from pipelines.data.originals import read_originals
from pipelines.data.patient_numbers import (
    find_spellings,
    is_known,
    name_spellings,
    note_placeholders,
)
from pipelines.data.patients import KnownPatients, find_shared_numbers
from pipelines.study.text import decode_file_name
from pipelines.study.workspace import Workspace


def note_patients(candidates: Sequence[Candidate], key: bytes, known: KnownPatients) -> list[str]:
    """Write a line for everything that is doubtful about the patients of images that came in."""
    images = [candidate.image for candidate in candidates]
    patients = [candidate.patient for candidate in candidates]
    numbers = [decode_file_name(patient.number) for patient in patients]
    notes = note_placeholders(images, numbers)
    unnumbered = sum(
        candidate.decoded.is_dicom and not is_known(candidate.patient.number)
        for candidate in candidates
    )
    if unnumbered:
        notes.append(
            f"{unnumbered} DICOM images have no PatientID, and each counts as a patient of its own"
        )
    shared, sources = find_shared_numbers(images, patients, key, known)
    if shared:
        notes.append(
            f"{len(shared)} patient numbers occur in several sources ({', '.join(sources)}) and "
            "count as different patients; where they are the same people, import all of them into "
            "a new study with --same-patients"
        )
    pairs = [(image.source, number) for image, number in zip(images, numbers, strict=True)]
    spelled = find_spellings(pairs)
    if spelled:
        notes.append(
            f"{len(spelled)} patient numbers are written in several ways, as 7, 7.0 and 007 would "
            "be, and each way counts as a patient of its own; data/originals.csv has them"
        )
    return notes


def name_doubtful_numbers(workspace: Workspace) -> list[str]:
    """Name the numbers that are written in several ways, as long as the table of them is there."""
    rows = read_originals(workspace.data / "originals.csv")
    return name_spellings(
        (row.source, row.patient) for row in rows if row.file_name and is_known(row.patient)
    )
