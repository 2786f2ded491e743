"""Scores of two plain folders of images, or of pytorch-fid's statistics of them, without a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from classifier.features import FeatureStore
from pipelines.evaluation.score_files import summary_of, warnings, write_scores
from pipelines.metrics.extractors import Extractor, choose_extractors
from pipelines.metrics.frechet import Gaussian, distance, fit, read_statistics, write_statistics
from pipelines.metrics.per_class import Score, score_groups
from pipelines.study.image_io import FORMATS, SUFFIXES, read_gray
from pipelines.study.synthetic import Split
from runtime.device import Compute
from runtime.randomness import numpy_generator


@dataclass(frozen=True)
class Folder:
    """The images of a folder: uint8 (N, H, W), and the label of each, its subfolder's name; "" where it lies in none."""

    path: Path
    images: np.ndarray
    labels: list[str]
    files: list[str]


def score_folders(
    first: Path,
    second: Path | None,
    compute: Compute,
    *,
    features: Sequence[str],
    weights: Sequence[str],
    out: Path,
    statistics: Path | None = None,
) -> tuple[list[Score], dict[str, Any]]:
    """Score the images of `second` against the reals of `first`; writes score.json and score.csv into `out`.

    first, second: folders, with a subfolder per label or none, or .npz files of mu and sigma; with such a file there is the Fréchet distance
    alone. The floor comes from the reals themselves: one random half is held out and compared with the other, and so are as many images of
    `second`. statistics: where mu and sigma of `first` are written; then `second` may be None. Returns the scores and what score.json holds.
    """
    if second is None and statistics is None:
        raise ValueError(
            "--dataset-a alone: name what to compare it with, --dataset-b DIR, or where its statistics go, --save-statistics FILE.npz"
        )
    read = [
        one if one is None or one.suffix == ".npz" else read_folder(one) for one in (first, second)
    ]
    folders = [one for one in read if isinstance(one, Folder)]
    if len(folders) == 2:
        _check_alike(*folders)
    extractors = choose_extractors(features, weights, compute) if folders else []
    if statistics is not None and (len(extractors) != 1 or not isinstance(read[0], Folder)):
        raise ValueError(
            f"--save-statistics {statistics}: expected --dataset-a to be a folder, and the --features of one network"
        )
    if len(folders) < 2 and len(extractors) > 1:
        raise ValueError(
            f"--features {', '.join(one.name for one in extractors)}: statistics are of one network, expected its name alone"
        )
    store = FeatureStore()
    found = {
        one.name: list(
            one.features(
                {str(number): folder.images for number, folder in enumerate(folders)},
                store,
                compute,
            ).values()
        )
        for one in extractors
    }
    if statistics is not None:
        write_statistics(statistics, fit(found[extractors[0].name][0]))
        if second is None:
            return [], {}
    summary: dict[str, Any] = {
        "dataset_a": str(first),
        "dataset_b": str(second),
        "extractors": [one.about() for one in extractors],
    }
    scores: list[Score] = []
    if len(folders) == 2:
        scores, more = _of_images(*folders, found)
    else:
        more = {"frechet": _of_statistics(read, extractors, found), **summary_of([], [])}
    summary |= more
    out.mkdir(parents=True, exist_ok=True)
    write_scores(out, scores, summary)
    return scores, summary


def read_folder(path: Path) -> Folder:
    """All images of a folder and of its subfolders, one level deep, as 8-bit gray.

    Raises FileNotFoundError when there are none, ValueError when they differ in size or mode.
    """
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path}: no such folder; expected one of images, or of subfolders of images"
        )
    files = sorted(
        file
        for pattern in ("*", "*/*")
        for file in path.glob(pattern)
        if file.suffix.lower() in SUFFIXES and file.is_file() and not file.name.startswith(".")
    )
    if not files:
        raise FileNotFoundError(f"{path} holds no image; expected some there or in its subfolders")
    labels = [file.parent.name if file.parent != path else "" for file in files]
    if "" in labels and len(set(labels)) > 1:
        raise ValueError(
            f"{path} holds images both in itself and in subfolders; expected all in one way"
        )
    with ThreadPoolExecutor() as pool:
        modes = Counter(pool.map(_mode, files))
        if len(modes) > 1:
            raise ValueError(f"{path}: images differ in mode: {_counted(modes)}; expected one")
        images = list(pool.map(read_gray, files))
    sizes = Counter(f"{image.shape[1]}×{image.shape[0]} px" for image in images)
    if len(sizes) > 1:
        raise ValueError(
            f"{path}: images differ in size: {_counted(sizes)}; expected one, as both kinds must take the same path of pixels"
        )
    return Folder(
        path, np.stack(images), labels, [file.relative_to(path).as_posix() for file in files]
    )


def _mode(file: Path) -> str:
    try:
        with Image.open(file, formats=FORMATS) as image:
            return image.mode
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return "other"  # DICOM; what is damaged is named when it is read


def _counted(kinds: Counter) -> str:
    return ", ".join(f"{count} of {kind}" for kind, count in kinds.most_common(3)) + (
        ", …" if len(kinds) > 3 else ""
    )


def _check_alike(first: Folder, second: Folder) -> None:
    shapes = first.images.shape[1:], second.images.shape[1:]
    if shapes[0] != shapes[1]:
        sides = [f"{width}×{height} px" for height, width in shapes]
        raise ValueError(
            f"{first.path} has images of {sides[0]}, {second.path} of {sides[1]}; expected one size, as both kinds must take the same path of pixels"
        )


def _of_images(
    first: Folder, second: Folder, found: dict[str, list[np.ndarray]]
) -> tuple[list[Score], dict[str, Any]]:
    """Every score, with one half of the reals held out; per label that both folders have, and overall."""
    shared = sorted(set(first.labels) & set(second.labels))
    classes = shared if len(shared) > 1 else ["overall"]
    left_out = sorted((set(first.labels) | set(second.labels)) - set(shared)) if shared else []
    halves = numpy_generator(0, "halves").permutation(len(first.images)) % 2

    def kept(folder: Folder, wanted: np.ndarray) -> np.ndarray:
        return np.flatnonzero(
            wanted & np.array([not shared or label in shared for label in folder.labels])
        )

    rows = {
        "train": (first, 0, kept(first, halves == 0)),
        "held_out": (first, 0, kept(first, halves == 1)),
        "synthetic": (second, 1, kept(second, np.ones(len(second.images), bool))),
    }
    sets = {}
    for name, (folder, _, chosen) in rows.items():
        labels = np.array(
            [classes.index(folder.labels[row]) if len(shared) > 1 else 0 for row in chosen],
            np.int64,
        )
        sets[name] = Split(
            folder.images[chosen],
            labels,
            [folder.files[row] for row in chosen],
            [f"{name} {row}" for row in chosen],
        )
    features = {
        extractor: {name: of_both[which][chosen] for name, (_, which, chosen) in rows.items()}
        for extractor, of_both in found.items()
    }
    scores, unscored = score_groups(classes, sets, features, reference=("train", "held_out"))
    notes = [f"{label}: only one of the folders has it, so it is left out" for label in left_out]
    return scores, {
        "classes": classes,
        "warnings": notes + warnings(features),
        **summary_of(scores, unscored),
    }


def _of_statistics(
    read: Sequence[Any], extractors: Sequence[Extractor], found: dict[str, list[np.ndarray]]
) -> float:
    """The Fréchet distance of what was read, of which one or both are statistics."""
    gaussians: list[Gaussian] = [
        fit(found[extractors[0].name][0]) if isinstance(one, Folder) else read_statistics(one)
        for one in read
    ]
    return distance(*gaussians)
