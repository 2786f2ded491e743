"""Scores of two plain folders of images, or of pytorch-fid's statistics, without a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from classifier.features import FeatureStore
from pipelines.evaluation.folder_labels import list_labels, spelling
from pipelines.evaluation.folder_warnings import warn_of_differences
from pipelines.evaluation.image_folder import ImageFolder, check_two_folders, read_image_folder
from pipelines.metrics.extractors import Extractor, choose_extractors
from pipelines.metrics.frechet import (
    distance,
    fit,
    read_statistics,
    warn_of_few_images,
    write_statistics,
)
from pipelines.metrics.per_class import score_groups
from pipelines.metrics.scores import OVERALL, Score, Unscored
from pipelines.results.score_summary import FolderScores
from pipelines.study.split import Split
from pipelines.study.text import decode_file_name
from runtime.device import Compute
from runtime.options import OptionError
from runtime.randomness import numpy_generator

FolderFeatures = dict[str, list[np.ndarray]]  # by extractor: (N, d) of each folder


def score_folders(
    first: Path,
    second: Path | None,
    compute: Compute,
    *,
    features: Sequence[str],
    weights: Sequence[str],
    out: Path,
    statistics: Path | None = None,
) -> FolderScores:
    """Score the images of `second` against the reals of `first`, into score.json and score.csv.

    The floor comes from the reals themselves: one random half is held out and compared with the
    other, and so are as many images of `second`. With a file of statistics there is the Fréchet
    distance alone.

    Args:
        first, second: Folders, with a subfolder per label or none, or .npz files of mu and sigma.
        compute: Where the networks run.
        features, weights: As `choose_extractors` takes them.
        out: The folder that score.json and score.csv are written into.
        statistics: Where mu and sigma of `first` are written; then `second` may be None, and
            nothing is scored, and there is no score.json.

    Raises FileNotFoundError or ValueError when a folder cannot be read, see `read_image_folder`,
    when one lies in the other, when their images differ in size, or when they have labels but none
    in common.
    """
    if second is None and statistics is None:
        raise OptionError(
            "dataset_a",
            "alone",
            "name what to compare it with, `dataset_b` DIR, or where its statistics go, "
            "`save_statistics` FILE.npz",
        )
    datasets = [_read_dataset(path) for path in (first, second) if path is not None]
    folders = [dataset for dataset in datasets if isinstance(dataset, ImageFolder)]
    if len(folders) == 2:
        check_two_folders(*folders)
        folders[1] = _name_labels_alike(*folders)
    extractors = choose_extractors(features, weights, compute) if folders else []
    _check_statistics(datasets, extractors, statistics)
    folder_features = _compute_features(folders, extractors, compute)
    if statistics is not None:
        write_statistics(statistics, fit(folder_features[extractors[0].name][0]))
    if second is None:
        return _make_scores(datasets, extractors)
    if len(folders) == 2:
        summary = _score_images(folders[0], folders[1], folder_features, extractors)
    else:
        summary = _score_statistics(datasets, extractors, folder_features)
    out.mkdir(parents=True, exist_ok=True)
    summary.save(out)
    return summary


def _read_dataset(path: Path) -> ImageFolder | Path:
    """Read a folder of images; leave a file of statistics for later."""
    is_statistics = path.suffix == ".npz" and not path.is_dir()
    return path if is_statistics else read_image_folder(path)


def _name_labels_alike(first: ImageFolder, second: ImageFolder) -> ImageFolder:
    """Give the labels of the second folder the names that they have in the first.

    Raises ValueError when both have labels and none in common.
    """
    names = {spelling(label): label for label in first.labels}
    renamed = [names.get(spelling(label), label) for label in second.labels]
    both_have = "" not in first.labels and "" not in renamed
    if both_have and not set(first.labels) & set(renamed):
        raise ValueError(
            f"{first.path} has images of {list_labels(first.labels)}, {second.path} of "
            f"{list_labels(renamed)}: no label in common; expected the same names of subfolders, "
            "or name the folder of one label for each"
        )
    return replace(second, labels=renamed)


def _check_statistics(
    datasets: Sequence[ImageFolder | Path],
    extractors: Sequence[Extractor],
    statistics: Path | None,
) -> None:
    """Raise OptionError when statistics are of other than one folder and one network."""
    if statistics is not None and (
        len(extractors) != 1 or not isinstance(datasets[0], ImageFolder)
    ):
        raise OptionError(
            "save_statistics",
            statistics,
            "expected `dataset_a` to be a folder, and the `features` of one network",
        )
    of_images = len(datasets) == 2 and all(isinstance(dataset, ImageFolder) for dataset in datasets)
    if not of_images and len(extractors) > 1:
        raise OptionError(
            "features",
            ", ".join(extractor.name for extractor in extractors),
            "statistics are of one network, expected its name alone",
        )


def _compute_features(
    folders: Sequence[ImageFolder], extractors: Sequence[Extractor], compute: Compute
) -> FolderFeatures:
    store = FeatureStore()
    images = {str(number): folder.images for number, folder in enumerate(folders)}
    return {
        extractor.name: list(extractor.features(images, store, compute).values())
        for extractor in extractors
    }


def _score_images(
    reals: ImageFolder,
    synthetic: ImageFolder,
    folder_features: FolderFeatures,
    extractors: Sequence[Extractor],
) -> FolderScores:
    """Take every score, with half of the reals held out; per label that both have, and overall."""
    shared = sorted(set(reals.labels) & set(synthetic.labels))
    classes = shared if len(shared) > 1 else [OVERALL]
    only_in_one = sorted((set(reals.labels) | set(synthetic.labels)) - set(shared))
    halves = numpy_generator(0, "halves").permutation(len(reals.images)) % 2
    train, held_out = (_shared_rows(reals, shared, halves == half) for half in (0, 1))
    every = _shared_rows(synthetic, shared, np.ones(len(synthetic.images), bool))
    sets = {
        "train": _make_split("train", reals, train, classes),
        "held_out": _make_split("held_out", reals, held_out, classes),
        "synthetic": _make_split("synthetic", synthetic, every, classes),
    }
    features = {
        extractor: {
            "train": of_reals[train],
            "held_out": of_reals[held_out],
            "synthetic": of_synthetic[every],
        }
        for extractor, (of_reals, of_synthetic) in folder_features.items()
    }
    scores, unscored = score_groups(classes, sets, features, reference=("train", "held_out"))
    counts = {name: len(split.labels) for name, split in sets.items()}
    notes = [
        f"{label}: only one of the folders has it, so it is left out"
        for label in (only_in_one if shared else [])
    ]
    return _make_scores(
        (reals, synthetic),
        extractors,
        classes=classes,
        warnings=[
            *notes,
            *warn_of_differences(reals, synthetic),
            *warn_of_few_images(features, counts),
        ],
        scores=scores,
        unscored=unscored,
    )


def _shared_rows(folder: ImageFolder, shared: Sequence[str], wanted: np.ndarray) -> np.ndarray:
    """Choose the places of wanted images whose label both folders have; of no such label, all."""
    is_shared = np.array([not shared or label in shared for label in folder.labels])
    return np.flatnonzero(wanted & is_shared)


def _make_split(name: str, folder: ImageFolder, rows: np.ndarray, classes: Sequence[str]) -> Split:
    """Make a set of the images at these places, each of a patient of its own."""
    several = len(classes) > 1
    labels = [classes.index(folder.labels[row]) if several else 0 for row in rows]
    return Split(
        folder.images[rows],
        np.array(labels, np.int64),
        [folder.file_names[row] for row in rows],
        [f"{name} {row}" for row in rows],
    )


def _score_statistics(
    datasets: Sequence[ImageFolder | Path],
    extractors: Sequence[Extractor],
    folder_features: FolderFeatures,
) -> FolderScores:
    """Take the Fréchet distance of two datasets, of which one or both are statistics."""
    gaussians = [
        fit(folder_features[extractors[0].name][0])
        if isinstance(dataset, ImageFolder)
        else read_statistics(dataset)
        for dataset in datasets
    ]
    return _make_scores(datasets, extractors, frechet=distance(gaussians[0], gaussians[1]))


def _make_scores(
    datasets: Sequence[ImageFolder | Path],
    extractors: Sequence[Extractor],
    *,
    classes: Sequence[str] = (),
    warnings: Sequence[str] = (),
    scores: Sequence[Score] = (),
    unscored: Sequence[Unscored] = (),
    frechet: float | None = None,
) -> FolderScores:
    """Put together what is told of one or two datasets, with the notes of their folders."""
    folders = [dataset for dataset in datasets if isinstance(dataset, ImageFolder)]
    names = [
        decode_file_name(str(dataset.path if isinstance(dataset, ImageFolder) else dataset))
        for dataset in datasets
    ]
    return FolderScores(
        dataset_a=names[0],
        dataset_b=names[1] if len(names) > 1 else "",
        classes=list(classes),
        extractors=[extractor.record for extractor in extractors],
        warnings=[*(note for folder in folders for note in folder.notes), *warnings],
        scores=list(scores),
        unscored=list(unscored),
        frechet=frechet,
    )
