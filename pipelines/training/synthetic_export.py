"""A finished synthetic set as a folder that other programs read, and that says what it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.study.folder_formats import (
    HUGGINGFACE,
    IMAGEFOLDER,
    LabelledImage,
    new_folder,
    write_images,
)
from pipelines.study.image_io import read_exact_square
from pipelines.study.intended_use import INTENDED_USE
from pipelines.study.synthetic import SyntheticSet, read_synthetic
from pipelines.study.workspace import Workspace
from pipelines.training.sample_set import sample_notes
from runtime.files import write_text
from runtime.options import OptionError

SET_FORMATS = (IMAGEFOLDER, HUGGINGFACE)
FRONT_MATTER = "---\ntags:\n- synthetic\n- chest-x-ray\n---\n"  # of a data set card of Hugging Face


def export_synthetic(
    workspace: Workspace, format: str, folder: Path, *, synthetic: str | None = None
) -> SyntheticSet:
    """Write a synthetic set into a new folder, with a README.md; return the set.

    Every image says that it is synthetic, in its name, its text chunks and, for Hugging Face, its
    line of metadata.jsonl. The folder appears when all is written.

    Args:
        workspace: The study.
        format: One of SET_FORMATS.
        folder: Absent or empty.
        synthetic: The name of the set's run; None for the newest.

    Raises OptionError for another format, ValueError when the folder is not empty.
    """
    if format not in SET_FORMATS:
        raise OptionError("to", format, f"expected {' or '.join(SET_FORMATS)}")
    run = workspace.find_run("synthesize", synthetic)
    found = read_synthetic(run.folder)
    counts = dict(sorted(Counter(row.label for row in found.rows).items()))
    with new_folder(folder) as begun:
        write_images(begun, _read(found, run.config), format, list(counts))
        write_text(begun / "README.md", _describe(found, counts, format))
    return found


def _read(found: SyntheticSet, config: Mapping[str, Any]) -> Iterator[LabelledImage]:
    for row, path in zip(found.rows, found.paths, strict=True):
        yield LabelledImage(
            name=path.stem,
            label=row.label,
            pixels=read_exact_square(path, size=found.image_size),
            notes=sample_notes(row, config),
            columns={"synthetic": True, "generator": row.generator, "trained_on": row.trained_on},
        )


def _describe(found: SyntheticSet, counts: dict[str, int], format: str) -> str:
    lines = [f"- {count} {label}" for label, count in counts.items()]
    caution = f"\nBeware: {found.caution}.\n" if found.caution else ""
    return (
        (FRONT_MATTER if format == HUGGINGFACE else "")
        + "# Synthetic chest X-rays\n\n"
        + f"Every image is synthetic: drawn by {found.rows[0].generator}, not taken of a patient. "
        + f"They are 8-bit gray, {found.image_size} px.\n\n"
        + "\n".join(lines)
        + f"\n{caution}\n{INTENDED_USE}\n"
    )
