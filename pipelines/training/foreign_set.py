"""Images that another program made, as a synthetic set of the study like any other.

All of them are decoded and checked before anything is written. The leak lock asks what their
generator saw: a TRAINED_ON.json says it, or whoever brings them says "nothing" of this study, or
"unknown". Whatever is said, real images of the study among them are refused, and the set's nearness
to held-out images is measured.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pipelines.data.foreign_images import (
    ForeignImage,
    count_duplicates,
    decode_foreign,
    describe_changes,
    open_foreign,
)
from pipelines.metrics.memorisation import MIN_IMAGES, WARNING_P
from pipelines.metrics.nearest import persons, thumbnails
from pipelines.metrics.nearness import measure_nearness
from pipelines.results.held_out_nearness import HeldOutNearness
from pipelines.study.folder_formats import check_side
from pipelines.study.image_io import write_gray
from pipelines.study.labels import list_classes
from pipelines.study.manifest import SPLITS, fingerprint
from pipelines.study.runs import settings_record
from pipelines.study.split import Split, load_splits
from pipelines.study.synthetic import (
    NOTHING,
    SET_NAME,
    STATED,
    UNKNOWN,
    ForeignOrigin,
    SyntheticRow,
    write_synthetic_manifest,
)
from pipelines.study.trained_on import REMEDY, TRAINED_ON_FILE, TrainedOn
from pipelines.study.view_names import WHOLE
from pipelines.study.views import view_facts
from pipelines.study.workspace import Workspace
from pipelines.training.real_copies import find_real_copies, refuse_copies
from pipelines.training.sample_set import sample_notes, write_sheet
from pipelines.training.synthesis import Synthesis
from runtime.lock import held
from runtime.options import OptionError
from runtime.run import Run, list_runs


@dataclass(frozen=True)
class _Statement:
    """What was said of the images behind a set."""

    kind: str
    hashes: tuple[str, ...]
    stated: TrainedOn | None

    @property
    def column(self) -> str:
        """What each row of the manifest has of it."""
        return fingerprint(self.hashes) if self.hashes else self.kind


@dataclass(frozen=True)
class _CheckedSet:
    """Images that may become a set of the study, and what is known of them."""

    name: str
    images: Sequence[ForeignImage]
    left_out: int
    changes: list[str]
    nearness: HeldOutNearness | None
    no_nearness: str


def import_foreign_set(
    workspace: Workspace,
    source: Path,
    *,
    trained_on: str | None,
    labels: str | Path | None = None,
    name: str | None = None,
    image_size: int | None = None,
    view: str | None = None,
    reject_copies: bool = False,
) -> Run:
    """Make a synthetic set of another program's images.

    Args:
        workspace: The study.
        source, labels: See `open_foreign`.
        trained_on: The path of a TRAINED_ON.json, "nothing" or "unknown".
        name: What the set is called beside others; the source's name where it is None.
        image_size: Side in pixels; that of TRAINED_ON.json, or the images' own, where it is None.
        view: What of each film they show; that of TRAINED_ON.json, or the whole, where it is None.
        reject_copies: Leave copies of training images out, instead of refusing the set.

    Raises ValueError when anything of it cannot be used; then nothing is written.
    """
    called = _choose_name(name, source)
    statement = _read_statement(workspace, trained_on, image_size, view)
    stated = statement.stated
    if stated:
        image_size, view = image_size or stated.image_size, stated.view
    if image_size is not None:
        check_side(image_size)
    workspace = workspace.in_view(view or WHOLE)
    facts = view_facts(workspace)
    if stated and stated.lung_network != facts["lung_network"]:
        raise ValueError(f"{trained_on} is of lungs of another network than the study has by now")
    classes = list_classes(workspace.rows())
    with open_foreign(source, classes, labels) as files:
        images = decode_foreign(source, files, image_size)
    checked = _check_images(workspace, images, called, source, reject_copies)
    config = _describe(checked, statement, source, reject_copies) | facts
    return _write_set(workspace, checked, statement, config)


def _choose_name(name: str | None, source: Path) -> str:
    if name is not None and not SET_NAME.fullmatch(name):
        raise OptionError(
            "name", name, "expected up to 32 letters, digits, - and _, beginning with no sign"
        )
    if name is not None:
        return name
    made = re.sub(r"[^A-Za-z0-9_-]+", "-", source.resolve().stem).strip("-_")[:32]
    return made or "foreign"


def _read_statement(
    workspace: Workspace, trained_on: str | None, image_size: int | None, view: str | None
) -> _Statement:
    """Read what the generator saw, and hold it against the study."""
    if trained_on is None:
        raise ValueError(
            "nothing says what the generator of these images was trained on; give `trained_on` "
            f"{TRAINED_ON_FILE} of the export that it had ({REMEDY}), `trained_on` {NOTHING} when "
            f"it saw no image of this study, or `trained_on` {UNKNOWN}, which every result then "
            "says"
        )
    if trained_on in (NOTHING, UNKNOWN):
        return _Statement(trained_on, (), None)
    path = Path(trained_on)
    if path.is_dir():
        path = path / TRAINED_ON_FILE
    stated = TrainedOn.load(path)
    if view not in (None, stated.view):
        raise OptionError("view", view, f"{path} says that the generator saw view {stated.view}")
    seen = workspace.in_view(stated.view)
    stated.check(path, seen.fingerprint(), workspace.all_rows())
    return _Statement(STATED, stated.images, stated)


def _check_images(
    workspace: Workspace,
    images: Sequence[ForeignImage],
    name: str,
    source: Path,
    reject_copies: bool,
) -> _CheckedSet:
    """Hold decoded images against the study's real ones."""
    size = images[0].pixels.shape[0]
    copies = find_real_copies(workspace, images, size)
    if reject_copies:
        held_out = [copy for copy in copies if copy.row.split != "train"]
        refuse_copies(held_out, len(images), str(source))
        copied = {copy.image.name for copy in copies}
        images = [image for image in images if image.name not in copied]
    else:
        refuse_copies(copies, len(images), str(source))
    if not images:
        raise ValueError(f"{source}: every image is a real one of this study")
    nearness: HeldOutNearness | None = None
    no_nearness = ""
    try:
        nearness = _measure_held_out(workspace, images, size)
    except ValueError as error:
        no_nearness = str(error)
    return _CheckedSet(
        name=name,
        images=images,
        left_out=len(copies),
        changes=describe_changes(images, count_duplicates(images)),
        nearness=nearness,
        no_nearness=no_nearness,
    )


def _measure_held_out(
    workspace: Workspace, images: Sequence[ForeignImage], size: int
) -> HeldOutNearness:
    """Run the memorisation tests with validation and test images in the place of training ones."""
    rows = [row for row in workspace.rows() if row.split in SPLITS]
    classes = list_classes(rows)
    splits = load_splits(workspace, size, classes)
    people = persons(rows, workspace.tied_patients())
    person = dict(zip((row.file_name for row in rows), people, strict=True))

    def with_persons(split: Split) -> Split:
        owners = [person[file_name] for file_name in split.file_names]
        return Split(split.images, split.labels, split.file_names, owners)

    sets = {
        "train": with_persons(splits["validation"].join(splits["test"])),
        "held_out": with_persons(splits["train"]),
        "synthetic": Split(
            np.stack([image.pixels for image in images]),
            np.array([classes.index(image.label) for image in images], np.int64),
            [image.name for image in images],
            [f"synthetic {number}" for number in range(len(images))],
        ),
    }
    counts = {name: len(split.labels) for name, split in sets.items()}
    if min(counts.values()) < MIN_IMAGES:
        raise ValueError(
            f"{counts['train']} held-out, {counts['held_out']} training, {counts['synthetic']} "
            f"synthetic images; nearness needs {MIN_IMAGES} of each"
        )
    found, _ = measure_nearness(
        sets, {name: thumbnails(split.images) for name, split in sets.items()}
    )
    warnings = []
    if found.copies.p < WARNING_P:
        warnings.append(
            f"{found.copies.count} of {counts['synthetic']} synthetic images are as good as copies "
            "of validation or test images: their generator has probably seen them"
        )
    if found.favour.p < WARNING_P:
        warnings.append(
            "synthetic images lie nearer to validation and test images than chance would have "
            f"it (p = {found.favour.p:.4f}): their generator has probably seen them"
        )
    return HeldOutNearness(
        n_synthetic=counts["synthetic"],
        n_training=counts["held_out"],
        n_held_out=counts["train"],
        copies=found.copies,
        favour=found.favour,
        warnings=warnings,
    )


def _describe(
    checked: _CheckedSet, statement: _Statement, source: Path, reject_copies: bool
) -> dict[str, object]:
    """Write what config.json holds of the set."""
    stated, images = statement.stated, checked.images
    origin = ForeignOrigin(
        name=checked.name,
        source=source.resolve().name,
        statement=statement.kind,
        changes=tuple(checked.changes),
        copies_left_out=checked.left_out,
    )
    share = {"real_fraction": stated.real_fraction} if stated else {}
    synthesis = Synthesis(
        n=len(images),
        labels=tuple(sorted({image.label for image in images})),
        generator=checked.name,
        reject_copies=reject_copies,
    )
    return {
        **settings_record(synthesis),
        "image_size": images[0].pixels.shape[0],
        "generator_step": None,
        "snapshot": None,
        "unhealthy": [],
        "trained_on": list(statement.hashes),
        "foreign": asdict(origin),
        **share,
    }


def _write_set(
    workspace: Workspace, checked: _CheckedSet, statement: _Statement, config: dict[str, object]
) -> Run:
    """Write the run's folder, or nothing of it."""
    labels = sorted({image.label for image in checked.images})
    _delete_begun(workspace)
    run = workspace.create_run("synthesize", config)
    try:
        rows = [
            SyntheticRow(
                file_name=f"images/{image.label}/synthetic-{index:06d}.png",
                label=image.label,
                index=index,
                seed=0,
                synthetic="yes",
                generator=checked.name,
                trained_on=statement.column,
            )
            for index, image in enumerate(checked.images)
        ]
        for label in labels:
            (run.folder / "images" / label).mkdir(parents=True)
        for row, image in zip(rows, checked.images, strict=True):
            write_gray(run.folder / row.file_name, image.pixels, **sample_notes(row, config))
        write_sheet(run.folder, rows, labels)
        if checked.nearness:
            checked.nearness.save(run.folder)
        write_synthetic_manifest(run.folder / "manifest.csv", rows)
        counts = dict(Counter(row.label for row in rows))
        run.finish({"images": counts, "no_nearness": checked.no_nearness})
    except BaseException:
        workspace.release(run)
        shutil.rmtree(run.folder, ignore_errors=True)
        raise
    return run


def _delete_begun(workspace: Workspace) -> None:
    """Delete what a killed import left."""
    for run in list_runs(workspace.runs):
        if run.command == "synthesize" and not run.finished and run.config.get("foreign"):
            with suppress(ValueError), held(run.folder):  # raises where a process is at work
                shutil.rmtree(run.folder)
