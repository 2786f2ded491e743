"""Synthetic images into the training split, and into nothing else.

A set that cannot say what its generator saw is refused, and so is one that the leak lock
(`leak_lock`) finds to have seen held-out images. A set that another program made says it by the
word of whoever brought it: STATED in a TRAINED_ON.json, NOTHING of this study, or UNKNOWN; in the
last case every result that rests on it says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from pipelines.study.image_cache import read_in_order
from pipelines.study.image_io import read_exact_square
from pipelines.study.leak_lock import check_copies, check_leak
from pipelines.study.manifest import Row, fingerprint
from pipelines.study.split import Split
from pipelines.study.tables import check_inside, format_table, read_table
from runtime.files import ANOTHER_VERSION, Record, read_json, write_text
from runtime.records import RecordError, parse_record

STATED, NOTHING, UNKNOWN = "stated", "nothing", "unknown"
STATEMENTS = (STATED, NOTHING, UNKNOWN)
UNKNOWN_WARNING = "unknown, may have seen the test images"
SET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True, kw_only=True)
class ForeignOrigin:
    """What config.json says of a set that another program made, under "foreign".

    Attributes:
        name: What the set is called beside others, a SET_NAME.
        source: The name of the folder or zip that it came in.
        statement: One of STATEMENTS.
        changes: What became of the images on their way to the study's pixels, in words.
        copies_left_out: How many of them were training images.
    """

    name: str
    source: str
    statement: str
    changes: tuple[str, ...]
    copies_left_out: int

    def __post_init__(self) -> None:
        if self.statement not in STATEMENTS or not SET_NAME.fullmatch(self.name):
            raise RecordError(f"statement {self.statement!r:.40} or name {self.name!r:.40} is none")


@dataclass(frozen=True, kw_only=True)
class SyntheticRow:
    """One synthetic image.

    Attributes:
        file_name: images/LABEL/synthetic-000000.png.
        label: The class that the generator was asked for.
        index, seed: What it was drawn from.
        synthetic: Always "yes".
        generator: The run that made it, or the name of a set that another program made.
        trained_on: Fingerprint of the generator's training images; NOTHING or UNKNOWN where they
            are not listed.
    """

    file_name: str
    label: str
    index: int
    seed: int
    synthetic: str
    generator: str
    trained_on: str


SYNTHETIC_COLUMNS = tuple(field.name for field in fields(SyntheticRow))


@dataclass(frozen=True)
class SyntheticSet:
    """A finished synthesis: its rows, and the hashes of all real images behind it.

    Attributes:
        statement: One of STATEMENTS, of a set that another program made; None of one of ours.
    """

    folder: Path
    rows: list[SyntheticRow]
    image_size: int
    trained_on: frozenset[str]
    statement: str | None = None

    @property
    def caution(self) -> str:
        """What every result that rests on the set has to say; empty where there is nothing."""
        return caution_of(self.folder.name, self.statement)

    @property
    def paths(self) -> list[Path]:
        """The image files, in the order of the rows."""
        return [self.folder / row.file_name for row in self.rows]

    def load_images(self) -> np.ndarray:
        """Load uint8 (N, S, S), by the same pixel path as the reals.

        Raises ValueError when a file has another size.
        """
        read = partial(read_exact_square, size=self.image_size)
        return np.stack(list(read_in_order(self.paths, read, "decode synthetic")))


def write_synthetic_manifest(path: Path, rows: Sequence[SyntheticRow]) -> None:
    """Write the table of a synthetic set, whole or not at all."""
    write_text(path, format_table(SYNTHETIC_COLUMNS, (asdict(row) for row in rows)))


def read_synthetic(folder: Path) -> SyntheticSet:
    """Read a synthetic set's manifest and what its generator was trained on.

    Raises ValueError or FileNotFoundError when either is absent, damaged, or the two contradict
    each other.
    """
    path = folder / "manifest.csv"
    rows = [
        _parse_row(path, line_number, values)
        for line_number, values in enumerate(read_table(path, SYNTHETIC_COLUMNS), start=2)
    ]
    if not rows:
        raise ValueError(f"{path} lists no image; make some with: cxr synthesize --n 2000")
    config = read_json(folder / "config.json").expect(image_size=int)
    hashes, foreign = _parse_hashes(config.get("trained_on")), foreign_origin(config)
    statement = foreign.statement if foreign else None
    listed = fingerprint(hashes) if hashes else ""
    expected = statement if statement in (NOTHING, UNKNOWN) else listed
    if not expected or {row.trained_on for row in rows} != {expected}:
        raise ValueError(
            f"{folder} cannot prove which images its generator was trained on; "
            "make a new set with: cxr synthesize"
        )
    return SyntheticSet(folder, rows, config["image_size"], frozenset(hashes), statement)


def caution_of(name: str, statement: str | None) -> str:
    """Return what every result has to say that rests on a set; empty where there is nothing."""
    if statement != UNKNOWN:
        return ""
    return f"what the generator of {name} was trained on is {UNKNOWN_WARNING}"


def foreign_origin(config: Record) -> ForeignOrigin | None:
    """Return what a set's config.json says of its origin; None where it is of ours.

    Raises ValueError that names the file when it says what cannot be.
    """
    if config.get("foreign") is None:
        return None
    try:
        return parse_record(ForeignOrigin, config["foreign"], "foreign")
    except RecordError as error:
        raise ValueError(f"{config.path}: {error}; {ANOTHER_VERSION}") from error


def _parse_row(path: Path, line_number: int, values: dict[str, str]) -> SyntheticRow:
    check_inside(path, line_number, values["file_name"])
    try:
        index, seed = int(values["index"]), int(values["seed"])
    except ValueError as error:
        raise ValueError(
            f"{path}, line {line_number}: {error}; expected whole numbers for index and seed"
        ) from error
    return SyntheticRow(
        file_name=values["file_name"],
        label=values["label"],
        index=index,
        seed=seed,
        synthetic=values["synthetic"],
        generator=values["generator"],
        trained_on=values["trained_on"],
    )


def _parse_hashes(value: object) -> list[str]:
    """Return what a configuration says a generator was trained on; nothing if that is no list."""
    if not isinstance(value, list) or not all(isinstance(sha256, str) for sha256 in value):
        return []
    return value


def add_synthetic(
    splits: Mapping[str, Split],
    synthetic: SyntheticSet,
    rows: Sequence[Row],
    classes: Sequence[str],
) -> dict[str, Split]:
    """Return the same splits with the synthetic images added to training.

    Validation and test are the very same objects. Raises as `load_synthetic_split` does.
    """
    added = load_synthetic_split(synthetic, splits, rows, classes)
    return {**splits, "train": splits["train"].join(added)}


def load_synthetic_split(
    synthetic: SyntheticSet,
    splits: Mapping[str, Split],
    rows: Sequence[Row],
    classes: Sequence[str],
) -> Split:
    """Load a synthetic set as images to train on beside the reals of these splits.

    rows: all images of the study. Raises ValueError on a leak, on labels that the study has not, on
    another image size, and when a synthetic image is, pixel for pixel, a held-out one.
    """
    check_leak(synthetic.trained_on, rows, str(synthetic.folder))
    unknown = {row.label for row in synthetic.rows} - set(classes)
    if unknown:
        raise ValueError(
            f"{synthetic.folder}: label(s) {', '.join(sorted(unknown))} unknown to this study; "
            f"expected {', '.join(classes)}"
        )
    size = splits["train"].images.shape[1]
    if size != synthetic.image_size:
        raise ValueError(
            f"{synthetic.folder} has images of {synthetic.image_size} px, "
            f"the study's are read at {size} px; expected one size"
        )
    images = synthetic.load_images()  # (N, S, S)
    check_copies(images, synthetic.paths, splits)
    return Split(
        images,
        np.array([classes.index(row.label) for row in synthetic.rows], np.int64),
        [f"{synthetic.folder.name}/{row.file_name}" for row in synthetic.rows],
        [""] * len(synthetic.rows),
    )
