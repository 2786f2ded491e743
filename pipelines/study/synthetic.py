"""Synthetic images into the training split, and into nothing else; the leak lock.

A generator carries the hashes of the images it was trained on, and a synthetic set carries its generator's.
A set whose generator saw a validation or test image of the study, or that cannot say what it saw, is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import TensorDataset

from pipelines.study.image_cache import load_images, squares
from pipelines.study.image_io import pixel_hash
from pipelines.study.manifest import (
    EXTERNAL,
    SPLITS,
    Row,
    check_inside,
    fingerprint,
    read_table,
    table,
)
from pipelines.study.workspace import Workspace
from runtime.files import read_json, write_text


@dataclass(frozen=True, kw_only=True)
class SyntheticRow:
    """One synthetic image."""

    file_name: str  # images/LABEL/synthetic-000000.png
    label: str
    index: int
    seed: int
    synthetic: str  # always "yes"
    generator: str  # run that made it
    trained_on: str  # fingerprint of the generator's training images


@dataclass(frozen=True)
class SyntheticSet:
    """A finished synthesis: its rows, and the hashes of all real images behind it."""

    folder: Path
    rows: list[SyntheticRow]
    image_size: int
    trained_on: frozenset[str]

    def images(self) -> np.ndarray:
        """uint8 (N, S, S), by the same pixel path as the reals. Raises ValueError when a file has another size."""
        return np.stack(
            list(
                squares(
                    [self.folder / row.file_name for row in self.rows],
                    self.image_size,
                    "decode synthetic",
                    exact=True,
                )
            )
        )


@dataclass(frozen=True)
class Split:
    """Images of one purpose: pixels uint8 (N, S, S), label indices (N,), and where each came from."""

    images: np.ndarray
    labels: np.ndarray
    file_names: list[str]
    patients: list[str]  # empty text for a synthetic image

    def part(self, places: Sequence[int]) -> Split:
        """The images at these places, in their order."""
        places = list(places)
        return Split(
            self.images[places],
            self.labels[places],
            [self.file_names[place] for place in places],
            [self.patients[place] for place in places],
        )

    def joined(self, other: Split) -> Split:
        """These images, then the other ones."""
        return Split(
            np.concatenate([self.images, other.images]),
            np.concatenate([self.labels, other.labels]),
            self.file_names + other.file_names,
            self.patients + other.patients,
        )

    def dataset(self) -> TensorDataset:
        return TensorDataset(
            torch.from_numpy(self.images).unsqueeze(1), torch.from_numpy(self.labels)
        )


def write_synthetic_manifest(path: Path, rows: Sequence[SyntheticRow]) -> None:
    write_text(
        path, table([field.name for field in fields(SyntheticRow)], (asdict(row) for row in rows))
    )


def read_synthetic(folder: Path) -> SyntheticSet:
    """Read a synthetic set's manifest and what its generator was trained on.

    Raises ValueError or FileNotFoundError when either is absent, damaged, or the two contradict each other.
    """
    path = folder / "manifest.csv"
    values = read_table(path, [field.name for field in fields(SyntheticRow)])
    if not values:
        raise ValueError(f"{path} lists no image; make some with: cxr synthesize --n 2000")
    rows = []
    for number, row in enumerate(values, start=2):
        check_inside(path, number, row["file_name"])
        try:
            rows.append(
                SyntheticRow(**{**row, "index": int(row["index"]), "seed": int(row["seed"])})
            )
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number}: {error}; expected whole numbers for index and seed"
            ) from error
    config = read_json(folder / "config.json").expect(image_size=int)
    hashes = config.get("trained_on") or []
    stated = {row.trained_on for row in rows}
    if (
        not isinstance(hashes, list)
        or not all(isinstance(one, str) for one in hashes)
        or not hashes
        or stated != {fingerprint(hashes)}
    ):
        raise ValueError(
            f"{folder} cannot prove which images its generator was trained on; make a new set with: cxr synthesize"
        )
    return SyntheticSet(folder, rows, config["image_size"], frozenset(hashes))


def check_leak(trained_on: frozenset[str] | Sequence[str], rows: Sequence[Row], what: str) -> None:
    """The leak lock: raise ValueError when a generator saw an image that `rows` hold out from training."""
    hashes = frozenset(trained_on)
    seen = [row for row in rows if row.split != "train" and row.sha256 in hashes]
    if seen:
        counts = ", ".join(
            f"{sum(row.split == split for row in seen)} {split}"
            for split in ("validation", "test", EXTERNAL)
        )
        raise ValueError(
            f"leak: the generator of {what} was trained on held-out images of this study ({counts}; first {seen[0].file_name}); "
            "train one on this study's training split: cxr gan-train"
        )


def real_splits(workspace: Workspace, size: int, classes: Sequence[str]) -> dict[str, Split]:
    """The study's train, validation and test images at one size, and the external ones where it has any."""
    rows = workspace.rows()
    images = load_images(workspace, rows, size)
    splits = {}
    for name in (*SPLITS, *([EXTERNAL] if any(row.split == EXTERNAL for row in rows) else [])):
        chosen = [index for index, row in enumerate(rows) if row.split == name]
        splits[name] = Split(
            images[chosen],
            np.array([classes.index(rows[index].label) for index in chosen], np.int64),
            [rows[index].file_name for index in chosen],
            [rows[index].patient for index in chosen],
        )
    return splits


def with_synthetic(
    workspace: Workspace, splits: dict[str, Split], synthetic: SyntheticSet, classes: Sequence[str]
) -> dict[str, Split]:
    """The same splits with the synthetic images added to training; validation and test are the very same objects. Raises as `synthetic_split` does."""
    return {
        **splits,
        "train": splits["train"].joined(synthetic_split(workspace, splits, synthetic, classes)),
    }


def synthetic_split(
    workspace: Workspace, splits: dict[str, Split], synthetic: SyntheticSet, classes: Sequence[str]
) -> Split:
    """A synthetic set as images to train on beside the reals of these splits.

    Raises ValueError on a leak, on labels that the study has not, on another image size, and when a
    synthetic image is, pixel for pixel, a held-out one.
    """
    check_leak(synthetic.trained_on, workspace.rows(), str(synthetic.folder))
    unknown = {row.label for row in synthetic.rows} - set(classes)
    if unknown:
        raise ValueError(
            f"{synthetic.folder}: label(s) {', '.join(sorted(unknown))} unknown to this study; expected {', '.join(classes)}"
        )
    size = splits["train"].images.shape[1]
    if size != synthetic.image_size:
        raise ValueError(
            f"{synthetic.folder} has images of {synthetic.image_size} px, the study's are read at {size} px; expected one size"
        )
    images = synthetic.images()
    held_out = {
        pixel_hash(image)
        for name, split in splits.items()
        if name != "train"
        for image in split.images
    }
    copies = [
        row.file_name for row, image in zip(synthetic.rows, images) if pixel_hash(image) in held_out
    ]
    if copies:
        raise ValueError(
            f"leak: {synthetic.folder / copies[0]} is a held-out image of this study, pixel for pixel"
        )
    labels = np.array([classes.index(row.label) for row in synthetic.rows], np.int64)
    return Split(
        images,
        labels,
        [f"{synthetic.folder.name}/{row.file_name}" for row in synthetic.rows],
        [""] * len(synthetic.rows),
    )
