"""What to know before believing the scores of two plain folders: how their files differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from pipelines.evaluation.folder_labels import list_labels
from pipelines.evaluation.image_folder import ImageFolder
from pipelines.study.image_io import pixel_hash

LOSSY = ("JPEG", "MPO", "WEBP")
MAX_DIFFERENCE = 0.1  # in the share of files that are stored in one way


def warn_of_differences(reals: ImageFolder, synthetic: ImageFolder) -> list[str]:
    """Say what sets two folders apart besides what their pictures show, and what they share."""
    folders = (reals, synthetic)
    return [
        *_warn_of_labels(folders),
        *_warn_of_copies(reals, synthetic),
        *_warn_of_lossy_files(folders),
        *_warn_of_depth(folders),
        *_warn_of_sizes(folders),
    ]


def _warn_of_labels(folders: Sequence[ImageFolder]) -> list[str]:
    """Say that labels are not used, where only one of the folders has any."""
    labelled = [folder for folder in folders if "" not in folder.labels]
    if len(labelled) != 1:
        return []
    return [
        f"only {labelled[0].path} has labels ({list_labels(labelled[0].labels)}): they are not "
        "used, and all of its images are scored together"
    ]


def _warn_of_copies(reals: ImageFolder, synthetic: ImageFolder) -> list[str]:
    """Say how many pictures are in both folders, or more than once in one."""
    hashes = [[pixel_hash(image) for image in folder.images] for folder in (reals, synthetic)]
    warnings = []
    copies = sum(digest in set(hashes[0]) for digest in hashes[1])
    if copies:
        warnings.append(
            f"{copies} of the {len(hashes[1])} images of {synthetic.path} are, pixel for pixel, "
            f"images of {reals.path}: copies make every distance smaller"
        )
    for folder, of_folder in zip((reals, synthetic), hashes, strict=True):
        again = len(of_folder) - len(set(of_folder))
        if again:
            warnings.append(f"{folder.path}: {again} images repeat another one of it")
    return warnings


def _warn_of_lossy_files(folders: Sequence[ImageFolder]) -> list[str]:
    """Say that the folders' files are compressed in different ways."""
    lossy = [
        np.mean([stored.container in LOSSY for stored in folder.storage]) for folder in folders
    ]
    if abs(lossy[0] - lossy[1]) <= MAX_DIFFERENCE:
        return []
    containers = [Counter(stored.container for stored in folder.storage) for folder in folders]
    texts = [
        ", ".join(f"{count} {name}" for name, count in of_folder.most_common())
        for of_folder in containers
    ]
    return [
        f"{folders[0].path} has {texts[0]}, {folders[1].path} {texts[1]}: lossy compression alone "
        "tells such pictures apart, and distances measure it too; keep both in one way"
    ]


def _warn_of_depth(folders: Sequence[ImageFolder]) -> list[str]:
    """Say that files of more than 8 bits are windowed and the others are not."""
    deep = [np.mean([stored.is_deep for stored in folder.storage]) for folder in folders]
    if abs(deep[0] - deep[1]) <= MAX_DIFFERENCE:
        return []
    return [
        f"{100 * deep[0]:.0f} % of {folders[0].path} and {100 * deep[1]:.0f} % of "
        f"{folders[1].path} are deeper than 8 bits: those are windowed, the others are not, and "
        "contrast alone tells them apart"
    ]


def _warn_of_sizes(folders: Sequence[ImageFolder]) -> list[str]:
    """Say that pictures of different sizes were made smaller to one."""
    sizes = [
        Counter(tuple(sorted((stored.width, stored.height))) for stored in folder.storage)
        for folder in folders
    ]
    if len(set(sizes[0]) | set(sizes[1])) == 1:
        return []
    texts = [
        ", ".join(f"{count} of {short}×{long} px" for (short, long), count in of.most_common(2))
        + (", …" if len(of) > 2 else "")
        for of in sizes
    ]
    height, width = folders[0].images.shape[1:]
    return [
        f"{folders[0].path} has files {texts[0]}, {folders[1].path} {texts[1]}: all are scored at "
        f"{width}×{height} px, and those made smaller are sharper"
    ]
