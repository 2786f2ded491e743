"""Synthetic images that another program made: found with their labels, and decoded.

They come as a folder per label, a folder of one label, a folder with a table or a metadata.jsonl,
or as a zip of StyleGAN's. What is in them is as little trusted as what is imported as real, and
takes the same pixel path.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from pipelines.data.cleaning import MIN_CONTRAST, perceptual_hash
from pipelines.data.folders import walk_images
from pipelines.data.listing import make_label
from pipelines.study.folder_formats import METADATA_FILE, STYLEGAN_LABELS
from pipelines.study.image_cache import read_in_order
from pipelines.study.image_io import MAX_BYTES, pixel_hash, read_picture, to_square
from pipelines.study.labels import order_in_turn
from pipelines.study.raster import IMAGE_FORMATS
from pipelines.study.tables import check_inside, read_table
from runtime.files import MAX_JSON, check_file
from runtime.options import OptionError
from runtime.run import Interrupted, stop_on_signal

MAX_FOREIGN_IMAGES = 200_000  # of a set: all are in memory while they are checked
MIN_FOREIGN_SIDE = 16  # pixels
MIN_PER_LABEL = 8  # fewer say nothing in any score
LOSSY = ("JPEG", "MPO", "WEBP")
COLOURED = 1.0  # gray levels by which colours vary, see `colourfulness`
NAME_COLUMNS = ("name", "file_name")  # that a table may have


@dataclass(frozen=True)
class ForeignFile:
    """A file that is to be an image of a label; `name` is what messages call it."""

    path: Path
    label: str
    name: str


@dataclass(frozen=True)
class ForeignImage:
    """An image as decoded.

    Attributes:
        name, label: See ForeignFile.
        pixels: uint8 (S, S), as the study reads images.
        width, height: In the file.
        colour: See `colourfulness`.
        is_deep: Whether the file has more than 8 bits a sample.
        is_lossy: Whether its format loses detail.
        sha256: Hash of the gray picture as it was, at most 512 px, as the manifest has them.
        near_hash: See `cleaning.perceptual_hash`.
    """

    name: str
    label: str
    pixels: np.ndarray
    width: int
    height: int
    colour: float
    is_deep: bool
    is_lossy: bool
    sha256: str
    near_hash: str


@contextmanager
def open_foreign(
    source: Path, classes: Sequence[str], labels: str | Path | None = None
) -> Iterator[list[ForeignFile]]:
    """Find the images of another program; what a zip holds lies in a temporary folder meanwhile.

    Args:
        source: A folder or a zip.
        classes: The labels of the study; the numbers in a zip are places in them.
        labels: The label of all images; the path of a table with name,label, the names being paths
            in the folder; or None, where the folder or zip itself says it.

    Raises ValueError that says what was found and what was expected.
    """
    label = labels if isinstance(labels, str) else None
    if label is not None and label not in classes:
        raise OptionError("label", label, _unknown(classes))
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist")
    if source.is_file():
        if isinstance(labels, Path):
            raise OptionError("labels_csv", labels, f"{source} is a file; expected a folder")
        with TemporaryDirectory() as folder:
            yield _in_turn(_list_zip(source, Path(folder), classes, label))
        return
    if isinstance(labels, Path):
        files = _list_table(source, labels)
    elif label:
        files = [ForeignFile(path, label, _name(source, path)) for path in _walk(source)]
    elif metadata := _find_metadata(source):
        files = _list_metadata(metadata)
    else:
        files = _list_labels(source, classes)
    _check_files(source, files, classes)
    yield _in_turn(files)


def decode_foreign(
    source: Path, files: Sequence[ForeignFile], size: int | None
) -> list[ForeignImage]:
    """Decode all images, at `size` pixels or at their own.

    Raises ValueError that names the file that cannot be read, or says that the images are of
    several kinds; Interrupted after a signal.
    """
    images = []
    with stop_on_signal() as stop:
        for image in read_in_order(files, partial(_decode, size=size), "decode"):
            images.append(image)
            if stop.requested:
                raise Interrupted(
                    f"stopped after {len(images)} of {len(files)} images; nothing was written, "
                    "the same command begins again"
                )
    _check_alike(source, images)
    return images


def describe_changes(images: Sequence[ForeignImage], duplicates: int) -> list[str]:
    """Say what became of the images on their way to the study's pixels, and what to know of it."""
    first, n, size = images[0], len(images), images[0].pixels.shape[0]
    changes = []
    if (first.width, first.height) != (size, size):
        cut = "" if first.width == first.height else "cut to a centred square and "
        how = "enlarged" if size > min(first.width, first.height) else "reduced"
        changes.append(
            f"{n} images of {first.width}×{first.height} px {cut}{how} to {size}×{size} px by the "
            "filter of the real ones"
        )
    coloured = sum(image.colour > COLOURED for image in images)
    if coloured:
        changes.append(f"{coloured} of {n} images have colours, and were reduced to luminance")
    if first.is_deep:
        changes.append(f"{n} images of more than 8 bits windowed to 8, each by its own levels")
    if first.is_lossy:
        changes.append(f"{n} images were stored with loss (JPEG or WebP), and show it")
    blank = sum(image.pixels.std() < MIN_CONTRAST for image in images)
    if blank:
        changes.append(
            f"{blank} of {n} images are blank, their gray levels vary by less than "
            f"{MIN_CONTRAST:g}: look at them before you use them"
        )
    if duplicates:
        changes.append(f"{duplicates} of {n} images are exact copies of another of the set")
    return changes


def count_duplicates(images: Sequence[ForeignImage]) -> int:
    """Count the images that are, pixel for pixel, another one of the set before them."""
    return len(images) - len({image.pixels.tobytes() for image in images})


def _decode(file: ForeignFile, size: int | None) -> ForeignImage:
    try:
        picture = read_picture(file.path)
        is_deep, is_lossy = _storage(file.path)
    except (ValueError, FileNotFoundError) as error:
        said = str(error).replace(str(file.path), file.name)
        raise ValueError(f"{said}; take it out or replace it") from error
    side = min(picture.gray.shape)
    if side < MIN_FOREIGN_SIDE:
        raise ValueError(f"{file.name} is {picture.width}×{picture.height} px: too small")
    return ForeignImage(
        name=file.name,
        label=file.label,
        pixels=to_square(picture.gray, size or side),
        width=picture.width,
        height=picture.height,
        colour=picture.colour,
        is_deep=is_deep,
        is_lossy=is_lossy,
        sha256=pixel_hash(picture.gray),
        near_hash=perceptual_hash(picture.gray),
    )


def _storage(path: Path) -> tuple[bool, bool]:
    """Return whether a file that was read has more than 8 bits a sample, and was stored lossily."""
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            rawmode = str(image.tile[0][3]) if image.tile else ""
            is_deep = image.mode.startswith(("I", "F")) or ";16" in rawmode
            return is_deep, image.format in LOSSY
    except OSError:  # DICOM
        return True, False


def _check_alike(source: Path, images: Sequence[ForeignImage]) -> None:
    """Raise ValueError when the images are of several sizes, depths or kinds of storage.

    One generator makes one kind; of two, a classifier could tell the files apart.
    """
    kinds = {
        "sizes": Counter(f"{image.width}×{image.height} px" for image in images),
        "depths": Counter("over 8 bits" if image.is_deep else "8 bits" for image in images),
        "formats": Counter("with loss" if image.is_lossy else "lossless" for image in images),
    }
    for what, counts in kinds.items():
        if len(counts) > 1:
            found = ", ".join(f"{count} of {kind}" for kind, count in counts.most_common(3))
            raise ValueError(
                f"{source} holds images of several {what} ({found}); expected those of one "
                "generator, all alike: bring others as a set of their own"
            )


def _check_files(source: Path, files: Sequence[ForeignFile], classes: Sequence[str]) -> None:
    """Raise ValueError when a label is none of the study's, or has too few images."""
    if len(files) > MAX_FOREIGN_IMAGES:
        raise ValueError(f"{source} holds {len(files):,} images, more than {MAX_FOREIGN_IMAGES:,}")
    counts = Counter(file.label for file in files)
    for label in counts:
        if label not in classes:
            raise ValueError(f"{source}: label {label!r:.60}: {_unknown(classes)}")
    for label, count in counts.items():
        if count < MIN_PER_LABEL:
            raise ValueError(
                f"{source} holds {count} image(s) of {label}, expected at least {MIN_PER_LABEL}"
            )
    if not counts:
        raise ValueError(f"{source} holds no image; expected a folder per label with images in it")


def _unknown(classes: Sequence[str]) -> str:
    return f"no such label in this study; expected {', '.join(classes)}"


def _walk(folder: Path) -> list[Path]:
    """Find the image files in a folder. Raises ValueError where some are passed over by name."""
    passed_over: Counter[str] = Counter()
    wanted = frozenset(path.name.lower() for path in folder.rglob("*") if path.is_dir())
    paths = list(walk_images(folder, passed_over, wanted=wanted))
    unread = {reason: count for reason, count in passed_over.items() if reason != "not an image"}
    if unread:
        reasons = ", ".join(f"{count} {reason}" for reason, count in unread.items())
        raise ValueError(f"{folder} holds what is not read: {reasons}; take it out")
    return paths


def _list_labels(folder: Path, classes: Sequence[str]) -> list[ForeignFile]:
    """List a folder per label."""
    files = []
    for path in _walk(folder):
        levels = path.relative_to(folder).parts
        if len(levels) < 2:
            raise ValueError(
                f"{folder} holds images that lie in no folder of a label, such as {path.name}; "
                f"name their label with --label, one of {', '.join(classes)}, or bring a table "
                "with --labels-csv"
            )
        label = levels[0] if levels[0] in classes else make_label(levels[0])
        if label not in classes:
            raise ValueError(f"{folder / levels[0]}: {_unknown(classes)}")
        files.append(ForeignFile(path, label, _name(folder, path)))
    return files


def _list_table(folder: Path, table: Path) -> list[ForeignFile]:
    """List the images that a table with name,label names."""
    try:
        rows, column = read_table(table, (NAME_COLUMNS[0], "label")), NAME_COLUMNS[0]
    except ValueError:
        rows, column = read_table(table, (NAME_COLUMNS[1], "label")), NAME_COLUMNS[1]
    names = [(row[column], row["label"]) for row in rows]
    return _named_files(folder, table, names)


def _find_metadata(folder: Path) -> Path | None:
    """Return the metadata.jsonl of a folder that has one, by itself or in train/."""
    places = (folder / METADATA_FILE, folder / "train" / METADATA_FILE)
    return next((path for path in places if path.is_file()), None)


def _list_metadata(path: Path) -> list[ForeignFile]:
    """List the images that a metadata.jsonl names."""
    check_file(path, MAX_JSON)
    names = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            names.append((row["file_name"], row["label"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(
            f"{path}, line {len(names) + 1}: expected an object with file_name and label "
            f"({error!r:.80})"
        ) from error
    return _named_files(path.parent, path, names)


def _named_files(
    folder: Path, table: Path, names: Sequence[tuple[object, object]]
) -> list[ForeignFile]:
    """Find the files that a table names, none of them outside of the folder or twice."""
    files: dict[str, ForeignFile] = {}
    for line_number, (name, label) in enumerate(names, start=1):
        if not isinstance(name, str) or not isinstance(label, str):
            raise ValueError(f"{table}, entry {line_number}: expected two texts, name and label")
        check_inside(table, line_number, name)
        if name in files:
            raise ValueError(f"{table} names {name:.80} twice; expected each image once")
        files[name] = ForeignFile(folder / name, label, name)
    absent = next((file for file in files.values() if not file.path.is_file()), None)
    if absent:
        raise ValueError(f"{table} names {absent.name:.80}, which is not in {folder}")
    return list(files.values())


def _list_zip(
    path: Path, folder: Path, classes: Sequence[str], label: str | None
) -> list[ForeignFile]:
    """List the images of a StyleGAN zip, which are copied into a folder under names of ours."""
    check_file(path, 100 * MAX_BYTES)
    try:
        with zipfile.ZipFile(path) as archive:
            labels = _zip_labels(archive, path, classes, label)
            if sum(archive.getinfo(name).file_size for name in labels) > 20 * MAX_BYTES:
                raise ValueError(
                    f"{path} holds more than the {20 * MAX_BYTES:,} bytes that are read"
                )
            files = []
            for number, (name, own) in enumerate(labels.items()):
                file = ForeignFile(folder / f"{number:08d}.png", own, name)
                with archive.open(name) as entry:
                    file.path.write_bytes(entry.read(MAX_BYTES))
                files.append(file)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"{path} is no whole zip of StyleGAN's ({error!r:.80}); expected a folder, or a zip "
            f"of images with {STYLEGAN_LABELS}"
        ) from error
    _check_files(path, files, classes)
    return files


def _zip_labels(
    archive: zipfile.ZipFile, path: Path, classes: Sequence[str], label: str | None
) -> Mapping[str, str]:
    """Return the label of each image of a zip by its name."""
    names = [name for name in archive.namelist() if name.lower().endswith((".png", ".jpg"))]
    if len(names) > MAX_FOREIGN_IMAGES:
        raise ValueError(f"{path} holds {len(names):,} images, more than {MAX_FOREIGN_IMAGES:,}")
    if label:
        return dict.fromkeys(names, label)
    with archive.open(STYLEGAN_LABELS) as entry:
        text = entry.read(MAX_JSON + 1)
    try:
        pairs = dict(json.loads(text)["labels"])
        places = {name: pairs[name] for name in names}
        if not all(type(place) is int and 0 <= place < len(classes) for place in places.values()):
            raise ValueError(f"labels are 0 to {len(classes) - 1}")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(
            f"{path}: {STYLEGAN_LABELS} does not give each image the number of its label, 0 to "
            f"{len(classes) - 1} for {', '.join(classes)} ({error!r:.60}); where all have one "
            "label, name it with --label"
        ) from error
    return {name: classes[place] for name, place in places.items()}


def _name(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder))


def _in_turn(files: Sequence[ForeignFile]) -> list[ForeignFile]:
    """Order files so that the first ones, however many, have labels in the shares of all."""
    return [files[place] for place in order_in_turn([file.label for file in files])]
