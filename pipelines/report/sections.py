"""What the report page shows of a study beside the comparison itself, section by section."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.data.check_report import CheckReport
from pipelines.figures.image_sheet import draw_image_sheet, spread_evenly
from pipelines.report.contents import Study
from pipelines.report.embedding import Picture, embed_picture
from pipelines.results.audit_result import AuditResult
from pipelines.results.classifier_result import ClassifierResult
from pipelines.results.comparison_summary import GeneratorUse, SetUse
from pipelines.results.image_count import ImageCount
from pipelines.study.fractions import RealFraction
from pipelines.study.image_cache import load_images
from pipelines.study.image_io import read_gray, to_square
from pipelines.study.import_log import ImportSummary
from pipelines.study.lung_counts import LungCounts
from pipelines.study.manifest import EXTERNAL, SPLITS, Row
from pipelines.study.workspace import Workspace
from runtime.run import Run

SHEET_IMAGES, SHEET_COLUMNS = 8, 4  # of each kind and class


@dataclass(frozen=True)
class AuditSection:
    """The newest shortcut audit as the page shows it."""

    run: str
    result: AuditResult
    picture: Picture | None
    of_these_data: bool


def audit_section(study: Study) -> AuditSection | None:
    """Collect what the page shows of the newest shortcut audit; None where there is none."""
    if study.audit is None:
        return None
    run = study.audit.run
    return AuditSection(
        run=run.name,
        result=study.audit.result,
        picture=embed_picture(run.folder / "audit.png"),
        of_these_data=run.config.get("data") == study.fingerprint,
    )


@dataclass(frozen=True)
class ImageSheet:
    """A few training reals of a class above a few images of each set, and how many of each."""

    label: str
    reals: int
    synthetic: int
    picture: Picture | None


def image_sheets(study: Study) -> list[ImageSheet]:
    """Draw a sheet of each class that has images."""
    size, folder = study.summary.image_size, study.run.folder
    sheets = [
        draw_label_sheet(study.workspace, study.rows, label, study.shown_sets, size, folder)
        for label in study.summary.classes
    ]
    return [sheet for sheet in sheets if sheet]


def draw_label_sheet(
    workspace: Workspace,
    rows: Sequence[Row],
    label: str,
    sets: Mapping[str, str],
    size: int,
    folder: Path,
) -> ImageSheet | None:
    """Draw training reals of a class above images of synthetic sets; None where there are none.

    sets: Runs by the names that they are shown with. folder: That gets the picture.
    """
    one_per_patient = {
        row.patient: row for row in rows if row.split == "train" and row.label == label
    }
    reals = spread_evenly(list(one_per_patient.values()), SHEET_IMAGES)
    groups, num_synthetic = [], 0
    if reals:
        groups.append((f"{label}, real", load_images(workspace, reals, size)))
    for name, run in sets.items():
        paths = sorted((workspace.folder_of(run) / "images" / label).glob("*.png"))
        shown = spread_evenly(paths, SHEET_IMAGES)
        if shown:
            images = np.stack([to_square(read_gray(path), size) for path in shown])
            title = "synthetic" if len(sets) == 1 else f"synthetic, {name}"
            groups.append((f"{label}, {title}", images))
            num_synthetic += len(shown)
    if not groups:
        return None
    path = folder / f"images-{re.sub(r'[^A-Za-z0-9_-]+', '-', label)}.png"
    draw_image_sheet(groups, path, SHEET_COLUMNS)
    return ImageSheet(label, len(reals), num_synthetic, embed_picture(path))


@dataclass(frozen=True)
class SingleClassifier:
    """A single training: its run, the synthetic set it had, how it did, and its figures."""

    run: str
    synthetic: str | None
    result: ClassifierResult
    curves: Picture | None
    confusion: Picture | None


def single_classifiers(study: Study) -> list[SingleClassifier]:
    """Collect the newest single classifier without and the newest with synthetic images."""
    return [
        SingleClassifier(
            run=single.run.name,
            synthetic=single.run.config["synthetic"],
            result=single.result,
            curves=embed_picture(single.run.folder / "training_curves.png"),
            confusion=embed_picture(single.run.folder / "confusion_matrix.png"),
        )
        for single in study.singles
    ]


@dataclass(frozen=True)
class ForeignSetSection:
    """A set that another program made: what is known of it, and its first images."""

    use: SetUse
    samples: Picture | None


def foreign_set_sections(study: Study) -> list[ForeignSetSection]:
    """Collect the comparison's sets that another program made."""
    return [
        ForeignSetSection(own, embed_picture(study.workspace.folder_of(own.run) / "samples.png"))
        for own in study.summary.sets or ()
        if own.statement is not None
    ]


@dataclass(frozen=True)
class GeneratorSection:
    """What trained a generator, and how it went.

    Attributes:
        fraction: Of the reals, that it was trained on.
        subset, fold: Which of several; None where there is one.
        config: None when its folder is gone.
        result: None when its training was not finished.
        grid, grid_step: The last sample grid, and its step.
    """

    run: str
    fraction: RealFraction
    subset: int | None
    fold: int | None
    config: dict[str, Any] | None
    result: dict[str, Any] | None
    losses: Picture | None
    grid: Picture | None
    grid_step: int | None


def generator_sections(study: Study) -> list[GeneratorSection]:
    """Collect the comparison's generators, the first one first."""
    uses = {use.run: use for use in study.summary.generators}
    return [
        _generator_section(study, uses.get(name, GeneratorUse(name, 1.0, None, None, 0)))
        for name in study.generators
    ]


def _generator_section(study: Study, use: GeneratorUse) -> GeneratorSection:
    name = use.run
    config, run = study.config_of(name), Run(study.workspace.folder_of(name))
    grids = sorted((run.folder / "samples").glob("step-*.png"))
    return GeneratorSection(
        run=name,
        fraction=use.fraction,
        subset=use.subset,
        fold=use.fold,
        config=config,
        result=run.result if config and run.finished else None,
        losses=embed_picture(run.folder / "curves.png"),
        grid=embed_picture(grids[-1]) if grids else None,
        grid_step=int(grids[-1].stem.removeprefix("step-")) if grids else None,
    )


@dataclass(frozen=True)
class DataSection:
    """The study's images.

    Attributes:
        labels: By label, and under "all", a count of each of `splits` and of all of them.
        sources: Images by source and label.
        last_import: What data/import.json tells of it.
        check: What `cxr data check` found.
        checked_all: Whether it is of all images.
        lungs: What a view of lungs leaves out, and whose masks it has; None of whole images.
    """

    splits: list[str]
    labels: dict[str, list[ImageCount]]
    sources: dict[str, dict[str, int]]
    last_import: ImportSummary | None
    check: CheckReport | None
    checked_all: bool
    lungs: LungCounts | None


def data_section(study: Study) -> DataSection:
    """Count the study's images, and collect what its last import and check found."""
    splits = [*SPLITS, *([EXTERNAL] if len(study.own) < len(study.rows) else [])]
    labels = sorted({row.label for row in study.rows})
    sources = sorted({row.source for row in study.rows})
    rows_of_label = {
        label: [row for row in study.rows if row.label == label] for label in labels
    } | {"all": study.rows}
    by_source = Counter((row.source, row.label) for row in study.rows)
    return DataSection(
        splits=splits,
        labels={label: _count_splits(rows, splits) for label, rows in rows_of_label.items()},
        sources={
            source: {label: by_source[source, label] for label in labels} for source in sources
        },
        last_import=study.imports[-1] if study.imports else None,
        check=study.check,
        checked_all=study.check is not None
        and study.check.images == len(study.workspace.all_rows()),
        lungs=study.lungs,
    )


def _count_splits(rows: Sequence[Row], splits: Sequence[str]) -> list[ImageCount]:
    """Count images and patients of each split, and of all but the external one."""
    parts = [[row for row in rows if row.split == split] for split in splits]
    parts.append([row for row in rows if row.split != EXTERNAL])
    return [ImageCount(len(part), len({row.patient for row in part})) for part in parts]
